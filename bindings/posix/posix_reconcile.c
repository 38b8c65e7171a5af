/* SPDX-License-Identifier: MIT
 *
 * The POSIX binding: the reconciler. A pass is a row of phases, each in bounded steps:
 *
 *     descriptors /proc has --> descriptors the table has --> threads and children /proc has -->
 *     memory maps --> entries --> directories --> suspects that are no more
 *
 * Why a stray is one. Whatever the bindings make is in flight until it is registered, and while it
 * is being ended its place says ENDING. What a pass sees and finds in no place is a suspect, with
 * the number of calls begun by then. If later all those calls have ended and the place is a
 * suspect's still, then none of them has made what was seen: it would have become LIVE. So seen in
 * two passes, the same thing each time, and judged after the second look, both were strays. A call
 * that never ends (accept) counts only until it is older than grace_us: what it made is registered
 * soon after, unless its thread stands still for so long.
 *
 * Why what is gone is gone: I3 in posix_core.c. For mappings, which /proc tells one after the other
 * and not at one moment, two passes in a row must find them wrong.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ealloc/port.h"
#include "posix_internal.h"

#define N_TEXT 320u
#define BUDGET_NOW 4096u

enum {
    BEGIN,
    SCAN_NUMBERS,
    WALK_NUMBERS,
    SCAN_TASKS,
    SCAN_MAPS,
    WALK_ENTRIES,
    DISKS,
    SUSPECTS,
    END
};

/* One call of ea_posix_reconcile(). */
typedef struct {
    ea_posix_t *posix;
    eai_posix_pass_t *pass;
    uint32_t flags;
    size_t budget; /* what is left of it */
    ea_posix_tell_t tell;
    void *context;
} look_t;

static void next_phase(look_t *look)
{
    look->pass->phase++;
    look->pass->cursor = 0;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void tell(look_t *look, ea_posix_finding_t *finding)
{
    ea_monitor_t *monitor = look->posix->eai_options.monitor;
    ea_resource_info_t info;
    if (!ea_resource_is_none(finding->resource) &&
        ea_monitor_info(monitor, finding->resource, &info) == EA_OK) {
        finding->account = info.account;
        finding->caller = info.caller;
        finding->since_us = info.since_us;
    }
    eai_lock(look->posix);
    look->posix->eai_report.n_told++;
    eai_unlock(look->posix);
    ea_events_emit(monitor->eai_events, &(ea_event_t){.kind = EA_EVENT_STRAY,
                                                      .level = (uint8_t)finding->what,
                                                      .n = (uint16_t)finding->kind,
                                                      .owner = finding->account,
                                                      .size_bytes = (size_t)finding->id,
                                                      .where = look->posix,
                                                      .caller = finding->caller});
    if (look->tell != NULL) look->tell(look->context, finding);
}

static void count(look_t *look, ea_posix_what_t what, ea_posix_kind_t kind)
{
    look->pass->now.n[what][kind]++;
}

/* What is registered and gone is released. Its place says already that nothing is to be ended. */
static void forget(look_t *look, ea_resource_t resource)
{
    (void)ea_monitor_release(look->posix->eai_options.monitor, resource);
    eai_lock(look->posix);
    look->posix->eai_report.n_forgotten++;
    eai_unlock(look->posix);
}

/* --- what the system calls it ----------------------------------------------------------------- */

static void put_address(char *text, size_t n_text, const char *before,
                        const struct sockaddr_storage *address, socklen_t n_address)
{
    char name[INET6_ADDRSTRLEN] = "";
    size_t at = strlen(text);
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        (void)inet_ntop(AF_INET, &in->sin_addr, name, sizeof name);
        (void)snprintf(text + at, n_text - at, "%s%s:%u", before, name, ntohs(in->sin_port));
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)address;
        (void)inet_ntop(AF_INET6, &in->sin6_addr, name, sizeof name);
        (void)snprintf(text + at, n_text - at, "%s[%s]:%u", before, name, ntohs(in->sin6_port));
    } else if (address->ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)address;
        size_t n = n_address > offsetof(struct sockaddr_un, sun_path)
                       ? n_address - offsetof(struct sockaddr_un, sun_path)
                       : 0;
        bool is_abstract = n > 0 && un->sun_path[0] == '\0';
        size_t from = is_abstract ? 1u : 0;
        (void)snprintf(text + at, n_text - at, "%sunix:%s%.*s", before, is_abstract ? "@" : "",
                       (int)(n - from), un->sun_path + from);
    }
}

