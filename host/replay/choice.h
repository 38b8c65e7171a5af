/* SPDX-License-Identifier: MIT
 *
 * Which recording is meant: a manifest of several processes stands for the one with the most
 * events.
 */
#ifndef EALLOC_REPLAY_CHOICE_H
#define EALLOC_REPLAY_CHOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All strings are the caller's to free through choice_release(). */
typedef struct {
    char *path; /* the recording                                              */
    bool from_manifest;
    size_t n_processes; /* in the manifest                                    */
    uint64_t n_events;  /* of the chosen one, as the manifest says             */
    char *error;        /* one line naming the file and the offset, or NULL    */
} choice_t;

/* Look at path: if it is a manifest (JSON), choose from it; anything else is taken as a recording.
 * Returns false, with choice->error, for a manifest that cannot be used. */
bool choice_make(choice_t *choice, const char *path);
void choice_release(choice_t *choice);

#endif
