/* SPDX-License-Identifier: MIT
 *
 * The POSIX binding: init, acquire, the flights, the entries.
 *
 * I1  Nothing is asked of the system before the monitor has charged it: the system call is made by
 *     the types' create, which acquire calls when everything was granted.
 * I2  Everything in the tables, and the list of flights, changes under the lock; no system call is
 *     made under it.
 * I3  A number or entry is LIVE from before its resource can be released until after its release
 *     has begun; then it is ENDING until the system has ended the thing. So what is LIVE at two
 *     moments, with the same salt, was there all the time between: if the system said meanwhile
 *     that it is not, somebody else ended it.
 * I4  The object of a resource is its place in a table and a salt that counts the place's uses.
 *     Only who finds its own object in the place ends the thing. A descriptor that was closed
 *     behind our back, and whose number was made anew, is not closed by the release of the old
 *     resource.
 * I5  A flight is in the list from before its charge until what it made is registered.
 *
 * Rejected: wrapping the system calls by the linker (what libraries open would be charged to
 * whom?); hash tables (the kernel gives the lowest number: an array is one); closing first and
 * looking afterwards which resource it was (another thread has the number by then).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ealloc/port.h"
#include "posix_internal.h"

#define GRACE_US 100000u
#define ENTRY_SHIFT 16u
#define MOST_ENTRIES 0xFFFFu

/* --- errors ----------------------------------------------------------------------------------- */

static _Thread_local int end_error;

int eai_take_end_error(void)
{
    int error = end_error;
    end_error = 0;
    return error;
}

void eai_set_end_error(int error)
{
    end_error = error;
}

static int error_of(ea_status_t status)
{
    switch (status) {
    case EA_OK: return 0;
    case EA_ERR_LIMIT: return EDQUOT;
    case EA_ERR_BUSY: return EBUSY;
    case EA_ERR_NO_MEMORY: return ENOMEM;
    case EA_ERR_CANCELLED: return ECANCELED;
    default: return EINVAL;
    }
}

const char *ea_posix_what_name(ea_posix_what_t what)
{
    static const char *const names[] = {"stray", "gone", "reused", "ended", "over"};
    return (unsigned)what < EA_POSIX_N_FINDINGS ? names[what] : "?";
}

const char *ea_posix_kind_name(ea_posix_kind_t kind)
{
    static const char *const names[] = {"file", "socket", "thread", "mapping", "child", "disk"};
    return (unsigned)kind < EA_POSIX_N_KINDS ? names[kind] : "?";
}

/* --- init ------------------------------------------------------------------------------------- */

static bool are_ours(const ea_posix_t *posix, const ea_posix_options_t *options)
{
    const ea_monitor_t *monitor = options->monitor;
    if ((uint32_t)options->first_type + EA_POSIX_N_KINDS > monitor->eai_n_types) return false;
    for (unsigned i = 0; i < EA_POSIX_N_KINDS; i++) {
        const ea_resource_type_t *type = &monitor->eai_types[options->first_type + i];
        if (type->context != posix || type->create != ea_posix_create) return false;
    }
    return true;
}

ea_status_t ea_posix_init(ea_posix_t *posix, const ea_posix_options_t *options)
{
    if (posix == NULL || options == NULL || options->monitor == NULL || options->numbers == NULL ||
        options->n_numbers == 0 || options->n_numbers > EA_POSIX_NUMBERS_MAX ||
        (options->entries == NULL && options->n_entries > 0) || options->n_entries > MOST_ENTRIES ||
        (options->suspects == NULL && options->n_suspects > 0) || !are_ours(posix, options)) {
        return EA_ERR_INVALID;
    }
    memset(posix, 0, sizeof *posix);
    posix->eai_options = *options;
    if (options->grace_us == 0) posix->eai_options.grace_us = GRACE_US;
    posix->eai_flights.next = posix->eai_flights.prev = &posix->eai_flights;
    posix->eai_page = (uint64_t)sysconf(_SC_PAGESIZE);
    posix->eai_pass.fd = -1;
    posix->eai_pass.pass = 1;
    memset(options->numbers, 0, options->n_numbers * sizeof *options->numbers);
    if (options->n_entries > 0) {
        memset(options->entries, 0, options->n_entries * sizeof *options->entries);
    }
    if (options->n_suspects > 0) {
        memset(options->suspects, 0, options->n_suspects * sizeof *options->suspects);
    }
    return pthread_mutex_init(&posix->eai_lock, NULL) == 0 ? EA_OK : EA_ERR_NO_MEMORY;
}

void ea_posix_deinit(ea_posix_t *posix)
{
    if (posix->eai_pass.fd >= 0) (void)close(posix->eai_pass.fd);
    for (ea_posix_disk_t *disk = posix->eai_disks; disk != NULL; disk = disk->eai_next) {
        eai_disk_stop(disk);
    }
    (void)pthread_mutex_destroy(&posix->eai_lock);
}

/* --- flights ---------------------------------------------------------------------------------- */

