/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "chart.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MIN_COLUMNS 40u
#define MAX_COLUMNS 160u
#define EIGHTHS 8u

unsigned chart_columns(FILE *out)
{
    struct winsize size = {0};
    unsigned columns = 80;
    const char *wish = getenv("COLUMNS");
    if (isatty(fileno(out)) && ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        columns = size.ws_col;
    } else if (wish != NULL && atoi(wish) > 0) {
        columns = (unsigned)atoi(wish);
    }
    return columns < MIN_COLUMNS ? MIN_COLUMNS : columns > MAX_COLUMNS ? MAX_COLUMNS : columns;
}

bool chart_is_unicode(void)
{
    const char *codeset = nl_langinfo(CODESET);
    return strcasecmp(codeset, "UTF-8") == 0 || strcasecmp(codeset, "UTF8") == 0;
}

void chart_area(FILE *out, const uint64_t *values, size_t n, uint64_t full, unsigned rows,
                const char *top, unsigned label_columns, bool unicode)
{
    static const char *const blocks[EIGHTHS + 1] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const plain[EIGHTHS + 1] = {" ", ".", ".", ".", ":", ":", ":", "#", "#"};
    const char *const *cells = unicode ? blocks : plain;
    if (full == 0) full = 1;
    for (unsigned row = rows; row-- > 0;) {
        const char *label = row == rows - 1 ? top : row == 0 ? "0" : "";
        fprintf(out, "%*s %s", (int)label_columns, label, unicode ? "│" : "|");
        for (size_t i = 0; i < n; i++) {
            uint64_t value = values[i] > full ? full : values[i];
            uint64_t eighths = (value * rows * EIGHTHS + full - 1) / full;
            uint64_t below = (uint64_t)row * EIGHTHS;
            uint64_t here = eighths <= below ? 0 : eighths - below;
            fputs(cells[here > EIGHTHS ? EIGHTHS : here], out);
        }
        fputc('\n', out);
    }
}

const char *chart_bytes(char *out, uint64_t bytes)
{
    static const char units[] = "KMGT";
    if (bytes < 1000) {
        snprintf(out, 16, "%u", (unsigned)bytes);
        return out;
    }
    double value = (double)bytes / 1024;
    unsigned unit = 0;
    while (value >= 1000 && units[unit + 1] != '\0') {
        value /= 1024;
        unit++;
    }
    int digits = value < 10 ? 2 : value < 100 ? 1 : 0;
    snprintf(out, 16, "%.*f %c", digits, value, units[unit]);
    return out;
}
