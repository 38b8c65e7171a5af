/* SPDX-License-Identifier: MIT
 *
 * Names of the status codes, for messages, dumps and tests.
 */
#include "ealloc/status.h"

/* A switch, not a table: the compiler warns when a code is added and its name is not. */
const char *ea_status_name(ea_status_t status)
{
    switch (status) {
    case EA_OK: return "EA_OK";
    case EA_ERR_INVALID: return "EA_ERR_INVALID";
    case EA_ERR_NO_MEMORY: return "EA_ERR_NO_MEMORY";
    case EA_ERR_TOO_LARGE: return "EA_ERR_TOO_LARGE";
    case EA_ERR_RANGE: return "EA_ERR_RANGE";
    case EA_ERR_BUSY: return "EA_ERR_BUSY";
    case EA_ERR_AGAIN: return "EA_ERR_AGAIN";
    case EA_ERR_DOUBLE_FREE: return "EA_ERR_DOUBLE_FREE";
    case EA_ERR_CORRUPT: return "EA_ERR_CORRUPT";
    case EA_ERR_FOREIGN: return "EA_ERR_FOREIGN";
    case EA_ERR_NOT_FOUND: return "EA_ERR_NOT_FOUND";
    case EA_ERR_TIMEOUT: return "EA_ERR_TIMEOUT";
    case EA_ERR_CANCELLED: return "EA_ERR_CANCELLED";
    case EA_ERR_LIMIT: return "EA_ERR_LIMIT";
    case EA_ERR_CAPABILITY: return "EA_ERR_CAPABILITY";
    case EA_ERR_NOT_OWNER: return "EA_ERR_NOT_OWNER";
    }
    return "EA_ERR_?";
}
