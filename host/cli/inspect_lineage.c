/* SPDX-License-Identifier: MIT
 *
 * Where the live blocks of a dump come from, if it holds their lineages: the oldest that were
 * allocated for something, or handed over.
 */
#include <inttypes.h>
#include <stdio.h>

#include "inspect.h"
#include "lineage.h"

enum { NAME_BYTES = 512, GENERATIONS = 8 };

static void print_entry(const snapshot_t *s, firmware_t *f, const lineage_t *e)
{
    char owner[64], site[NAME_BYTES];
    printf("0x%" PRIx64 ": %" PRIu64 " bytes%s, %" PRIu64 " ms, by %s at %s\n", e->block, e->size,
           e->is_live ? "" : " (freed)", e->time_us / 1000,
           inspect_owner(s, e->owner, owner, sizeof owner),
           firmware_name(f, s, e->site, false, site, sizeof site));
    for (size_t i = 1; i < e->n_frames; i++)
        printf("      called at %s\n", firmware_name(f, s, e->frames[i], false, site, sizeof site));
    if (e->n_handed > e->n_hops)
        printf("      earlier hand-overs: %" PRIu64 "\n", e->n_handed - e->n_hops);
    for (size_t i = 0; i < e->n_hops; i++)
        printf("      to %s, %" PRIu64 " ms, at %s\n",
               inspect_owner(s, e->hops[i].to, owner, sizeof owner), e->hops[i].time_us / 1000,
               firmware_name(f, s, e->hops[i].site, false, site, sizeof site));
}

void inspect_lineages(const snapshot_t *s, firmware_t *f, uint32_t n_rows)
{
    lineages_t *l = lineages_read(s);
    if (l == NULL) return;
    printf("\nLineages (blocks without one: %" PRIu64 ")\n", l->n_untracked);
    for (size_t i = 0; i < l->n && n_rows > 0; i++) {
        const lineage_t *e = &l->entries[i];
        if (!e->is_live || (e->parent == 0 && e->n_handed == 0 && e->n_frames < 2)) continue;
        n_rows--;
        printf("  ");
        for (unsigned n = 0; n < GENERATIONS; n++) {
            print_entry(s, f, e);
            const lineage_t *parent = lineages_parent(l, e);
            if (parent == NULL) {
                if (e->parent != 0) printf("    for 0x%" PRIx64 "\n", e->parent);
                break;
            }
            printf("    for ");
            e = parent;
        }
    }
    lineages_free(l);
}