/* The link in /proc, and of a socket its addresses. Made directly, as in eai_identify(). */
static void describe_fd(int fd, char *text, size_t n_text)
{
    char path[48];
    struct sockaddr_storage address;
    socklen_t n_address = sizeof address;
    (void)snprintf(path, sizeof path, "/proc/thread-self/fd/%d", fd);
    ssize_t n = readlink(path, text, n_text - 1u);
    text[n > 0 ? n : 0] = '\0';
    if (strncmp(text, "socket:", 7) != 0) return;
    if (syscall(SYS_getsockname, fd, &address, &n_address) == 0) {
        put_address(text, n_text, " ", &address, n_address);
    }
    n_address = sizeof address;
    if (syscall(SYS_getpeername, fd, &address, &n_address) == 0) {
        put_address(text, n_text, " from ", &address, n_address);
    }
}

static void describe_task(const char *path, char *text, size_t n_text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, n_text - 1u);
    if (fd >= 0) (void)close(fd);
    if (n > 0 && text[n - 1] == '\n') n--;
    text[n > 0 ? n : 0] = '\0';
}

/* --- descriptors that the system has ---------------------------------------------------------- */

/* Locked, as what follows. */
static void begin_suspicion(const look_t *look, ea_posix_number_t *number,
                            const eai_identity_t *identity)
{
    number->eai_state = EAI_P_SUSPECT;
    number->eai_device = identity->device;
    number->eai_inode = identity->inode;
    number->eai_is_socket = identity->is_socket;
    number->eai_since_us = ea_port_time_us();
    number->eai_n_looks = 0;
    number->eai_pass = look->pass->pass - 1u;
    number->eai_is_told = false;
}

static void see_again(const look_t *look, ea_posix_number_t *number)
{
    if (number->eai_pass != look->pass->pass && number->eai_n_looks < 2) {
        number->eai_n_looks++;
        number->eai_serial = look->posix->eai_n_begun;
    }
    number->eai_pass = look->pass->pass;
    if ((look->flags & EA_POSIX_KNOWN) != 0) number->eai_state = EAI_P_KNOWN;
}

static void look_at_number(look_t *look, int fd)
{
    ea_posix_t *posix = look->posix;
    eai_identity_t identity;
    if (!eai_identify(fd, &identity)) return;
    if ((size_t)fd >= posix->eai_options.n_numbers) {
        look->pass->now.n_left_out++;
        return;
    }
    ea_posix_number_t *number = &posix->eai_options.numbers[fd];
    eai_lock(posix);
    bool is_same = number->eai_device == identity.device && number->eai_inode == identity.inode;
    switch (number->eai_state) {
    case EAI_P_LIVE:
    case EAI_P_ENDING: break;
    case EAI_P_KNOWN:
        if (is_same) {
            number->eai_pass = look->pass->pass;
        } else {
            begin_suspicion(look, number, &identity);
            see_again(look, number);
        }
        break;
    default:
        if (number->eai_state != EAI_P_SUSPECT || !is_same) {
            begin_suspicion(look, number, &identity);
        }
        see_again(look, number);
        break;
    }
    eai_unlock(posix);
}

/* Without a descriptor to read /proc with, which is when this is wanted most. */
static bool probe_numbers(look_t *look)
{
    const size_t n = look->posix->eai_options.n_numbers;
    for (; look->pass->cursor < n && look->budget > 0; look->budget--) {
        look_at_number(look, (int)look->pass->cursor++);
    }
    return look->pass->cursor >= n;
}

/* One entry of a folder, as the kernel writes them. */
typedef struct {
    uint64_t inode;
    int64_t next;
    uint16_t n_bytes;
    uint8_t type;
    char name[];
} dirent64_t;

