/* SPDX-License-Identifier: MIT
 *
 * The history of allocations, a ring of events as docs/formats/trace.md describes it, out of the
 * memory of another machine.
 */
#ifndef EALLOC_INSPECT_HISTORY_H
#define EALLOC_INSPECT_HISTORY_H

#include "image.h"
#include "snapshot.h"

/* Bytes of the sound ring at address; 0: there is none. */
uint64_t history_bytes_at(const image_t *m, unsigned word_bytes, uint64_t address);
/* Add the events of the ring in these n bytes. false: it is none. */
bool history_read(snapshot_t *s, const uint8_t *bytes, size_t n, unsigned word_bytes);
/* Add the events of rings among the ranges that the dump holds. */
void history_find(snapshot_t *s);

#endif
