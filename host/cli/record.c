/* SPDX-License-Identifier: MIT
 *
 * ealloc record: runs a command with the recorder preloaded, turns what its processes put into the
 * session directory into recordings while they run, and writes the manifest when all have ended.
 *
 * One thread, one poll: the bell (a program has something), signals (a child ended, the user wants
 * an end), and one pidfd per recorded process (it ended, whoever its parent is).
 */
#define _GNU_SOURCE
#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collect.h"
#include "commands.h"
#include "ending.h"
#include "launch.h"
#include "manifest.h"
#include "printable.h"
#include "sane.h"

#define FLUSH_NS UINT64_C(5000000000)
#define PATIENCE_NS UINT64_C(2000000000)

typedef struct {
    const char *output;
    bool quiet, json;
    char **command;
} options_t;

typedef struct {
    collector_t *collector; /* NULL: its recording is closed */
    int pidfd;
    bool pending; /* it has ended, and its parent has not waited for it yet */
    uint32_t pid;
    uint64_t start_ticks;
} image_t;

typedef struct {
    const options_t *options;
    char directory[SESSION_PATH_MAX];
    int bell, signals;
    clock_anchor_t anchor;
    pid_t child;
    bool child_ended, no_children, stop, failed;
    bool special; /* the output is a device or a pipe: it takes one recording and has no manifest */
    uint32_t child_status;
    image_t *images;
    process_t *processes; /* what the manifest says of each image */
    size_t n_images, n_live;
    uint64_t flushed_ns;
} session_t;

/* One line on standard error; what it names may hold anything. */
__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
    char *line = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&line, format, args) < 0) abort();
    va_end(args);
    char *shown = printable(line);
    fprintf(stderr, "ealloc record: %s\n", shown);
    free(shown);
    free(line);
}

/* ---- images
 * ------------------------------------------------------------------------------------- */

static void stop_recording(session_t *s, const char *path)
{
    if (s->failed) return;
    complain("cannot write %s: %s; recording stopped", path, strerror(errno));
    s->failed = true;
    /* Without a reader the programs notice with their next chunk, and run on unrecorded. */
    close(s->bell);
    s->bell = -1;
}

static void close_image(session_t *s, size_t i, const char *ended, bool exit_known, uint32_t status)
{
    image_t *image = &s->images[i];
    process_t *process = &s->processes[i];
    if (image->collector == NULL) return;
    if (!s->failed && collector_run(image->collector, process->file, true) != 0)
        stop_recording(s, process->file);
    const image_head_t *head = collector_head(image->collector);
    bool closed = atomic_load_explicit(&head->closed, memory_order_acquire) != 0;
    process->exit_known = exit_known || closed;
    process->exit_status = exit_known ? status : head->exit_status;
    process->ended = exit_known ? ended : closed ? "exit" : ended;
    process->peak_bytes = collector_peak_bytes(image->collector);
    rec_end_t end = {.exec = strcmp(ended, "exec") == 0,
                     .exit_known = process->exit_known,
                     .exit_status = process->exit_status};
    if (collector_close(image->collector, &end, &process->n_events) != 0)
        stop_recording(s, process->file);
    struct stat st;
    if (stat(process->file, &st) == 0) process->n_bytes = (uint64_t)st.st_size;
    if (image->pidfd >= 0) close(image->pidfd);
    image->collector = NULL;
    s->n_live--;
}

