/* SPDX-License-Identifier: MIT
 *
 * The running test as the program that is inspected, by its own debug information.
 */
#ifndef SELF_H
#define SELF_H

#include "ealloc/dump.h"
#include "firmware.h"
#include "survey.h"
#include "tap.h"

static firmware_t *self; /* open until the program ends */
static layout_t *self_layout;

static inline bool open_self(void)
{
    char error[200];
    if (self_layout != NULL) return true;
    self = firmware_open("/proc/self/exe", error, sizeof error);
    if (self == NULL) return false;
    const snapshot_t here = {.head = {.anchor = (uintptr_t)ea_dump}};
    firmware_place(self, &here);
    self_layout = firmware_layout(self);
    return self_layout != NULL;
}

/* What the host makes of m, of the object that a variable of this name leads to. NULL: nothing, and
 * it said why in a line. */
static inline snapshot_t *survey_self(const image_t *m, const char *name)
{
    char error[200] = "";
    const survey_options_t how = {m, self_layout, firmware_loaded(self), name};
    snapshot_t *s = survey(&how, error, sizeof error);
    EXPECT(s != NULL || (error[0] != '\0' && strchr(error, '\n') == NULL));
    return s;
}

#endif
