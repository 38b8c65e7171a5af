/* SPDX-License-Identifier: MIT
 *
 * The history of allocations: opening the ring, recording. trace_read.c reads it, trace_attach.c
 * joins it to an allocator.
 *
 *     mem   control words | slot 0 | slot 1 | ... | slot n - 1      n a power of two
 *     slot  0  void (bit 0), or twice the number of the event ^ twice the check of the other words
 *           1  time, low 16 bits | owner        (32-bit machine: 16 and 16 bits)
 *           2  call site
 *           3  block << 8 | class of the size << 4 | kind
 *
 * Event number i lies in slot i mod n. A writer takes a number, makes the slot its own by marking
 * it void, writes words 1 to 3, and commits with word 0.
 *
 * T1  A slot that is void belongs to the one who made it so, until that one's word 0. Nobody else
 *     writes to it; who finds it void takes another number.
 * T2  A slot is made void only by a compare-and-swap from what it held before its number was given
 *     out. So a writer that slept for a lap after it took its number cannot take the slot from a
 *     newer event: it finds another word, and takes another number.
 * T3  Word 0 of a committed event matches words 1 to 3 and the number, which a reader knows: what
 *     was read while it changed, and what a reset or a fault left, does not pass for an event (one
 *     in 2^31 of random words would).
 * T4  SYNC(u) is committed before upper (and gate) become u; an event whose time has another upper
 *     part than the writer found there comes after a SYNC of its own.
 *
 * So an event is there from the moment its call returned until n newer numbers were given out,
 * whatever else is interrupted meanwhile, by a reset too (T1, T2). A number is lost without an
 * event only to a writer that met a void slot, or lost its slot to one that came a lap late; both
 * take the next.
 *
 * Why times are exact: the reader knows u from the last SYNC, and bit 15 of the time is the lowest
 * bit of its upper part. If the two differ, the event was recorded beside a SYNC, by another
 * context: its time lies just before or just behind the step, which its low 15 bits tell.
 *
 * Rejected: a compare-and-swap from the writer's own mark as the only guard, because a writer that
 * slept for a lap has then written over a newer event before it notices; masking interrupts where
 * the core has something better; a sample of every n-th call, which tears a block's alloc from its
 * free; a time of 32 bits, which costs a word an event, or a day of it.
 */
#include "observe/trace_internal.h"

#include "base/mem.h"
#include "ealloc/port.h"

#define MAGIC ((uintptr_t)0x45415452u) /* EATR */
#define VERSION 1u
#define N_TRIES 8u
#define PORT_UNIT_LOG2 10u
#define WINDOW ((uintptr_t)0xFFFFFFu) /* what a 32-bit machine keeps of a block's address */
#define NEVER UINTPTR_MAX             /* a gate that no clock meets: 32 bits less EAI_UPPER_SHIFT */
#define CLOCK_UPPER_BITS (32u - EAI_UPPER_SHIFT)
#define CLOCK_UPPER_MASK (((uintptr_t)1 << CLOCK_UPPER_BITS) - 1u)

EA_STATIC_ASSERT(sizeof(ea_trace_t) == 20 * sizeof(uintptr_t),
                 "the control words are as described");
EA_STATIC_ASSERT(sizeof(slot_t) == 4 * sizeof(uintptr_t), "an event is four words");

/* --- writing ---------------------------------------------------------------------------------- */

/* Four classes a doubling: exact below 8, then by the three highest bits. */
EA_INLINE uintptr_t class_of(size_t size_bytes)
{
#if UINTPTR_MAX > 0xFFFFFFFFu
    unsigned shift = 61u - (unsigned)__builtin_clzll((unsigned long long)size_bytes | 4u);
#else
    unsigned shift = 29u - (unsigned)__builtin_clz((unsigned)size_bytes | 4u);
#endif
    return ((uintptr_t)shift << 2) + (size_bytes >> shift);
}

/* Make the slot ours if it holds what it held: seen, without the mark. */
EA_INLINE bool take_slot(slot_t *slot, uintptr_t seen)
{
    while (EA_UNLIKELY(!EAI_CAS(&slot->eai_words[0], seen & ~EAI_VOID, EAI_VOID))) {
        /* Interrupted, or changed? bound: interrupts */
        if (EAI_LOAD(&slot->eai_words[0], EAI_RELAXED) != (seen & ~EAI_VOID)) return false;
    }
    return true;
}

