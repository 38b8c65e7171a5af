/* SPDX-License-Identifier: MIT
 *
 * Leaks of resources (rows B4, C8): the detector of leaks.h, fed by a monitor. Which call site's
 * resources of a type only ever become more, which are older or more than the type's thresholds
 * allow, how bad that is, in how many boots; a resource stands where leaks.h says block, its units
 * where it says bytes.
 *
 *     const ea_resource_leak_limits_t limits = {.max_age_us = 3600000000, .max_permille = 500};
 *     static ea_leaks_rule_t rule;                     (as long as the detector is used)
 *     ea_monitor_leaks_rule(&monitor, SOCKET, &limits, &rule);
 *     const ea_leaks_options_t options = {.n_sites = 8, .n_blocks = 128, .rules = &rule,
 *                                         .n_rules = 1};
 *     ea_leaks_init(&leaks, tables, sizeof tables, &options);
 *     ea_monitor_watch_leaks(&watch, &monitor, SOCKET, &leaks);
 *     ... in the idle task: ea_leaks_poll(&leaks, 64);
 *     ... whenever somebody asks: n = ea_leaks_top(&leaks, found, 5);
 *
 * A type has a detector of its own, since thresholds, room and windows are the type's.
 */
#ifndef EALLOC_MONITOR_LEAKS_H
#define EALLOC_MONITOR_LEAKS_H

#include "ealloc/leaks.h"
#include "ealloc/monitor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Thresholds of a type; 0 each: none. */
typedef struct {
    uint64_t max_age_us;   /* a resource that is older is found (EA_LEAK_AGE)                  */
    size_t max_units;      /* a site that holds more is (EA_LEAK_EXCESS)                       */
    uint32_t max_permille; /* the same, of the type's capacity; the lower of the two counts    */
    size_t may_hold_units; /* a site that holds no more is not found: a pool that fills        */
} ea_resource_leak_limits_t;

/* A detector's watch on a type; every field is private. */
typedef struct {
    ea_resource_hook_t eai_hook;
    ea_monitor_t *eai_monitor;
    ea_leaks_t *eai_leaks;
    uint8_t eai_type;
} ea_monitor_leaks_t;

/* The thresholds as a rule for the options of the type's detector.
 * Returns  EA_OK; EA_ERR_INVALID: no such type, or max_permille is above 1000. Cost O(1). */
EA_NODISCARD ea_status_t ea_monitor_leaks_rule(const ea_monitor_t *monitor, uint8_t type,
                                               const ea_resource_leak_limits_t *limits,
                                               ea_leaks_rule_t *rule);

/* Watch what is acquired and released of the type from now on. Where the detector's options name no
 * room_bytes, the room is what the owner's account may still have, or the book's if that is less.
 * Returns  EA_OK; EA_ERR_INVALID: NULL, no such type, or EA_CFG_MONITOR_HOOK is 0; EA_ERR_BUSY: the
 *          watch is at it, or the detector is fed by an allocator or another watch.
 * Owns     uses *watch until ea_monitor_unwatch_leaks(). Context: as ea_monitor_add_hook(). */
EA_NODISCARD ea_status_t ea_monitor_watch_leaks(ea_monitor_leaks_t *watch, ea_monitor_t *monitor,
                                                uint8_t type, ea_leaks_t *leaks);

/* No longer; what the detector knew counts as released. Returns EA_OK; EA_ERR_NOT_FOUND. */
ea_status_t ea_monitor_unwatch_leaks(ea_monitor_leaks_t *watch);

#ifdef __cplusplus
}
#endif
#endif