/* The folder's entries are numbers, of which the first is at 2. */
static bool scan_numbers(look_t *look)
{
    _Alignas(8) char buffer[1024];
    int folder = open("/proc/thread-self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return probe_numbers(look);
    (void)lseek(folder, (off_t)(look->pass->cursor + 2u), SEEK_SET);
    long n = 1;
    while (look->budget > 0) {
        n = syscall(SYS_getdents64, folder, buffer, sizeof buffer);
        if (n <= 0) break;
        for (long at = 0; at < n && look->budget > 0; look->budget--) {
            const dirent64_t *entry = (const dirent64_t *)(const void *)(buffer + at);
            at += entry->n_bytes;
            if (entry->name[0] == '.') continue;
            int fd = atoi(entry->name);
            look->pass->cursor = (uint64_t)fd + 1u;
            if (fd != folder) look_at_number(look, fd);
        }
    }
    (void)close(folder);
    if (n < 0) look->pass->now.is_incomplete = true;
    return n <= 0;
}

/* --- descriptors that the table has ----------------------------------------------------------- */

/* Whether the suspect, seen in this pass, is a stray. Locked. */
static bool is_stray_locked(const look_t *look, const ea_posix_number_t *number)
{
    const ea_posix_t *posix = look->posix;
    const uint64_t now_us = ea_port_time_us(), grace_us = posix->eai_options.grace_us;
    if (number->eai_is_told) return true;
    if (number->eai_n_looks < 2) return false;
    if (eai_flights_over_locked(posix, number->eai_serial, 0)) return true;
    return now_us - number->eai_since_us >= grace_us &&
           eai_flights_over_locked(posix, number->eai_serial, now_us - grace_us);
}

static void judge_suspect(look_t *look, int fd)
{
    ea_posix_t *posix = look->posix;
    ea_posix_number_t *number = &posix->eai_options.numbers[fd];
    bool is_stray = false, is_to_tell = false;
    eai_lock(posix);
    const ea_posix_number_t seen = *number;
    const bool is_suspect = seen.eai_state == EAI_P_SUSPECT;
    if (is_suspect || seen.eai_state == EAI_P_KNOWN) {
        if (seen.eai_pass != look->pass->pass) {
            number->eai_state = EAI_P_FREE; /* it is no more */
        } else if (is_suspect) {
            is_stray = is_stray_locked(look, number);
            is_to_tell = is_stray && !seen.eai_is_told;
            number->eai_is_told = is_stray;
            if (!is_stray) look->pass->now.n_suspects++;
        }
    }
    eai_unlock(posix);
    ea_posix_kind_t kind = seen.eai_is_socket ? EA_POSIX_SOCKET : EA_POSIX_FILE;
    if (is_stray) count(look, EA_POSIX_STRAY, kind);
    if (!is_to_tell) return;
    char text[N_TEXT];
    describe_fd(fd, text, sizeof text);
    tell(look, &(ea_posix_finding_t){.what = EA_POSIX_STRAY,
                                     .kind = kind,
                                     .id = (uint64_t)fd,
                                     .since_us = seen.eai_since_us,
                                     .text = text});
}

static void judge_registered(look_t *look, int fd)
{
    ea_posix_t *posix = look->posix;
    ea_posix_number_t *number = &posix->eai_options.numbers[fd];
    eai_identity_t identity;
    eai_lock(posix);
    const ea_posix_number_t seen = *number;
    eai_unlock(posix);
    if (seen.eai_state != EAI_P_LIVE || ea_resource_is_none(seen.eai_resource)) return;

    bool is_there = eai_identify(fd, &identity);
    bool is_same =
        is_there && identity.device == seen.eai_device && identity.inode == seen.eai_inode;
    bool is_told = true, is_to_forget = false;
    eai_lock(posix);
    /* Unless it was ended, and perhaps registered anew, meanwhile. */
    bool is_still = number->eai_state == EAI_P_LIVE && number->eai_object == seen.eai_object;
    if (is_still) {
        is_told = number->eai_is_told;
        number->eai_is_told = !is_same;
        is_to_forget = !is_same && (look->flags & EA_POSIX_FORGET) != 0;
        if (is_to_forget) number->eai_state = EAI_P_FREE; /* so that its release closes nothing */
    }
    eai_unlock(posix);
    if (!is_still || is_same) return;

    ea_posix_kind_t kind =
        (ea_posix_kind_t)(ea_resource_type(seen.eai_resource) - posix->eai_options.first_type);
    ea_posix_what_t what = is_there ? EA_POSIX_REUSED : EA_POSIX_GONE;
    count(look, what, kind);
    if (!is_told) {
        char text[N_TEXT] = "";
        if (is_there) describe_fd(fd, text, sizeof text);
        tell(look, &(ea_posix_finding_t){.what = what,
                                         .kind = kind,
                                         .id = (uint64_t)fd,
                                         .resource = seen.eai_resource,
                                         .text = text});
    }
    if (is_to_forget) forget(look, seen.eai_resource);
}

static bool walk_numbers(look_t *look)
{
    const size_t n = look->posix->eai_options.n_numbers;
    for (; look->pass->cursor < n && look->budget > 0; look->budget--) {
        judge_suspect(look, (int)look->pass->cursor);
        judge_registered(look, (int)look->pass->cursor++);
    }
    return look->pass->cursor >= n;
}

/* --- threads and children that the system has ------------------------------------------------- */

/* Whether it is registered, or a thread is that does not yet know its number. Locked. */
static bool is_registered_locked(const ea_posix_t *posix, ea_posix_kind_t kind, uint64_t id)
{
    for (size_t i = 0; i < posix->eai_options.n_entries; i++) {
        const ea_posix_entry_t *entry = &posix->eai_options.entries[i];
        if (entry->eai_state != EAI_P_FREE && entry->eai_kind == kind &&
            (entry->eai_id == id || (kind == EA_POSIX_THREAD && entry->eai_id == 0))) {
            return true;
        }
    }
    return false;
}

/* Returns the suspect, new or not; NULL: there is no room. */
static ea_posix_suspect_t *suspect_of(look_t *look, ea_posix_kind_t kind, uint64_t id)
{
    const ea_posix_t *posix = look->posix;
    ea_posix_suspect_t *room = NULL;
    for (size_t i = 0; i < posix->eai_options.n_suspects; i++) {
        ea_posix_suspect_t *suspect = &posix->eai_options.suspects[i];
        if (!suspect->eai_is_used) {
            if (room == NULL) room = suspect;
        } else if (suspect->eai_kind == kind && suspect->eai_id == id) {
            return suspect;
        }
    }
    if (room == NULL) {
        look->pass->now.n_left_out++;
        return NULL;
    }
    *room = (ea_posix_suspect_t){.eai_id = id,
                                 .eai_since_us = ea_port_time_us(),
                                 .eai_serial = posix->eai_n_begun,
                                 .eai_pass = look->pass->pass,
                                 .eai_kind = (uint8_t)kind,
                                 .eai_is_used = true};
    return room;
}

/* Returns whether a suspect that is seen again is sure. Locked. */
static bool is_sure_locked(const look_t *look, const ea_posix_suspect_t *suspect)
{
    const ea_posix_t *posix = look->posix;
    if (suspect->eai_is_told) return true;
    if (suspect->eai_pass == look->pass->pass) return false;
    return ea_port_time_us() - suspect->eai_since_us >= posix->eai_options.grace_us ||
           (suspect->eai_kind == EA_POSIX_CHILD &&
            eai_flights_over_locked(posix, suspect->eai_serial, 0));
}

static void look_at_task(look_t *look, ea_posix_kind_t kind, uint64_t id, const char *comm)
{
    ea_posix_t *posix = look->posix;
    eai_lock(posix);
    ea_posix_suspect_t *suspect = NULL;
    bool is_to_tell = false;
    if (!is_registered_locked(posix, kind, id)) suspect = suspect_of(look, kind, id);
    if (suspect != NULL) {
        bool is_sure = is_sure_locked(look, suspect);
        suspect->eai_pass = look->pass->pass;
        if ((look->flags & EA_POSIX_KNOWN) != 0) suspect->eai_is_known = true;
        if (!suspect->eai_is_known && is_sure) {
            count(look, EA_POSIX_STRAY, kind);
            is_to_tell = !suspect->eai_is_told;
            suspect->eai_is_told = true;
        } else if (!suspect->eai_is_known) {
            look->pass->now.n_suspects++;
        }
    }
    uint64_t since_us = suspect == NULL ? 0 : suspect->eai_since_us;
    eai_unlock(posix);
    if (!is_to_tell) return;
    char text[N_TEXT];
    describe_task(comm, text, sizeof text);
    tell(look,
         &(ea_posix_finding_t){
             .what = EA_POSIX_STRAY, .kind = kind, .id = id, .since_us = since_us, .text = text});
}

/* The children of one thread: "PID PID ... ". */
static void look_at_children(look_t *look, const char *tid)
{
    char path[64], buffer[256], comm[48];
    (void)snprintf(path, sizeof path, "/proc/self/task/%s/children", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) { /* the thread has ended, or the kernel cannot tell */
        if (errno != ENOENT || access("/proc/thread-self/children", F_OK) != 0) {
            look->pass->now.is_incomplete = true;
        }
        return;
    }
    uint64_t child = 0;
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (buffer[i] >= '0' && buffer[i] <= '9') {
                child = child * 10u + (uint64_t)(buffer[i] - '0');
                continue;
            }
            (void)snprintf(comm, sizeof comm, "/proc/%llu/comm", (unsigned long long)child);
            if (child != 0) look_at_task(look, EA_POSIX_CHILD, child, comm);
            child = 0;
            if (look->budget > 1) look->budget--;
        }
    }
    (void)close(fd);
}

