/* SPDX-License-Identifier: MIT
 *
 * The POSIX binding: threads and child processes; see posix_core.c.
 *
 * A thread is released by who joins it; a detached one by itself, or, if it ends before its creator
 * has registered it, by that one. A child is looked at before it is waited for: while it is a
 * zombie its number cannot be another's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "posix_internal.h"

/* --- threads ---------------------------------------------------------------------------------- */

typedef struct {
    eai_call_t call;
    pthread_t *thread;
    const pthread_attr_t *attributes;
    void *(*start)(void *);
    void *arg;
} thread_call_t;

/* What a thread knows of itself. */
typedef struct {
    ea_posix_t *posix;
    uintptr_t object;
} self_t;

/* Also of a thread that was cancelled, or that called pthread_exit(). */
static void note_end(void *context)
{
    const self_t *self = context;
    ea_posix_t *posix = self->posix;
    ea_resource_t resource = EA_RESOURCE_NONE;
    eai_lock(posix);
    ea_posix_entry_t *entry = eai_entry_of_locked(posix, self->object);
    if (entry != NULL) {
        entry->eai_has_ended = true;
        if (entry->eai_is_detached) resource = entry->eai_resource;
    }
    eai_unlock(posix);
    if (ea_resource_is_none(resource)) return;
    eai_posix_flight_t flight; /* it makes nothing, but who waits for quiet sees it */
    eai_flight_begin(posix, &flight);
    (void)eai_release(posix, resource);
    eai_flight_end(posix, &flight);
}

static void *run_thread(void *context)
{
    ea_posix_entry_t *entry = context;
    ea_posix_t *posix = entry->eai_posix;
    eai_lock(posix);
    self_t self = {posix, entry->eai_object};
    void *(*start)(void *) = entry->eai_start;
    void *result = entry->eai_arg;
    entry->eai_id = (uint64_t)syscall(SYS_gettid);
    eai_unlock(posix);
    pthread_cleanup_push(note_end, &self);
    result = start(result);
    pthread_cleanup_pop(1);
    return result;
}

/* Whoever had this pthread_t was joined by others: it means the new thread now. */
static void overtake_locked(ea_posix_t *posix, pthread_t thread)
{
    for (size_t i = 0; i < posix->eai_options.n_entries; i++) {
        ea_posix_entry_t *entry = &posix->eai_options.entries[i];
        if (entry->eai_kind == EA_POSIX_THREAD && entry->eai_state == EAI_P_LIVE &&
            entry->eai_has_ended && pthread_equal(entry->eai_thread, thread)) {
            entry->eai_is_overtaken = true;
        }
    }
}

static int make_thread(eai_call_t *call, uintptr_t *object)
{
    thread_call_t *of = (thread_call_t *)call;
    ea_posix_t *posix = call->posix;
    int state = PTHREAD_CREATE_JOINABLE;
    pthread_t thread;
    ea_posix_entry_t *entry = eai_entry_take(posix, EA_POSIX_THREAD, object);
    if (entry == NULL) return ENOMEM;
    if (of->attributes != NULL) (void)pthread_attr_getdetachstate(of->attributes, &state);
    eai_lock(posix);
    entry->eai_start = of->start;
    entry->eai_arg = of->arg;
    entry->eai_is_detached = state == PTHREAD_CREATE_DETACHED;
    eai_unlock(posix);
    int error = pthread_create(&thread, of->attributes, run_thread, entry);
    eai_lock(posix);
    if (error == 0) {
        overtake_locked(posix, thread);
        entry->eai_thread = thread;
        *of->thread = thread;
    } else {
        eai_entry_free_locked(entry);
    }
    eai_unlock(posix);
    call->entry = entry;
    return error;
}

