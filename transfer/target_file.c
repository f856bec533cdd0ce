/* SPDX-License-Identifier: Apache-2.0 */
/* A regular file as target: hidden siblings while it is written, one rename at the end. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/fileio.h"
#include "transfer/target_impl.h"

/* A stream's disk grows this far ahead of the writers, so that they do not extend the file: an
 * extending O_DIRECT write holds the inode alone. */
#define GROW_STEP (UINT64_C(1) << 30)

struct file_target {
    struct sw_target base;
    char *dir, *partial, *journal;
    int lock_fd;    /* of the partial file; holds the flock */
    int journal_fd; /* -1 until the first checkpoint         */
    bool published;
};

static struct file_target *self(struct sw_target *t)
{
    return (struct file_target *)t;
}

/* What the partial file already occupies, bytes. */
static uint64_t occupied(const struct file_target *f)
{
    struct stat st;

    return fstat(f->lock_fd, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

static int file_capacity(struct sw_target *t, uint64_t *ret, struct sw_err *err)
{
    struct statvfs v;

    if (fstatvfs(self(t)->lock_fd, &v) < 0)
        return sw_err_sys(err, errno, "ask for the free space of '%s'", self(t)->dir);
    *ret = (uint64_t)v.f_bavail * v.f_frsize + occupied(self(t));
    return 0;
}

static int file_read_slot(struct sw_target *t, unsigned slot, char *text, size_t *ret_n,
                          struct sw_err *err)
{
    sw_autoclose int fd = open(self(t)->journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return sw_err_sys(err, errno, "open '%s'", self(t)->journal);
    ssize_t n = sw_pread_full(fd, text, SW_JOURNAL_MAX, (uint64_t)slot * SW_JOURNAL_MAX, err);
    if (n < 0)
        return -1;
    *ret_n = (size_t)n;
    return 0;
}

static int open_journal(struct file_target *f, struct sw_err *err)
{
    if (f->journal_fd < 0)
        f->journal_fd = open(f->journal, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->journal_fd < 0)
        return sw_err_sys(err, errno, "create '%s'", f->journal);
    return 0;
}

static int file_write_slot(struct sw_target *t, unsigned slot, struct sw_journal *j,
                           struct sw_err *err)
{
    struct file_target *f = self(t);
    sw_autofree char *text = calloc(1, SW_JOURNAL_MAX);

    if (!text)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (open_journal(f, err) < 0)
        return -1;
    sw_journal_format(j, text);
    if (sw_pwrite_full(f->journal_fd, text, SW_JOURNAL_MAX, (uint64_t)slot * SW_JOURNAL_MAX, err) <
        0)
        return sw_err_wrap(err, "'%s'", f->journal);
    if (j->durable && fdatasync(f->journal_fd) < 0)
        return sw_err_sys(err, errno, "sync '%s'", f->journal);
    return 0;
}

static bool file_accept(struct sw_target *t, const struct sw_journal *j)
{
    struct stat st;

    /* The size is set before the first record is written. */
    return fstat(self(t)->lock_fd, &st) == 0 && (uint64_t)st.st_size >= j->disk_size;
}

static int file_prepare(struct sw_target *t, uint64_t size, const struct sw_journal *from,
                        struct sw_err *err)
{
    struct file_target *f = self(t);

    if (from)
        return 0;
    /* The journal first: a record must never outlive what it describes. */
    if (unlink(f->journal) < 0 && errno != ENOENT)
        return sw_err_sys(err, errno, "remove '%s'", f->journal);
    if (unlink(t->park_path) < 0 && errno != ENOENT)
        return sw_err_sys(err, errno, "remove '%s'", t->park_path);
    if (unlink(t->tables_path) < 0 && errno != ENOENT)
        return sw_err_sys(err, errno, "remove '%s'", t->tables_path);
    if (sw_sink_file_resize(t->sink, 0, SW_PREALLOC_OFF, err) < 0)
        return -1;
    return size ? sw_sink_file_resize(t->sink, size, t->o->prealloc, err) : 0;
}

static int file_grow(struct sw_target *t, uint64_t size, struct sw_err *err)
{
    if (size <= t->sink->size)
        return 0;
    return sw_sink_file_resize(t->sink, sw_align_up(size, GROW_STEP), SW_PREALLOC_OFF, err);
}

static int file_write(struct sw_target *t, unsigned lane, const void *buf, size_t len, uint64_t off,
                      struct sw_err *err)
{
    return t->sink->ops->pwrite(t->sink, lane, buf, len, off, err);
}

static int file_read(struct sw_target *t, void *buf, size_t len, uint64_t off, struct sw_err *err)
{
    return t->sink->ops->pread(t->sink, SW_TARGET_LANES - 1, buf, len, off, err);
}

static int set_owner(const struct file_target *f, struct sw_err *err)
{
    const struct sw_import_options *o = f->base.o;

    if ((o->uid >= 0 || o->gid >= 0) && fchown(f->lock_fd, (uid_t)o->uid, (gid_t)o->gid) < 0)
        return sw_err_sys(err, errno, "give the disk to %d:%d", o->uid, o->gid);
    if (fchmod(f->lock_fd, o->mode ? (mode_t)o->mode : 0660) < 0)
        return sw_err_sys(err, errno, "set the disk's mode");
    return 0;
}

static int sync_dir(const char *dir, struct sw_err *err)
{
    sw_autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return sw_err_sys(err, errno, "open the directory '%s'", dir);
    if (fsync(fd) < 0)
        return sw_err_sys(err, errno, "sync the directory '%s'", dir);
    return 0;
}

/* The size of a stream is known only now: what it left out is reserved at the end. */
static int reserve_rest(const struct file_target *f, uint64_t size, struct sw_err *err)
{
    if (f->base.o->prealloc == SW_PREALLOC_OFF || size == 0)
        return 0;
    if (fallocate(f->lock_fd, 0, 0, (off_t)size) < 0 && errno != EOPNOTSUPP)
        return sw_err_sys(err, errno, "reserve the %llu bytes of the disk",
                          (unsigned long long)size);
    return 0;
}

static int file_publish(struct sw_target *t, uint64_t size, struct sw_err *err)
{
    struct file_target *f = self(t);

    if (size != t->sink->size && sw_sink_file_resize(t->sink, size, SW_PREALLOC_OFF, err) < 0)
        return -1;
    if (reserve_rest(f, size, err) < 0 || set_owner(f, err) < 0 ||
        t->sink->ops->flush(t->sink, err) < 0)
        return -1;
    if (rename(f->partial, t->name) < 0)
        return sw_err_sys(err, errno, "rename '%s' (was it removed while it was written?)",
                          f->partial);
    f->published = true;
    (void)unlink(f->journal);
    (void)unlink(t->park_path);
    (void)unlink(t->tables_path);
    return sync_dir(f->dir, err);
}

static void file_abandon(struct sw_target *t, bool keep)
{
    struct file_target *f = self(t);

    /* This run's journal, or that of the run before, which this one went on from. */
    if (keep && (f->journal_fd >= 0 || access(f->journal, F_OK) == 0))
        return;
    (void)unlink(f->journal);
    (void)unlink(t->park_path);
    (void)unlink(t->tables_path);
    if (!f->published)
        (void)unlink(f->partial);
}

static void file_close(struct sw_target *t)
{
    struct file_target *f = self(t);

    sw_sink_close(t->sink);
    if (f->lock_fd >= 0)
        close(f->lock_fd);
    if (f->journal_fd >= 0)
        close(f->journal_fd);
    free(t->name);
    free(t->park_path);
    free(t->tables_path);
    free(f->dir);
    free(f->partial);
    free(f->journal);
    free(f);
}

static const struct sw_target_ops file_ops = {
    .capacity = file_capacity,
    .read_slot = file_read_slot,
    .write_slot = file_write_slot,
    .accept = file_accept,
    .prepare = file_prepare,
    .grow = file_grow,
    .write = file_write,
    .read = file_read,
    .publish = file_publish,
    .abandon = file_abandon,
    .close = file_close,
};

static int set_paths(struct file_target *f, const char *path, struct sw_err *err)
{
    sw_autofree char *for_dir = strdup(path);
    sw_autofree char *for_base = strdup(path);

    if (!for_dir || !for_base)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");

    const char *base = basename(for_base);
    f->dir = strdup(dirname(for_dir));
    if (!f->dir || asprintf(&f->partial, "%s/.%s.slipway-partial", f->dir, base) < 0 ||
        asprintf(&f->journal, "%s/.%s.slipway-journal", f->dir, base) < 0 ||
        asprintf(&f->base.park_path, "%s/.%s.slipway-park", f->dir, base) < 0 ||
        asprintf(&f->base.tables_path, "%s/.%s.slipway-tables", f->dir, base) < 0)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    return 0;
}

/* Open and lock the partial file. Whoever held the lock may have renamed the file meanwhile: then
 * the name stands for another one, and we begin again. */
static int lock_partial(struct file_target *f, struct sw_err *err)
{
    for (int tries = 0; tries < 16; tries++) {
        sw_autoclose int fd = open(f->partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct stat mine, named;

        if (fd < 0)
            return sw_err_sys(err, errno, "create '%s'", f->partial);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            if (errno == EWOULDBLOCK)
                return sw_err_set(err, SW_ERR_TRANSIENT,
                                  "another import is writing '%s': wait for it to end",
                                  f->base.name);
            return sw_err_sys(err, errno, "lock '%s'", f->partial);
        }
        if (fstat(fd, &mine) == 0 && stat(f->partial, &named) == 0 && mine.st_ino == named.st_ino) {
            f->lock_fd = fd;
            fd = -1;
            return 0;
        }
    }
    return sw_err_set(err, SW_ERR_TRANSIENT, "'%s' keeps changing", f->partial);
}

int sw_target_open_file(const char *path, const struct sw_import_options *o, struct sw_target **ret,
                        struct sw_err *err)
{
    struct file_target *f = calloc(1, sizeof(*f));

    if (!f)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    f->base.ops = &file_ops;
    f->base.o = o;
    f->base.can_resume = true;
    f->lock_fd = f->journal_fd = -1;
    f->base.name = strdup(path);
    if (!f->base.name || set_paths(f, path, err) < 0 || lock_partial(f, err) < 0 ||
        sw_sink_open_file(f->partial, SW_TARGET_LANES, !o->no_direct, &f->base.sink, err) < 0) {
        file_close(&f->base);
        return -1;
    }
    *ret = &f->base;
    return 0;
}
