/* SPDX-License-Identifier: MIT
 *
 * The POSIX binding: every call that makes or ends something, when it works, when the budget
 * refuses, when the system refuses. What the system does is real.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "ealloc/monitor_wait.h"
#include "posix_testing.h"

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* The lowest number that is free: whatever is opened next gets it. */
static int next_fd(void)
{
    int fd = dup(0);
    (void)close(fd);
    return fd;
}

static void set_soft(int what, rlim_t soft, rlim_t *before)
{
    struct rlimit limit;
    EXPECT_EQ(getrlimit((__rlimit_resource_t)what, &limit), 0);
    if (before != NULL) *before = limit.rlim_cur;
    limit.rlim_cur = soft;
    EXPECT_EQ(setrlimit((__rlimit_resource_t)what, &limit), 0);
}

/* --- init ------------------------------------------------------------------------------------- */

TEST(init_refuses_what_it_cannot_use, 0)
{
    REQUIRE(start());
    ea_posix_t other;
    ea_posix_options_t how = posix.eai_options;
    EXPECT_EQ(ea_posix_init(NULL, &how), EA_ERR_INVALID);
    EXPECT_EQ(ea_posix_init(&posix, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_posix_init(&other, &how), EA_ERR_INVALID); /* the types are not its */
    how.first_type = 0;
    EXPECT_EQ(ea_posix_init(&posix, &how), EA_ERR_INVALID);
    how.first_type = 2;
    EXPECT_EQ(ea_posix_init(&posix, &how), EA_ERR_INVALID);
    how.first_type = 1;
    how.n_numbers = 0;
    EXPECT_EQ(ea_posix_init(&posix, &how), EA_ERR_INVALID);
    how.n_numbers = EA_POSIX_NUMBERS_MAX + 1u;
    EXPECT_EQ(ea_posix_init(&posix, &how), EA_ERR_INVALID);
    how.n_numbers = 8;
    how.n_entries = 65536;
    EXPECT_EQ(ea_posix_init(&posix, &how), EA_ERR_INVALID);
    how.n_entries = 1;
    how.entries = NULL;
    EXPECT_EQ(ea_posix_init(&posix, &how), EA_ERR_INVALID);
    how.n_entries = 0;
    how.suspects = NULL;
    EXPECT_EQ(ea_posix_init(&posix, &how), EA_ERR_INVALID);
    how.n_suspects = 0;
    EXPECT_EQ(ea_posix_init(&posix, &how), EA_OK);
    ea_posix_deinit(&posix);
}

TEST(names_are_there, 0)
{
    EXPECT(strcmp(ea_posix_what_name(EA_POSIX_STRAY), "stray") == 0);
    EXPECT(strcmp(ea_posix_what_name(EA_POSIX_OVER), "over") == 0);
    EXPECT(strcmp(ea_posix_what_name(EA_POSIX_N_FINDINGS), "?") == 0);
    EXPECT(strcmp(ea_posix_kind_name(EA_POSIX_FILE), "file") == 0);
    EXPECT(strcmp(ea_posix_kind_name(EA_POSIX_DISK), "disk") == 0);
    EXPECT(strcmp(ea_posix_kind_name(EA_POSIX_N_KINDS), "?") == 0);
}

/* --- descriptors ------------------------------------------------------------------------------ */

TEST(open_registers_and_close_closes, 0)
{
    REQUIRE(start());
    errno = 4711;
    int fd = ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDWR | O_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    EXPECT_EQ(errno, 4711);
    EXPECT_EQ(write(fd, "x", 1), 1);
    EXPECT_EQ(used(EA_POSIX_FILE), 1);
    ea_resource_t resource = ea_posix_fd_resource(&posix, fd);
    ea_resource_info_t info;
    REQUIRE(ea_monitor_info(&monitor, resource, &info) == EA_OK);
    EXPECT_EQ(ea_posix_fd_of(info.object), fd);
    EXPECT_EQ(info.type, 1);
    EXPECT(info.caller != NULL);
    errno = 4711;
    EXPECT_EQ(ea_posix_close(&posix, fd), 0);
    EXPECT_EQ(errno, 4711);
    EXPECT(!is_open(fd));
    EXPECT(ea_resource_is_none(ea_posix_fd_resource(&posix, fd)));
    EXPECT_EQ(ea_posix_close(&posix, fd), -1);
    EXPECT_EQ(errno, EBADF);
    EXPECT_EQ(ea_posix_close(&posix, -1), -1);
    EXPECT_EQ(ea_posix_close(&posix, N_NUMBERS), -1);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST(open_that_the_system_refuses_leaves_nothing, 0)
{
    REQUIRE(start());
    int expected = next_fd();
    EXPECT_EQ(ea_posix_open(&posix, owners[EA_POSIX_FILE], "/nowhere/to/be", O_RDONLY, 0), -1);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_EQ(ea_posix_open(&posix, owners[EA_POSIX_FILE], "/", O_WRONLY, 0), -1);
    EXPECT_EQ(errno, EISDIR);
    EXPECT_EQ(ea_posix_socket(&posix, owners[EA_POSIX_SOCKET], 12345, SOCK_STREAM, 0), -1);
    EXPECT_EQ(errno, EAFNOSUPPORT);
    EXPECT_EQ(ea_posix_accept(&posix, owners[EA_POSIX_SOCKET], -1, NULL, NULL, 0), -1);
    EXPECT_EQ(errno, EBADF);
    EXPECT_EQ(next_fd(), expected);
    ea_resource_stats_t stats;
    EXPECT_EQ(ea_monitor_type_stats(&monitor, 1, &stats), EA_OK);
    EXPECT_EQ(stats.n_acquired, 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

/* O_CREAT would leave a file behind if the system were asked. */
TEST(budget_refuses_before_the_system_is_asked, 0)
{
    static const char path[] = "posix_test.never";
    REQUIRE(start());
    (void)unlink(path);
    set_max(EA_POSIX_FILE, 1);
    int fd = ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY, 0);
    EXPECT(fd >= 0);
    EXPECT_EQ(ea_posix_open(&posix, owners[EA_POSIX_FILE], path, O_CREAT | O_WRONLY, 0600), -1);
    EXPECT_EQ(errno, EDQUOT);
    EXPECT(access(path, F_OK) != 0);
    EXPECT_EQ(ea_posix_close(&posix, fd), 0);
    fd = ea_posix_open(&posix, owners[EA_POSIX_FILE], path, O_CREAT | O_WRONLY, 0600);
    EXPECT(fd >= 0);
    EXPECT(access(path, F_OK) == 0);
    EXPECT_EQ(ea_posix_close(&posix, fd), 0);
    (void)unlink(path);

    EXPECT_EQ(ea_posix_open(&posix, owners[EA_POSIX_SOCKET], "/dev/null", O_RDONLY, 0), -1);
    EXPECT_EQ(errno, EINVAL); /* an account of another book */
    ea_monitor_close(&monitor, true);
    EXPECT_EQ(ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY, 0), -1);
    EXPECT_EQ(errno, ECANCELED);
    ea_monitor_close(&monitor, false);
    expect_rest();
    ea_posix_deinit(&posix);
}

static int make_event(void *context)
{
    (*(unsigned *)context)++;
    return eventfd(0, EFD_CLOEXEC);
}

static int make_error(void *context)
{
    errno = *(int *)context;
    return -1;
}

TEST(open_says_that_others_wait, 0)
{
    static _Alignas(8) unsigned char places[EA_MONITOR_WAIT_BYTES(2, 1, 7)];
    const ea_monitor_line_options_t line = {.max_waiting = 2, .max_together = 1};
    REQUIRE(start());
    REQUIRE(ea_monitor_wait_init(&monitor, places, sizeof places, &line) == EA_OK);
    const ea_account_limits_t one = {.max = 1};
    REQUIRE(ea_account_set_limits(owners[EA_POSIX_FILE], &one) == EA_OK);
    int fd = ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY | O_CLOEXEC, 0);
    EXPECT(fd >= 0);
    const ea_resource_request_t request = {.account = owners[EA_POSIX_FILE], .type = 1};
    ea_monitor_wait_t wait;
    ea_resource_t got;
    EXPECT_EQ(ea_monitor_wait_begin(&wait, &monitor, &request, 1, NULL), EA_OK);
    EXPECT_EQ(ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY | O_CLOEXEC, 0),
              -1);
    EXPECT_EQ(errno, EBUSY);
    EXPECT_EQ(ea_monitor_wait_end(&wait, 0, &got), EA_ERR_TIMEOUT);
    EXPECT_EQ(ea_posix_close(&posix, fd), 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST(any_call_makes_a_descriptor, 0)
{
    unsigned n_calls = 0;
    int error = ENODEV;
    REQUIRE(start());
    int fd = ea_posix_make_fd(&posix, owners[EA_POSIX_FILE], EA_POSIX_FILE, make_event, &n_calls);
    EXPECT(fd >= 0 && n_calls == 1);
    set_max(EA_POSIX_FILE, 1);
    EXPECT_EQ(ea_posix_make_fd(&posix, owners[EA_POSIX_FILE], EA_POSIX_FILE, make_event, &n_calls),
              -1);
    EXPECT_EQ(errno, EDQUOT);
    EXPECT_EQ(n_calls, 1); /* not called */
    EXPECT_EQ(
        ea_posix_make_fd(&posix, owners[EA_POSIX_CHILD], EA_POSIX_CHILD, make_event, &n_calls), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(ea_posix_close(&posix, fd), 0);
    EXPECT_EQ(ea_posix_make_fd(&posix, owners[EA_POSIX_FILE], EA_POSIX_FILE, make_error, &error),
              -1);
    EXPECT_EQ(errno, ENODEV);
    error = 0;
    EXPECT_EQ(ea_posix_make_fd(&posix, owners[EA_POSIX_FILE], EA_POSIX_FILE, make_error, &error),
              -1);
    EXPECT_EQ(errno, EIO);
    expect_rest();
    ea_posix_deinit(&posix);
}

/* A script that needs six descriptors, with room for none, one, two, ... until it works. */
TEST(every_failure_for_want_of_descriptors_leaves_nothing, 0)
{
    for (int fd = 3; fd < 64; fd++) (void)close(fd); /* what the program was started with */
    REQUIRE(start());
    rlim_t before;
    int first = next_fd();
    for (int room = 0; room < 8; room++) {
        int fds[6], n = 0;
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        socklen_t n_name = sizeof name;
        set_soft(RLIMIT_NOFILE, (rlim_t)(first + room), &before);
        ea_account_t *file = owners[EA_POSIX_FILE], *socket_ = owners[EA_POSIX_SOCKET];
        for (n = 0; n < 6; n++) {
            if (n == 2) EXPECT_EQ(bind(fds[1], (void *)&name, sizeof(sa_family_t)), 0);
            if (n == 2) EXPECT_EQ(listen(fds[1], 4), 0);
            if (n == 3) EXPECT_EQ(getsockname(fds[1], (void *)&name, &n_name), 0);
            if (n == 3) EXPECT_EQ(connect(fds[2], (void *)&name, n_name), 0);
            fds[n] = n == 0   ? ea_posix_open(&posix, file, "/dev/zero", O_RDONLY, 0)
                     : n == 1 ? ea_posix_socket(&posix, socket_, AF_UNIX, SOCK_STREAM, 0)
                     : n == 2 ? ea_posix_socket(&posix, socket_, AF_UNIX, SOCK_STREAM, 0)
                     : n == 3 ? ea_posix_accept(&posix, socket_, fds[1], NULL, NULL, SOCK_CLOEXEC)
                              : ea_posix_open(&posix, file, "/dev/null", O_RDONLY, 0);
            if (fds[n] < 0) break;
        }
        EXPECT_EQ(n, room < 6 ? room : 6);
        if (n < 6) EXPECT_EQ(errno, EMFILE);
        EXPECT_EQ(used(EA_POSIX_FILE) + used(EA_POSIX_SOCKET), (size_t)n);
        for (int i = 0; i < n; i++) EXPECT_EQ(ea_posix_close(&posix, fds[i]), 0);
        set_soft(RLIMIT_NOFILE, before, NULL);
        EXPECT_EQ(next_fd(), first);
        expect_rest();
    }
    ea_posix_deinit(&posix);
}

TEST(numbers_beyond_the_table_are_refused, 0)
{
    REQUIRE(start());
    ea_posix_options_t how = posix.eai_options;
    ea_posix_deinit(&posix);
    int first = next_fd();
    how.n_numbers = (size_t)first + 1u;
    REQUIRE(ea_posix_init(&posix, &how) == EA_OK);
    int fd = ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY, 0);
    EXPECT_EQ(fd, first);
    EXPECT_EQ(ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY, 0), -1);
    EXPECT_EQ(errno, EMFILE);
    EXPECT(!is_open(first + 1));
    int beyond = dup(fd);
    EXPECT_EQ(ea_posix_adopt_fd(&posix, owners[EA_POSIX_FILE], beyond), -1);
    EXPECT_EQ(errno, EMFILE);
    EXPECT(is_open(beyond));
    EXPECT_EQ(close(beyond), 0);
    EXPECT_EQ(ea_posix_close(&posix, fd), 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST(what_came_from_elsewhere_is_adopted_and_disowned, 0)
{
    int pair[2];
    REQUIRE(start());
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    EXPECT_EQ(ea_posix_adopt_fd(&posix, owners[EA_POSIX_SOCKET], pair[0]), pair[0]);
    EXPECT_EQ(n_live(EA_POSIX_SOCKET), 1);
    EXPECT_EQ(ea_posix_adopt_fd(&posix, owners[EA_POSIX_SOCKET], pair[0]), -1);
    EXPECT_EQ(errno, EBUSY);
    EXPECT_EQ(ea_posix_adopt_fd(&posix, owners[EA_POSIX_FILE], pair[1]), -1);
    EXPECT_EQ(errno, EINVAL); /* it is a socket */
    EXPECT_EQ(ea_posix_adopt_fd(&posix, owners[EA_POSIX_FILE], -1), -1);
    EXPECT_EQ(errno, EBADF);
    EXPECT_EQ(ea_posix_adopt_fd(&posix, owners[EA_POSIX_FILE], 255), -1);
    EXPECT_EQ(errno, EBADF);
    EXPECT_EQ(n_live(EA_POSIX_SOCKET), 1);
    EXPECT_EQ(ea_posix_disown_fd(&posix, pair[0]), 0);
    EXPECT(is_open(pair[0]));
    EXPECT_EQ(ea_posix_disown_fd(&posix, pair[0]), -1);
    EXPECT_EQ(errno, EBADF);
    EXPECT_EQ(ea_posix_disown_fd(&posix, -1), -1);
    EXPECT_EQ(ea_posix_adopt_fd(&posix, owners[EA_POSIX_SOCKET], pair[0]), pair[0]);
    EXPECT_EQ(ea_posix_close(&posix, pair[0]), 0);
    EXPECT(!is_open(pair[0]));
    (void)close(pair[1]);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST(a_shared_descriptor_is_closed_by_the_last_one, 0)
{
    REQUIRE(start());
    int fd = ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY, 0);
    ea_resource_t resource = ea_posix_fd_resource(&posix, fd);
    EXPECT_EQ(ea_monitor_share(&monitor, resource), EA_OK);
    EXPECT_EQ(ea_posix_close(&posix, fd), 0);
    EXPECT(is_open(fd));
    EXPECT_EQ(ea_monitor_release(&monitor, resource), EA_OK);
    EXPECT(!is_open(fd));
    expect_rest();
    ea_posix_deinit(&posix);
}

/* Closed behind our back, and the number made anew: the old resource goes, the new one is not
 * closed by whoever held the old. */
TEST(a_number_that_is_made_anew_is_safe_from_its_old_holder, 0)
{
    REQUIRE(start());
    int fd = ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY, 0);
    ea_resource_t old = ea_posix_fd_resource(&posix, fd);
    (void)close(fd);
    EXPECT_EQ(ea_posix_socket(&posix, owners[EA_POSIX_SOCKET], AF_UNIX, SOCK_STREAM, 0), fd);
    EXPECT_EQ(used(EA_POSIX_FILE), 0);
    EXPECT_EQ(used(EA_POSIX_SOCKET), 1);
    EXPECT_EQ(ea_monitor_release(&monitor, old), EA_ERR_DOUBLE_FREE);
    EXPECT(is_open(fd));
    ea_posix_report_t report;
    ea_posix_report(&posix, &report);
    EXPECT_EQ(report.n_overtaken, 1);
    EXPECT_EQ(report.n_forgotten, 1);
    EXPECT_EQ(n_heard[EA_POSIX_REUSED], 1);
    EXPECT_EQ(last_event.size_bytes, fd);
    EXPECT_EQ(last_event.n, EA_POSIX_FILE);
    EXPECT_EQ(ea_posix_close(&posix, fd), 0);
    EXPECT(!is_open(fd));
    expect_rest();

    /* With a second holder, whose reference stays. */
    fd = ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY, 0);
    old = ea_posix_fd_resource(&posix, fd);
    EXPECT_EQ(ea_monitor_share(&monitor, old), EA_OK);
    (void)close(fd);
    EXPECT_EQ(ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/zero", O_RDONLY, 0), fd);
    EXPECT_EQ(used(EA_POSIX_FILE), 2);
    EXPECT_EQ(ea_monitor_release(&monitor, old), EA_OK);
    EXPECT(is_open(fd));
    EXPECT_EQ(ea_posix_close(&posix, fd), 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST(close_that_verifies_leaves_another_ones_descriptor_alone, 0)
{
    REQUIRE(start_with(N_ENTRIES, true));
    int fd = ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY, 0);
    EXPECT_EQ(ea_posix_close(&posix, fd), 0);
    EXPECT(!is_open(fd));
    fd = ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY, 0);
    (void)close(fd);
    EXPECT_EQ(open("/dev/zero", O_RDONLY), fd);
    EXPECT_EQ(ea_posix_close(&posix, fd), -1);
    EXPECT_EQ(errno, EBADF);
    EXPECT(is_open(fd));
    EXPECT_EQ(used(EA_POSIX_FILE), 0);
    (void)close(fd);
    expect_rest();
    ea_posix_deinit(&posix);
}

/* Without verifying it is close() that fails, where nothing is there. */
TEST(close_tells_the_systems_error, 0)
{
    REQUIRE(start());
    int fd = ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY, 0);
    (void)close(fd);
    EXPECT_EQ(ea_posix_close(&posix, fd), -1);
    EXPECT_EQ(errno, EBADF);
    expect_rest();
    ea_posix_deinit(&posix);
}

/* An error of another release, by hand, is not told of the next one. */
TEST(close_tells_only_its_own_error, 0)
{
    REQUIRE(start());
    int bad = ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY, 0);
    int good = ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY, 0);
    (void)close(bad);
    EXPECT_EQ(ea_monitor_release(&monitor, ea_posix_fd_resource(&posix, bad)), EA_OK);
    EXPECT_EQ(ea_posix_close(&posix, good), 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST(no_slot_is_no_memory, 0)
{
    static _Alignas(64) unsigned char little[EA_MONITOR_BYTES(1, 7, 12, 1, 0, 0)];
    REQUIRE(start());
    const ea_monitor_options_t options = {.types = types, .n_types = 7, .n_slots = 1};
    REQUIRE(ea_monitor_init(&monitor, little, sizeof little, &options) == EA_OK);
    int fd = ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY, 0);
    EXPECT(fd >= 0);
    EXPECT_EQ(ea_posix_open(&posix, owners[EA_POSIX_FILE], "/dev/null", O_RDONLY, 0), -1);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(ea_posix_close(&posix, fd), 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

/* --- threads ---------------------------------------------------------------------------------- */

static void *add_one(void *arg)
{
    return (char *)arg + 1;
}

static void *exit_early(void *arg)
{
    pthread_exit(arg);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *wait_at_gate(void *arg)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return arg;
}

static void wait_until_released(ea_posix_kind_t kind)
{
    for (int i = 0; i < 5000 && (n_live(kind) > 0 || !is_quiet()); i++) usleep(1000);
}

TEST(threads_are_registered_until_they_are_joined, 0)
{
    char data[2];
    pthread_t thread;
    void *result = NULL;
    REQUIRE(start());
    EXPECT_EQ(ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &thread, NULL, add_one, data),
              0);
    EXPECT_EQ(used(EA_POSIX_THREAD), 1);
    EXPECT_EQ(ea_posix_thread_join(&posix, thread, &result), 0);
    EXPECT(result == data + 1);
    EXPECT_EQ(ea_posix_thread_join(&posix, pthread_self(), NULL), ESRCH);
    EXPECT_EQ(ea_posix_thread_detach(&posix, pthread_self()), ESRCH);
    EXPECT_EQ(
        ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &thread, NULL, exit_early, data),
        0);
    EXPECT_EQ(ea_posix_thread_join(&posix, thread, &result), 0);
    EXPECT(result == data);
    expect_rest();
    ea_posix_deinit(&posix);
}

