/* SPDX-License-Identifier: MIT
 *
 * A program to be recorded: record_victim MODE [ARGUMENT...] does what record_test.py then looks
 * for. Blocks of interest have sizes that nothing else in a C library asks for.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK 77777u /* the size that says "this place was reached" */

static void *volatile sink;

static void mark(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        void *p = malloc(MARK);
        sink = p;
        free(p);
    }
}

/* One call of each kind. */
static void every_call(void)
{
    void *p;
    mark(1);
    p = calloc(7, 11111);
    sink = p;
    p = realloc(p, 2 * 77777);
    p = reallocarray(p, 3, 77777);
    printf("%d\n", malloc_usable_size(p) >= 3 * 77777u);
    p = realloc(p, 0);
    if (posix_memalign(&p, 64, 77771) != 0 || (uintptr_t)p % 64 != 0) abort();
    free(p);
    sink = p = aligned_alloc(128, 77824);
    free(p);
    sink = p = memalign(256, 77773);
    free(p);
    sink = p = valloc(77774);
    free(p);
    sink = p = pvalloc(77775);
    free(p);
    volatile size_t huge = SIZE_MAX / 4;
    errno = 0;
    if (malloc(huge) != NULL || errno != ENOMEM) abort();
    errno = 0;
    if (reallocarray(NULL, huge, huge) != NULL || errno != ENOMEM) abort();
    if (calloc(huge, huge) != NULL) abort();
    free(NULL);
    errno = 77;
    free(malloc(1));
    if (errno != 77) abort();
}

/* Threads that pass addresses to each other as fast as they can, by free and by realloc. */
enum { N_THREADS = 4, N_EXCHANGE = 64 };
static _Atomic(void *) exchange[N_EXCHANGE];
static unsigned rounds;

static void *worker(void *seed)
{
    unsigned x = (unsigned)(uintptr_t)seed;
    for (unsigned i = 0; i < rounds; i++) {
        x = x * 1664525u + 1013904223u;
        size_t size = 16 + (x >> 8) % 4 * 1000;
        void *p = atomic_exchange(&exchange[(x >> 16) % N_EXCHANGE], NULL);
        if (p != NULL && (x >> 24) % 2 != 0)
            p = realloc(p, size + 1500);
        else {
            free(p);
            p = malloc(size);
        }
        memset(p, 1, 16);
        free(atomic_exchange(&exchange[(x >> 10) % N_EXCHANGE], p));
    }
    return NULL;
}

static void threads(void)
{
    pthread_t thread[N_THREADS];
    for (uintptr_t i = 0; i < N_THREADS; i++)
        pthread_create(&thread[i], NULL, worker, (void *)(i + 1));
    for (int i = 0; i < N_THREADS; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < N_EXCHANGE; i++) free(exchange[i]);
}

/* With record_other preloaded: the thread gets the block while the realloc is still at work. */
static void *take_over(void *unused)
{
    sink = malloc(44444);
    return unused;
}

static void hand_over(void)
{
    pthread_t thread;
    void *p = malloc(MARK);
    if (pthread_create(&thread, NULL, take_over, NULL) != 0) abort();
    void *q = realloc(p, 55555);
    pthread_join(thread, NULL);
    printf("%d\n", sink == p);
    free(sink);
    free(q);
}

/* More threads, one after the other, than a short record has room to name. */
static void *one_mark(void *unused)
{
    mark(1);
    return unused;
}

static void many_threads(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, one_mark, NULL) != 0) abort();
        pthread_join(thread, NULL);
    }
}

static void fork_while_threads_run(void)
{
    pthread_t thread[2];
    for (uintptr_t i = 0; i < 2; i++) pthread_create(&thread[i], NULL, worker, (void *)(i + 1));
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            mark(5);
            exit(0);
        }
        waitpid(pid, NULL, 0);
    }
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
}

/* What a C++ plug-in of a C program does: its library is in no scope but its own. */
static int call_operator_new(unsigned n)
{
#if RECORD_VICTIM_STATIC
    return 77 + 0 * (int)n;
#else
    if (dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL) == NULL) return 77;
    void *(*new)(size_t) = NULL;
    void *found = dlsym(RTLD_DEFAULT, "_Znwm");
    if (found == NULL) return 78;
    memcpy(&new, &found, sizeof found);
    for (unsigned i = 0; i < n; i++) sink = new (MARK);
    return 0;
#endif
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    unsigned n = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    if (strcmp(mode, "every") == 0) {
        every_call();
    } else if (strcmp(mode, "mark") == 0) {
        mark(n);
    } else if (strcmp(mode, "threads") == 0) {
        rounds = n;
        threads();
    } else if (strcmp(mode, "many-threads") == 0) {
        many_threads(n);
    } else if (strcmp(mode, "abort") == 0) {
        mark(n);
        abort();
    } else if (strcmp(mode, "crash") == 0) {
        mark(n);
        *(volatile int *)1 = 0;
    } else if (strcmp(mode, "_exit") == 0) {
        mark(n);
        _exit(5);
    } else if (strcmp(mode, "exit") == 0) {
        mark(1);
        exit((int)n);
    } else if (strcmp(mode, "hang") == 0) { /* says when it got there, and waits to be killed */
        mark(n);
        puts("ready");
        fflush(stdout);
        for (;;) pause();
    } else if (strcmp(mode, "fork") == 0) {
        void *inherited = malloc(77778);
        pid_t pid = fork();
        free(inherited);
        mark(pid == 0 ? n : 2 * n);
        if (pid != 0) waitpid(pid, NULL, 0);
    } else if (strcmp(mode, "vfork") == 0) {
        pid_t pid = vfork();
        if (pid == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(1);
        }
        waitpid(pid, NULL, 0);
        mark(n);
    } else if (strcmp(mode, "fork-threads") == 0) {
        rounds = n;
        fork_while_threads_run();
    } else if (strcmp(mode, "exec") == 0) { /* exec N: N times itself, then a mark */
        char left[16];
        mark(1);
        snprintf(left, sizeof left, "%u", n - 1);
        if (n > 0) execl("/proc/self/exe", argv[0], "exec", left, (char *)NULL);
    } else if (strcmp(mode, "close-all") == 0) {
        mark(n);
        for (int fd = 3; fd < 1024; fd++) close(fd);
        mark(n);
    } else if (strcmp(mode, "handover") == 0) {
        hand_over();
    } else if (strcmp(mode, "new") == 0) {
        return call_operator_new(n);
    } else if (strcmp(mode, "orphan") == 0) { /* a child that outlives its parent */
        if (fork() == 0) {
            usleep(200000);
            mark(n);
            exit(9);
        }
    } else {
        fprintf(stderr, "record_victim: unknown mode '%s'\n", mode);
        return 2;
    }
    return 0;
}