static void add_image(session_t *s, const char *name)
{
    collector_t *collector = collector_open(s->directory, name, s->anchor);
    if (collector == NULL) return;
    const image_head_t *head = collector_head(collector);
    /* A process begins a second image by exec, and the first has ended. */
    for (size_t i = 0; i < s->n_images; i++)
        if (s->images[i].pid == head->pid) close_image(s, i, "exec", false, 0);

    size_t n = s->n_images + 1;
    s->images = realloc(s->images, n * sizeof *s->images);
    s->processes = realloc(s->processes, n * sizeof *s->processes);
    if (s->images == NULL || s->processes == NULL) abort();
    process_t *process = &s->processes[n - 1];
    *process = (process_t){.pid = head->pid, .ppid = head->ppid, .forked_from = head->forked_from};
    if (n == 1 || s->special)
        process->file = strdup(n == 1 ? s->options->output : "/dev/null");
    else if (asprintf(&process->file, "%s.%zu", s->options->output, n) < 0)
        process->file = NULL;
    process->arguments_bytes = head->command_bytes;
    if (process->arguments_bytes > sizeof head->command)
        process->arguments_bytes = sizeof head->command;
    process->arguments = malloc(process->arguments_bytes + 1u);
    if (process->file == NULL || process->arguments == NULL) abort();
    memcpy(process->arguments, head->command, process->arguments_bytes);
    process->arguments[process->arguments_bytes] = '\0';

    /* What stands there under the name of a file may keep us waiting. */
    if (n > 1 && !s->special && is_special(process->file)) {
        errno = EEXIST;
        stop_recording(s, process->file);
    }
    int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)head->pid, 0);
    s->images[n - 1] = (image_t){collector, pidfd, false, head->pid, head->start_ticks};
    s->n_images = n;
    s->n_live++;
    /* It is gone already and somebody else has waited for it. */
    if (pidfd < 0 && errno == ESRCH) close_image(s, n - 1, "unknown", false, 0);
}

static int by_start(const void *a, const void *b)
{
    const char *x = strchr(*(char *const *)a, '.'), *y = strchr(*(char *const *)b, '.');
    uint64_t tx = x != NULL ? strtoull(x + 1, NULL, 16) : 0;
    uint64_t ty = y != NULL ? strtoull(y + 1, NULL, 16) : 0;
    return tx < ty ? -1 : tx > ty;
}

/* Take over images that appeared, oldest first. */
static void find_images(session_t *s)
{
    DIR *dir = opendir(s->directory);
    if (dir == NULL) return;
    char **names = NULL;
    size_t n = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
            strstr(entry->d_name, ".maps.") != NULL)
            continue;
        names = realloc(names, (n + 1) * sizeof *names);
        if (names == NULL || (names[n++] = strdup(entry->d_name)) == NULL) abort();
    }
    closedir(dir);
    if (n > 1) qsort(names, n, sizeof *names, by_start);
    for (size_t i = 0; i < n; i++) {
        add_image(s, names[i]);
        free(names[i]);
    }
    free(names);
}

static void run_images(session_t *s)
{
    bool flush = clock_ns() - s->flushed_ns > FLUSH_NS;
    if (flush) s->flushed_ns = clock_ns();
    for (size_t i = 0; i < s->n_images && !s->failed; i++) {
        image_t *image = &s->images[i];
        if (image->collector == NULL) continue;
        if (collector_run(image->collector, s->processes[i].file, false) != 0 ||
            (flush && collector_flush(image->collector) != 0))
            stop_recording(s, s->processes[i].file);
    }
}

/* ---- the ends of processes
 * ---------------------------------------------------------------------- */

static void reap(session_t *s)
{
    for (;;) {
        /* Look first and let it go afterwards: images are tied to processes that still have their
         * pid. */
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
            s->no_children = errno == ECHILD;
            return;
        }
        if (info.si_pid == 0) return;
        bool killed = info.si_code != CLD_EXITED;
        uint32_t code = (uint32_t)info.si_status + (killed ? 128u : 0u);
        find_images(s);
        for (size_t i = 0; i < s->n_images; i++)
            if (s->images[i].pid == (uint32_t)info.si_pid)
                close_image(s, i, killed ? "signal" : "exit", true, code);
        if (info.si_pid == s->child) {
            s->child_ended = true;
            s->child_status = code;
        }
        waitpid(info.si_pid, NULL, 0);
    }
}

/* A process ended whose parent is another: ask how, if the system tells. Before its parent has
 * waited for it there is no answer; the image stays open until there is, or until the parent is
 * gone and the process ours to wait for. */
static void note_ending(session_t *s, size_t i)
{
    int status;
    image_t *image = &s->images[i];
    if (image->collector == NULL) return;
    switch (ending_ask(image->pidfd, &status)) {
    case ENDING_PENDING: image->pending = true; break;
    case ENDING_UNKNOWN: close_image(s, i, "unknown", false, 0); break;
    case ENDING_KNOWN:
        if (WIFSIGNALED(status))
            close_image(s, i, "signal", true, 128u + (uint32_t)WTERMSIG(status));
        else
            close_image(s, i, "exit", true, (uint32_t)WEXITSTATUS(status));
    }
}

