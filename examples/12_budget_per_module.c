/* SPDX-License-Identifier: MIT
 *
 * A budget for each module. Whatever a module's functions allocate is charged to the module's
 * account; nobody passes an owner around. The logger runs wild and is stopped by its own budget:
 * the radio, which is guaranteed a part, does not notice. A block that goes from one module to
 * another changes hands; and when a module is stopped everything it still holds is freed.
 */
#include <ealloc/ealloc.h>
#include <ealloc/owner.h>
#include <stdio.h>

static unsigned char ram[16384];
static ea_allocator_t memory;
static ea_account_t nodes[4];
static ea_accounts_t book;
static ea_account_t *radio, *logger;

static ea_account_t *make_account(const char *name, size_t min, size_t high, size_t max)
{
    const ea_account_options_t options = {.name = name,
                                          .limits = {.min = min, .high = high, .max = max}};
    return ea_account_create(&book, ea_accounts_root(&book), &options);
}

static bool make_everything(void)
{
    /* All there is to give: the region, less what its heap keeps for itself. */
    const ea_account_limits_t all = {.max = sizeof ram - 1024};
    if (ea_accounts_init(&book, nodes, 4, &all) != EA_OK) return false;
    radio = make_account("radio", 6000, 0, 0);      /* guaranteed 6000 bytes, may have more */
    logger = make_account("logger", 0, 2000, 4000); /* should stay below 2000, never above 4000 */
    const ea_allocator_options_t options = {
        .accounts = &book,
        .owner = ea_accounts_root(&book), /* of whoever says nothing */
        .strict_owner = true,             /* nobody frees what is another's */
    };
    return radio != NULL && logger != NULL && ea_allocator_init(&memory, &options) == EA_OK &&
           ea_allocator_add_region(&memory, ram, sizeof ram, NULL) == EA_OK;
}

/* --- the modules; they do not know of accounts ------------------------------------------------ */

static unsigned log_until_refused(void)
{
    unsigned n = 0;
    while (ea_malloc(&memory, 80) != NULL) n++; /* and never frees any of it */
    return n;
}

static void *make_packet(void)
{
    return ea_malloc(&memory, 1500);
}

/* --- who is who ------------------------------------------------------------------------------- */

static const char *owner_of(const void *block)
{
    ea_block_info_t info;
    ea_account_stats_t stats;
    if (ea_block_info(&memory, block, &info) != EA_OK) return "?";
    const ea_account_t *account = ea_account_by_id(&book, info.owner);
    if (account == NULL) return "nobody";
    ea_account_stats(account, &stats);
    return stats.name ? stats.name : "the root";
}

/* In pieces of 16 blocks, so that others are not held up. */
static size_t free_all_of(const ea_account_t *account)
{
    ea_allocator_cursor_t cursor = {0};
    size_t n = 0;
    while (ea_free_all(&memory, ea_account_id(account), &cursor, 16, &n) == EA_ERR_AGAIN) continue;
    return n;
}

int main(void)
{
    if (!make_everything()) return 1;

    unsigned n = 0;
    EA_OWNER_SCOPE(logger) n = log_until_refused();
    ea_failure_t failure;
    ea_allocator_last_failure(&memory, &failure);
    printf("logger: %s, by the limit of account %u (logger is %u)\n",
           ea_reason_name(failure.reason), failure.limiter, ea_account_id(logger));
    printf("logger: above its high mark: %s\n", ea_account_is_high(logger) ? "yes" : "no");

    void *packets[4] = {0};
    unsigned n_packets = 0;
    EA_OWNER_SCOPE(radio)
    while (n_packets < 4 && (packets[n_packets] = make_packet()) != NULL) n_packets++;
    printf("radio: %u packets of 1500 bytes, guaranteed are 6000 in all\n", n_packets);

    ea_status_t status = EA_OK;
    EA_OWNER_SCOPE(radio) status = ea_transfer(&memory, packets[0], logger);
    printf("packet to logger: %s\n", ea_status_name(status));
    EA_OWNER_SCOPE(logger) status = ea_free(&memory, packets[1]);
    printf("logger frees a packet of the radio: %s\n", ea_status_name(status));

    size_t n_freed = free_all_of(logger);
    printf("logger stopped: all of its blocks freed: %s, account deleted: %s\n",
           n_freed == n ? "yes" : "no", ea_status_name(ea_account_delete(logger)));

    status = ea_transfer(&memory, packets[0], ea_accounts_root(&book));
    printf("packet to the application: %s, now of %s\n", ea_status_name(status),
           owner_of(packets[0]));
    EA_OWNER_SCOPE(radio)
    for (unsigned i = 1; i < n_packets; i++) (void)ea_free(&memory, packets[i]);
    (void)ea_free(&memory, packets[0]);
    printf("blocks leaked: %u\n", ea_allocator_deinit(&memory, NULL) == EA_OK ? 0u : 1u);
    return 0;
}