void eai_flight_begin(ea_posix_t *posix, eai_posix_flight_t *flight)
{
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &flight->cancel_state);
    eai_lock(posix);
    flight->begun_us = ea_port_time_coarse_us();
    flight->serial = ++posix->eai_n_begun;
    flight->next = &posix->eai_flights;
    flight->prev = posix->eai_flights.prev;
    flight->prev->next = flight;
    posix->eai_flights.prev = flight;
    eai_unlock(posix);
}

void eai_flight_end(ea_posix_t *posix, eai_posix_flight_t *flight)
{
    eai_lock(posix);
    flight->prev->next = flight->next;
    flight->next->prev = flight->prev;
    eai_unlock(posix);
    (void)pthread_setcancelstate(flight->cancel_state, &flight->cancel_state);
}

/* The first of the list is the oldest. At most as many turns as threads. */
bool eai_flights_over_locked(const ea_posix_t *posix, uint64_t n_begun, uint64_t before_us)
{
    const eai_posix_flight_t *flight = posix->eai_flights.next;
    while (flight != &posix->eai_flights && flight->begun_us < before_us) flight = flight->next;
    return flight == &posix->eai_flights || flight->serial > n_begun;
}

/* --- acquire and release ---------------------------------------------------------------------- */

ea_status_t ea_posix_create(void *posix, const ea_resource_request_t *request, uintptr_t *object)
{
    (void)posix;
    eai_call_t *call = (eai_call_t *)request;
    if (request->object != (uintptr_t)request) { /* not one of ours: registered by hand */
        *object = request->object;
        return EA_OK;
    }
    call->error = call->run(call, object);
    call->object = *object;
    switch (call->error) {
    case 0: return EA_OK;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case EAGAIN: return EA_ERR_NO_MEMORY; /* for the monitor's numbers: there is no more of it */
    default: return EA_ERR_NOT_FOUND;
    }
}

int eai_acquire(eai_call_t *call, ea_account_t *account, size_t units, const void *caller,
                ea_resource_t *resource)
{
    ea_posix_t *posix = call->posix;
    call->request =
        (ea_resource_request_t){.account = account,
                                .object = (uintptr_t)call,
                                .units = units,
                                .caller = caller,
                                .type = (uint8_t)(posix->eai_options.first_type + call->kind)};
    call->error = 0;
    call->overtaken = EA_RESOURCE_NONE;
    eai_flight_begin(posix, &call->flight);
    ea_status_t status = ea_monitor_acquire(posix->eai_options.monitor, &call->request, resource);
    if (status == EA_OK) return 0;
    eai_flight_end(posix, &call->flight);
    return call->error != 0 ? call->error : error_of(status);
}

int eai_release(ea_posix_t *posix, ea_resource_t resource)
{
    int cancel_state;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    (void)eai_take_end_error();
    ea_status_t status = ea_monitor_release(posix->eai_options.monitor, resource);
    (void)pthread_setcancelstate(cancel_state, &cancel_state);
    return status != EA_OK ? EBADF : eai_take_end_error();
}

/* --- entries ---------------------------------------------------------------------------------- */

ea_posix_entry_t *eai_entry_take(ea_posix_t *posix, ea_posix_kind_t kind, uintptr_t *object)
{
    const size_t n = posix->eai_options.n_entries;
    ea_posix_entry_t *found = NULL;
    eai_lock(posix);
    for (size_t i = 0; i < n && found == NULL; i++) {
        size_t at = posix->eai_next_entry;
        ea_posix_entry_t *entry = &posix->eai_options.entries[at];
        posix->eai_next_entry = at + 1u < n ? at + 1u : 0;
        if (entry->eai_state != EAI_P_FREE) continue;
        uint32_t salt = entry->eai_salt + 1u;
        memset(entry, 0, sizeof *entry);
        entry->eai_salt = salt;
        entry->eai_object = (uintptr_t)salt << ENTRY_SHIFT | at;
        entry->eai_kind = (uint8_t)kind;
        entry->eai_state = EAI_P_LIVE;
        entry->eai_posix = posix;
        *object = entry->eai_object;
        found = entry;
    }
    eai_unlock(posix);
    return found;
}

void eai_entry_free_locked(ea_posix_entry_t *entry)
{
    entry->eai_state = EAI_P_FREE;
    entry->eai_resource = EA_RESOURCE_NONE;
}

ea_posix_entry_t *eai_entry_of_locked(ea_posix_t *posix, uintptr_t object)
{
    size_t at = object & MOST_ENTRIES;
    if (at >= posix->eai_options.n_entries) return NULL;
    ea_posix_entry_t *entry = &posix->eai_options.entries[at];
    return entry->eai_state != EAI_P_FREE && entry->eai_object == object ? entry : NULL;
}

void eai_entry_register(ea_posix_t *posix, ea_posix_entry_t *entry, ea_resource_t resource)
{
    eai_lock(posix);
    entry->eai_resource = resource;
    eai_unlock(posix);
}
