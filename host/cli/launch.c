/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "launch.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "printable.h"
#include "session.h"

#ifndef EALLOC_LIBDIR
#define EALLOC_LIBDIR "/usr/local/lib"
#endif
#define LIBRARY "libealloc_preload.so"

/* Beside the tool in the build tree, beside its bin directory where it is installed, or as built
 * in. */
bool launch_find_preload(char *path, size_t size)
{
    static const char *const places[] = {"", "../preload/", "../lib/", "../lib/ealloc/"};
    const char *chosen = getenv("EALLOC_PRELOAD");
    if (chosen != NULL) {
        snprintf(path, size, "%s", chosen);
        return access(path, R_OK) == 0;
    }
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
        self[n] = '\0';
        *(strrchr(self, '/') + 1) = '\0';
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            snprintf(path, size, "%s%s" LIBRARY, self, places[i]);
            if (access(path, R_OK) == 0) return true;
        }
    }
    snprintf(path, size, "%s/" LIBRARY, EALLOC_LIBDIR);
    return access(path, R_OK) == 0;
}

static void set_environment(const char *preload, const char *session)
{
    char *list = NULL;
    const char *others = getenv("LD_PRELOAD");
    if (others == NULL || others[0] == '\0')
        setenv("LD_PRELOAD", preload, 1);
    else if (strstr(others, preload) == NULL && asprintf(&list, "%s:%s", preload, others) > 0)
        setenv("LD_PRELOAD", list, 1);
    setenv(SESSION_ENV, session, 1);
    free(list);
}

pid_t launch(char **command, const char *preload, const char *session, int *status)
{
    int report[2]; /* closed by a successful exec, else tells why it failed */
    if (pipe2(report, O_CLOEXEC) != 0) return -1;
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        set_environment(preload, session);
        execvp(command[0], command);
        int reason = errno;
        if (write(report[1], &reason, sizeof reason) < 0) _exit(125);
        _exit(126);
    }
    int reason = pid < 0 ? errno : 0;
    close(report[1]);
    bool failed = pid < 0 || read(report[0], &reason, sizeof reason) == sizeof reason;
    close(report[0]);
    if (!failed) return pid;
    if (pid > 0) waitpid(pid, NULL, 0);
    *status = pid < 0 ? 125 : reason == ENOENT ? 127 : 126;
    char *name = printable(command[0]);
    fprintf(stderr, "ealloc record: %s: %s\n", name, strerror(reason));
    free(name);
    return -1;
}

/* The file that execvp would run. */
static int open_command(const char *command)
{
    if (strchr(command, '/') != NULL) return open(command, O_RDONLY | O_CLOEXEC);
    const char *list = getenv("PATH");
    while (list != NULL && *list != '\0') {
        char path[PATH_MAX];
        size_t n = strcspn(list, ":");
        snprintf(path, sizeof path, "%.*s/%s", (int)n, list, command);
        if (access(path, X_OK) == 0) return open(path, O_RDONLY | O_CLOEXEC);
        list += n + (list[n] == ':');
    }
    return -1;
}

const char *launch_why_not(const char *command)
{
    const char *why = "did not allocate, or removed LD_PRELOAD from its environment";
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < IMAGE_BYTES)
        return "may not write files as large as a recording under way is (ulimit -f)";
    int fd = open_command(command);
    struct stat st;
    Elf64_Ehdr head;
    if (fd < 0) return why;
    bool is_elf = pread(fd, &head, sizeof head, 0) == sizeof head &&
                  memcmp(head.e_ident, ELFMAG, SELFMAG) == 0;
    if (fstat(fd, &st) == 0 && (st.st_mode & (S_ISUID | S_ISGID)) != 0 &&
        (st.st_uid != getuid() || st.st_gid != getgid())) {
        why = "is setuid or setgid: the system does not preload into it";
    } else if (is_elf && head.e_ident[EI_CLASS] != ELFCLASS64) {
        why = "is a 32-bit program: only 64-bit programs can be recorded";
    } else if (is_elf && head.e_phentsize == sizeof(Elf64_Phdr)) {
        bool dynamic = false;
        for (unsigned i = 0; i < head.e_phnum; i++) {
            Elf64_Phdr segment;
            off_t at = (off_t)(head.e_phoff + i * sizeof segment);
            if (pread(fd, &segment, sizeof segment, at) == sizeof segment)
                dynamic |= segment.p_type == PT_INTERP;
        }
        if (!dynamic) why = "is statically linked: there is nothing to preload into";
    }
    close(fd);
    return why;
}
