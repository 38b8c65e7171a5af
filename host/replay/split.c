/* SPDX-License-Identifier: MIT */
#include "split.h"

#include <stdlib.h>
#include <string.h>

#define PROGRESS_EVERY 65536

enum { REST = 0, CHOSEN = 1, UNASKED = 2 };

typedef struct {
    split_t *split;
    const rec_reader_t *reader;
    split_choose_t choose;
    void *context;
    bigmem_array_t sites; /* a byte each: 0 not asked yet, else 1 more than its kind */
    idmap_t live;         /* address -> REST or CHOSEN */
} splitter_t;

/* REST or CHOSEN; UNASKED: there is no memory. */
static uint32_t kind_of_site(splitter_t *s, uint32_t site)
{
    if (!bigmem_reserve(&s->sites, (size_t)site + 1)) return UNASKED;
    uint8_t *known = (uint8_t *)s->sites.data + site;
    if (*known == 0) {
        *known = s->choose(s->context, s->reader, site) ? 1 + CHOSEN : 1 + REST;
        s->split->n_sites++;
        s->split->n_chosen_sites += *known == 1 + CHOSEN;
    }
    return *known - 1u;
}

/* What the event is to one of the traces that it does not belong to. */
static bool pass_by(trace_t *trace, const rec_event_t *e, bool ends_a_block)
{
    rec_event_t end = *e;
    if (!ends_a_block) return trace_skip(trace, e);
    end.kind = REC_FREE; /* its address is given away: the free went unseen */
    return trace_add(trace, &end, "", 0);
}

static bool take_event(splitter_t *s, const rec_event_t *e)
{
    trace_t *traces[] = {&s->split->rest, &s->split->chosen};
    bool gives = (e->kind == REC_ALLOC || e->kind == REC_CALLOC || e->kind == REC_ALIGNED ||
                  e->kind == REC_REALLOC) &&
                 e->ptr != 0;
    uint64_t gone = e->kind == REC_FREE ? e->ptr : e->kind == REC_REALLOC ? e->old_ptr : 0;
    uint32_t kind = gone != 0 ? idmap_take(&s->live, gone) : IDMAP_NONE, before = IDMAP_NONE;
    if (gives) {
        if (kind == IDMAP_NONE) kind = kind_of_site(s, e->site);
        if (kind == UNASKED) return false;
        before = idmap_take(&s->live, e->ptr);
        if (!idmap_put(&s->live, e->ptr, kind)) return false;
    }
    if (kind == IDMAP_NONE) kind = REST;
    return trace_add(traces[kind], e, "", 0) && pass_by(traces[!kind], e, before == !kind);
}

bool split_load(split_t *split, const char *path, split_choose_t choose, void *context,
                trace_progress_t progress)
{
    char *error = NULL;
    uint64_t done = 0, total = 0;
    *split = (split_t){0};
    splitter_t s = {.split = split, .choose = choose, .context = context};
    rec_reader_t *reader = rec_open(path, &error);
    s.reader = reader;
    free(error);
    if (reader == NULL) return false;
    split->chosen.eai_inherits = split->rest.eai_inherits = rec_info(reader)->forked_from != 0;
    rec_event_t event;
    bool ok = true;
    for (uint64_t n = 0; ok && rec_next(reader, &event) == 1; n++) {
        rec_progress(reader, &done, &total);
        if (progress != NULL && n % PROGRESS_EVERY == 0) progress(done, total);
        ok = take_event(&s, &event);
    }
    rec_close(reader);
    bigmem_release(&s.sites);
    idmap_release(&s.live);
    return trace_finish(&split->chosen) && trace_finish(&split->rest) && ok;
}

void split_release(split_t *split)
{
    trace_release(&split->chosen);
    trace_release(&split->rest);
}
