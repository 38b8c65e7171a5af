/* SPDX-License-Identifier: MIT
 *
 * The POSIX binding: mappings, and how what has an entry ends; see posix_core.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include "posix_internal.h"

typedef struct {
    eai_call_t call;
    void *address;
    size_t n_bytes;
    int protection, flags, fd;
    int64_t offset;
} map_call_t;

/* In whole pages; 0: that is more than there is. */
static size_t in_pages(const ea_posix_t *posix, size_t n_bytes)
{
    size_t page = (size_t)posix->eai_page;
    return n_bytes > SIZE_MAX - page ? 0 : (n_bytes + page - 1u) / page * page;
}

static int make_mapping(eai_call_t *call, uintptr_t *object)
{
    map_call_t *of = (map_call_t *)call;
    ea_posix_t *posix = call->posix;
    call->entry = eai_entry_take(posix, EA_POSIX_MAPPING, object);
    if (call->entry == NULL) return ENOMEM;
    void *place = MAP_FAILED;
    errno = EOVERFLOW;
    if ((int64_t)(off_t)of->offset == of->offset) {
        place =
            mmap(of->address, of->n_bytes, of->protection, of->flags, of->fd, (off_t)of->offset);
    }
    int error = place == MAP_FAILED ? errno : 0;
    eai_lock(posix);
    call->entry->eai_id = (uintptr_t)place;
    call->entry->eai_n_bytes = in_pages(posix, of->n_bytes);
    /* Memory of nobody else's: device and inode are 0 in /proc. What others are the reconciler
     * sees, since stat() may call the device otherwise. */
    call->entry->eai_is_identified =
        (of->flags & (MAP_ANONYMOUS | MAP_PRIVATE)) == (MAP_ANONYMOUS | MAP_PRIVATE);
    if (error != 0) eai_entry_free_locked(call->entry);
    eai_unlock(posix);
    of->address = place;
    return error;
}

void *ea_posix_mmap(ea_posix_t *posix, ea_account_t *account, void *address, size_t length_bytes,
                    int protection, int flags, int fd, int64_t offset_bytes)
{
    const int kept = errno;
    map_call_t of = {.call = {.posix = posix, .run = make_mapping, .kind = EA_POSIX_MAPPING},
                     .address = address,
                     .n_bytes = length_bytes,
                     .protection = protection,
                     .flags = flags,
                     .fd = fd,
                     .offset = offset_bytes};
    ea_resource_t resource;
    size_t units = in_pages(posix, length_bytes);
    int error = length_bytes > 0 && units == 0
                    ? ENOMEM
                    : eai_acquire(&of.call, account, units, EAI_CALLER, &resource);
    if (error != 0) {
        errno = error;
        return MAP_FAILED;
    }
    eai_entry_register(posix, of.call.entry, resource);
    eai_flight_end(posix, &of.call.flight);
    errno = kept;
    return of.address;
}

int ea_posix_munmap(ea_posix_t *posix, void *address, size_t length_bytes)
{
    const int kept = errno;
    const size_t n_bytes = in_pages(posix, length_bytes);
    ea_resource_t resource = EA_RESOURCE_NONE;
    eai_lock(posix);
    for (size_t i = 0; i < posix->eai_options.n_entries; i++) {
        const ea_posix_entry_t *entry = &posix->eai_options.entries[i];
        if (entry->eai_kind == EA_POSIX_MAPPING && entry->eai_state == EAI_P_LIVE &&
            entry->eai_id == (uintptr_t)address && entry->eai_n_bytes == n_bytes) {
            resource = entry->eai_resource;
            break;
        }
    }
    eai_unlock(posix);
    int error = ea_resource_is_none(resource) ? EINVAL : eai_release(posix, resource);
    errno = error == 0 ? kept : error;
    return error == 0 ? 0 : -1;
}

/* A mapping is taken away; reserved space given back; threads and children have ended before. */
void ea_posix_end_entry(void *context, uintptr_t object)
{
    ea_posix_t *posix = context;
    eai_lock(posix);
    ea_posix_entry_t *entry = eai_entry_of_locked(posix, object);
    if (entry == NULL) {
        eai_unlock(posix);
        return;
    }
    const bool is_mapped = entry->eai_kind == EA_POSIX_MAPPING && !entry->eai_is_gone;
    void *place = (void *)(uintptr_t)entry->eai_id;
    const size_t n_bytes = (size_t)entry->eai_n_bytes;
    entry->eai_state = EAI_P_ENDING;
    if (entry->eai_kind == EA_POSIX_DISK) entry->eai_disk->eai_n_reserved_bytes -= n_bytes;
    eai_unlock(posix);
    if (is_mapped && munmap(place, n_bytes) != 0) eai_set_end_error(errno);
    eai_lock(posix);
    eai_entry_free_locked(entry);
    eai_unlock(posix);
}
