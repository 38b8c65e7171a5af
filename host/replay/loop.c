/* SPDX-License-Identifier: MIT
 *
 * The fast loop, one source for both kinds of allocator: always inlined with one of them a constant
 * NULL, so each function holds only its own calls. The loop has no branch of its own but the kind
 * of the operation and the refused request, which leaves it.
 */
#include "ealloc/compiler.h"
#include "engine.h"

EA_INLINE bool run_ops(const trace_t *trace, replay_cursor_t *cursor, size_t to,
                       const eai_heap_ops_t *ops, ea_heap_t *heap, const replay_malloc_t *host,
                       void **slots)
{
    const trace_op_t *op = trace->ops + cursor->op;
    const trace_op_t *end = trace->ops + to;
    const uint8_t *align_log2 = trace->align_log2 + cursor->aligned;
    int refused = cursor->refused;
    void *block = slots;
    while (op < end && block != NULL) {
        void **slot = &slots[op_slot(*op)];
        size_t size = op_request_bytes(*op);
        trace_op_kind_t kind = op_kind(*op++);
        if (kind == OP_FREE) {
            if (ops != NULL) {
                refused |= (int)ops->free(heap, *slot);
            } else {
                host->free(*slot);
            }
            *slot = NULL;
            continue;
        }
        if (kind == OP_ALLOC) {
            block = ops != NULL ? ops->alloc(heap, size) : host->malloc(size);
        } else if (kind == OP_REALLOC) {
            block = ops != NULL ? ops->realloc(heap, *slot, size) : host->realloc(*slot, size);
            if (block == NULL) break; /* the old block stays */
        } else if (kind == OP_CALLOC) {
            block = ops != NULL ? ops->calloc(heap, 1, size) : host->calloc(1, size);
        } else {
            size_t align = (size_t)1 << *align_log2++;
            block = ops != NULL ? ops->aligned_alloc(heap, align, size)
                                : host->aligned_alloc(align, size);
        }
        *slot = block;
    }
    cursor->op = (size_t)(op - trace->ops);
    cursor->aligned = (size_t)(align_log2 - trace->align_log2);
    cursor->refused = refused;
    return block != NULL;
}

bool replay_loop_heap(const trace_t *trace, replay_cursor_t *cursor, size_t to,
                      const eai_heap_ops_t *ops, ea_heap_t *heap, void **slots)
{
    return run_ops(trace, cursor, to, ops, heap, NULL, slots);
}

bool replay_loop_malloc(const trace_t *trace, replay_cursor_t *cursor, size_t to,
                        const replay_malloc_t *host, void **slots)
{
    return run_ops(trace, cursor, to, NULL, NULL, host, slots);
}
