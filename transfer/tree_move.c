/* SPDX-License-Identifier: Apache-2.0 */
/* Removing a tree, and moving one into another. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transfer/tree_impl.h"

/* What lies deeper than we ever make it is not ours to walk. */
#define DEPTH_MAX 512

static void close_dir(DIR **d)
{
    if (*d)
        closedir(*d);
}
#define auto_dir __attribute__((cleanup(close_dir)))

/* A directory stream that leaves fd alone. */
static DIR *list(int fd)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;

    if (!d && copy >= 0)
        close(copy);
    return d;
}

/* The next entry that is not "." or "..": 1, 0 at the end, -1 and errno. */
static int next_entry(DIR *d, const char **ret)
{
    const struct dirent *e;

    do {
        errno = 0;
        e = readdir(d);
    } while (e && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
    if (!e)
        return errno ? -1 : 0;
    *ret = e->d_name;
    return 1;
}

/* ---- removing -------------------------------------------------------------------------------- */

static int remove_below(int parent, const char *name, unsigned depth, struct sw_err *err);

static int remove_entries(int fd, unsigned depth, struct sw_err *err)
{
    auto_dir DIR *d = list(fd);
    const char *name = "";
    int rc = d ? next_entry(d, &name) : -1;

    for (; rc > 0; rc = next_entry(d, &name)) {
        if (unlinkat(fd, name, 0) == 0)
            continue;
        if (errno != EISDIR && errno != EPERM)
            return sw_err_sys(err, errno, "remove '%s'", name);
        if (remove_below(fd, name, depth + 1, err) < 0)
            return -1;
    }
    return rc < 0 ? sw_err_sys(err, errno, "list a directory") : 0;
}

static int remove_below(int parent, const char *name, unsigned depth, struct sw_err *err)
{
    struct stat st;

    if (depth > DEPTH_MAX)
        return sw_err_set(err, SW_ERR_INTERNAL, "'%s' lies too deep", name);
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : sw_err_sys(err, errno, "look at '%s'", name);
    if (S_ISDIR(st.st_mode)) {
        if ((st.st_mode & 0700) != 0700 && fchmodat(parent, name, 0700, 0) < 0)
            return sw_err_sys(err, errno, "make '%s' writable", name);

        sw_autoclose int fd = sw_tree_open_dir(parent, name);
        if (fd < 0)
            return sw_err_sys(err, errno, "open '%s'", name);
        if (remove_entries(fd, depth, err) < 0)
            return -1;
    }
    if (unlinkat(parent, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0)
        return sw_err_sys(err, errno, "remove '%s'", name);
    return 0;
}

int sw_tree_remove(int parent, const char *name, struct sw_err *err)
{
    return remove_below(parent, name, 0, err);
}

/* ---- moving ---------------------------------------------------------------------------------- */

struct move {
    int from, to; /* directories */
    bool only_look;
    unsigned depth;
};

static int merge(const struct move *m, struct sw_err *err);

/* A directory changes its parent only when its owner may write to it. */
static int move_entry(const struct move *m, const char *name, mode_t mode, struct sw_err *err)
{
    bool closed = S_ISDIR(mode) && !(mode & 0200);

    if (closed && fchmodat(m->from, name, (mode & 07777) | 0200, 0) < 0)
        return sw_err_sys(err, errno, "make '%s' movable", name);
    if (renameat(m->from, name, m->to, name) < 0)
        return sw_err_sys(err, errno, "move '%s' into place", name);
    if (closed && fchmodat(m->to, name, mode & 07777, 0) < 0)
        return sw_err_sys(err, errno, "set the mode of '%s'", name);
    return 0;
}

/* The directory that was there gets the attributes that the archive has for it, if it is ours. */
static int take_attributes(int fd, const struct stat *st, struct sw_err *err)
{
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, st->st_mtim };

    if ((fchmod(fd, st->st_mode & 07777) < 0 || futimens(fd, times) < 0) && errno != EPERM)
        return sw_err_sys(err, errno, "set mode and time of a directory");
    return 0;
}

static int merge_dir(const struct move *m, const char *name, const struct stat *st,
                     struct sw_err *err)
{
    if (!m->only_look && (st->st_mode & 0700) != 0700 &&
        fchmodat(m->from, name, (st->st_mode & 07777) | 0700, 0) < 0)
        return sw_err_sys(err, errno, "open '%s'", name);

    sw_autoclose int from = sw_tree_open_dir(m->from, name);
    sw_autoclose int to = sw_tree_open_dir(m->to, name);
    const struct move below = { from, to, m->only_look, m->depth + 1 };
    if (from < 0 && errno == EACCES && m->only_look)
        return 0; /* closed by its mode: looked at when it is opened for the move */
    if (from < 0 || to < 0)
        return sw_err_sys(err, errno, "open '%s'", name);
    if (merge(&below, err) < 0)
        return sw_err_wrap(err, "'%s'", name);
    if (m->only_look)
        return 0;
    if (unlinkat(m->from, name, AT_REMOVEDIR) < 0)
        return sw_err_sys(err, errno, "remove '%s'", name);
    if (take_attributes(to, st, err) < 0)
        return -1;
    return fsync(to) < 0 ? sw_err_sys(err, errno, "sync the directory '%s'", name) : 0;
}

static int merge_entry(const struct move *m, const char *name, struct sw_err *err)
{
    struct stat from, to;

    if (fstatat(m->from, name, &from, AT_SYMLINK_NOFOLLOW) < 0)
        return sw_err_sys(err, errno, "look at '%s'", name);
    if (fstatat(m->to, name, &to, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT)
            return sw_err_sys(err, errno, "look at '%s' in the target", name);
        return m->only_look ? 0 : move_entry(m, name, from.st_mode, err);
    }
    if (S_ISDIR(from.st_mode) && S_ISDIR(to.st_mode))
        return merge_dir(m, name, &from, err);
    if (S_ISDIR(to.st_mode))
        return sw_err_set(err, SW_ERR_USAGE,
                          "'%.100s' is a directory in the target and something else in the archive",
                          name);
    if (m->only_look)
        return 0;
    if (S_ISDIR(from.st_mode) && unlinkat(m->to, name, 0) < 0)
        return sw_err_sys(err, errno, "replace '%s'", name);
    return move_entry(m, name, from.st_mode, err);
}

/* Entries move away while the directory is read: what a pass may have missed, the next one finds. */
static int merge(const struct move *m, struct sw_err *err)
{
    auto_dir DIR *d = list(m->from);
    const char *name = "";
    bool moved;

    if (!d || m->depth > DEPTH_MAX)
        return sw_err_sys(err, d ? ELOOP : errno, "list a directory");
    do {
        int rc;

        moved = false;
        while ((rc = next_entry(d, &name)) > 0) {
            if (merge_entry(m, name, err) < 0)
                return -1;
            moved = !m->only_look;
        }
        if (rc < 0)
            return sw_err_sys(err, errno, "list a directory");
        rewinddir(d);
    } while (moved);
    return 0;
}

int sw_tree_publish(struct sw_tree *t, struct sw_err *err)
{
    const struct move look = { t->hidden_fd, t->dir_fd, true, 0 };
    const struct move real = { t->hidden_fd, t->dir_fd, false, 0 };

    if (sw_tree_leave_all(t, err) < 0)
        return -1;
    if (syncfs(t->hidden_fd) < 0)
        return sw_err_sys(err, errno, "flush '%s'", t->dir);
    if (merge(&look, err) < 0 || merge(&real, err) < 0)
        return sw_err_wrap(err, "'%s'", t->dir);
    close(t->hidden_fd);
    t->hidden_fd = -1;
    t->made_dir = false;
    if (unlinkat(t->dir_fd, SW_TREE_HIDDEN, AT_REMOVEDIR) < 0)
        return sw_err_sys(err, errno, "remove '%s/%s'", t->dir, SW_TREE_HIDDEN);
    /* The names; their files are safe since before. (A second syncfs() would wait for everybody's
     * data again.) */
    if (fsync(t->dir_fd) < 0)
        return sw_err_sys(err, errno, "sync the directory '%s'", t->dir);
    return 0;
}