int ea_posix_thread_create(ea_posix_t *posix, ea_account_t *account, pthread_t *thread,
                           const pthread_attr_t *attributes, void *(*start)(void *), void *arg)
{
    thread_call_t of = {.call = {.posix = posix, .run = make_thread, .kind = EA_POSIX_THREAD},
                        .thread = thread,
                        .attributes = attributes,
                        .start = start,
                        .arg = arg};
    ea_resource_t resource;
    int error = eai_acquire(&of.call, account, 1, EAI_CALLER, &resource);
    if (error != 0) return error;
    eai_lock(posix);
    of.call.entry->eai_resource = resource;
    bool is_over = of.call.entry->eai_has_ended && of.call.entry->eai_is_detached;
    eai_unlock(posix);
    eai_flight_end(posix, &of.call.flight);
    if (is_over) (void)eai_release(posix, resource);
    return 0;
}

/* The entry of a thread that can be joined; NULL. Locked. */
static ea_posix_entry_t *find_thread_locked(ea_posix_t *posix, pthread_t thread)
{
    for (size_t i = 0; i < posix->eai_options.n_entries; i++) {
        ea_posix_entry_t *entry = &posix->eai_options.entries[i];
        if (entry->eai_kind == EA_POSIX_THREAD && entry->eai_state == EAI_P_LIVE &&
            !entry->eai_is_detached && !entry->eai_is_overtaken &&
            !ea_resource_is_none(entry->eai_resource) && pthread_equal(entry->eai_thread, thread)) {
            return entry;
        }
    }
    return NULL;
}

int ea_posix_thread_join(ea_posix_t *posix, pthread_t thread, void **result)
{
    eai_lock(posix);
    ea_posix_entry_t *entry = find_thread_locked(posix, thread);
    if (entry != NULL) entry->eai_state = EAI_P_ENDING; /* its pthread_t may soon be another's */
    eai_unlock(posix);
    if (entry == NULL) return ESRCH;
    int cancel_state;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    int error = pthread_join(thread, result);
    (void)pthread_setcancelstate(cancel_state, &cancel_state);
    eai_lock(posix);
    ea_resource_t resource = entry->eai_resource;
    if (error != 0) entry->eai_state = EAI_P_LIVE;
    eai_unlock(posix);
    if (error == 0) (void)eai_release(posix, resource);
    return error;
}

int ea_posix_thread_detach(ea_posix_t *posix, pthread_t thread)
{
    ea_resource_t resource = EA_RESOURCE_NONE;
    eai_lock(posix);
    ea_posix_entry_t *entry = find_thread_locked(posix, thread);
    if (entry != NULL) {
        entry->eai_is_detached = true;
        if (entry->eai_has_ended) resource = entry->eai_resource;
    }
    eai_unlock(posix);
    if (entry == NULL) return ESRCH;
    int error = pthread_detach(thread);
    if (!ea_resource_is_none(resource)) (void)eai_release(posix, resource);
    return error;
}

/* --- children --------------------------------------------------------------------------------- */

typedef struct {
    eai_call_t call;
    pid_t *child;
    const char *path;
    const posix_spawn_file_actions_t *actions;
    const posix_spawnattr_t *attributes;
    char *const *argv, *const *envp;
} spawn_call_t;

static void set_child(ea_posix_t *posix, ea_posix_entry_t *entry, pid_t child)
{
    eai_lock(posix);
    entry->eai_id = (uint64_t)child;
    eai_unlock(posix);
}

static int make_child(eai_call_t *call, uintptr_t *object)
{
    const spawn_call_t *of = (const spawn_call_t *)call;
    ea_posix_t *posix = call->posix;
    pid_t child;
    call->entry = eai_entry_take(posix, EA_POSIX_CHILD, object);
    if (call->entry == NULL) return ENOMEM;
    int error = posix_spawn(&child, of->path, of->actions, of->attributes, of->argv, of->envp);
    if (error == 0) {
        set_child(posix, call->entry, child);
        if (of->child != NULL) *of->child = child;
        return 0;
    }
    eai_lock(posix);
    eai_entry_free_locked(call->entry);
    eai_unlock(posix);
    return error;
}

