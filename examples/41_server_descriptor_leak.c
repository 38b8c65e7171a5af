/* SPDX-License-Identifier: MIT
 *
 * A small server on a local socket that forgets to close a file on one of its paths, and uses a
 * library that forgets another. Every descriptor the server opens is charged to it and registered;
 * so the first leak has a name (who opened it, what, since when), and comparing the registry with
 * /proc finds the second, which nobody registered.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <ealloc/port.h>
#include <ealloc_posix.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define N_REQUESTS 60
#define N_SLOTS 64
#define N_NUMBERS 128

static ea_account_t nodes[EA_POSIX_N_KINDS][2];
static ea_accounts_t books[EA_POSIX_N_KINDS];
static ea_account_t *server[EA_POSIX_N_KINDS]; /* of each book: the server's account */
static ea_posix_t posix;
static const ea_resource_type_t types[] = {
    EA_POSIX_TYPES(&posix, &books[0], &books[1], &books[2], &books[3], &books[4], &books[5])};
static _Alignas(64) unsigned char memory[EA_MONITOR_BYTES(N_SLOTS, EA_POSIX_N_KINDS, 12, 1, 0, 0)];
static ea_monitor_t monitor;
static ea_posix_number_t numbers[N_NUMBERS];
static ea_posix_entry_t entries[8];
static ea_posix_suspect_t suspects[8];

static bool begin(void)
{
    const ea_account_limits_t limits = {.max = 40};
    for (int i = 0; i < EA_POSIX_N_KINDS; i++) {
        if (ea_accounts_init(&books[i], nodes[i], 2, NULL) != EA_OK) return false;
        server[i] = ea_account_create(&books[i], nodes[i],
                                      &(ea_account_options_t){.name = "server", .limits = limits});
    }
    const ea_monitor_options_t options = {
        .types = types, .n_types = EA_POSIX_N_KINDS, .n_slots = N_SLOTS};
    const ea_posix_options_t how = {.monitor = &monitor,
                                    .numbers = numbers,
                                    .n_numbers = N_NUMBERS,
                                    .entries = entries,
                                    .n_entries = 8,
                                    .suspects = suspects,
                                    .n_suspects = 8};
    return ea_monitor_init(&monitor, memory, sizeof memory, &options) == EA_OK &&
           ea_posix_init(&posix, &how) == EA_OK;
}

/* --- the server ------------------------------------------------------------------------------- */

/* Somebody else's code, which knows nothing of all this. */
static void library_note(int n)
{
    static int log = -1;
    if (n % 50 == 0) log = open("/dev/zero", O_RDONLY | O_CLOEXEC); /* the old one is forgotten */
    (void)log;
}

/* Not static, so that dladdr() knows their names. */
int answer_get(int client);
int answer_size(int client);

__attribute__((noinline)) int answer_get(int client)
{
    char text[64];
    int file = ea_posix_open(&posix, server[EA_POSIX_FILE], "/proc/version", O_RDONLY, 0);
    if (file < 0) return -1;
    ssize_t n = read(file, text, sizeof text);
    if (n > 0) n = write(client, text, (size_t)n);
    return ea_posix_close(&posix, file);
}

__attribute__((noinline)) int answer_size(int client)
{
    int file = ea_posix_open(&posix, server[EA_POSIX_FILE], "/proc/self/exe", O_RDONLY, 0);
    if (file < 0) return -1;
    off_t size = lseek(file, 0, SEEK_END);
    if (size > 0) return write(client, "large", 5) == 5 ? 0 : -1; /* and file stays open */
    return ea_posix_close(&posix, file);
}

static void *serve(void *arg)
{
    int listener = *(int *)arg;
    for (int i = 1; i <= N_REQUESTS; i++) {
        char request = 0;
        int client =
            ea_posix_accept(&posix, server[EA_POSIX_SOCKET], listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0) break;
        if (read(client, &request, 1) == 1) {
            (void)(request == 's' ? answer_size(client) : answer_get(client));
        }
        library_note(i);
        (void)ea_posix_close(&posix, client);
    }
    return NULL;
}

/* Sends N_REQUESTS requests, one of ten for a size. */
static bool be_client(const struct sockaddr_un *address, socklen_t n_address)
{
    char answer[64];
    for (int i = 1; i <= N_REQUESTS; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (const void *)address, n_address) != 0) return false;
        if (write(fd, i % 10 == 0 ? "s" : "g", 1) != 1) return false;
        while (read(fd, answer, sizeof answer) > 0) {
        }
        (void)close(fd);
    }
    return true;
}

/* --- looking ---------------------------------------------------------------------------------- */

static bool show_open_file(void *context, const ea_resource_info_t *info)
{
    Dl_info site = {.dli_sname = NULL};
    char link[64], path[256];
    if (info->type != EA_POSIX_FILE) return true;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", ea_posix_fd_of(info->object));
    ssize_t n = readlink(link, path, sizeof path);
    (void)dladdr(info->caller, &site);
    const char *name = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
    if (++*(int *)context <= 2) {
        printf("  %.*s, opened in %s(), open for %s\n",
               name == NULL ? 0 : (int)(path + n - name - 1), name == NULL ? "" : name + 1,
               site.dli_sname == NULL ? "?" : site.dli_sname,
               ea_port_time_us() - info->since_us < 60000000u ? "less than a minute" : "long");
    }
    return true;
}

static void show_finding(void *context, const ea_posix_finding_t *finding)
{
    (void)context;
    if (finding->kind > EA_POSIX_SOCKET) return; /* of descriptors only */
    printf("  %s %s: %s\n", ea_posix_what_name(finding->what), ea_posix_kind_name(finding->kind),
           finding->text);
}

int main(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t n_address = sizeof address;
    pthread_t thread;
    /* What the program was started with belongs here. */
    if (!begin() || ea_posix_reconcile_now(&posix, EA_POSIX_KNOWN, NULL, NULL) != EA_OK) return 1;

    int listener =
        ea_posix_socket(&posix, server[EA_POSIX_SOCKET], AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (void *)&address, sizeof(sa_family_t)) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, (void *)&address, &n_address) != 0 ||
        ea_posix_thread_create(&posix, server[EA_POSIX_THREAD], &thread, NULL, serve, &listener) !=
            0) {
        return 1;
    }
    bool is_served = be_client(&address, n_address);
    (void)ea_posix_thread_join(&posix, thread, NULL);
    (void)ea_posix_close(&posix, listener);

    ea_account_stats_t files, sockets;
    ea_account_stats(server[EA_POSIX_FILE], &files);
    ea_account_stats(server[EA_POSIX_SOCKET], &sockets);
    printf("%d requests %s; nobody is connected any more\n", N_REQUESTS,
           is_served ? "served" : "failed");
    printf("%s holds %u files and %u sockets:\n", files.name, (unsigned)files.used,
           (unsigned)sockets.used);
    int n_files = 0;
    size_t cursor = 0;
    if (ea_monitor_walk(&monitor, &cursor, N_SLOTS, show_open_file, &n_files) != EA_OK) return 1;
    printf("  ... and %d more\nin the system, registered by nobody:\n", n_files - 2);
    return ea_posix_reconcile_now(&posix, 0, show_finding, NULL) == EA_OK ? 0 : 1;
}
