/* SPDX-License-Identifier: MIT
 *
 * Events interrupted at every step (row A6): short programs of emit, poll, listen and unlisten,
 * interrupted by short programs of the same before and after each masked section of theirs and in
 * every listener, in all combinations. The interrupt stands for a handler, which only queues, and
 * for a more urgent task, which delivers. Whatever it does and wherever it comes:
 *
 *   - one listener is called at a time;
 *   - none is called after its unlisten said EA_OK;
 *   - who listens all the time hears every event that was emitted once and in order, or its loss.
 *
 * The source is compiled here, with a port of this test's own whose masked sections begin and end
 * with a hook.
 */
#include <string.h>

#include "base/event.c"

#include "tap.h"

#define N_RING 2
#define N_EARS 3
#define MAX_OPS 3
#define MAX_HEARD 32

/* The always listening ear, one that the programs let come and go and that emits once itself, and
 * one that ends its own listening when called. */
enum { ALWAYS, GUEST, ONCE };

typedef enum { EMIT, EMIT_ISR, POLL, GUEST_COMES_OR_GOES, ONCE_COMES, N_KINDS } op_t;

#include "programs.h"

static ea_event_t ring[N_RING];
static ea_events_t hub;
static ea_listener_t listeners[N_EARS];
static bool may_be_called[N_EARS], is_starting[N_EARS];
static unsigned n_listens[N_EARS]; /* begun */
static program_t task_program, interrupt_program;
static unsigned steps, interrupt_at, depth;
static bool masked, is_at_rest, guest_emitted;
static uint32_t n_emitted, n_accounted; /* by whom all should reach: heard or reported lost */
static const char *wrong;

static void run_program(const program_t *program);

static void hook(void)
{
    if (masked || is_at_rest || steps++ != interrupt_at) return;
    is_at_rest = true; /* what interrupts is not interrupted */
    run_program(&interrupt_program);
    is_at_rest = false;
}

/* --- the port --------------------------------------------------------------------------------- */

ea_port_irq_t ea_port_irq_mask(void)
{
    hook();
    if (masked) wrong = "a masked section in another";
    masked = true;
    return (ea_port_irq_t){0};
}

void ea_port_irq_restore(ea_port_irq_t state)
{
    (void)state;
    masked = false;
    hook();
}

/* --- listeners and programs ------------------------------------------------------------------- */

static void emit(bool is_isr)
{
    const ea_event_t event = {.kind = EA_EVENT_USER};
    n_emitted++;
    if (is_isr) {
        ea_events_emit_isr(&hub, &event);
    } else {
        ea_events_emit(&hub, &event);
    }
}

/* End ear's listening. From within its own call, or if it is not being called, it is never called
 * again, unless another program made it listen anew meanwhile. */
static void stop(unsigned ear, bool is_own_call)
{
    unsigned n_listens_before = n_listens[ear];
    ea_status_t status = ea_events_unlisten(&hub, &listeners[ear]);
    if (status == EA_ERR_BUSY && hub.eai_calling == NULL) wrong = "busy, but nobody is called";
    if (is_own_call ? status != EA_ERR_BUSY : status != EA_OK && status != EA_ERR_BUSY) {
        wrong = "unlisten";
    }
    if (status == EA_ERR_BUSY && !is_own_call) return;
    if (n_listens[ear] == n_listens_before && !is_starting[ear]) may_be_called[ear] = false;
}

static void hear(void *context, const ea_event_t *event);

static void start(unsigned ear)
{
    bool was_starting = is_starting[ear];
    is_starting[ear] = true;
    n_listens[ear]++;
    may_be_called[ear] = true;
    ea_status_t status =
        ea_events_listen(&hub, &listeners[ear], EA_EVENTS_ALL, hear, &listeners[ear]);
    if (status != EA_OK && status != EA_ERR_BUSY) wrong = "listen";
    is_starting[ear] = was_starting;
}

