/* SPDX-License-Identifier: MIT
 *
 * Everything is looked up by the names that the library's headers use, so a program is read as it
 * was configured, whatever its word size.
 */
#define _GNU_SOURCE
#include "layout.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TYPES = 32, MAX_CONSTANTS = 32, MAX_PEEL = 16, MAX_DEPTH = 8, MAX_OBJECTS = 1024 };

typedef struct {
    const char *name;
    uint64_t value;
} constant_t;

struct layout {
    unsigned pointer_bytes;
    struct {
        const char *tag;
        Dwarf_Die die;
    } types[MAX_TYPES];
    size_t n_types;
    constant_t constants[MAX_CONSTANTS];
    size_t n_constants;
    object_t *objects;
    size_t n_objects;
};

static const char *const wanted[] = {"ea_allocator",  "ea_heap",    "ea_account",    "ea_accounts",
                                     "ea_pool",       "ea_poolset", "eai_pool_slab", "ea_trace",
                                     "ea_alloc_hook", "eai_moving", "ea_movable"};

/* --- types ------------------------------------------------------------------------------------ */

/* What a die's type is behind typedefs and qualifiers. */
static bool type_of(Dwarf_Die *die, Dwarf_Die *type)
{
    Dwarf_Die now = *die;
    for (int i = 0; i < MAX_PEEL; i++) {
        Dwarf_Attribute attribute;
        if (dwarf_attr_integrate(&now, DW_AT_type, &attribute) == NULL ||
            dwarf_formref_die(&attribute, type) == NULL)
            return false;
        switch (dwarf_tag(type)) {
        case DW_TAG_typedef:
        case DW_TAG_const_type:
        case DW_TAG_volatile_type:
        case DW_TAG_atomic_type:
        case DW_TAG_restrict_type: now = *type; break;
        default: return true;
        }
    }
    return false;
}

static void note_struct(layout_t *l, Dwarf_Die *die)
{
    const char *name = dwarf_diename(die);
    if (name == NULL || strncmp(name, "ea", 2) != 0 || dwarf_hasattr(die, DW_AT_declaration))
        return;
    for (size_t i = 0; i < l->n_types; i++)
        if (strcmp(l->types[i].tag, name) == 0) return;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (strcmp(wanted[i], name) != 0) continue;
        l->types[l->n_types].tag = wanted[i];
        l->types[l->n_types++].die = *die;
    }
}

static void note_constants(layout_t *l, Dwarf_Die *die)
{
    const char *name = dwarf_diename(die);
    Dwarf_Die child;
    bool is_wanted = name != NULL &&
                     (strcmp(name, "eai_layout") == 0 || strcmp(name, "eai_movable_layout") == 0);
    if (!is_wanted || dwarf_child(die, &child) != 0) return;
    do {
        if (l->n_constants == MAX_CONSTANTS) return;
        Dwarf_Attribute attribute;
        Dwarf_Word value;
        const char *of = dwarf_diename(&child);
        if (dwarf_tag(&child) != DW_TAG_enumerator || of == NULL ||
            dwarf_attr(&child, DW_AT_const_value, &attribute) == NULL ||
            dwarf_formudata(&attribute, &value) != 0)
            continue;
        uint64_t known;
        if (layout_constant(l, of, &known)) continue; /* of another unit */
        l->constants[l->n_constants++] = (constant_t){of, value};
    } while (dwarf_siblingof(&child, &child) == 0);
}

/* --- variables -------------------------------------------------------------------------------- */

static bool kind_of(Dwarf_Die *type, object_kind_t *kind)
{
    const char *name = dwarf_diename(type);
    if (dwarf_tag(type) != DW_TAG_structure_type || name == NULL) return false;
    if (strcmp(name, "ea_allocator") == 0) return *kind = OF_ALLOCATOR, true;
    if (strcmp(name, "ea_heap") == 0) return *kind = OF_HEAP, true;
    if (strcmp(name, "ea_pool") == 0) return *kind = OF_POOL, true;
    if (strcmp(name, "ea_trace") == 0) return *kind = OF_TRACE, true;
    if (strcmp(name, "ea_movable") == 0) return *kind = OF_STORE, true;
    return false;
}

