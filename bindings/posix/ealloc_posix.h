/* SPDX-License-Identifier: MIT
 *
 * What a Linux program really runs out of, in the resource monitor (row C1): file descriptors,
 * sockets, threads, mappings, child processes, the disk space of a directory. For each there is a
 * call that makes one and a call that ends it. The first charges the monitor before it asks the
 * system, so that a budget is never passed, not for a moment; if the system refuses, everything is
 * given back, and errno says why. The second asks the system first.
 *
 *     static ea_posix_t posix;
 *     static const ea_resource_type_t types[] = {
 *         EA_POSIX_TYPES(&posix, &files, &sockets, &threads, &mappings, &children, &disk)};
 *     ... ea_accounts_init(&files, ...), ea_monitor_init(&monitor, ...), ea_posix_init(&posix, ...)
 *
 *     int fd = ea_posix_open(&posix, web, "index.html", O_RDONLY | O_CLOEXEC, 0);
 *     if (fd < 0) ...              errno: EDQUOT is web's budget, all others are the system's
 *     (void)ea_posix_close(&posix, fd);
 *
 * And ea_posix_reconcile() compares the registry with what the system says (/proc): what is there
 * and was registered by nobody; what is registered and gone, or is another thing by now.
 *
 * errno when something else than the system refuses: EDQUOT: an account's limit; EBUSY: others wait
 * for it (monitor_wait.h); ENOMEM: no slot of the monitor, no entry here; ECANCELED: the monitor is
 * closed; EINVAL: an account of another book.
 * A call that succeeds leaves errno alone.
 *
 * Context: threads, any number at once; not signal handlers. pthread_cancel() takes effect after
 * the call (of ea_posix_waitpid() also within): to end a thread in ea_posix_accept(), shut the
 * socket down. After fork() the child may not use
 * what the parent registered: it has copies of the descriptors, and none of the threads and
 * children. Memory is the caller's; nothing here allocates. Source: our own.
 */
#ifndef EALLOC_POSIX_H
#define EALLOC_POSIX_H

#include <limits.h>
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "ealloc/monitor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Kinds of resources, which are types of the monitor in this order. */
typedef enum {
    EA_POSIX_FILE,    /* descriptors of anything but sockets; a unit is one                    */
    EA_POSIX_SOCKET,  /* the same                                                              */
    EA_POSIX_THREAD,  /* the same                                                              */
    EA_POSIX_MAPPING, /* units are bytes, in whole pages                                       */
    EA_POSIX_CHILD,   /* processes until they were waited for                                  */
    EA_POSIX_DISK,    /* units are bytes                                                       */
    EA_POSIX_N_KINDS
} ea_posix_kind_t;

typedef struct ea_posix ea_posix_t;

/* The six types, for the array that ea_monitor_init() is given: they may stand anywhere in it, in
 * one piece. A book may serve several of them. */
#define EA_POSIX_TYPES(posix, file_book, socket_book, thread_book, mapping_book, child_book,       \
                       disk_book)                                                                  \
    EAI_POSIX_TYPE(posix, "file", "descriptors", file_book, ea_posix_end_fd),                      \
        EAI_POSIX_TYPE(posix, "socket", "descriptors", socket_book, ea_posix_end_fd),              \
        EAI_POSIX_TYPE(posix, "thread", "threads", thread_book, ea_posix_end_entry),               \
        EAI_POSIX_TYPE(posix, "mapping", "bytes", mapping_book, ea_posix_end_entry),               \
        EAI_POSIX_TYPE(posix, "child", "processes", child_book, ea_posix_end_entry),               \
        EAI_POSIX_TYPE(posix, "disk", "bytes", disk_book, ea_posix_end_entry)
#define EAI_POSIX_TYPE(posix, type_name, unit_name, type_book, end)                                \
    {                                                                                              \
        type_name, unit_name, type_book, ea_posix_create, end, NULL, posix, NULL, 0,               \
            EA_RELEASE_NOW, false                                                                  \
    }