static bool scan_tasks(look_t *look)
{
    _Alignas(8) char buffer[1024];
    char comm[64];
    int folder = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n = -1;
    if (folder >= 0 && look->pass->cursor > 0) {
        (void)lseek(folder, (off_t)look->pass->cursor, SEEK_SET);
    }
    while (folder >= 0 && look->budget > 0) {
        n = syscall(SYS_getdents64, folder, buffer, sizeof buffer);
        if (n <= 0) break;
        for (long at = 0; at < n && look->budget > 0; look->budget--) {
            const dirent64_t *entry = (const dirent64_t *)(const void *)(buffer + at);
            at += entry->n_bytes;
            look->pass->cursor = (uint64_t)entry->next;
            if (entry->name[0] == '.') continue;
            uint64_t tid = (uint64_t)atoll(entry->name);
            (void)snprintf(comm, sizeof comm, "/proc/self/task/%s/comm", entry->name);
            if (tid != (uint64_t)getpid()) look_at_task(look, EA_POSIX_THREAD, tid, comm);
            look_at_children(look, entry->name);
        }
    }
    if (folder >= 0) (void)close(folder);
    if (n < 0) look->pass->now.is_incomplete = true;
    return n <= 0;
}

/* --- memory maps ------------------------------------------------------------------------------ */

