/* SPDX-License-Identifier: MIT
 *
 * The reconciler's threads and children: those that /proc has and nobody registered are suspects
 * until they are seen again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ealloc/port.h"
#include "posix_reconcile.h"

#define N_TEXT 48u

static void describe_task(const char *path, char *text, size_t n_text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, n_text - 1u);
    if (fd >= 0) (void)close(fd);
    if (n > 0 && text[n - 1] == '\n') n--;
    text[n > 0 ? n : 0] = '\0';
}

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
            eai_look_count(look, EA_POSIX_STRAY, kind);
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
    eai_look_tell(
        look,
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

bool eai_scan_tasks(look_t *look)
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

/* What this pass has not seen is no more. */
bool eai_drop_suspects(look_t *look)
{
    const ea_posix_options_t *options = &look->posix->eai_options;
    for (; look->pass->cursor < options->n_suspects && look->budget > 0; look->budget--) {
        ea_posix_suspect_t *suspect = &options->suspects[look->pass->cursor++];
        if (suspect->eai_pass != look->pass->pass) suspect->eai_is_used = false;
    }
    return look->pass->cursor >= options->n_suspects;
}