/* What the types call; not for anybody else. */
ea_status_t ea_posix_create(void *posix, const ea_resource_request_t *request, uintptr_t *object);
void ea_posix_end_fd(void *posix, uintptr_t object);
void ea_posix_end_entry(void *posix, uintptr_t object);

/* --- memory ----------------------------------------------------------------------------------- */

/* A descriptor's number; every field is private. */
typedef struct {
    ea_resource_t eai_resource;
    uintptr_t eai_object; /* what the monitor calls it: number and salt */
    uint64_t eai_device;
    uint64_t eai_inode;
    uint64_t eai_since_us; /* of a suspect: first seen */
    uint64_t eai_serial;   /* of a suspect: calls begun by its second look */
    uint32_t eai_salt;     /* counts what the number was used for */
    uint32_t eai_pass;     /* last seen in it */
    uint8_t eai_state;
    uint8_t eai_n_looks; /* of a suspect: passes that saw it, 2 at most */
    bool eai_is_socket;  /* of a suspect */
    bool eai_is_told;
} ea_posix_number_t;

/* A thread, mapping, child or reservation of disk space; every field is private. */
typedef struct {
    ea_resource_t eai_resource;
    uintptr_t eai_object;
    uint64_t eai_id; /* thread, process; a mapping's address */
    uint64_t eai_n_bytes;
    uint64_t eai_device;
    uint64_t eai_inode;
    uint64_t eai_since_us;  /* found wrong */
    uint64_t eai_n_covered; /* of n_bytes, by maps of this pass */
    pthread_t eai_thread;
    void *(*eai_start)(void *);
    void *eai_arg;
    struct ea_posix *eai_posix;
    struct ea_posix_disk *eai_disk;
    uint32_t eai_salt;
    uint32_t eai_pass;
    uint8_t eai_kind;
    uint8_t eai_state;
    bool eai_is_detached;
    bool eai_has_ended;
    bool eai_is_overtaken; /* its pthread_t is another thread's by now */
    bool eai_is_identified;
    bool eai_differs; /* from what it was identified as */
    bool eai_is_gone; /* its release takes nothing away */
    bool eai_is_told;
    uint8_t eai_doubt; /* passes that found it wrong, in a row */
} ea_posix_entry_t;

/* A thread or child that nobody registered, as far as is known; every field is private. */
typedef struct {
    uint64_t eai_id;
    uint64_t eai_since_us;
    uint64_t eai_serial;
    uint32_t eai_pass;
    uint8_t eai_kind;
    bool eai_is_used;
    bool eai_is_known;
    bool eai_is_told;
} ea_posix_suspect_t;

typedef struct {
    ea_monitor_t *monitor;
    uint8_t first_type;           /* where EA_POSIX_TYPES() stand among the monitor's types    */
    ea_posix_number_t *numbers;   /* of descriptors: 0 to n_numbers - 1 can be registered      */
    size_t n_numbers;             /* RLIMIT_NOFILE, say; EA_POSIX_NUMBERS_MAX at most          */
    ea_posix_entry_t *entries;    /* of everything else that is registered                     */
    size_t n_entries;             /* 65535 at most                                             */
    ea_posix_suspect_t *suspects; /* threads and children that are not; may be NULL          */
    size_t n_suspects;
    uint64_t grace_us;   /* see ea_posix_reconcile(); 0: 100 ms                              */
    bool verifies_close; /* a descriptor is looked at before it is closed: another one's is not
                            closed. A system call more                                       */
} ea_posix_options_t;

#define EA_POSIX_NUMBERS_MAX 0x100000u

/* A call under way that may make something. */
typedef struct eai_posix_flight {
    struct eai_posix_flight *next, *prev;
    uint64_t serial;
    uint64_t begun_us;
    int cancel_state; /* of its thread, before */
} eai_posix_flight_t;

/* --- what the reconciler says ----------------------------------------------------------------- */

typedef enum {
    EA_POSIX_STRAY,  /* the system has it, and it is not registered                           */
    EA_POSIX_GONE,   /* registered, but the system has it no more: ended behind our back      */
    EA_POSIX_REUSED, /* registered, but its number or place is another thing's by now         */
    EA_POSIX_ENDED,  /* a thread that nobody has joined, a child that nobody has waited for   */
    EA_POSIX_OVER,   /* a directory holds more than was reserved in it                        */
    EA_POSIX_N_FINDINGS
} ea_posix_what_t;