/* Take the next number and its slot. false: the slot was not to be had. In a section. */
EA_INLINE bool begin_event(trace_t *t, ticket_t *ticket, slot_t **slot)
{
    uintptr_t seen;
    do {
        *ticket = EAI_LOAD_LINKED(&t->eai_next);
        *slot = eai_slot(t, *ticket);
        seen = EAI_LOAD(&(*slot)->eai_words[0], EAI_ACQUIRE); /* before the number is ours: T2 */
    } while (EA_UNLIKELY(!EAI_STORE_COND(&t->eai_next, *ticket, *ticket + 2u)));
    return take_slot(*slot, seen);
}

EA_INLINE void end_event(slot_t *slot, ticket_t ticket, uintptr_t check, uintptr_t w1, uintptr_t w2,
                         uintptr_t w3)
{
    EAI_STORE(&slot->eai_words[1], w1, EAI_RELAXED);
    EAI_STORE(&slot->eai_words[2], w2, EAI_RELAXED);
    EAI_STORE(&slot->eai_words[3], w3, EAI_RELAXED);
    /* Pairs with acquire in trace_read.c. */
    EAI_STORE(&slot->eai_words[0], eai_commit_of(ticket, check), EAI_RELEASE);
}

/* Write an event under the next number. false: its slot was not to be had. */
EA_INLINE bool try_put(trace_t *t, uintptr_t w1, uintptr_t w2, uintptr_t w3)
{
    uintptr_t check = eai_check_of(w1, w2, w3);
    ticket_t ticket;
    slot_t *slot;
    EAI_ENTER(irq);
    bool is_ours = begin_event(t, &ticket, &slot);
    if (EA_LIKELY(is_ours)) end_event(slot, ticket, check, w1, w2, w3);
    EAI_LEAVE(irq);
    return is_ours;
}

EA_INLINE void count(trace_t *t, bool is_drop)
{
    EAI_ENTER(irq);
    if (is_drop)
        EAI_COUNT(t, eai_n_dropped);
    else
        EAI_COUNT(t, eai_n_skipped);
    EAI_LEAVE(irq);
}

/* The words in the order in which the registers hold them already. */
static EA_NOINLINE bool put_again(trace_t *t, uintptr_t w3, uintptr_t w1, uintptr_t w2)
{
    for (unsigned n = 1; n < N_TRIES; n++)
        if (try_put(t, w1, w2, w3)) return true;
    count(t, true);
    return false;
}

EA_INLINE bool put(trace_t *t, uintptr_t w1, uintptr_t w2, uintptr_t w3)
{
    return EA_LIKELY(try_put(t, w1, w2, w3)) || put_again(t, w3, w1, w2);
}

EA_INLINE bool put_event(trace_t *t, ea_trace_kind_t kind, uint16_t owner, const void *site,
                         const void *block, size_t size_bytes, uintptr_t time)
{
    uintptr_t address = (uintptr_t)block & ~(uintptr_t)(EAI_BLOCK_ALIGN - 1u);
    __asm(""
          : "+r"(address)); /* or it is shifted first, and the mask does not fit an instruction */
    return put(t, time << EAI_TIME_BITS | owner, (uintptr_t)site,
               (class_of(size_bytes) << EAI_SIZE_SHIFT) + (uintptr_t)kind +
                   (address << EAI_BLOCK_SHIFT));
}

/* --- time ------------------------------------------------------------------------------------- */

typedef struct {
    uintptr_t low;   /* at least EAI_TIME_BITS */
    uintptr_t upper; /* from EAI_UPPER_SHIFT on */
} moment_t;

/* The upper part of a clock of 32 bits is the one nearest to last that ends in its bits. */
EA_INLINE uintptr_t extend(uintptr_t last, uintptr_t bits)
{
    uintptr_t ahead = (bits - last) & CLOCK_UPPER_MASK;
    return ahead <= CLOCK_UPPER_MASK / 2u ? last + ahead : last + ahead - CLOCK_UPPER_MASK - 1u;
}

/* Without a clock its place is taken by a word, so that nobody asks before reading it. */
EA_INLINE const volatile uint32_t *no_clock(const trace_t *t)
{
    return (const volatile uint32_t *)(const volatile void *)t->eai_reserved;
}

