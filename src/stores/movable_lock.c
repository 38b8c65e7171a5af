/* SPDX-License-Identifier: MIT
 *
 * What any context may call at any time: lock, unlock, read, write.
 *
 * A lock is one conditional store to the block's entry, which holds the generation, the number of
 * locks and, in one form or the other, the place: it succeeds only if the block was live, of this
 * handle and not in flight at that moment. From then on the block stays: a move begins, a block is
 * freed, by a conditional store to the same entry, which wants it free of locks. Pairs: the acquire
 * of a lock with the release of the last chunk's store to the entry, and with the release of the
 * unlock before it.
 *
 * Small: the generation stands in the header, so that it is compared before the store and, where
 * there are several cores, again after it, when the block can no longer go.
 *
 * Who locks a block in flight finishes its move, a chunk in each masked section. It cannot be begun
 * anew meanwhile by the interrupted owner; where another core is the owner it may be, a few times.
 * Where blocks are relocated nobody but the owner can: who locks is told that it is busy.
 */
#include "stores/movable_internal.h"

EA_INLINE void *payload(const ea_movable_t *m, units_t place)
{
    return at(m, place);
}

/* Where the lock that was just taken leads. */
EA_INLINE void *locked(ea_movable_t *m, uint32_t handle, state_t state)
{
    return payload(m, place_of(m, handle >> EAI_HANDLE_SHIFT, state));
}

/* The generation stands where it may change until the block is locked. */
#define EAI_COMPARE_AGAIN (EAI_SMALL && EA_CFG_MOVABLE_ISR && EAI_ATOMICS == EAI_ATOMICS_CAS)

static EA_NOINLINE ea_status_t lock_slowly(ea_movable_t *m, uint32_t handle, bool helps,
                                           void **address)
{
    uint32_t index = handle >> EAI_HANDLE_SHIFT;
    if (index < EAI_PEEK(&m->first_entry)) return EA_ERR_NOT_FOUND;
    for (;;) { /* at most the chunks of the block, and what other cores do meanwhile */
        state_t *word = entry(m, index);
        ea_status_t status = EA_ERR_BUSY;
        EAI_MASK_BEGIN(irq);
        state_t state = EAI_STATE(word);
        if (is_free_entry(state) || gen_of(m, index, state) != gen_in_handle(handle)) {
            status = EA_ERR_NOT_FOUND;
        } else if (!is_moving(state)) {
            if (locks_of(state) >= EAI_MAX_LOCKS) {
                status = EA_ERR_LIMIT;
            } else {
                state = EAI_LINKED(word);
                if (can_lock(m, handle, state) && EAI_COND(word, state, state + 1u)) {
                    *address = locked(m, handle, state);
                    status = EA_OK;
                } else {
                    status = EA_ERR_AGAIN;
                }
            }
        }
        EAI_MASK_END(irq);
        if (status == EA_ERR_BUSY && helps && !EAI_RELOCATES(m))
            eai_movable_copy_chunk(m, EAI_CHUNK_UNITS);
        else if (status != EA_ERR_AGAIN)
            return status;
    }
}

static EA_NOINLINE void *lock_or_null(ea_movable_t *m, uint32_t handle)
{
    void *address;
    return lock_slowly(m, handle, true, &address) == EA_OK ? address : NULL;
}

void *ea_movable_lock(ea_movable_t *m, ea_movable_handle_t handle)
{
    if (is_beyond(m, handle.eai_word)) return NULL;
    state_t *word = entry(m, handle.eai_word >> EAI_HANDLE_SHIFT);
    for (;;) { /* again if another context changed it at this moment */
        EAI_ENTER(irq);
        state_t state = EAI_LINKED(word);
        if (EA_UNLIKELY(!can_lock(m, handle.eai_word, state))) {
            EAI_LEAVE(irq);
            return lock_or_null(m, handle.eai_word);
        }
        bool done = EAI_COND(word, state, state + 1u);
        EAI_LEAVE(irq);
        if (EA_LIKELY(done)) {
#if EAI_COMPARE_AGAIN
            if (head_gen(m, (state >> 2) - 1u) != gen_in_handle(handle.eai_word)) {
                do state = EAI_LINKED(word);
                while (!EAI_COND(word, state, state - 1u));
                return NULL;
            }
#endif
            return locked(m, handle.eai_word, state);
        }
    }
}

