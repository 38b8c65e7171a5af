/* SPDX-License-Identifier: MIT
 *
 * The reconciler's descriptors: what /proc has and the table has not, and the other way round. Why
 * a stray is one stands in posix_reconcile.c.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "ealloc/port.h"
#include "posix_reconcile.h"

#define N_TEXT 320u

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

/* The folder's entries are numbers, of which the first is at 2. */
bool eai_scan_numbers(look_t *look)
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
    if (is_stray) eai_look_count(look, EA_POSIX_STRAY, kind);
    if (!is_to_tell) return;
    char text[N_TEXT];
    describe_fd(fd, text, sizeof text);
    eai_look_tell(look, &(ea_posix_finding_t){.what = EA_POSIX_STRAY,
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
    eai_look_count(look, what, kind);
    if (!is_told) {
        char text[N_TEXT] = "";
        if (is_there) describe_fd(fd, text, sizeof text);
        eai_look_tell(look, &(ea_posix_finding_t){.what = what,
                                                  .kind = kind,
                                                  .id = (uint64_t)fd,
                                                  .resource = seen.eai_resource,
                                                  .text = text});
    }
    if (is_to_forget) eai_look_forget(look, seen.eai_resource);
}

bool eai_walk_numbers(look_t *look)
{
    const size_t n = look->posix->eai_options.n_numbers;
    for (; look->pass->cursor < n && look->budget > 0; look->budget--) {
        judge_suspect(look, (int)look->pass->cursor);
        judge_registered(look, (int)look->pass->cursor++);
    }
    return look->pass->cursor >= n;
}
