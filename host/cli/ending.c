/* SPDX-License-Identifier: MIT */
#include "ending.h"

#include <sys/ioctl.h>

/* As <linux/pidfd.h> of Linux 6.15 has it; Debian 12's does not. */
typedef struct {
    uint64_t mask, cgroup_id;
    uint32_t pid, tgid, ppid, ids[8];
    int32_t exit_code;
} pidfd_info_t;

_Static_assert(sizeof(pidfd_info_t) == 64, "the first published size");

#define ASK_INFO _IOWR(0xFF, 11, pidfd_info_t)
#define MASK_EXIT (UINT64_C(1) << 3)

ending_t ending_ask(int pidfd, int *wait_status)
{
    pidfd_info_t info = {.mask = MASK_EXIT};
    if (ioctl(pidfd, ASK_INFO, &info) != 0) return ENDING_UNKNOWN;
    if ((info.mask & MASK_EXIT) == 0) return ENDING_PENDING; /* its parent has not waited for it */
    *wait_status = info.exit_code;
    return ENDING_KNOWN;
}
