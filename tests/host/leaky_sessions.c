/* SPDX-License-Identifier: MIT
 *
 * A service that takes JSON requests and keeps a session for each user, which ends when it was not
 * used for a while. With an argument N it forgets one in N of the users' names when a session ends.
 */
#define _GNU_SOURCE
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_REQUESTS 15000u
#define N_USERS 500u
#define N_SESSIONS 100u
#define PATIENCE 400u /* requests */

typedef struct {
    char *user;
    json_t *state;
    unsigned last_used;
} session_t;

static session_t sessions[N_SESSIONS];
static unsigned n_ended, forget_one_in;

static void end_session(session_t *s)
{
    if (s->user == NULL) return;
    json_decref(s->state);
    n_ended++;
    if (forget_one_in == 0 || n_ended % forget_one_in != 0) free(s->user);
    s->user = NULL;
}

static void begin_session(session_t *s, const char *user)
{
    size_t size = strlen(user) + 1;
    s->user = malloc(size); /* the line that the test looks for */
    if (s->user == NULL) abort();
    memcpy(s->user, user, size);
    s->state = json_object();
}

static session_t *session_of(const char *user, unsigned now)
{
    session_t *oldest = &sessions[0];
    for (unsigned i = 0; i < N_SESSIONS; i++) {
        session_t *s = &sessions[i];
        if (s->user != NULL && now - s->last_used > PATIENCE) end_session(s);
        if (s->user != NULL && strcmp(s->user, user) == 0) return s;
        if (s->user == NULL || (oldest->user != NULL && s->last_used < oldest->last_used))
            oldest = s;
    }
    end_session(oldest);
    begin_session(oldest, user);
    return oldest;
}

static void serve(const char *text, unsigned now)
{
    json_t *request = json_loads(text, 0, NULL);
    if (request == NULL) abort();
    session_t *s = session_of(json_string_value(json_object_get(request, "user")), now);
    s->last_used = now;
    json_object_update(s->state, json_object_get(request, "set"));
    char *answer = json_dumps(s->state, JSON_COMPACT);
    free(answer);
    json_decref(request);
}

int main(int argc, char **argv)
{
    unsigned random = 7;
    forget_one_in = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
    for (unsigned i = 0; i < N_REQUESTS; i++) {
        char text[160];
        random = random * 1664525u + 1013904223u;
        snprintf(text, sizeof text, "{\"user\": \"user-%u\", \"set\": {\"k%u\": [%u, \"%u\"]}}",
                 (random >> 8) % N_USERS, random >> 29, i, random);
        serve(text, i);
    }
    for (unsigned i = 0; i < N_SESSIONS; i++) end_session(&sessions[i]);
    return 0;
}