static void begin_maps(look_t *look)
{
    ea_posix_t *posix = look->posix;
    eai_lock(posix);
    for (size_t i = 0; i < posix->eai_options.n_entries; i++) {
        ea_posix_entry_t *entry = &posix->eai_options.entries[i];
        entry->eai_n_covered = 0;
        entry->eai_differs = false;
        entry->eai_pass = entry->eai_state == EAI_P_LIVE ? look->pass->pass : 0;
    }
    eai_unlock(posix);
    look->pass->n_text = 0;
    look->pass->is_inside = false;
    look->pass->fd = open("/proc/thread-self/maps", O_RDONLY | O_CLOEXEC);
}

/* "begin-end rwxp offset major:minor inode name", numbers but the inode hexadecimal. */
static void look_at_map(look_t *look, const char *line)
{
    ea_posix_t *posix = look->posix;
    unsigned long long begin, end, inode;
    unsigned major, minor;
    if (sscanf(line, "%llx-%llx %*s %*x %x:%x %llu", &begin, &end, &major, &minor, &inode) != 5) {
        return;
    }
    const uint64_t device = (uint64_t)major << 32 | minor;
    eai_lock(posix);
    for (size_t i = 0; i < posix->eai_options.n_entries; i++) {
        ea_posix_entry_t *entry = &posix->eai_options.entries[i];
        if (entry->eai_kind != EA_POSIX_MAPPING || entry->eai_pass != look->pass->pass) continue;
        uint64_t first = entry->eai_id > begin ? entry->eai_id : begin;
        uint64_t last = entry->eai_id + entry->eai_n_bytes;
        if (last > end) last = end;
        if (first >= last) continue;
        entry->eai_n_covered += last - first;
        if (!entry->eai_is_identified) {
            entry->eai_is_identified = true;
            entry->eai_device = device;
            entry->eai_inode = inode;
        }
        if (entry->eai_device != device || entry->eai_inode != inode) entry->eai_differs = true;
    }
    eai_unlock(posix);
}

