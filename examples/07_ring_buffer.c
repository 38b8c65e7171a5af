/* SPDX-License-Identifier: MIT
 *
 * A ring buffer whose entries are blocks of a pool: what passes through the ring is ownership,
 * never a copy. A sampler fills a frame and pushes it; when the ring is full the oldest frame goes
 * back to the pool, which is this application's policy; the consumer pops a frame, owns it for the
 * length of a scope, and hands every tenth on to an archive. One frame more than the ring holds and
 * the archive keeps is all the memory it can ever take.
 */
#include <ealloc/ealloc.h>

#include "board.h"

#define RING_FRAMES 8u /* a power of two */
#define ARCHIVE_FRAMES 4u
#define SAMPLES 16u

typedef struct {
    uint32_t number;
    int16_t samples[SAMPLES];
} frame_t;

typedef struct {
    frame_t *frames[RING_FRAMES];
    uint32_t n_pushed, n_popped; /* never reset: their difference is the fill */
} ring_t;

/* The sampler and the consumer each hold one while the ring is full. */
EA_POOL_DEFINE(frame_pool, sizeof(frame_t), RING_FRAMES + ARCHIVE_FRAMES + 2);

static ring_t ring;
static frame_t *archive[ARCHIVE_FRAMES];
static uint32_t n_archived, n_dropped, n_handled;

static frame_t *ring_pop(void)
{
    if (ring.n_popped == ring.n_pushed) return NULL;
    return ring.frames[ring.n_popped++ % RING_FRAMES];
}

/* The ring owns the frame from here on. */
static void ring_push(frame_t *frame)
{
    if (ring.n_pushed - ring.n_popped == RING_FRAMES) {
        ea_pool_free(&frame_pool, ring_pop());
        n_dropped++;
    }
    ring.frames[ring.n_pushed++ % RING_FRAMES] = frame;
}

static void sample(uint32_t number)
{
    EA_SCOPED(frame_t *, frame, &frame_pool) = ea_pool_alloc(&frame_pool);
    if (frame == NULL) return;
    frame->number = number;
    for (unsigned i = 0; i < SAMPLES; i++) frame->samples[i] = (int16_t)(number * i % 97);
    if (frame->samples[1] == 13) return; /* a bad reading: the frame frees itself */
    ring_push(ea_release(frame));
}

static void consume(void)
{
    EA_SCOPED(frame_t *, frame, &frame_pool) = ring_pop();
    if (frame == NULL) return;
    n_handled++;
    if (frame->number % 10 != 0) return;
    uint32_t slot = n_archived++ % ARCHIVE_FRAMES;
    if (archive[slot] != NULL) ea_pool_free(&frame_pool, archive[slot]);
    archive[slot] = ea_release(frame);
}

static void print(const char *text, uint32_t number)
{
    board_put(text);
    board_put_number(number);
    board_put("\n");
}

int main(void)
{
    for (uint32_t number = 0; number < 1000; number++) {
        sample(number);
        if (number % 64 < 48) consume(); /* a consumer that is slow now and then */
    }
    ea_pool_stats_t stats;
    ea_pool_stats(&frame_pool, &stats);
    print("frames handled  ", n_handled);
    print("frames dropped  ", n_dropped);
    print("frames archived ", n_archived);
    print("frames refused  ", (uint32_t)stats.n_failures);

    for (frame_t *frame; (frame = ring_pop()) != NULL;) ea_pool_free(&frame_pool, frame);
    for (unsigned i = 0; i < ARCHIVE_FRAMES; i++) ea_pool_free(&frame_pool, archive[i]);
    ea_pool_stats(&frame_pool, &stats);
    print("frames leaked   ", (uint32_t)stats.n_live);
    return stats.n_live == 0 ? 0 : 1;
}
