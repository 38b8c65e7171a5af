/* SPDX-License-Identifier: MIT
 *
 * C++'s operator new calls malloc from inside its library, which would make that one place the call
 * site of every allocation. These stand before it, note who called, and pass the call on unchanged:
 * the next malloc of this thread takes the note as its site. A program's own operator new, in its
 * executable, comes before ours and is left alone. The malloc that takes the note removes it, so
 * none is left behind when an operator ends with an exception. Deletes need no such care: where a
 * block was freed is rarely asked.
 *
 * The names are those of the Itanium C++ ABI with size_t as unsigned long. An exception thrown
 * below passes through these frames; there is nothing to clean up in them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "recorder.h"

#define EXPORT __attribute__((visibility("default")))

__thread __attribute__((tls_model("initial-exec"))) const void *recorder_new_caller;

/* The operator that would have been called without us. A C++ library that was loaded for one
 * plug-in only is not in the global scope: then it is asked by its name. */
static void *find_next(const char *name)
{
    static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1"};
    void *found = dlsym(RTLD_NEXT, name);
    for (size_t i = 0; found == NULL && i < sizeof libraries / sizeof libraries[0]; i++) {
        void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library == NULL) continue;
        found = dlsym(library, name);
        dlclose(library);
    }
    if (found == NULL) abort(); /* somebody calls an operator that nobody defines */
    return found;
}

/* Define the operator `name` of these parameters. Several threads may look it up, to one result. */
#define FORWARD(name, parameters, arguments)                                                       \
    EXPORT void *name parameters;                                                                  \
    EXPORT void *name parameters                                                                   \
    {                                                                                              \
        static void *(*_Atomic next)parameters;                                                    \
        void *(*function)parameters = atomic_load_explicit(&next, memory_order_relaxed);           \
        if (function == NULL) {                                                                    \
            void *found = find_next(#name);                                                        \
            memcpy(&function, &found, sizeof found);                                               \
            atomic_store_explicit(&next, function, memory_order_relaxed);                          \
        }                                                                                          \
        /* operator new[] calls operator new: the outermost is the one. */                         \
        if (recorder_new_caller == NULL) recorder_new_caller = __builtin_return_address(0);        \
        void *p = function arguments;                                                              \
        recorder_new_caller = NULL; /* in case it did without malloc */                            \
        return p;                                                                                  \
    }

FORWARD(_Znwm, (size_t n), (n))
FORWARD(_Znam, (size_t n), (n))
FORWARD(_ZnwmRKSt9nothrow_t, (size_t n, const void *nothrow), (n, nothrow))
FORWARD(_ZnamRKSt9nothrow_t, (size_t n, const void *nothrow), (n, nothrow))
FORWARD(_ZnwmSt11align_val_t, (size_t n, size_t align), (n, align))
FORWARD(_ZnamSt11align_val_t, (size_t n, size_t align), (n, align))
FORWARD(_ZnwmSt11align_val_tRKSt9nothrow_t, (size_t n, size_t align, const void *nothrow),
        (n, align, nothrow))
FORWARD(_ZnamSt11align_val_tRKSt9nothrow_t, (size_t n, size_t align, const void *nothrow),
        (n, align, nothrow))
