/* SPDX-License-Identifier: MIT
 *
 * A key-value store over SQLite in memory, which serves requests and keeps a journal of the last
 * ones. With an argument N it forgets to free one in N of the journal's lines.
 */
#define _GNU_SOURCE
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_REQUESTS 10000u
#define N_KEYS 200u
#define N_LINES 64u

static char *journal[N_LINES];
static unsigned n_lines, forget_one_in;

static void note(const char *what, unsigned key)
{
    char text[80];
    int n = snprintf(text, sizeof text, "%u %s %u", n_lines, what, key);
    char **line = &journal[n_lines++ % N_LINES];
    if (forget_one_in == 0 || n_lines % forget_one_in != 0) free(*line);
    *line = malloc((size_t)n + 1); /* the line that the test looks for */
    if (*line == NULL) abort();
    memcpy(*line, text, (size_t)n + 1);
}

static void run(sqlite3 *db, const char *sql, unsigned key, const char *value)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) abort();
    sqlite3_bind_int(statement, 1, (int)key);
    if (value != NULL) sqlite3_bind_text(statement, 2, value, -1, SQLITE_TRANSIENT);
    while (sqlite3_step(statement) == SQLITE_ROW) {
    }
    sqlite3_finalize(statement);
}

static void serve(sqlite3 *db, unsigned random)
{
    unsigned key = random % N_KEYS;
    char value[256];
    memset(value, 'v', sizeof value);
    value[32 + random % 200] = '\0';
    switch (random >> 16 & 3) {
    case 0: run(db, "DELETE FROM kv WHERE k = ?", key, NULL); break;
    case 1: run(db, "SELECT v FROM kv WHERE k = ?", key, NULL); break;
    default: run(db, "INSERT OR REPLACE INTO kv VALUES (?, ?)", key, value); break;
    }
    note((random >> 16 & 3) == 0 ? "delete" : "other", key);
}

int main(int argc, char **argv)
{
    sqlite3 *db;
    unsigned random = 1;
    forget_one_in = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK) return 1;
    if (sqlite3_exec(db, "CREATE TABLE kv (k INTEGER PRIMARY KEY, v TEXT)", NULL, NULL, NULL) !=
        SQLITE_OK)
        return 1;
    for (unsigned i = 0; i < N_REQUESTS; i++) {
        random = random * 1664525u + 1013904223u;
        serve(db, random);
    }
    sqlite3_close(db);
    for (unsigned i = 0; i < N_LINES; i++) free(journal[i]);
    return 0;
}