typedef struct {
    ea_posix_what_t what;
    ea_posix_kind_t kind;
    uint64_t id;            /* descriptor, thread, process; a mapping's address                  */
    ea_resource_t resource; /* none: it is not registered                                        */
    uint16_t account;       /* id of its owner; 0: not registered                                */
    const void *caller;     /* who made it; NULL: not registered                                 */
    uint64_t since_us;      /* since when: registered; of a stray: first seen                    */
    uint64_t n_bytes;       /* of a mapping; by how much a directory is over                     */
    const char *text;       /* what the system calls it: a path, a socket with its addresses, a
                               thread's or process's name; "" if that is not known. Valid during the
                               call                                                              */
} ea_posix_finding_t;

/* Returning ends nothing; called without a lock. It may call everything here but
 * ea_posix_reconcile(). */
typedef void (*ea_posix_tell_t)(void *context, const ea_posix_finding_t *finding);

/* Flags of ea_posix_reconcile(). */
#define EA_POSIX_FORGET 1u /* release what is gone or reused; nothing is closed by that         */
/* Strays of this pass belong here and are not told any more: what the program began with. */
#define EA_POSIX_KNOWN 2u

/* What is wrong now, as far as the last pass that was completed knows. */
typedef struct {
    uint32_t n[EA_POSIX_N_FINDINGS][EA_POSIX_N_KINDS];
    uint32_t n_told;      /* findings told since ea_posix_init()                              */
    uint32_t n_forgotten; /* released by EA_POSIX_FORGET, or because their number was made anew */
    uint32_t n_overtaken; /* of those, the latter                                             */
    uint32_t n_suspects;  /* seen, but not yet sure                                           */
    uint32_t n_left_out;  /* suspects for which there was no room                             */
    uint32_t n_passes;
    bool is_incomplete; /* a part of /proc could not be read                                   */
} ea_posix_report_t;

/* --- the bindings ----------------------------------------------------------------------------- */

#define EAI_POSIX_DEPTH 16

/* The reconciler's place in its pass; private. */
typedef struct {
    uint8_t phase;
    uint32_t pass;
    uint64_t cursor;
    int fd;
    uint32_t n_text;
    bool is_inside; /* a line whose beginning was read */
    char text[512];
    struct ea_posix_disk *disk;
    ea_posix_report_t now; /* of this pass */
} eai_posix_pass_t;

/* Every field is private. Must not be moved or copied. */
struct ea_posix {
    ea_posix_options_t eai_options;
    pthread_mutex_t eai_lock; /* of all below but the pass, and of the tables */
    eai_posix_flight_t eai_flights;
    uint64_t eai_n_begun;
    size_t eai_next_entry;
    struct ea_posix_disk *eai_disks;
    bool eai_is_reconciling;
    uint64_t eai_page;
    ea_posix_report_t eai_report;
    eai_posix_pass_t eai_pass;
};

/* Make posix ready. The monitor and its types must be.
 * Returns  EA_OK; EA_ERR_INVALID: something is NULL or outside its range, or the types at
 *          first_type are not EA_POSIX_TYPES(posix, ...).
 * Owns     posix uses what the options name until ea_posix_deinit().
 * Cost     O(numbers + entries). */
EA_NODISCARD ea_status_t ea_posix_init(ea_posix_t *posix, const ea_posix_options_t *options);

/* Give back what init took of the system. Nobody may use posix any more. Nothing is closed. */
void ea_posix_deinit(ea_posix_t *posix);

/* --- descriptors ------------------------------------------------------------------------------ */

/* As open(), socket(), accept4(), charged to account: of the book of files, of sockets. accept
 * charges before it waits.
 * Returns  the descriptor; -1 and errno. EMFILE also for a number that n_numbers does not reach.
 * Cost     the system call, statx() to know the descriptor again, an acquire. */
int ea_posix_open(ea_posix_t *posix, ea_account_t *account, const char *path, int flags,
                  mode_t mode);
