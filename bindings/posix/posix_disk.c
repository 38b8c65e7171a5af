/* SPDX-License-Identifier: MIT
 *
 * The POSIX binding: the disk space of a directory; see posix_core.c.
 *
 * Measuring walks the directory tree without recursion: a stack of open folders, each with its
 * place, EAI_POSIX_DEPTH deep. What counts is the data of files. Links are not followed, other
 * file systems not entered.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "posix_internal.h"

int ea_posix_disk_open(ea_posix_t *posix, ea_posix_disk_t *disk, const char *path,
                       uint64_t keep_free_bytes)
{
    struct stat found;
    if (stat(path, &found) != 0) return -1;
    if (!S_ISDIR(found.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    eai_lock(posix);
    const ea_posix_disk_t *same = posix->eai_disks;
    while (same != NULL && same != disk) same = same->eai_next;
    if (same == NULL) {
        memset(disk, 0, sizeof *disk);
        disk->eai_path = path;
        disk->eai_keep_free_bytes = keep_free_bytes;
        disk->eai_device = (uint64_t)found.st_dev;
        disk->eai_next = posix->eai_disks;
        posix->eai_disks = disk;
    }
    eai_unlock(posix);
    if (same == NULL) return 0;
    errno = EBUSY;
    return -1;
}

static int find_room(const char *path, uint64_t *n_bytes)
{
    struct statvfs room;
    if (statvfs(path, &room) != 0) return errno;
    *n_bytes = (uint64_t)room.f_bavail * room.f_frsize;
    return 0;
}

typedef struct {
    eai_call_t call;
    ea_posix_disk_t *disk;
    size_t n_bytes;
} disk_call_t;

/* What is reserved and not yet used will need its room too. */
static int reserve(eai_call_t *call, uintptr_t *object)
{
    const disk_call_t *of = (const disk_call_t *)call;
    ea_posix_t *posix = call->posix;
    ea_posix_disk_t *disk = of->disk;
    uint64_t room = 0;
    int error = find_room(disk->eai_path, &room);
    if (error != 0) return error;
    call->entry = eai_entry_take(posix, EA_POSIX_DISK, object);
    if (call->entry == NULL) return ENOMEM;
    eai_lock(posix);
    uint64_t unused = disk->eai_n_reserved_bytes > disk->eai_n_used_bytes
                          ? disk->eai_n_reserved_bytes - disk->eai_n_used_bytes
                          : 0;
    uint64_t taken = unused + disk->eai_keep_free_bytes;
    if (taken < unused || taken > room || of->n_bytes > room - taken) {
        eai_entry_free_locked(call->entry);
        error = ENOSPC;
    } else {
        call->entry->eai_n_bytes = of->n_bytes;
        call->entry->eai_disk = disk;
        disk->eai_n_reserved_bytes += of->n_bytes;
    }
    eai_unlock(posix);
    return error;
}

int ea_posix_disk_reserve(ea_posix_t *posix, ea_account_t *account, ea_posix_disk_t *disk,
                          size_t n_bytes, ea_resource_t *resource)
{
    const int kept = errno;
    disk_call_t of = {.call = {.posix = posix, .run = reserve, .kind = EA_POSIX_DISK},
                      .disk = disk,
                      .n_bytes = n_bytes};
    *resource = EA_RESOURCE_NONE;
    int error =
        n_bytes == 0 ? EINVAL : eai_acquire(&of.call, account, n_bytes, EAI_CALLER, resource);
    if (error != 0) {
        errno = error;
        return -1;
    }
    eai_entry_register(posix, of.call.entry, *resource);
    eai_flight_end(posix, &of.call.flight);
    errno = kept;
    return 0;
}

int ea_posix_disk_stats(ea_posix_t *posix, ea_posix_disk_t *disk, ea_posix_disk_stats_t *stats)
{
    uint64_t room = 0;
    int error = find_room(disk->eai_path, &room);
    if (error != 0) {
        errno = error;
        return -1;
    }
    eai_lock(posix);
    stats->reserved_bytes = disk->eai_n_reserved_bytes;
    stats->used_bytes = disk->eai_n_used_bytes;
    stats->is_partial = disk->eai_is_partial;
    eai_unlock(posix);
    stats->room_bytes = room;
    return 0;
}

/* --- measuring -------------------------------------------------------------------------------- */

void eai_disk_stop(ea_posix_disk_t *disk)
{
    while (disk->eai_depth > 0) (void)close(disk->eai_fd[--disk->eai_depth]);
}

static void enter_folder(ea_posix_disk_t *disk, int at, const char *name)
{
    if (disk->eai_depth == EAI_POSIX_DEPTH) {
        disk->eai_sum_is_partial = true;
        return;
    }
    int fd = openat(at, name,
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC | (disk->eai_depth > 0 ? O_NOFOLLOW : 0));
    if (fd < 0) {
        if (errno != ENOENT) disk->eai_sum_is_partial = true; /* else it was removed meanwhile */
        return;
    }
    disk->eai_fd[disk->eai_depth++] = fd;
}

static void count_file(ea_posix_disk_t *disk, int at, const char *name)
{
    struct stat found;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return;
    if (fstatat(at, name, &found, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT) disk->eai_sum_is_partial = true;
        return;
    }
    if ((uint64_t)found.st_dev != disk->eai_device) return;
    if (S_ISDIR(found.st_mode)) {
        enter_folder(disk, at, name);
        return;
    }
    /* The data that is there: less than the size where there are holes, less than the blocks of a
     * short file. */
    uint64_t blocks = (uint64_t)found.st_blocks * 512u, size = (uint64_t)found.st_size;
    disk->eai_sum_bytes += size < blocks ? size : blocks;
}

/* A folder that is entered interrupts its parent, which goes on behind it later: the descriptor
 * remembers where. */
bool eai_disk_measure(ea_posix_disk_t *disk, size_t *budget)
{
    _Alignas(8) char buffer[1024];
    if (disk->eai_depth == 0) {
        disk->eai_sum_bytes = 0;
        disk->eai_sum_is_partial = false;
        enter_folder(disk, AT_FDCWD, disk->eai_path);
    }
    while (disk->eai_depth > 0 && *budget > 0) {
        const uint8_t depth = disk->eai_depth;
        int fd = disk->eai_fd[depth - 1u];
        long n = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
        if (n <= 0) {
            if (n < 0) disk->eai_sum_is_partial = true;
            (void)close(fd);
            disk->eai_depth--;
            continue;
        }
        for (long at = 0; at < n;) {
            const dirent64_t *entry = (const dirent64_t *)(const void *)(buffer + at);
            count_file(disk, fd, entry->name);
            *budget -= 1u;
            at += entry->n_bytes;
            if (at < n && (disk->eai_depth != depth || *budget == 0)) {
                (void)lseek(fd, (off_t)entry->next, SEEK_SET);
                break;
            }
        }
    }
    return disk->eai_depth == 0;
}