/* Returns 0 or the error's number. */
static int acquire_child(eai_call_t *call, ea_account_t *account, const void *caller)
{
    ea_resource_t resource;
    int error = eai_acquire(call, account, 1, caller, &resource);
    if (error != 0) return error;
    eai_entry_register(call->posix, call->entry, resource);
    eai_flight_end(call->posix, &call->flight);
    return 0;
}

int ea_posix_spawn(ea_posix_t *posix, ea_account_t *account, pid_t *child, const char *path,
                   const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                   char *const argv[], char *const envp[])
{
    spawn_call_t of = {.call = {.posix = posix, .run = make_child, .kind = EA_POSIX_CHILD},
                       .child = child,
                       .path = path,
                       .actions = actions,
                       .attributes = attributes,
                       .argv = argv,
                       .envp = envp};
    return acquire_child(&of.call, account, EAI_CALLER);
}

/* Locked. */
static ea_posix_entry_t *find_child_locked(ea_posix_t *posix, pid_t child)
{
    for (size_t i = 0; i < posix->eai_options.n_entries; i++) {
        ea_posix_entry_t *entry = &posix->eai_options.entries[i];
        if (entry->eai_kind == EA_POSIX_CHILD && entry->eai_state == EAI_P_LIVE &&
            entry->eai_id == (uint64_t)child) {
            return entry;
        }
    }
    return NULL;
}

static int adopt_child(eai_call_t *call, uintptr_t *object)
{
    ea_posix_t *posix = call->posix;
    eai_lock(posix);
    bool is_known = find_child_locked(posix, (pid_t)call->fd) != NULL;
    eai_unlock(posix);
    if (is_known) return EBUSY;
    call->entry = eai_entry_take(posix, EA_POSIX_CHILD, object);
    if (call->entry == NULL) return ENOMEM;
    set_child(posix, call->entry, (pid_t)call->fd);
    return 0;
}

int ea_posix_adopt_child(ea_posix_t *posix, ea_account_t *account, pid_t child)
{
    const int kept = errno;
    siginfo_t info;
    eai_call_t call = {
        .posix = posix, .run = adopt_child, .kind = EA_POSIX_CHILD, .fd = (int)child};
    int error = ECHILD;
    if (child > 0 && waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        error = acquire_child(&call, account, EAI_CALLER);
    }
    errno = error == 0 ? kept : error;
    return error == 0 ? 0 : -1;
}

/* Look which child there is news of, and let it stay there. Returns as waitpid(). */
static pid_t look(pid_t child, int options, bool *has_ended)
{
    siginfo_t info;
    idtype_t which = child > 0 ? P_PID : child == -1 ? P_ALL : P_PGID;
    id_t id = (id_t)(child > 0 ? child : child == 0 ? getpgrp() : child == -1 ? 0 : -child);
    info.si_pid = 0;
    if (waitid(which, id, &info, options | WEXITED | WNOWAIT) != 0) return -1;
    *has_ended =
        info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
    return info.si_pid;
}

/* Repeats only when another thread has waited for the child that was found. */
pid_t ea_posix_waitpid(ea_posix_t *posix, pid_t child, int *status, int options)
{
    for (;;) {
        bool has_ended = false;
        pid_t found = look(child, options, &has_ended);
        if (found <= 0) return found;
        eai_lock(posix);
        ea_posix_entry_t *entry = has_ended ? find_child_locked(posix, found) : NULL;
        if (entry != NULL) entry->eai_state = EAI_P_ENDING;
        eai_unlock(posix);
        pid_t waited = waitpid(found, status, options | WNOHANG);
        eai_lock(posix);
        ea_resource_t resource = EA_RESOURCE_NONE;
        if (entry != NULL && waited == found) resource = entry->eai_resource;
        if (entry != NULL && waited != found) entry->eai_state = EAI_P_LIVE;
        eai_unlock(posix);
        if (!ea_resource_is_none(resource)) (void)eai_release(posix, resource);
        if (waited == found || child > 0) return waited;
    }
}
