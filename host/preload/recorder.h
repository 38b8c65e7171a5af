/* SPDX-License-Identifier: MIT
 *
 * The recorder inside a program: puts events into the session's image. See recorder.c.
 */
#ifndef EALLOC_RECORDER_H
#define EALLOC_RECORDER_H

#include <stdint.h>

#include "session.h"

/* Record an event. Any thread, signal handlers too. Never allocates, keeps errno, and does nothing
 * when the program is not being recorded. site is the caller's return address; extra is the
 * alignment or, for the kinds of realloc, the old address. */
void recorder_event(raw_kind_t kind, const void *site, uint64_t ptr, uint64_t size, uint64_t extra);

/* Set while an operator new of C++ is at work: its caller, the true site of the malloc inside. */
extern __thread __attribute__((tls_model("initial-exec"))) const void *recorder_new_caller;

/* The program runs its exit handlers. */
void recorder_closed(int status);

#endif