static int door;

static void *accept_one(void *account)
{
    int fd = ea_posix_accept(&posix, account, door, NULL, NULL, SOCK_CLOEXEC);
    return fd < 0 ? account : NULL; /* and here it is cancelled, if at all */
}

/* pthread_cancel() within a call would leave its charge, and its frame in the binding's list. */
TEST(a_thread_that_is_cancelled_ends_its_call_first, 0)
{
    pthread_t thread;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    REQUIRE(start());
    door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(door >= 0 && bind(door, (struct sockaddr *)&address, sizeof address) == 0 &&
            listen(door, 1) == 0);
    EXPECT_EQ(ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &thread, NULL, accept_one,
                                     owners[EA_POSIX_SOCKET]),
              0);
    while (used(EA_POSIX_SOCKET) == 0) usleep(1000);
    usleep(20000); /* so that it sleeps in accept() most likely */
    EXPECT_EQ(pthread_cancel(thread), 0);
    usleep(20000);
    EXPECT_EQ(shutdown(door, SHUT_RDWR), 0);
    EXPECT_EQ(ea_posix_thread_join(&posix, thread, NULL), 0);
    EXPECT_EQ(close(door), 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

static void *do_nothing(void *arg)
{
    return arg;
}

/* glibc gives the pthread_t of a thread that was joined to the next one. */
TEST(a_thread_that_was_joined_by_others_is_not_taken_for_the_next_one, 0)
{
    pthread_t first, second;
    REQUIRE(start());
    ea_account_t *root = ea_accounts_root(&books[EA_POSIX_THREAD]);
    EXPECT_EQ(
        ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &first, NULL, do_nothing, NULL), 0);
    EXPECT_EQ(pthread_join(first, NULL), 0);
    EXPECT_EQ(ea_posix_thread_create(&posix, root, &second, NULL, do_nothing, NULL), 0);
    EXPECT_EQ(ea_posix_thread_join(&posix, second, NULL), 0);
    EXPECT_EQ(ea_account_committed(owners[EA_POSIX_THREAD]), 1); /* of the first nobody told */
    EXPECT_EQ(ea_posix_thread_join(&posix, second, NULL), ESRCH);
    ea_posix_deinit(&posix);
}

