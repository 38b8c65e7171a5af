/* SPDX-License-Identifier: MIT */
#include "source_line.h"

#include <stddef.h>

const char *source_line(Dwfl_Module *module, GElf_Addr address, int *line)
{
    Dwfl_Line *found = dwfl_module_getsrc(module, address);
    if (found != NULL) return dwfl_lineinfo(found, NULL, line, NULL, NULL, NULL);
    /* libdw finds the unit by .debug_aranges, which Clang does not write: look into each. */
    Dwarf_Addr bias;
    for (Dwarf_Die *unit = NULL; (unit = dwfl_module_nextcu(module, unit, &bias)) != NULL;) {
        if (dwarf_haspc(unit, address - bias) <= 0) continue;
        Dwarf_Line *row = dwarf_getsrc_die(unit, address - bias);
        if (row != NULL && dwarf_lineno(row, line) == 0) return dwarf_linesrc(row, NULL, NULL);
    }
    return NULL;
}
