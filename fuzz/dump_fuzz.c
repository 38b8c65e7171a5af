/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: the reader of dumps and what is made of them. A checksum that does not match
 * stops nothing, so the input is read as it is.
 */
#include <stdlib.h>
#include <string.h>

#include "judge.h"
#include "store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Blocks tile their store, and sums add up. */
static void look_at_store(const snapshot_t *s, const snap_store_t *store)
{
    uint64_t at = store->first;
    store_sums_t sums;
    for (size_t i = 0; i < store->n_blocks; i++) {
        const snap_block_t *b = &s->blocks[store->first_block + i];
        piece_t pieces[2];
        if (b->begin != at || b->bytes > store->end - at) abort();
        at += b->bytes;
        store_pieces(store, b, pieces);
    }
    if (at != store->end) abort();
    store_sums(s, store, &sums);
    if (sums.used_bytes + sums.fixed_bytes + sums.free_bytes + sums.rest_bytes != sums.total ||
        store_frag_permille(&sums) > 1000)
        abort();
    store_sums_release(&sums);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[200] = "";
    if (size > 1 << 16) return 0;
    uint8_t *copy =
        malloc(size != 0 ? size : 1); /* of exactly this size: to see a read beyond it */
    if (copy == NULL) return 0;
    memcpy(copy, data, size);
    snapshot_t *s = snapshot_read(copy, size, error, sizeof error);
    if (s == NULL) {
        if (error[0] == '\0' || strchr(error, '\n') != NULL) abort();
        free(copy);
        return 0;
    }
    judgement_t j;
    judge(&j, s);
    if (j.totals.n_used + j.totals.n_free > s->n_blocks || s->n_records > size) abort();
    for (size_t i = 0; i < j.n_wounds; i++) (void)find_raw(s, j.wounds[i].where);
    for (size_t i = 0; i < s->n_stores; i++) look_at_store(s, &s->stores[i]);
    judge_align(&j, s);
    judgement_release(&j);
    snapshot_free(s);
    free(copy);
    return 0;
}
