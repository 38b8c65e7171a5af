/* SPDX-License-Identifier: MIT
 *
 * The reconciler: strays of each kind planted and found, what is gone and what is reused, and no
 * false findings while threads open and close.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "posix_testing.h"

/* --- findings --------------------------------------------------------------------------------- */

typedef struct {
    ea_posix_finding_t finding;
    char text[320];
} note_t;

static note_t notes[64];
static unsigned n_notes;

static void note(void *context, const ea_posix_finding_t *finding)
{
    (void)context;
    if (n_notes == 64) return;
    notes[n_notes].finding = *finding;
    (void)snprintf(notes[n_notes].text, sizeof notes[0].text, "%s", finding->text);
    n_notes++;
}

/* The only finding of this kind and id; NULL. */
static const note_t *noted(ea_posix_what_t what, ea_posix_kind_t kind, uint64_t id)
{
    const note_t *found = NULL;
    for (unsigned i = 0; i < n_notes; i++) {
        const ea_posix_finding_t *finding = &notes[i].finding;
        if (finding->what != what || finding->kind != kind || finding->id != id) continue;
        EXPECT(found == NULL);
        found = &notes[i];
    }
    return found;
}

/* Both passes. */
static ea_posix_report_t look(uint32_t flags)
{
    ea_posix_report_t report;
    EXPECT_EQ(ea_posix_reconcile_now(&posix, flags, note, NULL), EA_OK);
    ea_posix_report(&posix, &report);
    EXPECT(!report.is_incomplete);
    return report;
}

static ea_posix_report_t pass(size_t budget)
{
    ea_posix_report_t report;
    ea_status_t status;
    do status = ea_posix_reconcile(&posix, 0, budget, note, NULL);
    while (status == EA_ERR_AGAIN);
    EXPECT_EQ(status, EA_OK);
    ea_posix_report(&posix, &report);
    return report;
}

static unsigned n_wrong(const ea_posix_report_t *report)
{
    unsigned n = 0;
    for (unsigned i = 0; i < EA_POSIX_N_FINDINGS; i++) {
        for (unsigned k = 0; k < EA_POSIX_N_KINDS; k++) n += report->n[i][k];
    }
    return n;
}

static void *do_nothing(void *arg)
{
    return arg;
}

/* What the program began with is no stray; nor is a sanitizer's thread, which comes with the first
 * of ours. */
static bool begin(void)
{
    pthread_t thread;
    n_notes = 0;
    if (pthread_create(&thread, NULL, do_nothing, NULL) != 0 || pthread_join(thread, NULL) != 0) {
        return false;
    }
    usleep(2000); /* until /proc has forgotten it */
    if (!start()) return false;
    ea_posix_report_t report = look(EA_POSIX_KNOWN);
    EXPECT_EQ(n_wrong(&report), 0);
    EXPECT_EQ(report.n_suspects, 0);
    EXPECT_EQ(n_notes, 0);
    return true;
}

static int open_null(void)
{
    return ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDWR | O_CLOEXEC, 0);
}

/* --- descriptors ------------------------------------------------------------------------------ */

TEST(what_the_program_began_with_is_known, 0)
{
    n_notes = 0;
    int fd = open("/dev/null", O_RDONLY);
    REQUIRE(start());
    ea_posix_report_t report = look(0); /* 0, 1, 2 and this one, at least */
    EXPECT(report.n[EA_POSIX_STRAY][EA_POSIX_FILE] + report.n[EA_POSIX_STRAY][EA_POSIX_SOCKET] >=
           4);
    EXPECT(noted(EA_POSIX_STRAY, EA_POSIX_FILE, (uint64_t)fd) != NULL);
    ea_posix_deinit(&posix);
    REQUIRE(begin());
    report = look(0);
    EXPECT_EQ(n_wrong(&report), 0);
    /* Another thing with a number that was known is a stray. */
    int other = eventfd(0, 0);
    EXPECT_EQ(dup2(other, fd), fd);
    (void)close(other);
    report = look(0);
    EXPECT_EQ(n_wrong(&report), 1);
    EXPECT(noted(EA_POSIX_STRAY, EA_POSIX_FILE, (uint64_t)fd) != NULL);
    (void)close(fd);
    report = look(0);
    EXPECT_EQ(n_wrong(&report), 0);
    ea_posix_deinit(&posix);
}

