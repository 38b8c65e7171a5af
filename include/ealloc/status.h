/* SPDX-License-Identifier: MIT
 *
 * Status codes of the whole library. 0 is success, every error is negative; the numbers are stable
 * across versions because they appear in dumps and recordings.
 */
#ifndef EALLOC_STATUS_H
#define EALLOC_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    EA_OK = 0,
    EA_ERR_INVALID = -1,     /* an argument is outside its contract                       */
    EA_ERR_NO_MEMORY = -2,   /* no free block fits                                         */
    EA_ERR_TOO_LARGE = -3,   /* the request exceeds what this store could ever grant       */
    EA_ERR_RANGE = -4,       /* memory lies outside the span the store was sized for       */
    EA_ERR_BUSY = -5,        /* in use: refused, nothing changed                           */
    EA_ERR_AGAIN = -6,       /* not finished: call again to go on                          */
    EA_ERR_DOUBLE_FREE = -7, /* the block is free already: refused, nothing changed        */
    EA_ERR_CORRUPT = -8,     /* metadata disagrees with itself: refused                    */
    EA_ERR_FOREIGN = -9,     /* the pointer does not belong to this store                  */
    EA_ERR_NOT_FOUND = -10,  /* no such region, block or name                              */
    EA_ERR_TIMEOUT = -11,    /* waited as long as it was to, and got nothing               */
    EA_ERR_CANCELLED = -12,  /* was waiting when somebody ended that                       */
    EA_ERR_LIMIT = -13,      /* an account's limit does not allow it                       */
    EA_ERR_CAPABILITY = -14, /* no region has every property that was asked for            */
    EA_ERR_NOT_OWNER = -15   /* the block belongs to somebody else: refused                */
} ea_status_t;

/* The constant's name, e.g. "EA_ERR_BUSY"; "EA_ERR_?" for a number that is none. Never NULL, static
 * storage. Context: any. */
const char *ea_status_name(ea_status_t status);

#ifdef __cplusplus
}
#endif
#endif
