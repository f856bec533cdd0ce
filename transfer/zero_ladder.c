/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/zero_ladder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <sys/ioctl.h>

#include "common/bytes.h"

/* Where the kernel falls back to writing zeroes one call cannot be interrupted; this keeps it to
 * a second or so on slow disks. */
#define STEP (256 * SW_MIB)

static int climb(enum sw_zero_rung rung, int fd, uint64_t off, uint64_t len)
{
    uint64_t range[2] = { off, len };

    switch (rung) {
    case SW_ZERO_PUNCH:
        return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
    case SW_ZERO_RANGE:
        return fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
    case SW_ZERO_OUT:
        return ioctl(fd, BLKZEROOUT, range);
    }
    errno = EINVAL;
    return -1;
}

/* "This target cannot do that", as opposed to "this went wrong". ENODEV is what kernel 3.10 says for
 * fallocate on a block device; EREMOTEIO comes from disks that promised WRITE SAME and refuse it. */
static bool is_refusal(int sys)
{
    return sys == EOPNOTSUPP || sys == ENOSYS || sys == ENOTTY || sys == ENODEV || sys == EINVAL ||
           sys == EREMOTEIO;
}

/* As sw_zero_ladder_try(), for one step. */
static int zero_step(struct sw_zero_ladder *l, int fd, uint64_t off, uint64_t len,
                     struct sw_err *err)
{
    static const enum sw_zero_rung order[] = { SW_ZERO_PUNCH, SW_ZERO_RANGE, SW_ZERO_OUT };

    for (size_t i = 0; i < SW_COUNT(order);) {
        if (!(atomic_load(&l->rungs) & order[i])) {
            i++;
            continue;
        }
        if (climb(order[i], fd, off, len) == 0)
            return 1;
        if (errno == EINTR)
            continue;
        if (!is_refusal(errno))
            return sw_err_sys(err, errno, "zero %llu bytes at offset %llu", (unsigned long long)len,
                              (unsigned long long)off);
        atomic_fetch_and(&l->rungs, ~(unsigned)order[i]);
    }
    return 0;
}

int sw_zero_ladder_try(struct sw_zero_ladder *l, int fd, uint64_t off, uint64_t len,
                       struct sw_err *err)
{
    while (len) {
        uint64_t step = sw_min_u64(len, STEP);
        int r = zero_step(l, fd, off, step, err);

        if (r <= 0)
            return r;
        off += step;
        len -= step;
    }
    return 1;
}