/* Of each line the buffer's length is looked at, which is more than its numbers. */
static bool scan_maps(look_t *look)
{
    eai_posix_pass_t *pass = look->pass;
    if (pass->cursor == 0) {
        begin_maps(look);
        pass->cursor = 1;
    }
    while (pass->fd >= 0 && look->budget > 0) {
        char *end = memchr(pass->text, '\n', pass->n_text);
        const uint32_t room = (uint32_t)sizeof pass->text - 1u;
        if (end == NULL && pass->n_text < room) {
            ssize_t n = read(pass->fd, pass->text + pass->n_text, room - pass->n_text);
            if (n > 0) {
                pass->n_text += (uint32_t)n;
                continue;
            }
            if (n < 0) pass->now.is_incomplete = true;
            break;
        }
        uint32_t used = end != NULL ? (uint32_t)(end - pass->text) + 1u : pass->n_text;
        if (end != NULL) *end = '\0';
        pass->text[pass->n_text] = '\0';
        if (!pass->is_inside) look_at_map(look, pass->text);
        pass->is_inside = end == NULL;
        memmove(pass->text, pass->text + used, pass->n_text - used);
        pass->n_text -= used;
        look->budget--;
    }
    if (pass->fd >= 0 && look->budget == 0) return false;
    if (pass->fd < 0) pass->now.is_incomplete = true;
    if (pass->fd >= 0) (void)close(pass->fd);
    pass->fd = -1;
    return true;
}

/* --- entries ---------------------------------------------------------------------------------- */

#define NOTHING EA_POSIX_N_FINDINGS