/* Sequences are those of the hub: the next one, or a report of as many lost. */
static void account(const ea_event_t *event)
{
    if (event->kind == EA_EVENT_LOST) {
        if (event->n == 0) wrong = "a report of nothing";
        n_accounted += event->n;
    } else {
        n_accounted++;
    }
    if (event->kind != EA_EVENT_LOST && event->sequence >= n_emitted) wrong = "from the future";
}

static void hear(void *context, const ea_event_t *event)
{
    static uint32_t last; /* of the events that ALWAYS heard */
    unsigned ear = (unsigned)((const ea_listener_t *)context - listeners);

    if (depth++ != 0) wrong = "a listener called inside another";
    if (!may_be_called[ear]) wrong = "called after unlisten";
    hook();
    if (ear == ALWAYS) {
        if (n_accounted > 0 && event->sequence <= last) wrong = "out of order, or twice";
        last = event->sequence;
        account(event);
    } else if (ear == GUEST && !guest_emitted) {
        guest_emitted = true;
        emit(false);
    } else if (ear == ONCE) {
        stop(ONCE, true);
    }
    hook();
    depth--;
}

static void run_program(const program_t *program)
{
    for (unsigned i = 0; i < program->n_ops && wrong == NULL; i++) {
        switch (program->ops[i]) {
        case EMIT: emit(false); break;
        case EMIT_ISR: emit(true); break;
        case POLL: (void)ea_events_poll(&hub); break;
        case GUEST_COMES_OR_GOES:
            if (may_be_called[GUEST]) {
                stop(GUEST, false);
            } else {
                start(GUEST);
            }
            break;
        default: start(ONCE); break;
        }
    }
}

/* --- all combinations ------------------------------------------------------------------------- */

/* Returns how many steps could have been interrupted. */
static unsigned run_once(bool with_guest)
{
    wrong = NULL;
    n_emitted = n_accounted = 0;
    depth = 0;
    guest_emitted = false;
    is_at_rest = true;
    memset(listeners, 0, sizeof listeners);
    memset(may_be_called, 0, sizeof may_be_called);
    if (ea_events_init(&hub, ring, N_RING) != EA_OK) wrong = "init";
    start(ALWAYS);
    if (with_guest) start(GUEST);
    steps = 0;
    is_at_rest = false;
    run_program(&task_program);
    unsigned n_steps = steps;
    is_at_rest = true;
    for (unsigned i = 0; i < MAX_HEARD && ea_events_poll(&hub) != EA_OK; i++) continue;
    if (wrong == NULL && hub.eai_n_put != hub.eai_n_taken) wrong = "left undelivered";
    if (wrong == NULL && n_accounted != n_emitted) wrong = "neither heard nor reported lost";
    for (unsigned ear = 0; ear < N_EARS; ear++) {
        if (ea_events_unlisten(&hub, &listeners[ear]) != EA_OK) wrong = "not at rest";
    }
    if (wrong == NULL && (hub.eai_first != NULL || hub.eai_is_delivering)) wrong = "not at rest";
    return n_steps;
}

TEST(events_survive_an_interrupt_at_every_step, 0)
{
    unsigned long n_runs = 0, n_wrong = 0;
    for (unsigned with_guest = 0; with_guest < 2; with_guest++) {
        task_program.n_ops = 0;
        while (next_program(&task_program, 3)) {
            interrupt_program.n_ops = 0;
            while (next_program(&interrupt_program, 3)) {
                unsigned n_steps = 1;
                for (interrupt_at = 0; interrupt_at < n_steps; interrupt_at++, n_runs++) {
                    n_steps = run_once(with_guest == 1);
                    if (wrong != NULL && n_wrong++ == 0) tap_fail(__FILE__, __LINE__, wrong, 1, 0);
                }
            }
        }
    }
    tap_note("runs", (long long)n_runs);
    EXPECT(n_runs > 100000);
    EXPECT_EQ(n_wrong, 0);
}

TEST_MAIN(&events_survive_an_interrupt_at_every_step)