static bool address_of(Dwarf_Die *die, uint64_t *address)
{
    Dwarf_Attribute attribute;
    Dwarf_Op *ops;
    size_t n;
    if (dwarf_attr_integrate(die, DW_AT_location, &attribute) == NULL ||
        dwarf_getlocation(&attribute, &ops, &n) != 0 || n != 1)
        return false;
    if (ops[0].atom == DW_OP_addr) return *address = ops[0].number, true;
    if (ops[0].atom != DW_OP_addrx && ops[0].atom != DW_OP_GNU_addr_index) return false;
    Dwarf_Attribute whole;
    return dwarf_getlocation_attr(&attribute, ops, &whole) == 0 &&
           dwarf_formaddr(&whole, address) == 0;
}

static void note_variable(layout_t *l, Dwarf_Die *die)
{
    Dwarf_Die type;
    object_t o = {0};
    bool is_array = false;
    if (l->n_objects == MAX_OBJECTS || !type_of(die, &type)) return;
    if (dwarf_tag(&type) == DW_TAG_array_type) { /* its first element stands for all */
        Dwarf_Die element;
        if (!type_of(&type, &element)) return;
        type = element;
        is_array = true;
    }
    if (dwarf_tag(&type) == DW_TAG_pointer_type) {
        Dwarf_Die target;
        if (!type_of(&type, &target)) return;
        o.is_pointer = true;
        type = target;
    }
    if (!kind_of(&type, &o.kind) || !address_of(die, &o.address)) return;
    if (o.kind == OF_POOL && (o.is_pointer || is_array)) return; /* those of sets, for one */
    o.name = dwarf_diename(die);
    if (o.name == NULL) return;
    for (size_t i = 0; i < l->n_objects; i++)
        if (l->objects[i].address == o.address) return;
    if ((l->n_objects & (l->n_objects - 1)) == 0) {
        size_t room = l->n_objects == 0 ? 1 : 2 * l->n_objects;
        l->objects = realloc(l->objects, room * sizeof *l->objects);
        if (l->objects == NULL) abort();
    }
    l->objects[l->n_objects++] = o;
}

/* Variables stand in functions too, and in blocks of them. */
static void note_inside(layout_t *l, Dwarf_Die *die, int depth)
{
    Dwarf_Die child;
    if (depth == MAX_DEPTH || dwarf_child(die, &child) != 0) return;
    do switch (dwarf_tag(&child)) {
        case DW_TAG_structure_type: note_struct(l, &child); break;
        case DW_TAG_enumeration_type: note_constants(l, &child); break;
        case DW_TAG_variable: note_variable(l, &child); break;
        case DW_TAG_subprogram:
        case DW_TAG_lexical_block:
        case DW_TAG_namespace: note_inside(l, &child, depth + 1); break;
        default: break;
        }
    while (dwarf_siblingof(&child, &child) == 0);
}

static void read_module(layout_t *l, Dwfl_Module *module)
{
    Dwarf_Addr bias;
    Dwarf *dwarf = dwfl_module_getdwarf(module, &bias);
    Dwarf_CU *unit = NULL;
    Dwarf_Die die;
    uint8_t type;
    if (dwarf == NULL) return;
    while (dwarf_get_units(dwarf, unit, &unit, NULL, &type, &die, NULL) == 0)
        if (type == DW_UT_compile || type == DW_UT_partial) note_inside(l, &die, 0);
}

layout_t *layout_open(Dwfl_Module *module, unsigned pointer_bytes)
{
    layout_t *l = calloc(1, sizeof *l);
    if (l == NULL) abort();
    l->pointer_bytes = pointer_bytes;
    read_module(l, module);
    if (l->n_types > 0 || l->n_objects > 0) return l;
    layout_close(l);
    return NULL;
}