static moment_t now(const trace_t *t)
{
    moment_t m;
    if (t->eai_clock != no_clock(t)) {
        uint32_t ticks = *t->eai_clock;
        m.low = ticks;
        m.upper = extend(EAI_LOAD(&t->eai_upper, EAI_RELAXED), ticks >> EAI_UPPER_SHIFT);
    } else {
        uint64_t units = ea_port_time_coarse_us() >> PORT_UNIT_LOG2;
        m.low = (uintptr_t)units;
        m.upper = (uintptr_t)(units >> EAI_UPPER_SHIFT);
    }
    return m;
}

/* Events with a clock of the application's and without sampling are recorded at once while the
 * clock's upper part is that of upper; all others look here first. */
static void set_gate(trace_t *t, uintptr_t upper)
{
    uintptr_t gate = t->eai_clock != no_clock(t) ? upper & CLOCK_UPPER_MASK : NEVER;
    EAI_STORE(&t->eai_gate, gate, EAI_SEQ_CST);
    /* Sampling that is set meanwhile is seen here, or closes the gate itself. */
    if (EAI_LOAD(&t->eai_most, EAI_SEQ_CST) != UINT32_MAX)
        EAI_STORE(&t->eai_gate, NEVER, EAI_SEQ_CST);
}

/* For readers who have lost the SYNC before, a SYNC also tells the upper part that was in force up
 * to its number. If that changed while it got the number, it is no event, and false is returned. */
static bool try_put_sync(trace_t *t, moment_t m)
{
    uintptr_t w1 = m.low << EAI_TIME_BITS;
    ticket_t ticket;
    slot_t *slot;
    EAI_ENTER(irq);
    uintptr_t before = EAI_LOAD(&t->eai_upper, EAI_ACQUIRE);
    bool is_ours = before != m.upper && begin_event(t, &ticket, &slot);
    bool is_right = is_ours && EAI_LOAD(&t->eai_upper, EAI_RELAXED) == before;
    if (is_ours) {
        uintptr_t w3 = is_right ? (before << EAI_SIZE_SHIFT) + EA_TRACE_SYNC : EAI_NO_EVENT;
        end_event(slot, ticket, eai_check_of(w1, m.upper, w3), w1, m.upper, w3);
    }
    if (is_right && EAI_CAS(&t->eai_upper, before, m.upper)) set_gate(t, m.upper); /* T4 */
    EAI_LEAVE(irq);
    return is_right;
}

/* Now, with its SYNC if there is none yet. */
static moment_t synced_now(trace_t *t)
{
    moment_t m = now(t);
    for (unsigned n = 0; n < N_TRIES && m.upper != EAI_LOAD(&t->eai_upper, EAI_ACQUIRE); n++) {
        if (try_put_sync(t, m)) {
            /* Numbers wrap: what was cleared long ago must not be met again. */
            EAI_ENTER(irq);
            ticket_t first = EAI_LOAD(&t->eai_first, EAI_RELAXED);
            ticket_t oldest = eai_oldest(t, EAI_LOAD(&t->eai_next, EAI_RELAXED));
            (void)EAI_CAS(&t->eai_first, first, oldest);
            EAI_LEAVE(irq);
            break;
        }
        m = now(t);
    }
    return m;
}

/* --- recording -------------------------------------------------------------------------------- */

/* Fibonacci hashing: neighbouring blocks lie far apart. */
EA_INLINE uint32_t hash_of(const void *block)
{
    return (uint32_t)((uintptr_t)block / EAI_BLOCK_ALIGN) * 0x9E3779B1u;
}

static EA_NOINLINE void record_slowly(trace_t *t, ea_trace_kind_t kind, uint16_t owner,
                                      const void *site, const void *block, size_t size_bytes)
{
    if (hash_of(block) > EAI_LOAD(&t->eai_most, EAI_RELAXED)) {
        count(t, false);
        return;
    }
    moment_t m = synced_now(t); /* T4 */
    (void)put_event(t, kind, owner, site, block, size_bytes, m.low);
}

void ea_trace_record(trace_t *t, ea_trace_kind_t kind, uint16_t owner, const void *site,
                     const void *block, size_t size_bytes)
{
    uint32_t ticks = *t->eai_clock; /* without a clock some word: the gate is closed */
    if (EA_LIKELY(EAI_LOAD(&t->eai_gate, EAI_ACQUIRE) == ticks >> EAI_UPPER_SHIFT))
        (void)put_event(t, kind, owner, site, block, size_bytes, ticks);
    else
        record_slowly(t, kind, owner, site, block, size_bytes);
}

