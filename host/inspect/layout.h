/* SPDX-License-Identifier: MIT
 *
 * How a program lays its memory out: types, constants and variables of ealloc in the debug
 * information of its ELF file; and a view of an object as it lies in an image.
 */
#ifndef EALLOC_INSPECT_LAYOUT_H
#define EALLOC_INSPECT_LAYOUT_H

#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

#include "image.h"

typedef struct layout layout_t;

/* A global or static variable that is, or points to, an object of ealloc. */
typedef enum { OF_ALLOCATOR, OF_HEAP, OF_POOL, OF_TRACE, OF_STORE } object_kind_t;
typedef struct {
    object_kind_t kind;
    bool is_pointer;  /* else the variable is the object */
    uint64_t address; /* of the variable, as the ELF file has it */
    const char *name;
} object_t;

/* Returns  NULL: the module has no debug information of ealloc's types. */
layout_t *layout_open(Dwfl_Module *module, unsigned pointer_bytes);
/* Add what another module knows, such as a shared library's. */
void layout_extend(layout_t *l, Dwfl_Module *module);
/* Does it know the struct of this tag? */
bool layout_has(const layout_t *l, const char *tag);
void layout_close(layout_t *l);
const object_t *layout_objects(const layout_t *l, size_t *n);
/* A constant of enum eai_layout or eai_movable_layout. false: the program has none of this name. */
bool layout_constant(const layout_t *l, const char *name, uint64_t *value);
unsigned layout_pointer_bytes(const layout_t *l);

/* An object in memory. What is not there has no type: its numbers are 0. */
typedef struct {
    const layout_t *layout;
    const image_t *image;
    uint64_t address;
    Dwarf_Die type;
    bool has_type;
} view_t;

/* The struct of this tag at address. */
view_t view_struct(const layout_t *l, const image_t *m, const char *tag, uint64_t address);
/* A member, or of an array the element i. */
view_t view_member(view_t v, const char *name);
view_t view_element(view_t v, uint64_t i);
/* How many elements an array has. */
uint64_t view_length(view_t v);
uint64_t view_bytes(view_t v);
/* Is all of it in the image? */
bool view_is_there(view_t v);
/* The number or address that it is; of a member; and its place in the struct. */
uint64_t view_value(view_t v);
uint64_t view_number(view_t v, const char *name);
uint64_t view_offset(view_t v, const char *name);
bool view_has(view_t v, const char *name);

#endif