void layout_extend(layout_t *l, Dwfl_Module *module)
{
    size_t n_objects = l->n_objects;
    read_module(l, module);
    l->n_objects = n_objects; /* its variables are not where the program's are */
}

bool layout_has(const layout_t *l, const char *tag)
{
    for (size_t i = 0; i < l->n_types; i++)
        if (strcmp(l->types[i].tag, tag) == 0) return true;
    return false;
}

void layout_close(layout_t *l)
{
    if (l == NULL) return;
    free(l->objects);
    free(l);
}

const object_t *layout_objects(const layout_t *l, size_t *n)
{
    *n = l->n_objects;
    return l->objects;
}

bool layout_constant(const layout_t *l, const char *name, uint64_t *value)
{
    for (size_t i = 0; i < l->n_constants; i++)
        if (strcmp(l->constants[i].name, name) == 0) return *value = l->constants[i].value, true;
    return false;
}

unsigned layout_pointer_bytes(const layout_t *l)
{
    return l->pointer_bytes;
}

/* --- views ------------------------------------------------------------------------------------ */

view_t view_struct(const layout_t *l, const image_t *m, const char *tag, uint64_t address)
{
    view_t v = {.layout = l, .image = m, .address = address};
    for (size_t i = 0; i < l->n_types && !v.has_type; i++) {
        if (strcmp(l->types[i].tag, tag) != 0) continue;
        v.type = l->types[i].die;
        v.has_type = true;
    }
    return v;
}

view_t view_member(view_t v, const char *name)
{
    view_t member = {.layout = v.layout, .image = v.image};
    Dwarf_Die child;
    if (!v.has_type || dwarf_child(&v.type, &child) != 0) return member;
    do {
        const char *of = dwarf_diename(&child);
        Dwarf_Attribute attribute;
        Dwarf_Word offset = 0;
        if (dwarf_tag(&child) != DW_TAG_member || of == NULL || strcmp(of, name) != 0) continue;
        if (dwarf_attr(&child, DW_AT_data_member_location, &attribute) != NULL &&
            dwarf_formudata(&attribute, &offset) != 0)
            return member;
        member.address = v.address + offset;
        member.has_type = type_of(&child, &member.type);
        return member;
    } while (dwarf_siblingof(&child, &child) == 0);
    return member;
}

uint64_t view_bytes(view_t v)
{
    Dwarf_Word size;
    if (!v.has_type) return 0;
    if (dwarf_tag(&v.type) == DW_TAG_pointer_type) return v.layout->pointer_bytes;
    return dwarf_aggregate_size(&v.type, &size) == 0 ? size : 0;
}

view_t view_element(view_t v, uint64_t i)
{
    view_t element = {.layout = v.layout, .image = v.image, .address = v.address};
    if (!v.has_type || dwarf_tag(&v.type) != DW_TAG_array_type) return element;
    element.has_type = type_of(&v.type, &element.type);
    element.address += i * view_bytes(element);
    return element;
}

uint64_t view_length(view_t v)
{
    uint64_t one = view_bytes(view_element(v, 0));
    return one != 0 ? view_bytes(v) / one : 0;
}

bool view_is_there(view_t v)
{
    uint64_t n = view_bytes(v);
    return n != 0 && image_room(v.image, v.address, n) == n;
}

uint64_t view_value(view_t v)
{
    uint64_t value, n = view_bytes(v);
    if (n == 0 || n > 8) return 0;
    (void)image_number(v.image, v.address, (unsigned)n, &value);
    return value;
}

uint64_t view_number(view_t v, const char *name)
{
    return view_value(view_member(v, name));
}

uint64_t view_offset(view_t v, const char *name)
{
    return view_member(v, name).address - v.address;
}

bool view_has(view_t v, const char *name)
{
    return view_member(v, name).has_type;
}
