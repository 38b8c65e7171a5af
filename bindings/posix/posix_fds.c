/* SPDX-License-Identifier: MIT
 *
 * The POSIX binding: descriptors. A number is its own place in the table; see posix_core.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "posix_internal.h"

#define SALT_SHIFT 20u

/* Made directly: a sanitizer that takes a look at a descriptor, while another thread closes it, for
 * a mistake is wrong here. */
bool eai_identify(int fd, eai_identity_t *identity)
{
    struct statx found;
    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO, &found) != 0) {
        return false;
    }
    identity->device = (uint64_t)found.stx_dev_major << 32 | found.stx_dev_minor;
    identity->inode = found.stx_ino;
    identity->is_socket = S_ISSOCK(found.stx_mode);
    return true;
}

/* --- make ------------------------------------------------------------------------------------- */

/* What make_one() is to do. */
typedef struct {
    eai_call_t call;
    int (*make)(void *context);
    void *context;
} fd_call_t;

/* Register fd, which the system has just given, or which is adopted. A LIVE number that the system
 * gave anew was closed behind our back: its resource is call->overtaken. */
static int enter(eai_call_t *call, int fd, bool is_adopted, uintptr_t *object)
{
    ea_posix_t *posix = call->posix;
    eai_identity_t identity;
    if ((size_t)fd >= posix->eai_options.n_numbers) return EMFILE;
    if (!eai_identify(fd, &identity)) return EBADF;
    int error = 0;
    eai_lock(posix);
    ea_posix_number_t *number = &posix->eai_options.numbers[fd];
    if (number->eai_state == EAI_P_LIVE && is_adopted) {
        error = EBUSY;
    } else {
        if (number->eai_state == EAI_P_LIVE) call->overtaken = number->eai_resource;
        number->eai_salt++;
        *object = (uintptr_t)number->eai_salt << SALT_SHIFT | (uintptr_t)fd;
        number->eai_object = *object;
        number->eai_device = identity.device;
        number->eai_inode = identity.inode;
        number->eai_resource = EA_RESOURCE_NONE;
        number->eai_is_told = false;
        number->eai_state = EAI_P_LIVE;
    }
    eai_unlock(posix);
    return error;
}

static int make_one(eai_call_t *call, uintptr_t *object)
{
    fd_call_t *of = (fd_call_t *)call;
    int fd = of->make(of->context);
    if (fd < 0) return errno != 0 ? errno : EIO;
    call->fd = fd;
    int error = enter(call, fd, false, object);
    if (error != 0) (void)close(fd);
    return error;
}

static int adopt_one(eai_call_t *call, uintptr_t *object)
{
    return enter(call, call->fd, true, object);
}

/* The number's old resource is given up. Its object is in no place any more, so nothing is closed;
 * and whoever has its handle is refused. */
static void give_up_overtaken(ea_posix_t *posix, const eai_call_t *call)
{
    ea_resource_info_t info;
    ea_monitor_t *monitor = posix->eai_options.monitor;
    if (ea_resource_is_none(call->overtaken) ||
        ea_monitor_info(monitor, call->overtaken, &info) != EA_OK) {
        return;
    }
    (void)ea_monitor_release(monitor, call->overtaken);
    eai_lock(posix);
    posix->eai_report.n_overtaken++;
    posix->eai_report.n_forgotten++;
    eai_unlock(posix);
    ea_events_emit(monitor->eai_events,
                   &(ea_event_t){.kind = EA_EVENT_STRAY,
                                 .level = EA_POSIX_REUSED,
                                 .n = (uint16_t)(info.type - posix->eai_options.first_type),
                                 .owner = info.account,
                                 .size_bytes = (size_t)call->fd,
                                 .where = posix,
                                 .caller = info.caller});
}

/* Returns fd; -1 and errno. */
static int acquire_fd(eai_call_t *call, ea_account_t *account, const void *caller)
{
    ea_posix_t *posix = call->posix;
    const int kept = errno;
    ea_resource_t resource;
    int error = eai_acquire(call, account, 1, caller, &resource);
    if (error != 0) {
        errno = error;
        return -1;
    }
    eai_lock(posix);
    ea_posix_number_t *number = &posix->eai_options.numbers[call->fd];
    bool is_there = number->eai_state == EAI_P_LIVE && number->eai_object == call->object;
    if (is_there) number->eai_resource = resource;
    eai_unlock(posix);
    eai_flight_end(posix, &call->flight);
    give_up_overtaken(posix, call);
    if (!is_there) { /* closed behind our back already, and made anew */
        (void)eai_release(posix, resource);
        errno = EBADF;
        return -1;
    }
    errno = kept;
    return call->fd;
}

static int acquire_made(ea_posix_t *posix, ea_account_t *account, ea_posix_kind_t kind,
                        int (*make)(void *context), void *context, const void *caller)
{
    fd_call_t of = {.call = {.posix = posix, .run = make_one, .kind = kind, .fd = -1},
                    .make = make,
                    .context = context};
    return acquire_fd(&of.call, account, caller);
}

int ea_posix_make_fd(ea_posix_t *posix, ea_account_t *account, ea_posix_kind_t kind,
                     int (*make)(void *context), void *context)
{
    if (kind != EA_POSIX_FILE && kind != EA_POSIX_SOCKET) {
        errno = EINVAL;
        return -1;
    }
    return acquire_made(posix, account, kind, make, context, EAI_CALLER);
}

