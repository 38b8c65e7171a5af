/* SPDX-License-Identifier: MIT
 *
 * The end of a scope that owns a block.
 */
#include "ealloc/scoped.h"

void ea_scoped_end(const ea_scoped_t *scoped)
{
    void *ptr = *scoped->eai_variable;
    if (ptr != NULL) (void)scoped->eai_free(scoped->eai_allocator, ptr);
}