/* What is wrong with an entry, by what was seen of it in this pass. */
static ea_posix_what_t wrong_with(const look_t *look, const ea_posix_entry_t *seen)
{
    siginfo_t info;
    switch (seen->eai_kind) {
    case EA_POSIX_MAPPING:
        if (seen->eai_pass != look->pass->pass || look->pass->now.is_incomplete) return NOTHING;
        if (seen->eai_n_covered < seen->eai_n_bytes) return EA_POSIX_GONE;
        return seen->eai_differs ? EA_POSIX_REUSED : NOTHING;
    case EA_POSIX_THREAD:
        return seen->eai_has_ended && !seen->eai_is_detached ? EA_POSIX_ENDED : NOTHING;
    case EA_POSIX_CHILD:
        info.si_pid = 0;
        if (waitid(P_PID, (id_t)seen->eai_id, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
            return EA_POSIX_GONE;
        }
        return info.si_pid != 0 ? EA_POSIX_ENDED : NOTHING;
    default: return NOTHING;
    }
}

static void judge_entry(look_t *look, ea_posix_entry_t *entry)
{
    ea_posix_t *posix = look->posix;
    eai_lock(posix);
    const ea_posix_entry_t seen = *entry;
    eai_unlock(posix);
    if (seen.eai_state != EAI_P_LIVE || ea_resource_is_none(seen.eai_resource)) return;
    ea_posix_what_t what = wrong_with(look, &seen);
    bool is_told = true, is_to_forget = false, is_sure = false;
    const uint64_t now_us = ea_port_time_us();
    eai_lock(posix);
    bool is_still = entry->eai_state == EAI_P_LIVE && entry->eai_object == seen.eai_object;
    if (is_still && what == NOTHING) {
        entry->eai_doubt = 0;
        entry->eai_is_told = false;
    } else if (is_still) {
        if (entry->eai_doubt == 0) entry->eai_since_us = now_us;
        entry->eai_doubt = entry->eai_doubt < 2 ? entry->eai_doubt + 1u : 2u;
        is_sure =
            entry->eai_doubt == 2 &&
            (what != EA_POSIX_ENDED || now_us - entry->eai_since_us >= posix->eai_options.grace_us);
    }
    if (is_sure) {
        is_told = entry->eai_is_told;
        entry->eai_is_told = true;
        is_to_forget = what != EA_POSIX_ENDED && (look->flags & EA_POSIX_FORGET) != 0;
        entry->eai_is_gone = is_to_forget;
    }
    eai_unlock(posix);
    if (is_still && what != NOTHING && !is_sure) look->pass->now.n_suspects++;
    if (!is_sure) return;
    ea_posix_kind_t kind = (ea_posix_kind_t)seen.eai_kind;
    count(look, what, kind);
    if (!is_told) {
        tell(look, &(ea_posix_finding_t){.what = what,
                                         .kind = kind,
                                         .id = seen.eai_id,
                                         .resource = seen.eai_resource,
                                         .n_bytes = seen.eai_n_bytes,
                                         .text = ""});
    }
    if (is_to_forget) forget(look, seen.eai_resource);
}

static bool walk_entries(look_t *look)
{
    const size_t n = look->posix->eai_options.n_entries;
    for (; look->pass->cursor < n && look->budget > 0; look->budget--) {
        judge_entry(look, &look->posix->eai_options.entries[look->pass->cursor++]);
    }
    return look->pass->cursor >= n;
}

/* --- directories ------------------------------------------------------------------------------ */

static void judge_disk(look_t *look, ea_posix_disk_t *disk)
{
    ea_posix_t *posix = look->posix;
    eai_lock(posix);
    disk->eai_n_used_bytes = disk->eai_sum_bytes;
    disk->eai_is_partial = disk->eai_sum_is_partial;
    bool is_over = disk->eai_n_used_bytes > disk->eai_n_reserved_bytes;
    uint64_t n_over = disk->eai_n_used_bytes - disk->eai_n_reserved_bytes;
    if (!is_over) {
        disk->eai_doubt = 0;
        disk->eai_is_told = false;
    } else if (disk->eai_doubt < 2) {
        disk->eai_doubt++;
    }
    bool is_sure = disk->eai_doubt == 2, is_told = disk->eai_is_told;
    if (is_sure) disk->eai_is_told = true;
    eai_unlock(posix);
    if (is_over && !is_sure) look->pass->now.n_suspects++;
    if (is_sure) count(look, EA_POSIX_OVER, EA_POSIX_DISK);
    if (is_sure && !is_told) {
        tell(look, &(ea_posix_finding_t){.what = EA_POSIX_OVER,
                                         .kind = EA_POSIX_DISK,
                                         .n_bytes = n_over,
                                         .text = disk->eai_path});
    }
}

static bool measure_disks(look_t *look)
{
    eai_posix_pass_t *pass = look->pass;
    if (pass->cursor == 0) {
        eai_lock(look->posix);
        pass->disk = look->posix->eai_disks;
        eai_unlock(look->posix);
        pass->cursor = 1;
    }
    while (pass->disk != NULL && look->budget > 0) {
        if (!eai_disk_measure(pass->disk, &look->budget)) return false;
        judge_disk(look, pass->disk);
        pass->disk = pass->disk->eai_next;
    }
    return pass->disk == NULL;
}

/* --- passes ----------------------------------------------------------------------------------- */

/* What this pass has not seen is no more. */
static bool drop_suspects(look_t *look)
{
    const ea_posix_options_t *options = &look->posix->eai_options;
    for (; look->pass->cursor < options->n_suspects && look->budget > 0; look->budget--) {
        ea_posix_suspect_t *suspect = &options->suspects[look->pass->cursor++];
        if (suspect->eai_pass != look->pass->pass) suspect->eai_is_used = false;
    }
    return look->pass->cursor >= options->n_suspects;
}

static void end_pass(look_t *look)
{
    ea_posix_report_t *report = &look->posix->eai_report;
    const ea_posix_report_t *now = &look->pass->now;
    eai_lock(look->posix);
    memcpy(report->n, now->n, sizeof report->n);
    report->n_suspects = now->n_suspects;
    report->n_left_out = now->n_left_out;
    report->is_incomplete = now->is_incomplete;
    report->n_passes++;
    eai_unlock(look->posix);
    look->pass->phase = BEGIN;
    look->pass->pass++;
    if (look->pass->pass == 0) look->pass->pass = 1;
}

static void begin_pass(look_t *look)
{
    memset(&look->pass->now, 0, sizeof look->pass->now);
}

/* Returns whether the pass is complete. */
static bool go_on(look_t *look)
{
    static bool (*const phases[])(look_t *) = {
        [SCAN_NUMBERS] = scan_numbers, [WALK_NUMBERS] = walk_numbers, [SCAN_TASKS] = scan_tasks,
        [SCAN_MAPS] = scan_maps,       [WALK_ENTRIES] = walk_entries, [DISKS] = measure_disks,
        [SUSPECTS] = drop_suspects};
    while (look->budget > 0) {
        if (look->pass->phase == BEGIN) {
            begin_pass(look);
            next_phase(look);
        } else if (phases[look->pass->phase](look)) {
            next_phase(look);
        }
        if (look->pass->phase == END) {
            end_pass(look);
            return true;
        }
    }
    return false;
}

/* *is_whole is set if this call begins the pass. */
static ea_status_t go_on_alone(look_t *look, bool *is_whole)
{
    const int kept = errno;
    ea_posix_t *posix = look->posix;
    eai_lock(posix);
    bool is_busy = posix->eai_is_reconciling;
    posix->eai_is_reconciling = true;
    eai_unlock(posix);
    if (is_busy) return EA_ERR_BUSY;
    if (look->pass->phase == BEGIN) *is_whole = true;
    bool is_complete = go_on(look);
    eai_lock(posix);
    posix->eai_is_reconciling = false;
    eai_unlock(posix);
    errno = kept;
    return is_complete ? EA_OK : EA_ERR_AGAIN;
}

ea_status_t ea_posix_reconcile(ea_posix_t *posix, uint32_t flags, size_t budget,
                               ea_posix_tell_t tell_one, void *context)
{
    bool is_whole = false;
    look_t look = {posix, &posix->eai_pass, flags, budget, tell_one, context};
    return budget == 0 ? EA_ERR_INVALID : go_on_alone(&look, &is_whole);
}

/* From its beginning on: what others had begun is ended before. */
static ea_status_t complete_pass(const look_t *how)
{
    ea_status_t status;
    bool is_whole = false;
    do {
        look_t look = *how;
        status = go_on_alone(&look, &is_whole);
        if (status == EA_OK && !is_whole) status = EA_ERR_AGAIN;
    } while (status == EA_ERR_AGAIN);
    return status;
}

ea_status_t ea_posix_reconcile_now(ea_posix_t *posix, uint32_t flags, ea_posix_tell_t tell_one,
                                   void *context)
{
    const uint64_t grace_us = posix->eai_options.grace_us + 1u;
    const struct timespec grace = {(time_t)(grace_us / 1000000u),
                                   (long)(grace_us % 1000000u * 1000u)};
    const look_t look = {posix, &posix->eai_pass, flags, BUDGET_NOW, tell_one, context};
    ea_status_t status = complete_pass(&look);
    if (status != EA_OK || (flags & EA_POSIX_KNOWN) != 0) return status;
    (void)nanosleep(&grace, NULL);
    return complete_pass(&look);
}

void ea_posix_report(ea_posix_t *posix, ea_posix_report_t *report)
{
    eai_lock(posix);
    *report = posix->eai_report;
    eai_unlock(posix);
}