void ea_trace_set_sampling(trace_t *t, uint32_t n)
{
    EAI_STORE(&t->eai_most, n > 1 ? UINT32_MAX / n : UINT32_MAX, EAI_SEQ_CST);
    if (n > 1)
        EAI_STORE(&t->eai_gate, NEVER, EAI_SEQ_CST);
    else
        set_gate(t, EAI_LOAD(&t->eai_upper, EAI_RELAXED));
}

/* --- opening ---------------------------------------------------------------------------------- */

static uintptr_t seal_of(const trace_t *t)
{
    return eai_check_of(eai_check_of(t->eai_magic, t->eai_shape, t->eai_unit_us), t->eai_base, 1);
}

void ea_trace_clear(trace_t *t)
{
    EAI_STORE(&t->eai_first, EAI_LOAD(&t->eai_next, EAI_RELAXED), EAI_RELAXED);
}

/* Numbers begin with n: what is empty would pass for number 0. */
static void make_anew(trace_t *t, const trace_t *shape, uintptr_t n_events)
{
    memset(t, 0, sizeof *t + n_events * sizeof(slot_t));
    *t = *shape;
    t->eai_mask = 2u * n_events - 2u;
    t->eai_next = t->eai_first = 2u * n_events;
}

/* The control words survived; who was writing when the reset came does not go on. */
static void take_over(trace_t *t, uintptr_t n_events)
{
    t->eai_mask = 2u * n_events - 2u;
    t->eai_next &= ~(ticket_t)1;
    t->eai_first &= ~(ticket_t)1;
    for (uintptr_t i = 0; i < n_events; i++) {
        slot_t *slot = (slot_t *)(uintptr_t)(t + 1) + i;
        if (slot->eai_words[0] & EAI_VOID) slot->eai_words[0] = 0;
    }
}

static bool is_sound(const trace_t *t, const trace_t *shape)
{
    return t->eai_magic == shape->eai_magic && t->eai_shape == shape->eai_shape &&
           t->eai_unit_us == shape->eai_unit_us && t->eai_base == shape->eai_base &&
           t->eai_seal == shape->eai_seal;
}

trace_t *ea_trace_open(void *mem, size_t size_bytes, const ea_trace_options_t *options)
{
    static const ea_trace_options_t defaults = {0};
    if (!options) options = &defaults;
    if (!mem || ((uintptr_t)mem & (sizeof(uintptr_t) - 1u)) != 0 ||
        size_bytes < EA_TRACE_BYTES(EA_TRACE_MIN_EVENTS) ||
        (options->clock && options->tick_us == 0))
        return NULL;
    trace_t *t = (trace_t *)mem;
    size_t fit = (size_bytes - sizeof *t) / sizeof(slot_t);
    unsigned log2 = (unsigned)(8u * sizeof(unsigned long long) - 1u) -
                    (unsigned)__builtin_clzll((unsigned long long)fit);
    uintptr_t n_events = (uintptr_t)1 << log2;
    uintptr_t base = options->base ? (uintptr_t)options->base : (uintptr_t)mem & ~WINDOW;
    trace_t shape = {
        .eai_magic = MAGIC,
        .eai_shape = VERSION << 16 | sizeof(uintptr_t) << 8 | log2,
        .eai_unit_us = options->clock ? options->tick_us : (uintptr_t)1 << PORT_UNIT_LOG2,
        .eai_base = base,
    };
    shape.eai_seal = seal_of(&shape);
    bool is_kept = is_sound(t, &shape);
    if (is_kept)
        take_over(t, n_events);
    else
        make_anew(t, &shape, n_events);

    t->eai_hook = (ea_alloc_hook_t){0};
    t->eai_most = UINT32_MAX;
    t->eai_gate = NEVER;
    t->eai_clock = options->clock ? options->clock : no_clock(t);
    moment_t m = now(t);
    if (options->clock) m.upper = m.low >> EAI_UPPER_SHIFT; /* it began anew */
    if (is_kept) (void)try_put_sync(t, m);
    t->eai_upper = m.upper;
    t->eai_n_boots++;
    (void)put(t, m.low << EAI_TIME_BITS, options->image,
              (t->eai_n_boots << EAI_SIZE_SHIFT) + EA_TRACE_BOOT);
    ea_trace_set_sampling(t, options->sample_one_in);
    return t;
}