/* What asks us to end is the command's to answer: as long as it runs, signals go to it. The
 * terminal sends its own to the whole group and so to the command, too. */
static void handle_signals(session_t *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD) continue;
        if (s->child_ended)
            s->stop = true;
        else if (info.ssi_code != SI_KERNEL)
            kill(s->child, (int)info.ssi_signo);
    }
}

static void wait_for_all(session_t *s)
{
    uint64_t ended_ns = 0;
    bool told = s->options->quiet;
    /* Orphans become our children, so having none means that all has ended. */
    while (!s->stop && !(s->no_children && s->n_live == 0)) {
        struct pollfd *fds = calloc(s->n_live + 2, sizeof *fds);
        size_t *index = calloc(s->n_live + 2, sizeof *index);
        if (fds == NULL || index == NULL) abort();
        size_t n = 2;
        fds[0] = (struct pollfd){.fd = s->bell, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = s->signals, .events = POLLIN};
        for (size_t i = 0; i < s->n_images; i++) {
            if (s->images[i].collector == NULL) continue;
            index[n] = i;
            short events = s->images[i].pending ? 0 : POLLIN; /* POLLHUP comes unasked */
            fds[n++] = (struct pollfd){.fd = s->images[i].pidfd, .events = events};
        }
        poll(fds, n, 500);
        char rings[256];
        while (s->bell >= 0 && read(s->bell, rings, sizeof rings) > 0) continue;
        handle_signals(s);
        reap(s);
        find_images(s);
        run_images(s);
        for (size_t i = 2; i < n; i++)
            if ((fds[i].revents & (POLLIN | POLLHUP)) != 0) note_ending(s, index[i]);
        free(fds);
        free(index);
        if (s->child_ended && ended_ns == 0) ended_ns = clock_ns();
        if (!told && ended_ns != 0 && clock_ns() - ended_ns > PATIENCE_NS) {
            told = true;
            fputs(
                "ealloc record: the command has ended; waiting for processes that it left running "
                "(interrupt to stop waiting)\n",
                stderr);
        }
    }
    for (size_t i = 0; i < s->n_images; i++) close_image(s, i, "still running", false, 0);
}

/* ---- the session
 * -------------------------------------------------------------------------------- */

/* A directory in memory if there is room there, else among the temporary files. */
static bool make_directory(session_t *s)
{
    const char *temporary = getenv("TMPDIR");
    const char *places[] = {"/dev/shm", temporary != NULL ? temporary : "/tmp", "/tmp"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct statvfs fs;
        if (statvfs(places[i], &fs) != 0 || (uint64_t)fs.f_bavail * fs.f_frsize < (32u << 20))
            continue;
        int n = snprintf(s->directory, sizeof s->directory, "%s/ealloc.%d.XXXXXX", places[i],
                         (int)getpid());
        if (n < (int)sizeof s->directory && mkdtemp(s->directory) != NULL) return true;
    }
    return false;
}

static void remove_directory(const char *directory)
{
    DIR *dir = opendir(directory);
    if (dir == NULL) return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(directory);
}