TEST(registered_descriptors_are_no_findings, 0)
{
    REQUIRE(begin());
    int fds[20];
    for (int i = 0; i < 20; i++) fds[i] = open_null();
    ea_posix_report_t report = look(0);
    EXPECT_EQ(n_wrong(&report), 0);
    EXPECT_EQ(report.n_suspects, 0);
    for (int i = 0; i < 20; i++) EXPECT_EQ(ea_posix_close(&posix, fds[i]), 0);
    report = look(0);
    EXPECT_EQ(n_wrong(&report), 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

/* A file, a pipe, a socket that is connected: each with what it is, once. */
TEST(stray_descriptors_are_named_once, 0)
{
    REQUIRE(begin());
    int ends[2], on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n_address = sizeof address;
    char port[32];
    int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    REQUIRE(pipe(ends) == 0);
    int listener_fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)setsockopt(listener_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    REQUIRE(bind(listener_fd, (void *)&address, n_address) == 0 && listen(listener_fd, 1) == 0);
    REQUIRE(getsockname(listener_fd, (void *)&address, &n_address) == 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(connect(client, (void *)&address, n_address) == 0);
    (void)snprintf(port, sizeof port, "127.0.0.1:%u", ntohs(address.sin_port));

    ea_posix_report_t report = pass(1000);
    EXPECT_EQ(n_notes, 0); /* one look is not enough */
    EXPECT_EQ(n_wrong(&report), 0);
    EXPECT_EQ(report.n_suspects, 5);
    report = pass(1000);
    EXPECT_EQ(n_notes, 5);
    EXPECT_EQ(report.n_suspects, 0);
    EXPECT_EQ(report.n[EA_POSIX_STRAY][EA_POSIX_FILE], 3);
    EXPECT_EQ(report.n[EA_POSIX_STRAY][EA_POSIX_SOCKET], 2);
    EXPECT_EQ(n_heard[EA_POSIX_STRAY], 5);
    const note_t *found = noted(EA_POSIX_STRAY, EA_POSIX_FILE, (uint64_t)file);
    REQUIRE(found != NULL);
    EXPECT(strcmp(found->text, "/etc/passwd") == 0);
    EXPECT(ea_resource_is_none(found->finding.resource));
    EXPECT(found->finding.since_us > 0);
    found = noted(EA_POSIX_STRAY, EA_POSIX_FILE, (uint64_t)ends[0]);
    REQUIRE(found != NULL);
    EXPECT(strncmp(found->text, "pipe:[", 6) == 0);
    found = noted(EA_POSIX_STRAY, EA_POSIX_SOCKET, (uint64_t)client);
    REQUIRE(found != NULL);
    EXPECT(strncmp(found->text, "socket:[", 8) == 0);
    const char *from = strstr(found->text, " from ");
    EXPECT(from != NULL && strcmp(from + 6, port) == 0);
    found = noted(EA_POSIX_STRAY, EA_POSIX_SOCKET, (uint64_t)listener_fd);
    EXPECT(found != NULL && strstr(found->text, port) != NULL &&
           strstr(found->text, "from") == NULL);

    report = pass(1000);
    EXPECT_EQ(n_notes, 5);
    EXPECT_EQ(n_wrong(&report), 5);
    EXPECT_EQ(report.n_told, 5);
    (void)close(file);
    (void)close(ends[0]);
    (void)close(ends[1]);
    (void)close(client);
    (void)close(listener_fd);
    report = pass(1000);
    EXPECT_EQ(n_wrong(&report), 0);
    ea_posix_deinit(&posix);
}

TEST(unix_and_ipv6_sockets_are_named, 0)
{
    REQUIRE(begin());
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    memcpy(name.sun_path, "\0ealloc_test", 12);
    int path_fd = socket(AF_UNIX, SOCK_STREAM, 0), six_fd = socket(AF_INET6, SOCK_DGRAM, 0);
    REQUIRE(bind(path_fd, (void *)&name,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 12)) == 0);
    bool has_six = six_fd >= 0 && bind(six_fd, (void *)&six, sizeof six) == 0;
    (void)look(0);
    const note_t *found = noted(EA_POSIX_STRAY, EA_POSIX_SOCKET, (uint64_t)path_fd);
    EXPECT(found != NULL && strstr(found->text, " unix:@ealloc_test") != NULL);
    if (has_six) {
        found = noted(EA_POSIX_STRAY, EA_POSIX_SOCKET, (uint64_t)six_fd);
        EXPECT(found != NULL && strstr(found->text, " [::1]:") != NULL);
    }
    (void)close(path_fd);
    if (six_fd >= 0) (void)close(six_fd);
    ea_posix_deinit(&posix);
}

/* The same number, but each look sees another thing: no stray. */
TEST(what_changes_between_two_looks_is_no_stray, 0)
{
    REQUIRE(begin());
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    (void)pass(1000);
    for (int i = 0; i < 4; i++) {
        int old[2] = {ends[0], ends[1]};
        int other[2];
        REQUIRE(pipe(other) == 0); /* another inode */
        (void)dup2(other[0], old[0]);
        (void)dup2(other[1], old[1]);
        (void)close(other[0]);
        (void)close(other[1]);
        ea_posix_report_t report = pass(1000);
        EXPECT_EQ(n_wrong(&report), 0);
        EXPECT_EQ(report.n_suspects, 2);
    }
    /* Registered and closed in between: its suspicion is over. */
    EXPECT_EQ(ea_posix_adopt_fd(&posix, owners[EA_POSIX_FILE], ends[0]), ends[0]);
    EXPECT_EQ(ea_posix_disown_fd(&posix, ends[0]), 0);
    (void)close(ends[1]);
    ea_posix_report_t report = pass(1000);
    EXPECT_EQ(n_wrong(&report), 0);
    EXPECT_EQ(report.n_suspects, 0); /* disowned: known */
    (void)close(ends[0]);
    EXPECT_EQ(n_notes, 0);
    ea_posix_deinit(&posix);
}

TEST(what_was_closed_behind_our_back_is_gone, 0)
{
    REQUIRE(begin());
    int fd = open_null();
    ea_resource_t resource = ea_posix_fd_resource(&posix, fd);
    ea_resource_info_t info;
    EXPECT_EQ(ea_monitor_info(&monitor, resource, &info), EA_OK);
    (void)close(fd);
    ea_posix_report_t report = pass(1000);
    EXPECT_EQ(report.n[EA_POSIX_GONE][EA_POSIX_FILE], 1);
    EXPECT_EQ(n_wrong(&report), 1);
    const note_t *found = noted(EA_POSIX_GONE, EA_POSIX_FILE, (uint64_t)fd);
    REQUIRE(found != NULL);
    EXPECT(found->finding.caller == info.caller);
    EXPECT_EQ(found->finding.account, ea_account_id(owners[EA_POSIX_FILE]));
    EXPECT_EQ(found->finding.since_us, info.since_us);
    EXPECT_EQ(n_heard[EA_POSIX_GONE], 1);
    report = pass(1000);
    EXPECT_EQ(n_notes, 1);             /* once */
    EXPECT_EQ(used(EA_POSIX_FILE), 1); /* and nothing was forgotten */
    EXPECT_EQ(report.n_forgotten, 0);
    report = look(EA_POSIX_FORGET);
    EXPECT_EQ(used(EA_POSIX_FILE), 0);
    EXPECT_EQ(report.n_forgotten, 1);
    EXPECT_EQ(n_wrong(&report), 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST(a_number_that_is_gone_a_second_time_is_told_again, 0)
{
    REQUIRE(begin());
    int fd = open_null();
    (void)close(fd);
    (void)pass(1000);
    EXPECT_EQ(n_notes, 1);
    EXPECT_EQ(open_null(), fd);
    (void)close(fd);
    (void)pass(1000);
    EXPECT_EQ(n_notes, 2);
    (void)look(EA_POSIX_FORGET);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST(a_number_that_was_reused_is_told_and_never_closed, 0)
{
    REQUIRE(begin());
    int ends[2];
    int fd = ea_posix_socket(&posix, owners[EA_POSIX_SOCKET], AF_UNIX, SOCK_STREAM, 0);
    (void)close(fd);
    REQUIRE(pipe(ends) == 0);
    EXPECT_EQ(ends[0], fd);
    ea_posix_report_t report = pass(1000);
    EXPECT_EQ(report.n[EA_POSIX_REUSED][EA_POSIX_SOCKET], 1);
    const note_t *found = noted(EA_POSIX_REUSED, EA_POSIX_SOCKET, (uint64_t)fd);
    REQUIRE(found != NULL);
    EXPECT(strncmp(found->text, "pipe:[", 6) == 0); /* what it is now */
    report = look(EA_POSIX_FORGET);
    EXPECT_EQ(report.n_forgotten, 1);
    EXPECT_EQ(used(EA_POSIX_SOCKET), 0);
    EXPECT(fcntl(fd, F_GETFD) >= 0);
    report = look(0); /* and what is there instead is a stray */
    EXPECT_EQ(report.n[EA_POSIX_STRAY][EA_POSIX_FILE], 2);
    (void)close(ends[0]);
    (void)close(ends[1]);
    expect_rest();
    ea_posix_deinit(&posix);
}

/* What a call is just making is no stray, as long as grace lasts. */
static unsigned n_passes_inside;

static int make_and_look(void *context)
{
    (void)context;
    int fd = eventfd(0, EFD_CLOEXEC);
    for (int i = 0; i < 4; i++) {
        (void)pass(1000);
        n_passes_inside++;
    }
    return fd;
}

TEST(what_a_call_is_just_making_is_no_stray, 0)
{
    REQUIRE(begin());
    posix.eai_options.grace_us = 60u * 1000 * 1000;
    int stray = eventfd(0, 0); /* was there when the call began: but who knows by whom */
    int fd = ea_posix_make_fd(&posix, owners[EA_POSIX_FILE], EA_POSIX_FILE, make_and_look, NULL);
    EXPECT_EQ(n_passes_inside, 4);
    EXPECT_EQ(n_notes, 0);
    ea_posix_report_t report = pass(1000);
    EXPECT_EQ(n_notes, 1);
    EXPECT(noted(EA_POSIX_STRAY, EA_POSIX_FILE, (uint64_t)stray) != NULL);
    EXPECT_EQ(n_wrong(&report), 1);
    (void)close(stray);
    EXPECT_EQ(ea_posix_close(&posix, fd), 0);

    (void)pass(1000);
    posix.eai_options.grace_us = 1; /* it takes longer than that: then it is one */
    n_notes = 0;
    fd = ea_posix_make_fd(&posix, owners[EA_POSIX_FILE], EA_POSIX_FILE, make_and_look, NULL);
    EXPECT_EQ(n_notes, 1);
    report = pass(1000);
    EXPECT_EQ(n_wrong(&report), 0);
    EXPECT_EQ(ea_posix_close(&posix, fd), 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST(strays_are_found_without_a_free_descriptor, 0)
{
    REQUIRE(begin());
    struct rlimit before, none;
    int stray = open("/dev/null", O_RDONLY);
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = 0;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    (void)pass(10);
    ea_posix_report_t report = pass(10);
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT(report.is_incomplete); /* the rest of /proc */
    EXPECT_EQ(report.n[EA_POSIX_STRAY][EA_POSIX_FILE], 1);
    (void)close(stray);
    ea_posix_deinit(&posix);
}

TEST(numbers_beyond_the_table_are_counted, 0)
{
    REQUIRE(begin());
    int far = fcntl(0, F_DUPFD_CLOEXEC, N_NUMBERS);
    EXPECT_EQ(far, N_NUMBERS);
    ea_posix_report_t report = look(0);
    EXPECT_EQ(report.n_left_out, 1);
    EXPECT_EQ(n_wrong(&report), 0);
    (void)close(far);
    ea_posix_deinit(&posix);
}

/* --- steps ------------------------------------------------------------------------------------ */

static ea_status_t inner_status;

static void look_again(void *context, const ea_posix_finding_t *finding)
{
    (void)finding;
    (*(unsigned *)context)++;
    inner_status = ea_posix_reconcile(&posix, 0, 1, NULL, NULL);
}

TEST(a_pass_goes_in_steps_of_any_size, 0)
{
    REQUIRE(begin());
    EXPECT_EQ(ea_posix_reconcile(&posix, 0, 0, NULL, NULL), EA_ERR_INVALID);
    int stray = open("/dev/null", O_RDONLY), fds[8];
    for (int i = 0; i < 8; i++) fds[i] = open_null();
    for (size_t budget = 1; budget <= 40; budget = budget * 2 + 1) {
        n_notes = 0;
        unsigned n_steps = 1;
        while (ea_posix_reconcile(&posix, 0, budget, note, NULL) == EA_ERR_AGAIN) n_steps++;
        EXPECT(n_steps >= (N_NUMBERS + N_ENTRIES + N_SUSPECTS) / budget);
        ea_posix_report_t report = pass(budget);
        EXPECT_EQ(report.n[EA_POSIX_STRAY][EA_POSIX_FILE], 1);
        EXPECT_EQ(n_wrong(&report), 1);
    }
    EXPECT_EQ(n_heard[EA_POSIX_STRAY], 1);
    (void)close(stray);
    (void)pass(1);
    stray = open("/dev/null", O_RDONLY);
    unsigned n = 0;
    while (n == 0) (void)!ea_posix_reconcile(&posix, 0, 3, look_again, &n);
    EXPECT_EQ(inner_status, EA_ERR_BUSY);
    (void)close(stray);
    for (int i = 0; i < 8; i++) EXPECT_EQ(ea_posix_close(&posix, fds[i]), 0);
    (void)look(0); /* ends the pass that is under way first */
    expect_rest();
    ea_posix_deinit(&posix);
}

/* --- threads ---------------------------------------------------------------------------------- */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static _Atomic pid_t last_tid;

static void *wait_at_gate(void *arg)
{
    last_tid = (pid_t)syscall(SYS_gettid);
    (void)pthread_setname_np(pthread_self(), "at_gate");
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return arg;
}

static void wait_for_tid(void)
{
    while (last_tid == 0) usleep(1000);
}

TEST(stray_threads_are_found_and_registered_ones_are_none, 0)
{
    pthread_t thread, stray;
    REQUIRE(begin());
    pthread_mutex_lock(&gate);
    last_tid = 0;
    EXPECT_EQ(
        ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &thread, NULL, wait_at_gate, NULL),
        0);
    wait_for_tid(); /* a busy machine may let it begin late */
    ea_posix_report_t report = look(0);
    EXPECT_EQ(n_wrong(&report), 0);
    last_tid = 0;
    EXPECT_EQ(pthread_create(&stray, NULL, wait_at_gate, NULL), 0);
    wait_for_tid();
    usleep(1000);
    report = pass(1000);
    report = pass(1000); /* a thread has its grace */
    EXPECT_EQ(n_wrong(&report), 0);
    EXPECT_EQ(report.n_suspects, 1);
    report = look(0);
    EXPECT_EQ(report.n[EA_POSIX_STRAY][EA_POSIX_THREAD], 1);
    EXPECT_EQ(n_wrong(&report), 1);
    const note_t *found = noted(EA_POSIX_STRAY, EA_POSIX_THREAD, (uint64_t)last_tid);
    EXPECT(found != NULL && strcmp(found->text, "at_gate") == 0);
    report = look(0);
    EXPECT_EQ(n_notes, 1);
    report = look(EA_POSIX_KNOWN); /* let it be */
    report = look(0);
    EXPECT_EQ(n_wrong(&report), 0);
    pthread_mutex_unlock(&gate);
    EXPECT_EQ(pthread_join(stray, NULL), 0);

    usleep(20000); /* the other one has ended, and is not joined */
    report = look(0);
    EXPECT_EQ(report.n[EA_POSIX_ENDED][EA_POSIX_THREAD], 1);
    EXPECT_EQ(n_notes, 2);
    report = look(EA_POSIX_FORGET); /* it still can be joined */
    EXPECT_EQ(n_notes, 2);
    EXPECT_EQ(report.n_forgotten, 0);
    EXPECT_EQ(ea_posix_thread_join(&posix, thread, NULL), 0);
    report = look(0);
    EXPECT_EQ(n_wrong(&report), 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST(suspects_without_room_are_counted, 0)
{
    pthread_t stray;
    REQUIRE(begin());
    posix.eai_options.n_suspects = 0;
    pthread_mutex_lock(&gate);
    last_tid = 0;
    EXPECT_EQ(pthread_create(&stray, NULL, wait_at_gate, NULL), 0);
    wait_for_tid();
    ea_posix_report_t report = look(0);
    EXPECT(report.n_left_out >= 1);
    EXPECT_EQ(n_wrong(&report), 0);
    pthread_mutex_unlock(&gate);
    EXPECT_EQ(pthread_join(stray, NULL), 0);
    ea_posix_deinit(&posix);
}

TEST(a_suspect_that_is_no_more_leaves_its_room, 0)
{
    REQUIRE(begin());
    memset(suspects, 0, sizeof suspects);
    (void)look(EA_POSIX_KNOWN);
    unsigned n_used = 0;
    for (unsigned i = 0; i < N_SUSPECTS; i++) n_used += suspects[i].eai_is_used;
    posix.eai_options.n_suspects = n_used + 1;
    for (int i = 0; i < 2; i++) {
        pthread_t stray;
        pthread_mutex_lock(&gate);
        last_tid = 0;
        EXPECT_EQ(pthread_create(&stray, NULL, wait_at_gate, NULL), 0);
        wait_for_tid();
        ea_posix_report_t report = look(0);
        EXPECT_EQ(report.n[EA_POSIX_STRAY][EA_POSIX_THREAD], 1);
        EXPECT_EQ(report.n_left_out, 0);
        pthread_mutex_unlock(&gate);
        EXPECT_EQ(pthread_join(stray, NULL), 0);
        usleep(2000);
        report = pass(1000);
        EXPECT_EQ(n_wrong(&report), 0);
    }
    EXPECT_EQ(n_notes, 2);
    ea_posix_deinit(&posix);
}

/* --- children --------------------------------------------------------------------------------- */

static pid_t fork_sleeper(void)
{
    pid_t child = fork();
    while (child == 0) pause();
    return child;
}

TEST(children_are_compared_too, 0)
{
    int status;
    REQUIRE(begin());
    pid_t stray = fork_sleeper(), own = fork_sleeper(), reaped = fork_sleeper();
    ea_account_t *account = owners[EA_POSIX_CHILD];
    EXPECT_EQ(ea_posix_adopt_child(&posix, account, own), 0);
    EXPECT_EQ(ea_posix_adopt_child(&posix, account, reaped), 0);
    ea_posix_report_t report = look(0);
    EXPECT_EQ(report.n[EA_POSIX_STRAY][EA_POSIX_CHILD], 1);
    EXPECT_EQ(n_wrong(&report), 1);
    const note_t *found = noted(EA_POSIX_STRAY, EA_POSIX_CHILD, (uint64_t)stray);
    EXPECT(found != NULL && strncmp(found->text, "reconcile_test", 14) == 0);
    (void)kill(own, SIGKILL);
    (void)kill(reaped, SIGKILL);
    (void)kill(stray, SIGKILL);
    EXPECT_EQ(waitpid(reaped, &status, 0), reaped);
    EXPECT_EQ(waitpid(stray, &status, 0), stray);
    siginfo_t info;
    EXPECT_EQ(waitid(P_PID, (id_t)own, &info, WEXITED | WNOWAIT), 0); /* a zombie by now */
    report = pass(1000);
    EXPECT_EQ(n_wrong(&report), 0); /* one pass is not enough */
    EXPECT_EQ(report.n_suspects, 2);
    report = pass(1000);
    EXPECT_EQ(report.n[EA_POSIX_GONE][EA_POSIX_CHILD], 1);
    EXPECT_EQ(report.n_suspects, 1); /* somebody may be about to wait for it */
    report = look(0);
    EXPECT_EQ(report.n[EA_POSIX_ENDED][EA_POSIX_CHILD], 1);
    EXPECT_EQ(report.n[EA_POSIX_GONE][EA_POSIX_CHILD], 1);
    EXPECT_EQ(n_wrong(&report), 2);
    EXPECT(noted(EA_POSIX_ENDED, EA_POSIX_CHILD, (uint64_t)own) != NULL);
    EXPECT(noted(EA_POSIX_GONE, EA_POSIX_CHILD, (uint64_t)reaped) != NULL);
    report = look(EA_POSIX_FORGET);
    EXPECT_EQ(report.n_forgotten, 1);
    EXPECT_EQ(used(EA_POSIX_CHILD), 1);
    EXPECT_EQ(ea_posix_waitpid(&posix, own, &status, 0), own);
    report = look(0);
    EXPECT_EQ(n_wrong(&report), 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

/* --- mappings --------------------------------------------------------------------------------- */

#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

static char *map_pages(size_t n)
{
    return ea_posix_mmap(&posix, owners[EA_POSIX_MAPPING], NULL, n * PAGE, PROT_READ, ANONYMOUS, -1,
                         0);
}

TEST(mappings_are_compared_too, 0)
{
    REQUIRE(begin());
    int fd = open("/proc/self/exe", O_RDONLY);
    char *whole = map_pages(8), *gone = map_pages(4), *torn = map_pages(4), *other = map_pages(4);
    char *file = ea_posix_mmap(&posix, owners[EA_POSIX_MAPPING], NULL, 2 * PAGE, PROT_READ,
                               MAP_PRIVATE, fd, 0);
    REQUIRE(whole != MAP_FAILED && gone != MAP_FAILED && torn != MAP_FAILED &&
            other != MAP_FAILED && file != MAP_FAILED);
    (void)close(fd);
    ea_posix_report_t report = look(0);
    EXPECT_EQ(n_wrong(&report), 0);
    EXPECT_EQ(mprotect(whole + PAGE, PAGE, PROT_NONE), 0); /* of several parts, but whole */
    EXPECT_EQ(munmap(gone, 4 * PAGE), 0);
    EXPECT_EQ(munmap(torn + PAGE, PAGE), 0);
    fd = open("/proc/self/exe", O_RDONLY);
    EXPECT(mmap(other + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) != MAP_FAILED);
    (void)close(fd);
    EXPECT(mmap(file, PAGE, PROT_READ, ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
    report = pass(7);
    EXPECT_EQ(n_wrong(&report), 0);
    report = pass(7);
    EXPECT_EQ(report.n[EA_POSIX_GONE][EA_POSIX_MAPPING], 2);
    EXPECT_EQ(report.n[EA_POSIX_REUSED][EA_POSIX_MAPPING], 2);
    EXPECT_EQ(n_wrong(&report), 4);
    EXPECT(noted(EA_POSIX_GONE, EA_POSIX_MAPPING, (uintptr_t)gone) != NULL);
    EXPECT(noted(EA_POSIX_GONE, EA_POSIX_MAPPING, (uintptr_t)torn) != NULL);
    EXPECT(noted(EA_POSIX_REUSED, EA_POSIX_MAPPING, (uintptr_t)other) != NULL);
    EXPECT(noted(EA_POSIX_REUSED, EA_POSIX_MAPPING, (uintptr_t)file) != NULL);
    report = look(EA_POSIX_FORGET);
    EXPECT_EQ(report.n_forgotten, 4);
    EXPECT_EQ(used(EA_POSIX_MAPPING), 8 * PAGE);
    unsigned char there[4];
    EXPECT_EQ(mincore(other, 4 * PAGE, there), 0); /* it is not ours to take away */
    EXPECT_EQ(munmap(other, 4 * PAGE), 0);
    EXPECT_EQ(munmap(file, 2 * PAGE), 0);
    EXPECT_EQ(munmap(torn, 4 * PAGE), 0);
    EXPECT_EQ(ea_posix_munmap(&posix, whole, 8 * PAGE), 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

/* --- disk space ------------------------------------------------------------------------------- */

static void write_file(const char *path, size_t n_bytes)
{
    static const char zeros[4096];
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    while (n_bytes > 0) {
        ssize_t n = write(fd, zeros, n_bytes < sizeof zeros ? n_bytes : sizeof zeros);
        if (n <= 0) break;
        n_bytes -= (size_t)n;
    }
    (void)close(fd);
}

TEST(a_directory_that_holds_more_than_reserved_is_told, 0)
{
    char root[] = "ealloc_disk.XXXXXX", path[400];
    ea_posix_disk_t disk;
    ea_posix_disk_stats_t stats;
    ea_resource_t resource;
    REQUIRE(mkdtemp(root) != NULL);
    REQUIRE(begin());
    REQUIRE(ea_posix_disk_open(&posix, &disk, root, 0) == 0);
    EXPECT_EQ(
        ea_posix_disk_reserve(&posix, owners[EA_POSIX_DISK], &disk, 3 * 4096 + 100, &resource), 0);
    (void)snprintf(path, sizeof path, "%s/a", root);
    write_file(path, 2 * 4096);
    (void)snprintf(path, sizeof path, "%s/d", root);
    EXPECT_EQ(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/d/b", root);
    write_file(path, 4096);
    (void)snprintf(path, sizeof path, "%s/c", root);
    write_file(path, 100);
    (void)snprintf(path, sizeof path, "%s/link", root);
    EXPECT_EQ(symlink("/usr", path), 0); /* not followed */
    for (size_t budget = 1; budget < 9; budget += 3) {
        ea_posix_report_t report = pass(budget);
        EXPECT_EQ(report.n[EA_POSIX_OVER][EA_POSIX_DISK], 0);
        EXPECT_EQ(ea_posix_disk_stats(&posix, &disk, &stats), 0);
        /* The link's few bytes count only where they have a block. */
        EXPECT(stats.used_bytes >= 3 * 4096 + 100 - 100 && stats.used_bytes <= 3 * 4096 + 100);
        EXPECT(!stats.is_partial);
    }
    (void)snprintf(path, sizeof path, "%s/d/more", root);
    write_file(path, 5 * 4096);
    ea_posix_report_t report = pass(1000);
    EXPECT_EQ(n_wrong(&report), 0);
    report = look(0);
    EXPECT_EQ(report.n[EA_POSIX_OVER][EA_POSIX_DISK], 1);
    const note_t *found = noted(EA_POSIX_OVER, EA_POSIX_DISK, 0);
    REQUIRE(found != NULL);
    EXPECT(strcmp(found->text, root) == 0);
    EXPECT(found->finding.n_bytes >= 5 * 4096 - 100 && found->finding.n_bytes <= 5 * 4096);
    EXPECT_EQ(unlink(path), 0);
    report = look(0);
    EXPECT_EQ(n_wrong(&report), 0);

    /* Deeper than is looked. */
    (void)snprintf(path, sizeof path, "%s", root);
    for (int i = 0; i < 20; i++) {
        (void)strcat(path, "/x");
        EXPECT_EQ(mkdir(path, 0700), 0);
    }
    (void)pass(1000);
    EXPECT_EQ(ea_posix_disk_stats(&posix, &disk, &stats), 0);
    EXPECT(stats.is_partial);
    EXPECT_EQ(ea_monitor_release(&monitor, resource), EA_OK);
    (void)snprintf(path, sizeof path, "rm -r %s", root);
    EXPECT_EQ(system(path), 0);
    report = look(0); /* no directory any more: nothing is in it */
    EXPECT_EQ(n_wrong(&report), 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

/* /dev/shm lies in another file system than /dev, as a rule. */
TEST(a_directory_ends_where_its_file_system_does, 0)
{
    static const char path[] = "/dev/shm/ealloc_reconcile_test";
    struct stat outer, inner;
    ea_posix_disk_t disk;
    ea_posix_disk_stats_t stats;
    REQUIRE(begin());
    if (stat("/dev", &outer) == 0 && stat("/dev/shm", &inner) == 0 &&
        outer.st_dev != inner.st_dev) {
        write_file(path, 4u << 20);
        REQUIRE(ea_posix_disk_open(&posix, &disk, "/dev", 0) == 0);
        (void)pass(1000);
        EXPECT_EQ(ea_posix_disk_stats(&posix, &disk, &stats), 0);
        EXPECT(stats.used_bytes < 4u << 20);
        (void)unlink(path);
    }
    ea_posix_deinit(&posix);
}

/* --- others at work --------------------------------------------------------------------------- */

static _Atomic bool is_over;
static _Atomic unsigned long n_turns, n_failed;

static int make_pair_end(void *context)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return -1;
    *(int *)context = pair[1];
    /* From within the call: else it were nobody's for a moment, and rightly told. */
    if (ea_posix_adopt_fd(&posix, owners[EA_POSIX_SOCKET], pair[1]) != pair[1]) n_failed++;
    return pair[0];
}

static void *open_and_close(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    int held[8], n = 0;
    while (!is_over) {
        seed = seed * 1103515245u + 12345u;
        int other = -1, fd;
        if (n < 8 && (seed >> 16 & 1u) != 0) {
            switch (seed >> 17 & 3u) {
            case 0: fd = open_null(); break;
            case 1:
                fd = ea_posix_socket(&posix, owners[EA_POSIX_SOCKET], AF_UNIX, SOCK_STREAM, 0);
                break;
            case 2:
                fd = ea_posix_make_fd(&posix, owners[EA_POSIX_SOCKET], EA_POSIX_SOCKET,
                                      make_pair_end, &other);
                if (fd >= 0 && ea_posix_close(&posix, other) != 0) n_failed++;
                break;
            default:
                fd = ea_posix_open(&posix, owners[EA_POSIX_FILE], "/proc/self/exe", O_RDONLY, 0);
                break;
            }
            if (fd < 0) {
                n_failed++;
            } else {
                held[n++] = fd;
            }
        } else if (n > 0 && ea_posix_close(&posix, held[--n]) != 0) {
            n_failed++;
        }
        n_turns++;
    }
    while (n > 0) (void)ea_posix_close(&posix, held[--n]);
    return NULL;
}

static void *thread_of_threads(void *arg)
{
    (void)arg;
    while (!is_over) {
        pthread_t thread;
        char *place;
        if (ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &thread, NULL, wait_at_gate,
                                   NULL) != 0) {
            n_failed++;
            continue;
        }
        place = map_pages(3);
        if (place == MAP_FAILED || ea_posix_munmap(&posix, place, 3 * PAGE) != 0) n_failed++;
        if (ea_posix_thread_join(&posix, thread, NULL) != 0) n_failed++;
    }
    return NULL;
}

/* Four open and close, one makes threads and mappings: nothing is told, but for the one stray that
 * is really there, and the one that is gone. */
TEST(no_false_findings_while_four_threads_open_and_close, 0)
{
    pthread_t threads[5];
    REQUIRE(begin());
    posix.eai_options.grace_us = 5u * 1000 * 1000; /* certainty, not patience */
    is_over = false;
    n_turns = n_failed = 0;
    for (uintptr_t i = 0; i < 5; i++) {
        EXPECT_EQ(ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &threads[i], NULL,
                                         i < 4 ? open_and_close : thread_of_threads, (void *)i),
                  0);
    }
    const unsigned long n_passes = tap_arg("passes", 150);
    for (unsigned long i = 0; i < n_passes; i++) (void)pass(64 + i % 64);
    EXPECT_EQ(n_notes, 0);
    for (unsigned i = 0; i < n_notes; i++) tap_note(notes[i].text, (long long)notes[i].finding.id);
    int gone = fcntl(open_null(), F_DUPFD_CLOEXEC, 200);
    EXPECT_EQ(ea_posix_adopt_fd(&posix, owners[EA_POSIX_FILE], gone), gone);
    int stray = fcntl(0, F_DUPFD_CLOEXEC, 210);
    (void)close(gone);
    for (int i = 0; i < 20000 && n_notes < 2; i++) (void)pass(100);
    EXPECT_EQ(n_notes, 2);
    EXPECT(noted(EA_POSIX_GONE, EA_POSIX_FILE, (uint64_t)gone) != NULL);
    EXPECT(noted(EA_POSIX_STRAY, EA_POSIX_FILE, (uint64_t)stray) != NULL);
    is_over = true;
    for (int i = 0; i < 5; i++) EXPECT_EQ(ea_posix_thread_join(&posix, threads[i], NULL), 0);
    tap_note("turns", (long long)n_turns);
    EXPECT(n_turns > 100);
    EXPECT_EQ(n_failed, 0);
    (void)close(stray);
    ea_posix_report_t report = pass(1000);
    EXPECT_EQ(report.n[EA_POSIX_STRAY][EA_POSIX_FILE], 0);
    ea_posix_deinit(&posix);
}

/* A thread that waits in accept() must not make the reconciler blind. */
static void *accept_one(void *arg)
{
    int fd = ea_posix_accept(&posix, owners[EA_POSIX_SOCKET], *(int *)arg, NULL, NULL, 0);
    if (fd >= 0) (void)ea_posix_close(&posix, fd);
    return NULL;
}

TEST(a_call_that_waits_delays_findings_by_grace_only, 0)
{
    REQUIRE(begin());
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t n_name = sizeof name;
    pthread_t thread;
    int server = ea_posix_socket(&posix, owners[EA_POSIX_SOCKET], AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(bind(server, (void *)&name, sizeof(sa_family_t)) == 0 && listen(server, 1) == 0);
    REQUIRE(getsockname(server, (void *)&name, &n_name) == 0);
    EXPECT_EQ(
        ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &thread, NULL, accept_one, &server),
        0);
    while (used(EA_POSIX_SOCKET) < 2) usleep(1000); /* charged before it waits */
    int stray = open("/dev/null", O_RDONLY);
    ea_posix_report_t report = look(0);
    EXPECT_EQ(report.n[EA_POSIX_STRAY][EA_POSIX_FILE], 1);
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(connect(client, (void *)&name, n_name), 0);
    EXPECT_EQ(ea_posix_thread_join(&posix, thread, NULL), 0);
    (void)close(stray);
    (void)close(client);
    EXPECT_EQ(ea_posix_close(&posix, server), 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST_MAIN(&what_the_program_began_with_is_known, &registered_descriptors_are_no_findings,
          &stray_descriptors_are_named_once, &unix_and_ipv6_sockets_are_named,
          &what_changes_between_two_looks_is_no_stray, &what_was_closed_behind_our_back_is_gone,
          &a_number_that_is_gone_a_second_time_is_told_again,
          &a_number_that_was_reused_is_told_and_never_closed,
          &what_a_call_is_just_making_is_no_stray, &strays_are_found_without_a_free_descriptor,
          &numbers_beyond_the_table_are_counted, &a_pass_goes_in_steps_of_any_size,
          &stray_threads_are_found_and_registered_ones_are_none, &suspects_without_room_are_counted,
          &a_suspect_that_is_no_more_leaves_its_room, &children_are_compared_too,
          &mappings_are_compared_too, &a_directory_that_holds_more_than_reserved_is_told,
          &a_directory_ends_where_its_file_system_does,
          &no_false_findings_while_four_threads_open_and_close,
          &a_call_that_waits_delays_findings_by_grace_only)
