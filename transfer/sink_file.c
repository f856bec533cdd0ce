/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/sink.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/bytes.h"
#include "transfer/fd_sink.h"

static const struct sw_sink_ops file_ops = {
    .name = "file",
    .pwrite = sw_fd_sink_pwrite,
    .zero = sw_fd_sink_zero,
    .pread = sw_fd_sink_pread,
    .flush = sw_fd_sink_flush,
    .close = sw_fd_sink_close,
};

/* A second, direct descriptor of the same file; -1 where there is no direct I/O (tmpfs before
 * Linux 6.6, some network file systems: EINVAL). */
static int open_direct(const char *path, const struct stat *want)
{
    sw_autoclose int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    struct stat st;

    /* Somebody may have put another file under this name since the first open. */
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != want->st_ino || st.st_dev != want->st_dev)
        return -1;

    int taken = fd;
    fd = -1;
    return taken;
}

int sw_sink_open_file(const char *path, unsigned lanes, bool use_direct, struct sw_sink **ret,
                      struct sw_err *err)
{
    sw_autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct sw_fd_sink *f;
    struct stat st;

    if (fd < 0)
        return sw_err_sys(err, errno, "open '%s' for writing", path);
    if (fstat(fd, &st) < 0)
        return sw_err_sys(err, errno, "look at '%s'", path);
    if (!S_ISREG(st.st_mode))
        return sw_err_set(err, SW_ERR_USAGE, "'%s' is not a regular file", path);

    int fds[2] = { fd, use_direct ? open_direct(path, &st) : -1 };
    fd = -1;
    if (sw_fd_sink_new(&file_ops, path, lanes, fds, &f, err) < 0)
        return -1;
    f->base.size = (uint64_t)st.st_size;
    f->base.reads_zero = st.st_size == 0;
    atomic_init(&f->ladder.rungs, SW_ZERO_PUNCH | SW_ZERO_RANGE);
    *ret = &f->base;
    return 0;
}

/* What the file system has left for us, bytes; UINT64_MAX when it does not say. */
static uint64_t available(const struct sw_fd_sink *f)
{
    struct statvfs v;
    uint64_t bytes;

    if (fstatvfs(f->fd, &v) < 0 || sw_mul_overflows(v.f_bavail, v.f_frsize, &bytes))
        return UINT64_MAX;
    return bytes;
}

static int no_space(const struct sw_fd_sink *f, uint64_t needed, uint64_t left, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_NO_SPACE,
                      "'%s': preallocation needs %llu more bytes, the file system has %llu "
                      "available; free space there or do without preallocation",
                      f->base.path, (unsigned long long)needed, (unsigned long long)left);
}

static uint64_t allocated(const struct sw_fd_sink *f)
{
    struct stat st;

    return fstat(f->fd, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

/* Only what the file grew by is written: what was there before may be data. */
static int write_all(struct sw_fd_sink *f, uint64_t old, uint64_t size, struct sw_err *err)
{
    uint64_t left = available(f);

    if (size <= old)
        return 0;
    if (size - old > left)
        return no_space(f, size - old, left, err);
    if (sw_fd_sink_write_zeroes(&f->base, 0, old, size - old, err) == 0)
        return 0;
    return err->kind == SW_ERR_NO_SPACE ? no_space(f, size - old, left, err) : -1;
}

/* fallocate() in its plain mode changes no data, whatever is allocated already. */
static int reserve(struct sw_fd_sink *f, uint64_t old, uint64_t size, struct sw_err *err)
{
    uint64_t have = allocated(f), left = available(f);
    int r = 0;

    if (size == 0)
        return 0;
    do {
        r = fallocate(f->fd, 0, 0, (off_t)size);
    } while (r < 0 && errno == EINTR);

    if (r == 0)
        return 0;
    if (errno == EOPNOTSUPP || errno == ENOSYS)
        return write_all(f, old, size, err);
    if (errno == ENOSPC || errno == EDQUOT)
        return no_space(f, size > have ? size - have : 0, left, err);
    return sw_err_sys(err, errno, "preallocate %llu bytes of '%s'", (unsigned long long)size,
                      f->base.path);
}

static int grow(struct sw_fd_sink *f, uint64_t size, enum sw_prealloc prealloc, struct sw_err *err)
{
    const uint64_t old = f->base.size;

    if (ftruncate(f->fd, (off_t)size) < 0)
        return sw_err_sys(err, errno, "set the size of '%s' to %llu bytes", f->base.path,
                          (unsigned long long)size);
    switch (prealloc) {
    case SW_PREALLOC_OFF:
        return 0;
    case SW_PREALLOC_FALLOC:
        atomic_fetch_and(&f->ladder.rungs, ~(unsigned)SW_ZERO_PUNCH);
        return reserve(f, old, size, err);
    case SW_PREALLOC_FULL:
        atomic_store(&f->ladder.rungs, 0);
        return write_all(f, old, size, err);
    }
    return sw_err_set(err, SW_ERR_INTERNAL, "unknown preallocation %d", (int)prealloc);
}

int sw_sink_file_resize(struct sw_sink *s, uint64_t size, enum sw_prealloc prealloc,
                        struct sw_err *err)
{
    struct sw_fd_sink *f = (struct sw_fd_sink *)s;

    assert(s->ops == &file_ops);
    if (size > INT64_MAX)
        return sw_err_set(err, SW_ERR_NO_SPACE, "'%s': no file holds %llu bytes", s->path,
                          (unsigned long long)size);
    if (grow(f, size, prealloc, err) < 0) {
        /* Give back what was reserved before space ran out. */
        if (ftruncate(f->fd, (off_t)s->size) < 0)
            return sw_err_wrap(err, "cannot shrink it back");
        return -1;
    }
    s->size = size;
    return 0;
}
