/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/sources.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/fileio.h"

/* Enough for a disk's queue; more threads only move the disk's head about. */
#define FILE_LANES 4

struct file_source {
    struct sw_source base;
    struct sw_cancel *cancel;
    int fd;
    uint64_t taken; /* of a stream: bytes read so far */
    bool ask_holes; /* SEEK_HOLE works here; status() only */
};

static struct file_source *file_source(struct sw_source *s)
{
    return (struct file_source *)s;
}

/* ---- seekable ---- */

static int file_read_at(struct sw_source *s, unsigned lane, void *buf, size_t len, uint64_t off,
                        struct sw_err *err)
{
    struct file_source *f = file_source(s);

    (void)lane;
    if (sw_cancelled(f->cancel))
        return sw_err_set(err, SW_ERR_CANCELLED, "cancelled");

    ssize_t n = sw_pread_full(f->fd, buf, len, off, err);
    if (n < 0)
        return sw_err_wrap(err, "'%s'", s->url);
    if ((size_t)n < len)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "'%s' became shorter while it was read: %llu bytes at first, now %llu",
                          s->url, (unsigned long long)s->size, (unsigned long long)(off + n));
    __atomic_fetch_add(&s->fetched, len, __ATOMIC_RELAXED);
    return 0;
}

/* Where data begins at or after off, and where it ends. ENXIO: no more data. Anything else means
 * that holes cannot be asked for here (block devices: EINVAL), and everything is data. */
static void find_data(struct file_source *f, uint64_t off, uint64_t *ret_from, uint64_t *ret_to)
{
    off_t data = lseek(f->fd, (off_t)off, SEEK_DATA);
    off_t hole = data < 0 ? data : lseek(f->fd, data, SEEK_HOLE);

    *ret_from = off;
    *ret_to = f->base.size;
    if (data < 0 && errno == ENXIO) {
        *ret_from = f->base.size;
    } else if (data < 0 || hole < 0) {
        f->ask_holes = false;
    } else {
        *ret_from = (uint64_t)data;
        *ret_to = (uint64_t)hole;
    }
}

static int file_status(struct sw_source *s, uint64_t off, uint64_t len, bool *ret_zero,
                       uint64_t *ret_len, struct sw_err *err)
{
    struct file_source *f = file_source(s);
    uint64_t from = off, to = s->size;

    (void)err;
    if (f->ask_holes)
        find_data(f, off, &from, &to);
    *ret_zero = from > off;
    *ret_len = sw_min_u64(len, (*ret_zero ? from : to) - off);
    return 0;
}

/* ---- stream ---- */

static int wait_readable(const struct file_source *f, struct sw_err *err)
{
    struct pollfd p[2] = {
        { .fd = f->fd, .events = POLLIN },
        { .fd = f->cancel ? f->cancel->fd : -1, .events = POLLIN },
    };

    while (!sw_cancelled(f->cancel)) {
        int r = poll(p, 2, -1);

        if (r > 0 && p[0].revents)
            return 0;
        if (r < 0 && errno != EINTR)
            return sw_err_sys(err, errno, "wait for '%s'", f->base.url);
    }
    return sw_err_set(err, SW_ERR_CANCELLED, "cancelled");
}

static ssize_t stream_end(const struct sw_source *s, uint64_t taken, struct sw_err *err)
{
    if (s->size != SW_SIZE_UNKNOWN && taken < s->size)
        return sw_err_set(err, SW_ERR_BAD_DATA, "'%s' ends after %llu of %llu bytes", s->url,
                          (unsigned long long)taken, (unsigned long long)s->size);
    return 0;
}

static ssize_t file_read(struct sw_source *s, void *buf, size_t len, struct sw_err *err)
{
    struct file_source *f = file_source(s);

    if (s->size != SW_SIZE_UNKNOWN)
        len = (size_t)sw_min_u64(len, s->size - f->taken);
    while (len) {
        if (wait_readable(f, err) < 0)
            return -1;

        ssize_t n = read(f->fd, buf, len);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return sw_err_sys(err, errno, "read '%s' after %llu bytes", s->url,
                              (unsigned long long)f->taken);
        if (n == 0)
            break;
        f->taken += (uint64_t)n;
        __atomic_fetch_add(&s->fetched, (uint64_t)n, __ATOMIC_RELAXED);
        return n;
    }
    return stream_end(s, f->taken, err);
}

