/* SPDX-License-Identifier: MIT
 *
 * What a context of a test does: every short program of its operations, in order. The test defines
 * op_t, whose kinds are 0 to N_KINDS - 1 (behind it may stand others, which no program has by
 * itself), and MAX_OPS.
 */
#ifndef EALLOC_PREEMPT_PROGRAMS_H
#define EALLOC_PREEMPT_PROGRAMS_H

#include <stdbool.h>

typedef struct {
    unsigned n_ops;
    op_t ops[MAX_OPS];
} program_t;

/* The next program in order: shorter ones first. Returns false after the last of n_max ops. */
static bool next_program(program_t *program, unsigned n_max)
{
    for (unsigned i = 0; i < program->n_ops; i++) {
        program->ops[i] = (op_t)(program->ops[i] + 1);
        if (program->ops[i] < N_KINDS) return true;
        program->ops[i] = (op_t)0;
    }
    if (program->n_ops == n_max) return false;
    program->ops[program->n_ops++] = (op_t)0;
    return true;
}

#endif