int ea_posix_socket(ea_posix_t *posix, ea_account_t *account, int domain, int type, int protocol);
int ea_posix_accept(ea_posix_t *posix, ea_account_t *account, int listener,
                    struct sockaddr *address, socklen_t *n_address, int flags);

/* The same for every other call that makes one descriptor: make is called after the charge.
 * Returns  what make returns; -1 and errno as it left it, if that is below 0. */
int ea_posix_make_fd(ea_posix_t *posix, ea_account_t *account, ea_posix_kind_t kind,
                     int (*make)(void *context), void *context);

/* Register a descriptor that came from elsewhere: from a library, a parent, a message. What it is,
 * a socket or not, the system says; account is of that book.
 * Returns  fd; -1 and errno: EBADF: it is not open; EBUSY: it is registered; else as above. It
 *          stays open in any case. */
int ea_posix_adopt_fd(ea_posix_t *posix, ea_account_t *account, int fd);

/* The other way round: it stays open, and is registered no more. Returns 0; -1 and EBADF. */
int ea_posix_disown_fd(ea_posix_t *posix, int fd);

/* As close(); then what was charged is returned. Of a descriptor that is shared
 * (ea_monitor_share()) it gives up one reference.
 * Returns  0; -1 and errno: EBADF: it is not registered: nothing was closed. EBADF also if
 *          verifies_close found another thing in its place; EIO and other errors of close(): it is
 *          closed all the same. */
int ea_posix_close(ea_posix_t *posix, int fd);

/* The resource of a descriptor: none if it is not registered. Cost O(1). */
EA_NODISCARD ea_resource_t ea_posix_fd_resource(ea_posix_t *posix, int fd);

/* The descriptor, of the object that ea_monitor_info() and its kin tell of a file or socket. */
EA_INLINE EA_NODISCARD int ea_posix_fd_of(uintptr_t object)
{
    return (int)(object & (EA_POSIX_NUMBERS_MAX - 1u));
}

/* --- threads ---------------------------------------------------------------------------------- */

/* As pthread_create(); also detached, by attributes or later: then it is released when it ends.
 * Returns  0 or the error's number; EAGAIN: the system's limit, EDQUOT the account's. */
int ea_posix_thread_create(ea_posix_t *posix, ea_account_t *account, pthread_t *thread,
                           const pthread_attr_t *attributes, void *(*start)(void *), void *arg);
/* As pthread_join(), pthread_detach(). Returns 0 or the error's number; ESRCH: not registered.
 * Cost O(entries). */
int ea_posix_thread_join(ea_posix_t *posix, pthread_t thread, void **result);
int ea_posix_thread_detach(ea_posix_t *posix, pthread_t thread);

/* --- mappings --------------------------------------------------------------------------------- */

/* As mmap(); length_bytes is charged in whole pages.
 * Returns  the address; MAP_FAILED and errno. */
void *ea_posix_mmap(ea_posix_t *posix, ea_account_t *account, void *address, size_t length_bytes,
                    int protection, int flags, int fd, int64_t offset_bytes);

/* As munmap(), of a whole mapping, as it was made.
 * Returns  0; -1 and errno; EINVAL: not registered, or of another length. Cost O(entries). */
int ea_posix_munmap(ea_posix_t *posix, void *address, size_t length_bytes);

/* --- children --------------------------------------------------------------------------------- */

/* As posix_spawn(). Returns 0 or the error's number. */
int ea_posix_spawn(ea_posix_t *posix, ea_account_t *account, pid_t *child, const char *path,
                   const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                   char *const argv[], char *const envp[]);

/* Register a child that came from elsewhere, of fork(). Returns 0; -1 and errno: ECHILD: it is no
 * child; EBUSY: it is registered; else as above. */
int ea_posix_adopt_child(ea_posix_t *posix, ea_account_t *account, pid_t child);

/* As waitpid(); a child that has ended is released. Children that are not registered are waited for
 * as well. Cost O(entries). */
pid_t ea_posix_waitpid(ea_posix_t *posix, pid_t child, int *status, int options);

