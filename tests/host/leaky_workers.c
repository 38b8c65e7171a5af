/* SPDX-License-Identifier: MIT
 *
 * Jobs that one thread makes and three compress with zlib, each job's text to be checked against
 * what comes out. With an argument N the workers forget one in N of the compressed results.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define N_JOBS 4000u
#define N_WORKERS 3u
#define N_QUEUED 32u

typedef struct {
    char *text;
    size_t size;
} job_t;

static job_t *queue[N_QUEUED];
static unsigned n_put, n_taken, forget_one_in;
static atomic_uint n_done;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void put(job_t *job)
{
    pthread_mutex_lock(&mutex);
    while (n_put - n_taken == N_QUEUED) pthread_cond_wait(&changed, &mutex);
    queue[n_put++ % N_QUEUED] = job;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static job_t *take(void)
{
    pthread_mutex_lock(&mutex);
    while (n_put == n_taken) pthread_cond_wait(&changed, &mutex);
    job_t *job = queue[n_taken++ % N_QUEUED];
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    return job;
}

static void do_job(const job_t *job)
{
    uLongf size = compressBound(job->size), back_size = job->size;
    Bytef *packed = malloc(size); /* the line that the test looks for */
    Bytef *back = malloc(job->size);
    if (packed == NULL || back == NULL) abort();
    if (compress(packed, &size, (const Bytef *)job->text, job->size) != Z_OK) abort();
    if (uncompress(back, &back_size, packed, size) != Z_OK) abort();
    if (back_size != job->size || memcmp(back, job->text, back_size) != 0) abort();
    free(back);
    unsigned number = ++n_done;
    if (forget_one_in == 0 || number % forget_one_in != 0) free(packed);
}

static void *work(void *argument)
{
    for (job_t *job; (job = take())->text != NULL;) {
        do_job(job);
        free(job->text);
        free(job);
    }
    return argument;
}

static job_t *make_job(unsigned random, size_t size)
{
    job_t *job = malloc(sizeof *job);
    if (job == NULL) abort();
    *job = (job_t){.text = malloc(size + 1), .size = size};
    if (job->text == NULL) abort();
    for (size_t i = 0; i < size; i++) {
        random = random * 1664525u + 1013904223u;
        job->text[i] = (char)('a' + (random >> 28));
    }
    return job;
}

int main(int argc, char **argv)
{
    static job_t last;
    pthread_t workers[N_WORKERS];
    forget_one_in = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
    for (unsigned i = 0; i < N_WORKERS; i++)
        if (pthread_create(&workers[i], NULL, work, NULL) != 0) return 1;
    for (unsigned i = 0; i < N_JOBS; i++) put(make_job(i, 100 + i * 37 % 900));
    for (unsigned i = 0; i < N_WORKERS; i++) put(&last);
    for (unsigned i = 0; i < N_WORKERS; i++) pthread_join(workers[i], NULL);
    return 0;
}
