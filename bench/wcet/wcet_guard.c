/* SPDX-License-Identifier: MIT
 *
 * Instructions that tags and guards add to a block of 57 to 64 bytes: dressed, checked, given to
 * another owner, undressed. The slack is what the heap's rounding leaves, in a pool's block up to
 * 68 bytes. Prints what scripts/wcet reads.
 */
#include "board.h"
#include "count.h"
#include "memory/guard.h"

static _Alignas(16) unsigned char memory[256];
static unsigned char *const payload = memory + 64;
static eai_tag_t side_tag;
static eai_guard_t guard;
static const eai_label_t label = {
    .site = (const void *)0x12344u, .birth = 1000u, .owner = 17u, .flags = EAI_LABEL_GUARDED};

static void dress(eai_tag_t *tag, size_t request, size_t usable)
{
    eai_guard_dress(&guard, tag, payload, request, usable, &label);
}

static void relabel(eai_tag_t *tag, size_t usable)
{
    eai_guard_relabel(&guard, tag, payload, usable, &label);
}

static void use(eai_tag_t *tag, size_t request, size_t usable)
{
    uint32_t n_dress = 0, n_check = 0, n_relabel = 0, n_undress = 0;
    eai_finding_t finding;
    (void)COUNTED(&n_dress, dress, tag, request, usable, 0, 0);
    (void)COUNTED(&n_relabel, relabel, tag, usable, 0, 0, 0);
    if (COUNTED(&n_check, eai_guard_check, &guard, tag, payload, usable, &finding) != 0) {
        board_put("damaged\n");
        board_exit(1);
    }
    (void)COUNTED(&n_undress, eai_guard_undress, &guard, tag, payload, usable, 0);
    count_note(OP_GUARD_DRESS, n_dress);
    count_note(OP_GUARD_RELABEL, n_relabel);
    count_note(OP_GUARD_CHECK, n_check);
    count_note(OP_GUARD_UNDRESS, n_undress);
}

int main(void)
{
    count_calibrate();
    eai_guard_init(&guard, 0x12345678u, 1u);
    count_scenario("heap");
    for (size_t request = 57; request <= 64; request++) {
        size_t block = EAI_FRONT_BYTES + request + EAI_BACK_BYTES + EA_HEAP_OVERHEAD_BYTES;
        block = (block + EA_HEAP_ALIGN - 1u) / EA_HEAP_ALIGN * EA_HEAP_ALIGN;
        use(eai_guard_front_tag(payload), request,
            block - EA_HEAP_OVERHEAD_BYTES - EAI_FRONT_BYTES);
    }
    count_report();
    count_scenario("pool");
    for (size_t request = 57; request <= 64; request++) use(&side_tag, request, 128);
    count_report();
    count_report_all();
    board_put("end\n");
    return 0;
}
