/* SPDX-License-Identifier: MIT
 *
 * A command queue with ownership transfer: a task builds commands of different sizes in blocks of a
 * pool set and sends them to a device; whoever holds the pointer owns the command. queue_send()
 * takes the pointer out of the sender's hands, so that it cannot touch or free it afterwards. The
 * device, here a timer interrupt that carries out one command a tick, frees what it has done. A
 * sender that is faster than the device waits for a block in ea_poolset_alloc(): the number of
 * blocks is the flow control, and no command is ever lost.
 */
#include <ealloc/ealloc.h>
#include <ealloc/port_baremetal.h>
#include <string.h>

#include "board.h"

#define TICK_US 1000u
#define N_COMMANDS 60u

typedef struct command command_t;
struct command {
    command_t *next;
    uint8_t n_bytes;
    uint8_t bytes[]; /* what to write to the device */
};

/* Short commands are many, long ones few; a long block may serve a short command. */
#define CLASSES(CLASS, name)                                                                       \
    CLASS(name, brief, sizeof(command_t) + 8, 4)                                                   \
    CLASS(name, full, sizeof(command_t) + 64, 2)
EA_POOLSET_DEFINE_CLASSES_STATIC(commands, CLASSES, EA_POOLSET_NEXT_LARGER | EA_POOLSET_WAIT,
                                 10 * 1000 * 1000, NULL);

/* --- the queue -------------------------------------------------------------------------------- */

typedef struct {
    command_t *oldest, *newest;
} queue_t;

static queue_t queue;

/* Send *command; it is no longer the caller's. */
static void queue_send(command_t **command)
{
    command_t *sent = *command;
    *command = NULL;
    sent->next = NULL;
    ea_port_irq_t irq = ea_port_irq_mask();
    if (queue.oldest == NULL) {
        queue.oldest = sent;
    } else {
        queue.newest->next = sent;
    }
    queue.newest = sent;
    ea_port_irq_restore(irq);
}

/* The oldest command, from now on the caller's; NULL if there is none. */
static command_t *queue_take(void)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    command_t *command = queue.oldest;
    if (command != NULL) queue.oldest = command->next;
    ea_port_irq_restore(irq);
    return command;
}

/* --- the device: an interrupt ----------------------------------------------------------------- */

static volatile uint32_t n_done, n_bytes, checksum, n_refused;

static void tick(void)
{
#if !defined(__unix__)
    ea_baremetal_tick(TICK_US);
#endif
    command_t *command = queue_take();
    if (command == NULL) return;
    uint32_t sum = checksum;
    for (uint32_t i = 0; i < command->n_bytes; i++) sum = sum * 31 + command->bytes[i];
    checksum = sum;
    n_bytes = n_bytes + command->n_bytes;
    n_done = n_done + 1;
    size_t size = sizeof *command + command->n_bytes;
    if (ea_poolset_free_sized(&commands, command, size) != EA_OK) n_refused = n_refused + 1;
}

/* --- the task --------------------------------------------------------------------------------- */

int main(void)
{
    uint32_t n_sent = 0, want_bytes = 0, want_checksum = 0;

    board_tick_start(TICK_US, tick);
    for (; n_sent < N_COMMANDS; n_sent++) {
        uint8_t length = (uint8_t)(n_sent % 5 == 4 ? 40 + n_sent % 20 : 1 + n_sent % 8);
        command_t *command = ea_poolset_alloc(&commands, sizeof *command + length);
        if (command == NULL) break; /* the device hangs */
        command->n_bytes = length;
        memset(command->bytes, (int)n_sent, length);
        want_bytes += length;
        for (uint32_t i = 0; i < length; i++) want_checksum = want_checksum * 31 + n_sent;
        queue_send(&command);
    }
    while (n_done < n_sent) continue;
    board_tick_stop();

    ea_poolset_stats_t stats;
    ea_poolset_stats(&commands, &stats);
    bool right = n_bytes == want_bytes && checksum == want_checksum && n_refused == 0;
    board_put("commands sent and done   ");
    board_put_number(n_done);
    board_put("\ntimes the sender waited  ");
    board_put_number((long long)stats.n_waits);
    board_put("\nin a longer block        ");
    board_put_number((long long)stats.n_larger);
    board_put(right ? "\nevery byte arrived in order\n" : "\nsomething went wrong\n");
    board_put("commands leaked          ");
    board_put_number((long long)stats.n_live);
    board_put("\n");
    return !right;
}