ea_status_t ea_movable_try_lock(ea_movable_t *m, ea_movable_handle_t handle, void **address)
{
    return lock_slowly(m, handle.eai_word, false, address);
}

/* A call, so that the other way needs no condition. */
static EA_NOINLINE ea_status_t not_locked(void)
{
    return EA_ERR_INVALID;
}

ea_status_t ea_movable_unlock(ea_movable_t *m, ea_movable_handle_t handle)
{
    if (is_beyond(m, handle.eai_word)) return EA_ERR_NOT_FOUND;
    state_t *word = entry(m, handle.eai_word >> EAI_HANDLE_SHIFT);
    bool done;
    do { /* again if another context changed it at this moment */
        EAI_ENTER(irq);
        state_t state = EAI_LINKED(word);
        bool is_locked = can_unlock(m, handle.eai_word, state);
        done = is_locked && EAI_COND(word, state, state - 1u);
        EAI_LEAVE(irq);
        if (EA_UNLIKELY(!is_locked)) return not_locked(); /* level >= 1: or stale */
    } while (EA_UNLIKELY(!done));
    return EA_OK;
}

/* --- without a lock of the caller's ----------------------------------------------------------- */

/* The locked block's bytes. Until a slide is settled its header counts the hole it came through. */
static size_t bytes_at(const ea_movable_t *m, const void *address)
{
    EAI_MASK_BEGIN(irq);
    units_t units = units_of(EAI_PEEK_HEAD((const head_t *)address - 1)) - 1u;
    if (m->move.n && address == at(m, m->move.to)) units = m->move.n;
    EAI_MASK_END(irq);
    return (size_t)units << EAI_UNIT_SHIFT;
}

/* Lock n_bytes from offset_bytes on. */
static ea_status_t lock_range(ea_movable_t *m, ea_movable_handle_t handle, size_t offset_bytes,
                              size_t n_bytes, char **bytes)
{
    void *address = NULL;
    ea_status_t status = lock_slowly(m, handle.eai_word, true, &address);
    if (status != EA_OK) return status;
    size_t size = bytes_at(m, address);
    if (offset_bytes <= size && n_bytes <= size - offset_bytes) {
        *bytes = (char *)address + offset_bytes;
        return EA_OK;
    }
    (void)ea_movable_unlock(m, handle);
    return EA_ERR_RANGE;
}

ea_status_t ea_movable_read(ea_movable_t *m, ea_movable_handle_t handle, size_t offset_bytes,
                            void *to, size_t n_bytes)
{
    char *bytes;
    ea_status_t status = lock_range(m, handle, offset_bytes, n_bytes, &bytes);
    if (status != EA_OK) return status;
    if (n_bytes) memcpy(to, bytes, n_bytes);
    return ea_movable_unlock(m, handle);
}

ea_status_t ea_movable_write(ea_movable_t *m, ea_movable_handle_t handle, size_t offset_bytes,
                             const void *from, size_t n_bytes)
{
    char *bytes;
    ea_status_t status = lock_range(m, handle, offset_bytes, n_bytes, &bytes);
    if (status != EA_OK) return status;
    if (n_bytes) memcpy(bytes, from, n_bytes);
    return ea_movable_unlock(m, handle);
}

size_t ea_movable_size_bytes(ea_movable_t *m, ea_movable_handle_t handle)
{
    void *address = ea_movable_lock(m, handle);
    if (!address) return 0;
    size_t size = bytes_at(m, address);
    (void)ea_movable_unlock(m, handle);
    return size;
}