/* ---- opening ---- */

static void file_close(struct sw_source *s)
{
    struct file_source *f = file_source(s);

    if (!s)
        return;
    if (f->fd >= 0)
        close(f->fd);
    sw_source_done(s);
    free(f);
}

static const struct sw_source_ops seekable_ops = {
    .name = "file",
    .read_at = file_read_at,
    .status = file_status,
    .close = file_close,
};

static const struct sw_source_ops stream_ops = {
    .name = "file",
    .read = file_read,
    .close = file_close,
};

/* O_NONBLOCK: opening a FIFO must not wait for its writer where no cancel can reach it; poll() does
 * the waiting instead. It changes nothing for files and devices. */
static int open_path(const char *path, bool is_stdin, struct sw_err *err)
{
    int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                      : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0 && is_stdin)
        return sw_err_sys(err, errno, "standard input");
    if (fd < 0)
        return sw_err_sys(err, errno, "open '%s'", path);
    return fd;
}

static int set_names(struct sw_source *s, const char *path, bool is_stdin, struct sw_err *err)
{
    const char *slash = strrchr(path, '/');
    const char *last = slash ? slash + 1 : path;
    char *absolute = is_stdin ? NULL : realpath(path, NULL);

    /* A path that cannot be resolved (a removed directory) still names the file to people. */
    s->url = absolute ? absolute : strdup(is_stdin ? "standard input" : path);
    s->name = strdup(is_stdin ? "" : last);
    if (!s->url || !s->name)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    return 0;
}

/* Device and inode say which file, size and modification time (ns) which content. */
static int set_validator(struct sw_source *s, const struct stat *st, struct sw_err *err)
{
    sw_autobuf struct sw_buf b = SW_BUF_INIT(256);

    sw_buf_printf(&b, "file:%llx:%llu:%llu:%lld.%09ld", (unsigned long long)st->st_dev,
                  (unsigned long long)st->st_ino, (unsigned long long)s->size,
                  (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    if (sw_buf_check(&b, "the validator", err) < 0)
        return -1;
    s->validator = sw_steal(b.p);
    return 0;
}

static int become_seekable(struct file_source *f, const struct stat *st, struct sw_err *err)
{
    struct sw_source *s = &f->base;

    s->ops = &seekable_ops;
    s->seekable = true;
    s->lanes = FILE_LANES;
    f->ask_holes = S_ISREG(st->st_mode);
    if (S_ISREG(st->st_mode))
        s->size = (uint64_t)st->st_size;
    else if (ioctl(f->fd, BLKGETSIZE64, &s->size) < 0)
        return sw_err_sys(err, errno, "size of block device '%s'", s->url);
    (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return set_validator(s, st, err);
}

/* Standard input that somebody has read from before means "from here on", which only a stream can
 * give; a file at its start is as good as the file by name. */
static int become_what_it_is(struct file_source *f, bool is_stdin, struct sw_err *err)
{
    off_t at = is_stdin ? lseek(f->fd, 0, SEEK_CUR) : 0;
    struct sw_source *s = &f->base;
    struct stat st;

    if (fstat(f->fd, &st) < 0)
        return sw_err_sys(err, errno, "look at '%s'", s->url);
    if (S_ISDIR(st.st_mode))
        return sw_err_set(err, SW_ERR_USAGE, "'%s' is a directory; name the image in it", s->url);
    if ((S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) && at == 0)
        return become_seekable(f, &st, err);
    if (S_ISREG(st.st_mode) && at > 0)
        s->size = st.st_size > at ? (uint64_t)(st.st_size - at) : 0;
    return 0;
}

int sw_source_open_file(const char *path, struct sw_cancel *cancel, struct sw_source **ret,
                        struct sw_err *err)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    int fd = open_path(path, is_stdin, err);
    struct file_source *f;

    if (fd < 0)
        return -1;
    f = calloc(1, sizeof(*f));
    if (!f) {
        close(fd);
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    }
    f->fd = fd;
    f->cancel = cancel;
    f->base.ops = &stream_ops;
    f->base.lanes = 1;
    f->base.size = SW_SIZE_UNKNOWN;
    if (set_names(&f->base, path, is_stdin, err) < 0 || become_what_it_is(f, is_stdin, err) < 0) {
        file_close(&f->base);
        return -1;
    }
    *ret = &f->base;
    return 0;
}
