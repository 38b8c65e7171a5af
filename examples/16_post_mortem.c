/* SPDX-License-Identifier: MIT
 *
 * A dump for afterwards. Something is wrong with the memory: the program cannot tell what, so it
 * writes everything the allocator knows to the console, as hexadecimal lines. `ealloc inspect`
 * reads them on the host, from the log as it is. A fault handler would call take_dump() as well.
 */
#include <ealloc/ealloc.h>
#include <stdio.h>
#include <string.h>

static unsigned char ram[4096];
static ea_allocator_t memory;
static ea_account_t nodes[3];
static ea_accounts_t book;

static bool write_hex(void *context, const void *bytes, size_t n_bytes)
{
    unsigned *column = context;
    for (size_t i = 0; i < n_bytes; i++) {
        printf("%02x", ((const unsigned char *)bytes)[i]);
        if (++*column % 32 == 0) printf("\n");
    }
    return true;
}

static void take_dump(const char *cause)
{
    static ea_dump_t dump; /* not on the stack: a fault handler's may be short */
    unsigned column = 0;
    const ea_dump_options_t options = {.write = write_hex, .context = &column, .cause = cause};
    printf("dump:\n");
    ea_status_t status = ea_dump(&dump, &memory, &options);
    printf("\nend of dump: %s\n", ea_status_name(status));
}

static char *copy_of(const char *text)
{
    char *copy = ea_malloc(&memory, 14);
    if (copy != NULL) strcpy(copy, text); /* the bug: who says that it fits? */
    return copy;
}

int main(void)
{
    static const ea_account_options_t named = {.name = "ui"};
    if (ea_accounts_init(&book, nodes, 3, NULL) != EA_OK) return 1;
    ea_account_t *ui = ea_account_create(&book, ea_accounts_root(&book), &named);
    const ea_allocator_options_t options = {.accounts = &book, .owner = ui, .secret = 0x5EC2E7};
    if (ui == NULL || ea_allocator_init(&memory, &options) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK)
        return 1;

    char *before = ea_malloc(&memory, 40);
    char *title = copy_of("pump station 71"); /* 15 characters and a zero */
    char *after = ea_malloc(&memory, 60);
    if (before == NULL || after == NULL || ea_free(&memory, title) == EA_OK) return 1;
    take_dump("a block could not be freed");
    return 0;
}
