/* SPDX-License-Identifier: MIT */
#include "commands.h"
#include "recording.h"
#include <stdio.h>
#include <inttypes.h>

int cmd_info(int argc, char **argv)
{
    (void)argc;
    char *error;
    rec_reader_t *r = rec_open(argv[1], &error);
    if (r == NULL) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    rec_event_t e;
    uint64_t n[8] = {0};
    int status;
    while ((status = rec_next(r, &e)) > 0) n[e.kind]++;
    printf("%s\n", rec_info(r)->command);
    for (int i = 1; i < 8; i++) printf("%d: %" PRIu64 "\n", i, n[i]);
    printf("sites %u unclosed %d time %" PRIu64 "\n", rec_n_sites(r), rec_unclosed(r), e.time_us);
    if (status < 0) fprintf(stderr, "%s\n", rec_error(r));
    rec_close(r);
    return status < 0;
}
