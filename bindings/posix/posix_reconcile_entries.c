/* SPDX-License-Identifier: MIT
 *
 * The reconciler's other half: what is registered and is no descriptor, held against memory maps,
 * ended threads and children, and the files of directories. Two passes in a row must find it wrong.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ealloc/port.h"
#include "posix_reconcile.h"

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
bool eai_scan_maps(look_t *look)
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
    eai_look_count(look, what, kind);
    if (!is_told) {
        eai_look_tell(look, &(ea_posix_finding_t){.what = what,
                                                  .kind = kind,
                                                  .id = seen.eai_id,
                                                  .resource = seen.eai_resource,
                                                  .n_bytes = seen.eai_n_bytes,
                                                  .text = ""});
    }
    if (is_to_forget) eai_look_forget(look, seen.eai_resource);
}

bool eai_walk_entries(look_t *look)
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
    if (is_sure) eai_look_count(look, EA_POSIX_OVER, EA_POSIX_DISK);
    if (is_sure && !is_told) {
        eai_look_tell(look, &(ea_posix_finding_t){.what = EA_POSIX_OVER,
                                                  .kind = EA_POSIX_DISK,
                                                  .n_bytes = n_over,
                                                  .text = disk->eai_path});
    }
}

bool eai_measure_disks(look_t *look)
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
