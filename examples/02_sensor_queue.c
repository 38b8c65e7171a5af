/* SPDX-License-Identifier: MIT
 *
 * A sensor node that has 8 KB of RAM in all, stack included: it queues readings for an uplink that
 * is sometimes down for hours. Messages vary in size, so they come from a heap; when memory ends,
 * the oldest message goes, which is this application's policy and nobody else's. A day passes in a
 * moment: one step of the loop is one minute.
 */
#include <ealloc/ealloc.h>
#include <stdbool.h>

#include "board.h"

#define HEAP_BYTES 5632u
#define MINUTES_A_DAY 1440u
#define MAX_READINGS 40u

typedef struct message message_t;
struct message {
    message_t *next;
    uint16_t minute;
    uint16_t n_readings;
    int16_t readings[]; /* in 1/100 of a degree */
};

typedef struct {
    message_t *oldest, *newest;
    unsigned n_waiting, n_sent, n_dropped, most_waiting;
} queue_t;

static unsigned char memory[HEAP_BYTES];

/* --- the world outside ------------------------------------------------------------------------ */

static uint32_t random_below(uint32_t n)
{
    static uint32_t x = 2463534242u;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x % n;
}

/* The uplink is down from three to seven in the morning and now and then for a minute. */
static bool uplink_is_up(unsigned minute)
{
    return !(minute >= 180 && minute < 420) && random_below(10) != 0;
}

/* --- the queue -------------------------------------------------------------------------------- */

static void take_oldest(ea_heap_t *heap, queue_t *queue)
{
    message_t *message = queue->oldest;
    queue->oldest = message->next;
    if (queue->oldest == NULL) queue->newest = NULL;
    queue->n_waiting--;
    ea_heap_free(heap, message);
}

/* At most as many rounds as messages wait: every round frees one. */
static void *alloc_dropping_oldest(ea_heap_t *heap, queue_t *queue, size_t size_bytes)
{
    void *block;
    while ((block = ea_heap_alloc(heap, size_bytes)) == NULL && queue->oldest != NULL) {
        take_oldest(heap, queue);
        queue->n_dropped++;
    }
    return block;
}

static void append(queue_t *queue, message_t *message)
{
    message->next = NULL;
    if (queue->newest != NULL) {
        queue->newest->next = message;
    } else {
        queue->oldest = message;
    }
    queue->newest = message;
    if (++queue->n_waiting > queue->most_waiting) queue->most_waiting = queue->n_waiting;
}

/* A burst of readings becomes one message: taken at the largest size, shrunk to what came in. */
static void measure(ea_heap_t *heap, queue_t *queue, unsigned minute)
{
    size_t most_bytes = sizeof(message_t) + MAX_READINGS * sizeof(int16_t);
    message_t *message = alloc_dropping_oldest(heap, queue, most_bytes);
    if (message == NULL) return;
    message->minute = (uint16_t)minute;
    message->n_readings = (uint16_t)(4 + random_below(MAX_READINGS - 3));
    for (unsigned i = 0; i < message->n_readings; i++) {
        message->readings[i] = (int16_t)(2000 + (int)random_below(100));
    }
    size_t bytes = sizeof(message_t) + message->n_readings * sizeof(int16_t);
    append(queue, ea_heap_realloc(heap, message, bytes)); /* shrinking never fails */
}

static void send(ea_heap_t *heap, queue_t *queue)
{
    for (int i = 0; i < 4 && queue->oldest != NULL; i++) {
        take_oldest(heap, queue);
        queue->n_sent++;
    }
}

/* --- report ----------------------------------------------------------------------------------- */

static void print(const char *text, size_t number)
{
    board_put(text);
    board_put_number((long long)number);
    board_put("\n");
}

static void print_report(const ea_heap_t *heap, const queue_t *queue)
{
    ea_heap_stats_t stats;
    ea_heap_stats(heap, &stats);
    print("messages sent            ", queue->n_sent);
    print("messages dropped         ", queue->n_dropped);
    print("most messages waiting    ", queue->most_waiting);
    print("heap bytes               ", stats.total_bytes);
    print("control structure bytes  ", stats.control_bytes);
    print("least bytes ever free    ", stats.min_free_bytes);
    print("largest request now      ", stats.largest_free_bytes);
    print("requests refused         ", stats.n_failures);
    print("stack bytes used         ", board_stack_used_bytes());
    print("stack bytes there are    ", board_stack_size_bytes());
}

int main(void)
{
    queue_t queue = {0};
    ea_heap_t *heap = ea_heap_init(memory, sizeof memory, NULL);
    if (heap == NULL) return 1;
    for (unsigned minute = 0; minute < MINUTES_A_DAY; minute++) {
        measure(heap, &queue, minute);
        if (uplink_is_up(minute)) send(heap, &queue);
    }
    print_report(heap, &queue);
    while (queue.oldest != NULL) take_oldest(heap, &queue);
    size_t n_leaked = ea_heap_deinit(heap);
    print("blocks leaked            ", n_leaked);
    return n_leaked == 0 ? 0 : 1;
}
