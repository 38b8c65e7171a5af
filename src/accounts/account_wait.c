/* SPDX-License-Identifier: MIT
 *
 * Accounts: telling those who wait for units. Who they are and in which order they stand is not
 * known here; see monitor/monitor_line.c.
 */
#include "accounts/account_internal.h"

#if EA_CFG_MONITOR_WAIT
#include "ealloc/port.h"

/* The list only grows, at its front: who walks it needs no mask. */
void eai_accounts_add_line(book_t *book, eai_line_t *line)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    const eai_line_t *known = book->eai_lines;
    while (known != NULL && known != line) known = known->eai_next; /* bound: monitors of a book */
    if (known == NULL) {
        line->eai_next = book->eai_lines;
        EAI_STORE(&book->eai_lines, line, EAI_RELEASE);
    }
    ea_port_irq_restore(irq);
}

static eai_line_t *first_line(const book_t *book)
{
    return EAI_LOAD(&((book_t *)book)->eai_lines, EAI_ACQUIRE);
}

void eai_accounts_tell_all(const book_t *book)
{
    for (eai_line_t *line = first_line(book); line != NULL; line = line->eai_next) {
        line->eai_tell(line);
    }
}

bool eai_accounts_ask_all(const book_t *book, const void *monitor, const account_t *account,
                          units_t n)
{
    for (eai_line_t *line = first_line(book); line != NULL; line = line->eai_next) {
        if (!line->eai_may_take(line, monitor, account, n)) return false;
    }
    return true;
}
#endif
