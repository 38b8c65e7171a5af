/* SPDX-License-Identifier: MIT
 *
 * What the sources of the POSIX binding share.
 */
#ifndef EALLOC_POSIX_INTERNAL_H
#define EALLOC_POSIX_INTERNAL_H

#include "ealloc_posix.h"

/* A number, an entry. Everything but FREE and SUSPECT belongs to a resource of the monitor, or to
 * one that is being acquired. */
enum {
    EAI_P_FREE,
    EAI_P_LIVE,
    EAI_P_ENDING,  /* the call that ends it is under way */
    EAI_P_SUSPECT, /* a number only: the system has it, nobody registered it */
    EAI_P_KNOWN    /* the same, and that is all right */
};

/* The identity of an open file. */
typedef struct {
    uint64_t device, inode;
    bool is_socket;
} eai_identity_t;

/* One acquire: what create is to do after the charge. The request comes first, and its object is
 * the address of this. */
typedef struct eai_call {
    ea_resource_request_t request;
    ea_posix_t *posix;
    /* Returns 0, or the error's number. */
    int (*run)(struct eai_call *call, uintptr_t *object);
    int error;
    ea_posix_kind_t kind;
    uintptr_t object; /* what run made */
    eai_posix_flight_t flight;
    ea_posix_entry_t *entry;
    ea_resource_t overtaken; /* what stood in the place of the new one, and is gone */
    int fd;
} eai_call_t;

#define EAI_CALLER __builtin_return_address(0)

/* One entry of a folder, as the kernel writes them. */
typedef struct {
    uint64_t inode;
    int64_t next;
    uint16_t n_bytes;
    uint8_t type;
    char name[];
} dirent64_t;

static inline void eai_lock(ea_posix_t *posix)
{
    (void)pthread_mutex_lock(&posix->eai_lock);
}

static inline void eai_unlock(ea_posix_t *posix)
{
    (void)pthread_mutex_unlock(&posix->eai_lock);
}

/* How the last object of this thread ended: 0, or the error's number. */
int eai_take_end_error(void);
void eai_set_end_error(int error);

/* Returns false: fd is not open. */
bool eai_identify(int fd, eai_identity_t *identity);

/* Begin, and end, what may make something. */
void eai_flight_begin(ea_posix_t *posix, eai_posix_flight_t *flight);
void eai_flight_end(ea_posix_t *posix, eai_posix_flight_t *flight);
/* Whether every call that was begun when n_begun were has ended, but for those that were begun
 * before this time. Locked. */
bool eai_flights_over_locked(const ea_posix_t *posix, uint64_t n_begun, uint64_t before_us);

/* Acquire, with call->run after the charge. Returns 0 and *resource, the flight still under way;
 * else the error's number, and nothing is held. */
int eai_acquire(eai_call_t *call, ea_account_t *account, size_t units, const void *caller,
                ea_resource_t *resource);

/* Give a resource up. Returns 0; EBADF: it was released before; or why its object did not end well.
 */
int eai_release(ea_posix_t *posix, ea_resource_t resource);

/* An entry for something of this kind, ready to be registered; NULL: none is free. */
ea_posix_entry_t *eai_entry_take(ea_posix_t *posix, ea_posix_kind_t kind, uintptr_t *object);
void eai_entry_free_locked(ea_posix_entry_t *entry);
/* The entry of an object; NULL: it was freed or is another's by now. Locked. */
ea_posix_entry_t *eai_entry_of_locked(ea_posix_t *posix, uintptr_t object);
/* The entry is registered: resource is its. */
void eai_entry_register(ea_posix_t *posix, ea_posix_entry_t *entry, ea_resource_t resource);

/* Of posix_disk.c, for the reconciler: measure up to *budget names. Returns whether it is done. */
bool eai_disk_measure(ea_posix_disk_t *disk, size_t *budget);
void eai_disk_stop(ea_posix_disk_t *disk);

#endif