/* --- open, socket, accept --------------------------------------------------------------------- */

typedef struct {
    const char *path;
    int flags;
    mode_t mode;
} open_t;

static int make_open(void *context)
{
    const open_t *how = context;
    return open(how->path, how->flags, how->mode);
}

int ea_posix_open(ea_posix_t *posix, ea_account_t *account, const char *path, int flags,
                  mode_t mode)
{
    open_t how = {path, flags, mode};
    return acquire_made(posix, account, EA_POSIX_FILE, make_open, &how, EAI_CALLER);
}

typedef struct {
    int domain, type, protocol;
} socket_t;

static int make_socket(void *context)
{
    const socket_t *how = context;
    return socket(how->domain, how->type, how->protocol);
}

int ea_posix_socket(ea_posix_t *posix, ea_account_t *account, int domain, int type, int protocol)
{
    socket_t how = {domain, type, protocol};
    return acquire_made(posix, account, EA_POSIX_SOCKET, make_socket, &how, EAI_CALLER);
}

typedef struct {
    int listener, flags;
    struct sockaddr *address;
    socklen_t *n_address;
} accept_t;

static int make_accept(void *context)
{
    const accept_t *how = context;
    return accept4(how->listener, how->address, how->n_address, how->flags);
}

int ea_posix_accept(ea_posix_t *posix, ea_account_t *account, int listener,
                    struct sockaddr *address, socklen_t *n_address, int flags)
{
    accept_t how = {listener, flags, address, n_address};
    return acquire_made(posix, account, EA_POSIX_SOCKET, make_accept, &how, EAI_CALLER);
}

/* --- adopt, disown, close --------------------------------------------------------------------- */

int ea_posix_adopt_fd(ea_posix_t *posix, ea_account_t *account, int fd)
{
    eai_identity_t identity;
    if (fd < 0 || !eai_identify(fd, &identity)) {
        errno = EBADF;
        return -1;
    }
    eai_call_t call = {.posix = posix,
                       .run = adopt_one,
                       .kind = identity.is_socket ? EA_POSIX_SOCKET : EA_POSIX_FILE,
                       .fd = fd};
    return acquire_fd(&call, account, EAI_CALLER);
}

ea_resource_t ea_posix_fd_resource(ea_posix_t *posix, int fd)
{
    ea_resource_t resource = EA_RESOURCE_NONE;
    if (fd < 0 || (size_t)fd >= posix->eai_options.n_numbers) return resource;
    eai_lock(posix);
    const ea_posix_number_t *number = &posix->eai_options.numbers[fd];
    if (number->eai_state == EAI_P_LIVE) resource = number->eai_resource;
    eai_unlock(posix);
    return resource;
}

/* Returns 0; -1 and errno. */
static int finish(int error, int kept)
{
    errno = error == 0 ? kept : error;
    return error == 0 ? 0 : -1;
}

int ea_posix_close(ea_posix_t *posix, int fd)
{
    const int kept = errno;
    ea_resource_t resource = ea_posix_fd_resource(posix, fd);
    return finish(ea_resource_is_none(resource) ? EBADF : eai_release(posix, resource), kept);
}

int ea_posix_disown_fd(ea_posix_t *posix, int fd)
{
    const int kept = errno;
    ea_resource_t resource = EA_RESOURCE_NONE;
    if (fd >= 0 && (size_t)fd < posix->eai_options.n_numbers) {
        eai_lock(posix);
        ea_posix_number_t *number = &posix->eai_options.numbers[fd];
        if (number->eai_state == EAI_P_LIVE && !ea_resource_is_none(number->eai_resource)) {
            resource = number->eai_resource;
            number->eai_state = EAI_P_KNOWN; /* so that its release closes nothing */
            number->eai_resource = EA_RESOURCE_NONE;
        }
        eai_unlock(posix);
    }
    return finish(ea_resource_is_none(resource) ? EBADF : eai_release(posix, resource), kept);
}

/* Before it is closed, if so wanted: whether it is the one that was registered. */
static bool is_same(const ea_posix_t *posix, const ea_posix_number_t *seen, int fd)
{
    eai_identity_t identity;
    return !posix->eai_options.verifies_close ||
           (eai_identify(fd, &identity) && identity.device == seen->eai_device &&
            identity.inode == seen->eai_inode);
}

void ea_posix_end_fd(void *context, uintptr_t object)
{
    ea_posix_t *posix = context;
    const size_t fd = (size_t)ea_posix_fd_of(object);
    if (fd >= posix->eai_options.n_numbers) return;
    ea_posix_number_t *number = &posix->eai_options.numbers[fd];
    eai_lock(posix);
    bool is_own = number->eai_state == EAI_P_LIVE && number->eai_object == object;
    const ea_posix_number_t seen = *number;
    if (is_own) number->eai_state = EAI_P_ENDING;
    eai_unlock(posix);
    if (!is_own) return; /* it was closed long ago, and the number is another's */

    if (!is_same(posix, &seen, (int)fd)) {
        eai_set_end_error(EBADF);
    } else if (close((int)fd) != 0) {
        eai_set_end_error(errno);
    }
    /* By now another thread may have been given the number. */
    eai_lock(posix);
    if (number->eai_state == EAI_P_ENDING && number->eai_object == object) {
        number->eai_state = EAI_P_FREE;
        number->eai_resource = EA_RESOURCE_NONE;
    }
    eai_unlock(posix);
}