static bool open_session(session_t *s)
{
    if (!make_directory(s)) return false;
    char path[SESSION_PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/bell", s->directory);
    if (mkfifo(path, 0600) != 0) return false;
    /* Open for both, so that it never reports an end when the last writer leaves. */
    s->bell = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    sigset_t set;
    sigemptyset(&set);
    int taken[] = {SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) sigaddset(&set, taken[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    struct rlimit files; /* a descriptor for every process that is being recorded */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    /* Orphans become our children, so that we learn how they end. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    s->anchor = (clock_anchor_t){clock_ticks(), clock_ns()};
    s->flushed_ns = s->anchor.ns;
    return s->bell >= 0 && s->signals >= 0;
}

static const struct argp_option option_table[] = {
    {"output", 'o', "FILE", 0,
     "Recording of the first process (ealloc.rec); the next ones go to FILE.2, "
     "FILE.3 ..., a list of all to FILE.manifest.json. A device or pipe takes the first recording "
     "alone, without a list",
     0},
    {"quiet", 'q', NULL, 0, "No closing summary", 0},
    {"json", 'j', NULL, 0, "Closing summary as JSON on standard output", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    options_t *options = state->input;
    switch (key) {
    case 'o': options->output = argument; return 0;
    case 'q': options->quiet = true; return 0;
    case 'j': options->json = true; return 0;
    case ARGP_KEY_ARGS: options->command = state->argv + state->next; return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "no command to record"); return EINVAL;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    .options = option_table,
    .parser = parse_option,
    .args_doc = "[--] COMMAND...",
    .doc =
        "Record every allocation of COMMAND and of the processes it starts, without recompiling "
        "them.\v"
        "The exit status is COMMAND's (128 + signal if it was killed); 125 if the recording failed "
        "or nothing was recorded, 126 if COMMAND cannot be run, 127 if it is not found.\n\n"
        "SIGINT, SIGQUIT, SIGTERM and SIGHUP go to COMMAND; how it ends is its own affair, and "
        "the recording is kept. After its end they end the wait for processes it left running.\n\n"
        "Example: ealloc record -o gcc.rec -- gcc -O2 -c main.c",
};

/* The file that was made to see whether it can be; never a device or a pipe. */
static void remove_empty(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0) unlink(path);
}

static int finish(session_t *s)
{
    const options_t *options = s->options;
    if (s->failed) return 125;
    if (s->n_images == 0) {
        remove_empty(options->output);
        complain("nothing recorded: %s %s", options->command[0],
                 launch_why_not(options->command[0]));
        return s->child_status != 0 ? (int)s->child_status : 125;
    }
    char *manifest = NULL;
    if (asprintf(&manifest, "%s.manifest.json", options->output) < 0) abort();
    errno = EEXIST; /* if something special stands there */
    if (!s->special &&
        (is_special(manifest) || manifest_write(manifest, options->command, s->processes,
                                                s->n_images, s->child_status) != 0)) {
        complain("cannot write %s: %s", manifest, strerror(errno));
        s->child_status = 125;
    }
    if (options->json)
        manifest_print(stdout, options->command, s->processes, s->n_images, s->child_status);
    else if (!options->quiet)
        manifest_summary(stderr, s->processes, s->n_images);
    free(manifest);
    return (int)s->child_status;
}

/* Can the output be written, and is it no harm? A regular file is made, or emptied. */
static bool check_output(const options_t *options)
{
    struct stat output, program;
    if (stat(options->output, &output) == 0 && stat(options->command[0], &program) == 0 &&
        output.st_dev == program.st_dev && output.st_ino == program.st_ino) {
        complain("-o %s would overwrite the program to record", options->output);
        return false;
    }
    /* A pipe is opened once: closing it again would be the end for its reader. */
    if (is_special(options->output) && access(options->output, W_OK) == 0 &&
        !S_ISDIR(output.st_mode))
        return true;
    FILE *file = fopen(options->output, "wbe");
    if (file != NULL && fclose(file) == 0) return true;
    complain("cannot write %s: %s", options->output, strerror(errno));
    return false;
}

int cmd_record(int argc, char **argv)
{
    options_t options = {.output = "ealloc.rec"};
    argp_err_exit_status = 125;
    argp_parse(&parser, argc, argv, ARGP_IN_ORDER, NULL, &options);

    char preload[4096];
    if (!launch_find_preload(preload, sizeof preload)) {
        complain("libealloc_preload.so is not where it should be: %s", preload);
        return 125;
    }
    if (!check_output(&options)) return 125;
    session_t session = {
        .options = &options, .bell = -1, .signals = -1, .special = is_special(options.output)};
    int status = 125;
    if (!open_session(&session)) {
        complain("cannot make a session directory: %s", strerror(errno));
    } else {
        session.child = launch(options.command, preload, session.directory, &status);
        if (session.child > 0) {
            signal(SIGPIPE,
                   SIG_IGN); /* a summary nobody reads is no reason to leave things behind */
            wait_for_all(&session);
            status = finish(&session);
        } else {
            remove_empty(options.output);
        }
    }
    if (session.directory[0] != '\0') remove_directory(session.directory);
    for (size_t i = 0; i < session.n_images; i++) {
        free(session.processes[i].file);
        free(session.processes[i].arguments);
    }
    free(session.images);
    free(session.processes);
    return status;
}
