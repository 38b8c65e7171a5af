/* SPDX-License-Identifier: MIT
 *
 * What came of many runs. The test sets `wrong` in a run that goes wrong. FOUND_OUT 1: the code is
 * broken on purpose, and some run must go wrong.
 */
#ifndef EALLOC_PREEMPT_VERDICT_H
#define EALLOC_PREEMPT_VERDICT_H

#include "tap.h"

static const char *wrong; /* what went wrong in this run */
static unsigned long n_runs, n_wrong;
static const char *last_wrong;

static void note_run(void)
{
    n_runs++;
    if (wrong == NULL) return;
    n_wrong++;
    last_wrong = wrong;
}

/* Judge the runs since the last verdict. */
static void expect_verdict(void)
{
    tap_note("runs", (long long)n_runs);
    if (FOUND_OUT) {
        tap_note("runs that went wrong", (long long)n_wrong);
        EXPECT(n_wrong > 0);
    } else {
        EXPECT_EQ(n_wrong, 0);
        if (last_wrong != NULL) tap_fail(__FILE__, __LINE__, last_wrong, 1, 0);
    }
    n_runs = n_wrong = 0;
    last_wrong = NULL;
}

#endif
