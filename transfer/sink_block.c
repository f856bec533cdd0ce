/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "transfer/fd_sink.h"

static const struct sw_sink_ops block_ops = {
    .name = "block",
    .pwrite = sw_fd_sink_pwrite,
    .zero = sw_fd_sink_zero,
    .pread = sw_fd_sink_pread,
    .flush = sw_fd_sink_flush,
    .close = sw_fd_sink_close,
};

/* Why a device does not open, with the cure where it is known. */
static int open_failed(const char *path, int sys, struct sw_err *err)
{
    switch (sys) {
    case EACCES:
    case EPERM:
        sw_err_sys(err, sys, "open block device '%s' as uid %u gid %u", path, (unsigned)geteuid(),
                   (unsigned)getegid());
        return sw_err_wrap(err,
                           "the device does not belong to this user; in a pod, set "
                           "device_ownership_from_security_context = true in the container "
                           "runtime (containerd: [plugins.\"io.containerd.grpc.v1.cri\"], CRI-O: "
                           "[crio.runtime])");
    case EBUSY:
        sw_err_sys(err, sys, "open block device '%s'", path);
        err->kind = SW_ERR_DENIED;
        return sw_err_wrap(err, "the device is mounted or used by another program");
    case EROFS:
        sw_err_sys(err, sys, "open block device '%s'", path);
        return sw_err_wrap(err, "the device is read-only");
    default:
        return sw_err_sys(err, sys, "open block device '%s'", path);
    }
}

/* The O_EXCL of the first descriptor holds the device; a second one with O_EXCL would be refused
 * even to ourselves. */
static int open_direct(const char *path, dev_t want)
{
    sw_autoclose int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode) || st.st_rdev != want)
        return -1;

    int taken = fd;
    fd = -1;
    return taken;
}

/* The facts the kernel keeps about a device. */
struct geometry {
    uint64_t size; /* bytes */
    int logical;   /* bytes */
    bool is_read_only;
};

static int look_at(int fd, const char *path, struct geometry *ret, struct sw_err *err)
{
    int ro = 0;

    if (ioctl(fd, BLKGETSIZE64, &ret->size) < 0 || ioctl(fd, BLKSSZGET, &ret->logical) < 0 ||
        ioctl(fd, BLKROGET, &ro) < 0)
        return sw_err_sys(err, errno, "size of block device '%s'", path);
    ret->is_read_only = ro != 0;
    return 0;
}

static int check_is_block(const char *path, dev_t *ret_dev, struct sw_err *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return sw_err_sys(err, errno, "look at '%s'", path);
    if (!S_ISBLK(st.st_mode))
        return sw_err_set(err, SW_ERR_USAGE, "'%s' is not a block device", path);
    *ret_dev = st.st_rdev;
    return 0;
}

/* A page of the page cache covers whole logical blocks, so the kernel itself reads, changes and
 * writes the block that an unaligned tail belongs to. Blocks larger than our alignment (none in
 * Linux before 6.15) raise it. */
static void set_geometry(struct sw_fd_sink *f, const struct geometry *g)
{
    f->base.size = g->size;
    f->base.reads_zero = false;
    f->fixed_size = true;
    f->align = sw_max_u64(f->align, (uint64_t)g->logical);
    atomic_init(&f->ladder.rungs, SW_ZERO_PUNCH | SW_ZERO_RANGE | SW_ZERO_OUT);
}

int sw_sink_open_block(const char *path, unsigned lanes, bool use_direct, struct sw_sink **ret,
                       struct sw_err *err)
{
    sw_autoclose int fd = -1;
    struct geometry g = { 0 };
    struct sw_fd_sink *f;
    dev_t dev = 0;

    if (check_is_block(path, &dev, err) < 0)
        return -1;
    fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
    if (fd < 0)
        return open_failed(path, errno, err);
    if (look_at(fd, path, &g, err) < 0)
        return -1;
    if (g.is_read_only)
        return open_failed(path, EROFS, err);

    int fds[2] = { fd, use_direct ? open_direct(path, dev) : -1 };
    fd = -1;
    if (sw_fd_sink_new(&block_ops, path, lanes, fds, &f, err) < 0)
        return -1;
    set_geometry(f, &g);
    *ret = &f->base;
    return 0;
}