/* --- disk space ------------------------------------------------------------------------------- */

/* A directory whose space is shared out; in the caller's memory. The fields are private. */
typedef struct ea_posix_disk {
    struct ea_posix_disk *eai_next;
    const char *eai_path;
    uint64_t eai_keep_free_bytes;
    uint64_t eai_n_reserved_bytes;
    uint64_t eai_n_used_bytes;
    uint64_t eai_sum_bytes;
    uint64_t eai_device;
    int eai_fd[EAI_POSIX_DEPTH];
    uint8_t eai_depth;
    uint8_t eai_doubt;
    bool eai_is_told;
    bool eai_is_partial;
    bool eai_sum_is_partial;
} ea_posix_disk_t;

typedef struct {
    uint64_t reserved_bytes;
    uint64_t used_bytes; /* of all files, by the last pass of the reconciler; 0: none yet         */
    uint64_t room_bytes; /* what the file system still gives, by statvfs()                       */
    bool is_partial;     /* used_bytes leaves out what lies deeper than 16 folders or could not be
                            read                                                                 */
} ea_posix_disk_stats_t;

/* Watch a directory: path must stay, as must disk, until posix is used no more. keep_free_bytes of
 * its file system are never reserved.
 * Returns  0; -1 and errno: it is none; EBUSY: disk is watched already. */
int ea_posix_disk_open(ea_posix_t *posix, ea_posix_disk_t *disk, const char *path,
                       uint64_t keep_free_bytes);

/* Reserve n_bytes of it, before they are written. It ends with ea_monitor_release().
 * Returns  0, and *resource; -1 and errno: ENOSPC: there is not so much room, what others have
 *          reserved and not yet used taken off; EINVAL: 0 bytes; else as above. */
int ea_posix_disk_reserve(ea_posix_t *posix, ea_account_t *account, ea_posix_disk_t *disk,
                          size_t n_bytes, ea_resource_t *resource);

/* Returns 0; -1 and errno of statvfs(). */
int ea_posix_disk_stats(ea_posix_t *posix, ea_posix_disk_t *disk, ea_posix_disk_stats_t *stats);

/* --- the reconciler --------------------------------------------------------------------------- */

/* Compare the registry with the system, looking at budget things. A pass goes over all
 * descriptors, threads, children, mappings and directories; findings are told to tell (may be NULL)
 * and as EA_EVENT_STRAY (level: ea_posix_what_t, n: ea_posix_kind_t, size_bytes: the id, owner,
 * caller), once as long as they last.
 *
 * Others may open and close meanwhile. A stray is told when a second pass sees it again, the same
 * thing, and the registry has not changed in its place; and when every call that was making
 * something then has ended, but for those that have waited for longer than grace_us. A thread,
 * which is there for a moment after it was joined, always has grace_us. What is registered is gone
 * or reused if that is seen while its registration did not change; a mapping, if two passes see it.
 *
 * Returns  EA_OK: this pass is complete; EA_ERR_AGAIN: call again to go on, with the same flags;
 *          EA_ERR_BUSY: another thread is at it; EA_ERR_INVALID: the budget is 0.
 * Cost     a few system calls for each thing; memory maps are read as a whole: O(maps *
 *          entries). */
EA_NODISCARD ea_status_t ea_posix_reconcile(ea_posix_t *posix, uint32_t flags, size_t budget,
                                            ea_posix_tell_t tell, void *context);

/* Two passes with grace_us between, or one with EA_POSIX_KNOWN: everything is found that is there.
 * Returns  EA_OK; EA_ERR_BUSY. */
ea_status_t ea_posix_reconcile_now(ea_posix_t *posix, uint32_t flags, ea_posix_tell_t tell,
                                   void *context);

/* Cost O(1). */
void ea_posix_report(ea_posix_t *posix, ea_posix_report_t *report);

/* "stray", "gone", ...; "file", "socket", ... Never NULL, static storage. */
const char *ea_posix_what_name(ea_posix_what_t what);
const char *ea_posix_kind_name(ea_posix_kind_t kind);

#ifdef __cplusplus
}
#endif
#endif