TEST(detached_threads_release_themselves, 0)
{
    pthread_t thread;
    pthread_attr_t attributes;
    REQUIRE(start());
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < 50; i++) { /* some end before they are registered, some after */
        EXPECT_EQ(ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &thread, &attributes,
                                         i % 2 == 0 ? add_one : exit_early, NULL),
                  0);
        if (i % 5 == 0) wait_until_released(EA_POSIX_THREAD);
        if (i % 10 == 9) wait_until_released(EA_POSIX_THREAD);
    }
    wait_until_released(EA_POSIX_THREAD);
    EXPECT_EQ(n_live(EA_POSIX_THREAD), 0);

    pthread_mutex_lock(&gate);
    EXPECT_EQ(
        ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &thread, NULL, wait_at_gate, NULL),
        0);
    EXPECT_EQ(ea_posix_thread_detach(&posix, thread), 0);
    EXPECT_EQ(ea_posix_thread_detach(&posix, thread), ESRCH);
    EXPECT_EQ(n_live(EA_POSIX_THREAD), 1);
    pthread_mutex_unlock(&gate);
    wait_until_released(EA_POSIX_THREAD);

    EXPECT_EQ(ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &thread, NULL, add_one, NULL),
              0);
    usleep(20000); /* it has ended */
    EXPECT_EQ(ea_posix_thread_detach(&posix, thread), 0);
    (void)pthread_attr_destroy(&attributes);
    wait_until_released(EA_POSIX_THREAD);
    expect_rest();
    ea_posix_deinit(&posix);
}

