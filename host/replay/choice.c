/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "listing.h"
#include "printable.h"
#include "sane.h"

static bool refuse_special(choice_t *choice)
{
    char *name = printable(choice->path);
    if (asprintf(&choice->error, "%s: not a regular file", name) < 0) choice->error = NULL;
    free(name);
    return false;
}

bool choice_make(choice_t *choice, const char *path)
{
    listing_t listing;
    size_t best = 0;
    *choice = (choice_t){0};
    bool ok = listing_read(&listing, path);
    for (size_t i = 1; i < listing.n; i++)
        if (listing.recordings[i].n_events > listing.recordings[best].n_events) best = i;
    if (ok) {
        choice->path = strdup(listing.recordings[best].path);
        choice->from_manifest = listing.is_manifest;
        choice->n_processes = listing.is_manifest ? listing.n : 0;
        choice->n_events = listing.recordings[best].n_events;
        ok = choice->path != NULL;
    } else {
        choice->error = listing.error;
        listing.error = NULL;
    }
    listing_release(&listing);
    if (ok && choice->from_manifest && is_special(choice->path)) return refuse_special(choice);
    return ok;
}

void choice_release(choice_t *choice)
{
    free(choice->path);
    free(choice->error);
    *choice = (choice_t){0};
}