static pthread_t to_join;

static void *join_it(void *arg)
{
    *(int *)arg = ea_posix_thread_join(&posix, to_join, NULL);
    return NULL;
}

TEST(a_thread_that_is_being_joined_is_nobody_elses, 0)
{
    pthread_t joiner;
    int status = -1;
    REQUIRE(start());
    pthread_mutex_lock(&gate);
    ea_account_t *account = owners[EA_POSIX_THREAD];
    EXPECT_EQ(ea_posix_thread_create(&posix, account, &to_join, NULL, wait_at_gate, NULL), 0);
    EXPECT_EQ(pthread_create(&joiner, NULL, join_it, &status), 0);
    usleep(50000); /* by now it waits */
    EXPECT_EQ(ea_posix_thread_detach(&posix, to_join), ESRCH);
    EXPECT_EQ(n_live(EA_POSIX_THREAD), 1);
    pthread_mutex_unlock(&gate);
    EXPECT_EQ(pthread_join(joiner, NULL), 0);
    EXPECT_EQ(status, 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST(thread_failures_leave_nothing, 0)
{
    pthread_t thread, held[2];
    REQUIRE(start_with(2, false));
    set_max(EA_POSIX_THREAD, 1);
    pthread_mutex_lock(&gate);
    EXPECT_EQ(
        ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &held[0], NULL, wait_at_gate, NULL),
        0);
    EXPECT_EQ(ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &thread, NULL, add_one, NULL),
              EDQUOT);
    set_max(EA_POSIX_THREAD, 9);
    EXPECT_EQ(
        ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &held[1], NULL, wait_at_gate, NULL),
        0);
    EXPECT_EQ(ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &thread, NULL, add_one, NULL),
              ENOMEM); /* no entry */
    EXPECT_EQ(used(EA_POSIX_THREAD), 2);
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < 2; i++) EXPECT_EQ(ea_posix_thread_join(&posix, held[i], NULL), 0);
    expect_rest();
    /* A stack of which there cannot be one: the system's refusal. */
    pthread_attr_t attributes;
    (void)pthread_attr_init(&attributes);
    EXPECT_EQ(pthread_attr_setstacksize(&attributes, SIZE_MAX / 4 * 3 / 65536 * 65536), 0);
    if (!HAS_SANITIZER) {
        EXPECT_EQ(ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &thread, &attributes,
                                         add_one, NULL),
                  EAGAIN);
    }
    (void)pthread_attr_destroy(&attributes);
    expect_rest();
    ea_posix_deinit(&posix);
}

/* --- mappings --------------------------------------------------------------------------------- */

TEST(mappings_are_charged_in_pages, 0)
{
    REQUIRE(start());
    const int how = MAP_PRIVATE | MAP_ANONYMOUS;
    ea_account_t *account = owners[EA_POSIX_MAPPING];
    errno = 4711;
    char *place = ea_posix_mmap(&posix, account, NULL, 5000, PROT_READ | PROT_WRITE, how, -1, 0);
    REQUIRE(place != MAP_FAILED);
    EXPECT_EQ(errno, 4711);
    place[4999] = 1;
    EXPECT_EQ(used(EA_POSIX_MAPPING), 8192);
    EXPECT_EQ(ea_posix_munmap(&posix, place, 4096), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(ea_posix_munmap(&posix, place + 4096, 8192), -1);
    EXPECT_EQ(errno, EINVAL);
    errno = 4711;
    EXPECT_EQ(ea_posix_munmap(&posix, place, 8192), 0);
    EXPECT_EQ(errno, 4711);
    unsigned char there[2];
    EXPECT_EQ(mincore(place, 8192, there), -1);
    EXPECT_EQ(ea_posix_munmap(&posix, place, 8192), -1);

    int fd = open("/proc/self/exe", O_RDONLY);
    place = ea_posix_mmap(&posix, account, NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    REQUIRE(place != MAP_FAILED);
    EXPECT(memcmp(place, "\177ELF", 4) == 0);
    EXPECT_EQ(ea_posix_munmap(&posix, place, 4096), 0);
    (void)close(fd);
    expect_rest();
    ea_posix_deinit(&posix);
}

/* The place in the table is another mapping's by now. */
TEST(the_end_of_an_old_mapping_does_not_touch_a_new_one, 0)
{
    REQUIRE(start_with(1, false));
    const int how = MAP_PRIVATE | MAP_ANONYMOUS;
    ea_account_t *account = owners[EA_POSIX_MAPPING];
    char *place = ea_posix_mmap(&posix, account, NULL, 4096, PROT_READ, how, -1, 0);
    uintptr_t old = entries[0].eai_object;
    EXPECT_EQ(ea_posix_munmap(&posix, place, 4096), 0);
    place = ea_posix_mmap(&posix, account, NULL, 4096, PROT_READ, how, -1, 0);
    REQUIRE(place != MAP_FAILED);
    EXPECT(entries[0].eai_object != old);
    ea_posix_end_entry(&posix, old);
    ea_posix_end_entry(&posix, old + 7); /* no place at all */
    unsigned char there[1];
    EXPECT_EQ(mincore(place, 4096, there), 0);
    EXPECT_EQ(ea_posix_munmap(&posix, place, 4096), 0);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST(mapping_failures_leave_nothing, 0)
{
    REQUIRE(start_with(1, false));
    const int how = MAP_PRIVATE | MAP_ANONYMOUS, rw = PROT_READ | PROT_WRITE;
    ea_account_t *account = owners[EA_POSIX_MAPPING];
    EXPECT(ea_posix_mmap(&posix, account, NULL, 0, rw, how, -1, 0) == MAP_FAILED);
    EXPECT_EQ(errno, EINVAL);
    EXPECT(ea_posix_mmap(&posix, account, NULL, SIZE_MAX, rw, how, -1, 0) == MAP_FAILED);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT(ea_posix_mmap(&posix, account, NULL, 4096, rw, MAP_PRIVATE, -1, 0) == MAP_FAILED);
    EXPECT_EQ(errno, EBADF);
    EXPECT_EQ(used(EA_POSIX_MAPPING), 0);
    set_max(EA_POSIX_MAPPING, 8191);
    EXPECT(ea_posix_mmap(&posix, account, NULL, 4097, rw, how, -1, 0) == MAP_FAILED);
    EXPECT_EQ(errno, EDQUOT);
    void *place = ea_posix_mmap(&posix, account, NULL, 4096, rw, how, -1, 0);
    EXPECT(place != MAP_FAILED);
    set_max(EA_POSIX_MAPPING, 1u << 20);
    EXPECT(ea_posix_mmap(&posix, account, NULL, 4096, rw, how, -1, 0) == MAP_FAILED);
    EXPECT_EQ(errno, ENOMEM); /* no entry */
    EXPECT_EQ(ea_posix_munmap(&posix, place, 4096), 0);
    if (!HAS_SANITIZER) {
        rlim_t before;
        set_soft(RLIMIT_AS, 1u << 20, &before); /* less than the program has */
        EXPECT(ea_posix_mmap(&posix, account, NULL, 65536, rw, how, -1, 0) == MAP_FAILED);
        EXPECT_EQ(errno, ENOMEM);
        set_soft(RLIMIT_AS, before, NULL);
    }
    expect_rest();
    ea_posix_deinit(&posix);
}

/* --- children --------------------------------------------------------------------------------- */

static char *const true_argv[] = {(char *)"true", NULL};
static char *const cat_argv[] = {(char *)"cat", NULL};
static char *const no_envp[] = {NULL};

TEST(children_are_registered_until_they_were_waited_for, 0)
{
    pid_t child;
    int status = -1;
    REQUIRE(start());
    ea_account_t *account = owners[EA_POSIX_CHILD];
    EXPECT_EQ(ea_posix_spawn(&posix, account, &child, "/bin/true", NULL, NULL, true_argv, no_envp),
              0);
    EXPECT_EQ(used(EA_POSIX_CHILD), 1);
    EXPECT_EQ(ea_posix_waitpid(&posix, child, &status, 0), child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT_EQ(used(EA_POSIX_CHILD), 0);
    EXPECT_EQ(ea_posix_waitpid(&posix, child, &status, 0), -1);
    EXPECT_EQ(errno, ECHILD);

    EXPECT_EQ(ea_posix_spawn(&posix, account, &child, "/bin/true", NULL, NULL, true_argv, no_envp),
              0);
    EXPECT_EQ(ea_posix_waitpid(&posix, -1, &status, 0), child); /* any */
    EXPECT_EQ(ea_posix_spawn(&posix, account, NULL, "/bin/true", NULL, NULL, true_argv, no_envp),
              0);
    EXPECT(ea_posix_waitpid(&posix, -1, &status, 0) > 0);
    EXPECT_EQ(used(EA_POSIX_CHILD), 0);
    EXPECT_EQ(ea_posix_spawn(&posix, account, &child, "/bin/true", NULL, NULL, true_argv, no_envp),
              0);
    EXPECT_EQ(ea_posix_waitpid(&posix, 0, &status, 0), child); /* of this group */
    EXPECT_EQ(ea_posix_spawn(&posix, account, &child, "/bin/true", NULL, NULL, true_argv, no_envp),
              0);
    EXPECT_EQ(ea_posix_waitpid(&posix, -getpgrp(), &status, 0), child);
    expect_rest();
    ea_posix_deinit(&posix);
}

/* One that lives until it is killed: stopped, continued, not yet ended. */
TEST(a_child_that_is_stopped_stays_registered, 0)
{
    pid_t child;
    int status = -1, ends[2];
    posix_spawn_file_actions_t actions;
    REQUIRE(start());
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
    EXPECT_EQ(ea_posix_spawn(&posix, owners[EA_POSIX_CHILD], &child, "/bin/cat", &actions, NULL,
                             cat_argv, no_envp),
              0);
    EXPECT_EQ(ea_posix_waitpid(&posix, child, &status, WNOHANG), 0);
    EXPECT_EQ(kill(child, SIGSTOP), 0);
    EXPECT_EQ(ea_posix_waitpid(&posix, child, &status, WUNTRACED), child);
    EXPECT(WIFSTOPPED(status));
    EXPECT_EQ(used(EA_POSIX_CHILD), 1);
    EXPECT_EQ(kill(child, SIGKILL), 0);
    EXPECT_EQ(ea_posix_waitpid(&posix, child, &status, 0), child);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[0]);
    (void)close(ends[1]);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST(forked_children_are_adopted, 0)
{
    int status;
    REQUIRE(start());
    pid_t child = fork();
    if (child == 0) _exit(3);
    REQUIRE(child > 0);
    EXPECT_EQ(ea_posix_adopt_child(&posix, owners[EA_POSIX_CHILD], child), 0);
    EXPECT_EQ(ea_posix_adopt_child(&posix, owners[EA_POSIX_CHILD], child), -1);
    EXPECT_EQ(errno, EBUSY);
    EXPECT_EQ(ea_posix_adopt_child(&posix, owners[EA_POSIX_CHILD], getpid()), -1);
    EXPECT_EQ(errno, ECHILD);
    EXPECT_EQ(ea_posix_adopt_child(&posix, owners[EA_POSIX_CHILD], 0), -1);
    EXPECT_EQ(errno, ECHILD);
    EXPECT_EQ(used(EA_POSIX_CHILD), 1);
    EXPECT_EQ(ea_posix_waitpid(&posix, child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 3);
    child = fork(); /* not registered */
    if (child == 0) _exit(4);
    EXPECT_EQ(ea_posix_waitpid(&posix, child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 4);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST(spawn_failures_leave_nothing, 0)
{
    pid_t child, other;
    int status;
    REQUIRE(start_with(1, false));
    ea_account_t *account = owners[EA_POSIX_CHILD];
    EXPECT_EQ(ea_posix_spawn(&posix, account, &child, "/no/such", NULL, NULL, true_argv, no_envp),
              ENOENT);
    expect_rest();
    set_max(EA_POSIX_CHILD, 1);
    EXPECT_EQ(ea_posix_spawn(&posix, account, &child, "/bin/true", NULL, NULL, true_argv, no_envp),
              0);
    EXPECT_EQ(ea_posix_spawn(&posix, account, &other, "/bin/true", NULL, NULL, true_argv, no_envp),
              EDQUOT);
    set_max(EA_POSIX_CHILD, 9);
    EXPECT_EQ(ea_posix_spawn(&posix, account, &other, "/bin/true", NULL, NULL, true_argv, no_envp),
              ENOMEM); /* no entry */
    EXPECT_EQ(ea_posix_waitpid(&posix, child, &status, 0), child);
    expect_rest();
    ea_posix_deinit(&posix);
}

/* The system's limit on processes, which does not bind root: as somebody else, in a child. */
static int spawn_at_the_limit(void)
{
    pid_t child;
    pthread_t thread;
    if (geteuid() == 0 && setresuid(65432, 65432, 65432) != 0) return 77;
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_NPROC, &none) != 0) return 77;
    int error = ea_posix_spawn(&posix, owners[EA_POSIX_CHILD], &child, "/bin/true", NULL, NULL,
                               true_argv, no_envp);
    if (error != EAGAIN || used(EA_POSIX_CHILD) != 0 || n_live(EA_POSIX_CHILD) != 0) return 1;
    error = ea_posix_thread_create(&posix, owners[EA_POSIX_THREAD], &thread, NULL, add_one, NULL);
    if (error != EAGAIN || used(EA_POSIX_THREAD) != 0 || n_live(EA_POSIX_THREAD) != 0) return 2;
    return is_quiet() ? 0 : 3;
}

TEST(fork_that_the_system_refuses_leaves_nothing, 0)
{
    int status = -1;
    REQUIRE(start());
    pid_t child = fork();
    if (child == 0) _exit(spawn_at_the_limit());
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        tap_note("this user may not set limits", 0);
    } else {
        EXPECT_EQ(WEXITSTATUS(status), 0);
    }
    ea_posix_deinit(&posix);
}

/* --- disk space ------------------------------------------------------------------------------- */

TEST(disk_space_is_reserved_against_budget_and_room, 0)
{
    ea_posix_disk_t disk;
    ea_posix_disk_stats_t stats;
    ea_resource_t first, second, third;
    REQUIRE(start_with(2, false));
    ea_account_t *account = owners[EA_POSIX_DISK];
    EXPECT_EQ(ea_posix_disk_open(&posix, &disk, "/nowhere", 0), -1);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_EQ(ea_posix_disk_open(&posix, &disk, "/dev/null", 0), -1);
    EXPECT_EQ(errno, ENOTDIR);
    REQUIRE(ea_posix_disk_open(&posix, &disk, ".", 0) == 0);
    EXPECT_EQ(ea_posix_disk_open(&posix, &disk, ".", 0), -1);
    EXPECT_EQ(errno, EBUSY);
    errno = 4711;
    EXPECT_EQ(ea_posix_disk_reserve(&posix, account, &disk, 1000, &first), 0);
    EXPECT_EQ(errno, 4711);
    EXPECT_EQ(used(EA_POSIX_DISK), 1000);
    EXPECT_EQ(ea_posix_disk_reserve(&posix, account, &disk, 0, &second), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(ea_posix_disk_reserve(&posix, account, &disk, (1u << 30) - 999u, &second), -1);
    EXPECT_EQ(errno, EDQUOT);
    EXPECT_EQ(ea_posix_disk_reserve(&posix, account, &disk, 24, &second), 0);
    EXPECT_EQ(ea_posix_disk_reserve(&posix, account, &disk, 24, &third), -1);
    EXPECT_EQ(errno, ENOMEM); /* no entry */
    EXPECT_EQ(ea_posix_disk_stats(&posix, &disk, &stats), 0);
    EXPECT_EQ(stats.reserved_bytes, 1024);
    EXPECT(stats.room_bytes > 1u << 20);
    EXPECT_EQ(ea_monitor_release(&monitor, second), EA_OK);
    EXPECT_EQ(ea_posix_disk_stats(&posix, &disk, &stats), 0);
    EXPECT_EQ(stats.reserved_bytes, 1000);

    /* More is to stay free than there is. */
    disk.eai_keep_free_bytes = stats.room_bytes + (1u << 30);
    EXPECT_EQ(ea_posix_disk_reserve(&posix, account, &disk, 1, &second), -1);
    EXPECT_EQ(errno, ENOSPC);
    disk.eai_keep_free_bytes = UINT64_MAX;
    EXPECT_EQ(ea_posix_disk_reserve(&posix, account, &disk, 1, &second), -1);
    EXPECT_EQ(errno, ENOSPC);
    EXPECT_EQ(used(EA_POSIX_DISK), 1000);
    /* What is reserved and not yet written needs its room too. */
    if (stats.room_bytes > 512u << 20) {
        disk.eai_keep_free_bytes = stats.room_bytes - (400u << 20);
        EXPECT_EQ(ea_posix_disk_reserve(&posix, account, &disk, 250u << 20, &second), 0);
        EXPECT_EQ(ea_monitor_release(&monitor, first), EA_OK);
        EXPECT_EQ(ea_posix_disk_reserve(&posix, account, &disk, 250u << 20, &first), -1);
        EXPECT_EQ(errno, ENOSPC);
        first = second;
    }
    EXPECT_EQ(ea_monitor_release(&monitor, first), EA_OK);
    expect_rest();
    ea_posix_deinit(&posix);
}

TEST_MAIN(&init_refuses_what_it_cannot_use, &names_are_there, &open_registers_and_close_closes,
          &open_that_the_system_refuses_leaves_nothing, &budget_refuses_before_the_system_is_asked,
          &open_says_that_others_wait, &any_call_makes_a_descriptor,
          &every_failure_for_want_of_descriptors_leaves_nothing,
          &numbers_beyond_the_table_are_refused, &what_came_from_elsewhere_is_adopted_and_disowned,
          &a_shared_descriptor_is_closed_by_the_last_one,
          &a_number_that_is_made_anew_is_safe_from_its_old_holder,
          &close_that_verifies_leaves_another_ones_descriptor_alone, &close_tells_the_systems_error,
          &close_tells_only_its_own_error, &no_slot_is_no_memory,
          &threads_are_registered_until_they_are_joined,
          &a_thread_that_is_cancelled_ends_its_call_first,
          &a_thread_that_was_joined_by_others_is_not_taken_for_the_next_one,
          &detached_threads_release_themselves, &a_thread_that_is_being_joined_is_nobody_elses,
          &thread_failures_leave_nothing, &mappings_are_charged_in_pages,
          &the_end_of_an_old_mapping_does_not_touch_a_new_one, &mapping_failures_leave_nothing,
          &children_are_registered_until_they_were_waited_for,
          &a_child_that_is_stopped_stays_registered, &forked_children_are_adopted,
          &spawn_failures_leave_nothing, &fork_that_the_system_refuses_leaves_nothing,
          &disk_space_is_reserved_against_budget_and_room)
