/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/tree_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/fileio.h"
#include "formats/member_name.h"

#define BLOCK 4096               /* what a hole is made of; also the page */
#define FILE_WINDOW (4 * SW_MIB) /* of page cache, twice, that a large file may take */

static int bad_member(const char *path, const char *why, struct sw_err *err)
{
    char shown[SW_MEMBER_SHOWN_MAX];

    return sw_err_set(err, SW_ERR_BAD_DATA, "member '%s' %s", sw_member_shown(path, shown), why);
}

static int sys_member(const char *doing, const char *path, int sys, struct sw_err *err)
{
    char shown[SW_MEMBER_SHOWN_MAX];

    return sw_err_sys(err, sys, "%s member '%s'", doing, sw_member_shown(path, shown));
}

/* ---- the current path ------------------------------------------------------------------------ */

int sw_tree_open_dir(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int top(const struct sw_tree *t)
{
    return t->n_levels ? t->levels[t->n_levels - 1].fd : t->hidden_fd;
}

static int leave(struct sw_tree *t, struct sw_err *err)
{
    struct sw_tree_level *l = &t->levels[--t->n_levels];
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, l->mtime };
    int rc = fchmod(l->fd, l->mode);

    if (rc == 0 && l->keeps_mtime)
        rc = futimens(l->fd, times);
    int sys = errno;
    close(l->fd);
    return rc < 0 ? sys_member("set mode and time of", l->name, sys, err) : 0;
}

static int leave_to(struct sw_tree *t, unsigned n, struct sw_err *err)
{
    while (t->n_levels > n) {
        if (leave(t, err) < 0)
            return -1;
    }
    return 0;
}

int sw_tree_leave_all(struct sw_tree *t, struct sw_err *err)
{
    return leave_to(t, 0, err);
}

/* A directory of an earlier member that its owner may not read, write or search: it may now, and
 * gets its mode back when it is left. */
static int open_closed_dir(int parent, const char *name)
{
    struct stat st;

    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    if (fchmodat(parent, name, (st.st_mode & 07777) | 0700, 0) < 0)
        return -1;
    int fd = sw_tree_open_dir(parent, name);
    if (fd >= 0 && fchmod(fd, st.st_mode & 07777) < 0) { /* for the one who asks what it was */
        close(fd);
        return -1;
    }
    return fd;
}

/* Open the directory `name` and make it the top level. made: it is new. -1 and errno. */
static int push_level(struct sw_tree *t, const char *name, bool made)
{
    struct sw_tree_level *l = &t->levels[t->n_levels];
    struct stat st;

    l->fd = sw_tree_open_dir(top(t), name);
    if (l->fd < 0 && errno == EACCES)
        l->fd = open_closed_dir(top(t), name);
    if (l->fd < 0)
        return -1;
    if (fstat(l->fd, &st) < 0 ||
        ((st.st_mode & 0700) != 0700 && fchmod(l->fd, (st.st_mode & 07777) | 0700) < 0)) {
        close(l->fd);
        return -1;
    }
    l->mode = made ? 0755 : st.st_mode & 07777;
    l->mtime = st.st_mtim;
    l->keeps_mtime = !made;
    memcpy(l->name, name, strlen(name) + 1);
    t->n_levels++;
    return 0;
}

/* Go into `name`, which is made when it is not there. */
static int enter(struct sw_tree *t, const char *name, const char *path, struct sw_err *err)
{
    bool made = false;

    if (t->n_levels == t->max_levels)
        return bad_member(path, "lies too deep", err);
    if (push_level(t, name, false) == 0)
        return 0;
    if (errno == ENOENT) {
        if (mkdirat(top(t), name, 0700) < 0)
            return sys_member("make a directory above", path, errno, err);
        made = true;
    }
    if (made && push_level(t, name, true) == 0)
        return 0;
    if (errno == ELOOP || errno == ENOTDIR)
        return bad_member(path, "lies below a member that is no directory", err);
    return sys_member("open a directory above", path, errno, err);
}

/* Make the current path the directory that `path` lies in. *ret_name: its last component. */
static int go_to(struct sw_tree *t, const char *path, char ret_name[256], struct sw_err *err)
{
    bool same = true;
    unsigned depth = 0;
    const char *end;

    for (; (end = strchr(path, '/')); path = end + 1, depth++) {
        size_t n = (size_t)(end - path);

        if (n > 255)
            return sys_member("make a directory above", path, ENAMETOOLONG, err);
        memcpy(ret_name, path, n);
        ret_name[n] = '\0';
        same = same && depth < t->n_levels && strcmp(t->levels[depth].name, ret_name) == 0;
        if (same)
            continue;
        if (leave_to(t, depth, err) < 0 || enter(t, ret_name, path, err) < 0)
            return -1;
    }
    if (strlen(path) > 255)
        return sys_member("make", path, ENAMETOOLONG, err);
    memcpy(ret_name, path, strlen(path) + 1);
    return leave_to(t, depth, err);
}

/* go_to() for a member that is about to be made. */
static int prepare(struct sw_tree *t, const char *path, char ret_name[256], struct sw_err *err)
{
    if (!*path)
        return bad_member(path, "has an empty name", err);
    if (go_to(t, path, ret_name, err) < 0)
        return -1;
    if (t->n_levels == 0 && strcmp(ret_name, SW_TREE_HIDDEN) == 0)
        return bad_member(path, "has a name that is kept for unfinished work", err);
    return 0;
}

/* Take an earlier member of that name away; never a directory. */
static int make_way(const struct sw_tree *t, const char *name, const char *path, struct sw_err *err)
{
    struct stat st;

    if (fstatat(top(t), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return sys_member("look at", path, errno, err);
    if (S_ISDIR(st.st_mode))
        return bad_member(path, "was a directory before", err);
    if (unlinkat(top(t), name, 0) < 0)
        return sys_member("replace", path, errno, err);
    return 0;
}

/* ---- members --------------------------------------------------------------------------------- */

/* A directory that is there stays. */
static int make_dir(const struct sw_tree *t, const char *name, const char *path, struct sw_err *err)
{
    struct stat st;

    if (mkdirat(top(t), name, 0700) == 0)
        return 0;
    if (errno != EEXIST || fstatat(top(t), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return sys_member("make the directory", path, errno, err);
    if (S_ISDIR(st.st_mode))
        return 0;
    if (make_way(t, name, path, err) < 0)
        return -1;
    return mkdirat(top(t), name, 0700) < 0 ? sys_member("make the directory", path, errno, err) : 0;
}

int sw_tree_dir(struct sw_tree *t, const char *path, const struct sw_tree_attr *attr,
                struct sw_err *err)
{
    char name[256];
    struct sw_tree_level *l;

    if (prepare(t, path, name, err) < 0)
        return -1;
    if (make_dir(t, name, path, err) < 0)
        return -1;
    if (enter(t, name, path, err) < 0)
        return -1;
    l = &t->levels[t->n_levels - 1];
    l->mode = attr->mode & 01777;
    l->mtime = attr->mtime;
    l->keeps_mtime = true;
    return 0;
}

static int set_link_time(const struct sw_tree *t, const char *name, const char *path,
                         const struct timespec *mtime, struct sw_err *err)
{
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, *mtime };

    if (utimensat(top(t), name, times, AT_SYMLINK_NOFOLLOW) < 0 && errno != EOPNOTSUPP)
        return sys_member("set the time of", path, errno, err);
    return 0;
}

int sw_tree_symlink(struct sw_tree *t, const char *path, const char *target,
                    const struct sw_tree_attr *attr, struct sw_err *err)
{
    char name[256];

    if (prepare(t, path, name, err) < 0)
        return -1;
    int rc = symlinkat(target, top(t), name);
    if (rc < 0 && errno == EEXIST) {
        if (make_way(t, name, path, err) < 0)
            return -1;
        rc = symlinkat(target, top(t), name);
    }
    if (rc < 0)
        return sys_member("make the symbolic link", path, errno, err);
    return set_link_time(t, name, path, &attr->mtime, err);
}

/* The directory and the name of the file that a hard link is to be another name of. The directory is
 * ours alone: what is seen there stays so. Returns a descriptor. */
static int find_file(struct sw_tree *t, const char *path, const char *target, char ret_name[256],
                     struct sw_err *err)
{
    struct stat st;

    if (!*target)
        return bad_member(path, "is a hard link to nothing", err);
    if (go_to(t, target, ret_name, err) < 0)
        return -1;
    if (fstatat(top(t), ret_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT
                   ? bad_member(path, "is a hard link to what the archive has not brought", err)
                   : sys_member("look at the target of the hard link", path, errno, err);
    if (!S_ISREG(st.st_mode)) /* where a symbolic link leads depends on where it lies */
        return bad_member(path, "is a hard link to something other than a file", err);

    int dir = fcntl(top(t), F_DUPFD_CLOEXEC, 0);
    return dir < 0 ? sys_member("make the hard link", path, errno, err) : dir;
}

int sw_tree_hardlink(struct sw_tree *t, const char *path, const char *target, struct sw_err *err)
{
    char name[256], old[256];
    sw_autoclose int dir = find_file(t, path, target, old, err);

    if (dir < 0 || prepare(t, path, name, err) < 0)
        return -1;
    if (strcmp(path, target) == 0)
        return 0;
    int rc = linkat(dir, old, top(t), name, 0);
    if (rc < 0 && errno == EEXIST) {
        if (make_way(t, name, path, err) < 0)
            return -1;
        rc = linkat(dir, old, top(t), name, 0);
    }
    return rc < 0 ? sys_member("make the hard link", path, errno, err) : 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

int sw_tree_file(struct sw_tree *t, const char *path, struct sw_err *err)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    char name[256];

    if (prepare(t, path, name, err) < 0)
        return -1;
    free(t->file_path);
    t->file_path = strdup(path);
    if (!t->file_path)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    t->file = openat(top(t), name, flags, 0600);
    if (t->file < 0 && errno == EEXIST) {
        if (make_way(t, name, path, err) < 0)
            return -1;
        t->file = openat(top(t), name, flags, 0600);
    }
    if (t->file < 0)
        return sys_member("create", path, errno, err);
    t->behind = (struct sw_write_behind){ .fd = t->file, .window = FILE_WINDOW };
    t->lane = (struct sw_wb_lane){ 0 };
    return 0;
}

/* Whole blocks of zeroes at both ends need not be written: the file is new. */
static void trim(struct sw_span *s, uint64_t *off)
{
    size_t n;

    while (s->n && (n = (size_t)sw_min_u64(s->n, BLOCK - *off % BLOCK)) && sw_is_zero(s->p, n)) {
        s->p += n;
        s->n -= n;
        *off += n;
    }
    while (s->n && (n = (size_t)sw_min_u64(s->n, (*off + s->n - 1) % BLOCK + 1)) &&
           sw_is_zero(s->p + s->n - n, n))
        s->n -= n;
}

int sw_tree_write(struct sw_tree *t, struct sw_span bytes, uint64_t off, uint64_t *ret_written,
                  struct sw_err *err)
{
    trim(&bytes, &off);
    *ret_written = bytes.n;
    if (!bytes.n)
        return 0;
    if (sw_pwrite_full(t->file, bytes.p, bytes.n, off, err) < 0 ||
        sw_write_behind_add(&t->behind, &t->lane, off, bytes.n, err) < 0) {
        char shown[SW_MEMBER_SHOWN_MAX];

        return sw_err_wrap(err, "write member '%s'", sw_member_shown(t->file_path, shown));
    }
    return 0;
}

int sw_tree_file_end(struct sw_tree *t, uint64_t size, const struct sw_tree_attr *attr,
                     struct sw_err *err)
{
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, attr->mtime };
    int fd = t->file;

    t->file = -1;
    if (ftruncate(fd, (off_t)size) < 0 || fchmod(fd, attr->mode & 0777) < 0 ||
        futimens(fd, times) < 0) {
        int sys = errno;

        close(fd);
        return sys_member("finish", t->file_path, sys, err);
    }
    return close(fd) < 0 ? sys_member("finish", t->file_path, errno, err) : 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

int sw_tree_room(const struct sw_tree *t, uint64_t *ret, struct sw_err *err)
{
    struct statvfs v;

    if (fstatvfs(t->dir_fd, &v) < 0)
        return sw_err_sys(err, errno, "ask for the free space of '%s'", t->dir);
    *ret = (uint64_t)v.f_bavail * v.f_frsize;
    return 0;
}

static int open_and_lock(struct sw_tree *t, struct sw_err *err)
{
    t->made_dir = mkdir(t->dir, 0755) == 0;
    t->dir_fd = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->dir_fd < 0 && errno == ENOTDIR)
        return sw_err_set(err, SW_ERR_USAGE, "'%s' is not a directory", t->dir);
    if (t->dir_fd < 0)
        return sw_err_sys(err, errno, "open the directory '%s'", t->dir);
    if (flock(t->dir_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return sw_err_set(err, SW_ERR_TRANSIENT, "another process is filling '%s': wait for it",
                          t->dir);
    return sw_err_sys(err, errno, "lock '%s'", t->dir);
}

static int make_hidden(struct sw_tree *t, struct sw_err *err)
{
    if (sw_tree_remove(t->dir_fd, SW_TREE_HIDDEN, err) < 0)
        return sw_err_wrap(err, "remove what an earlier run left in '%s'", t->dir);
    if (mkdirat(t->dir_fd, SW_TREE_HIDDEN, 0700) < 0)
        return sw_err_sys(err, errno, "make a directory in '%s'", t->dir);
    t->hidden_fd = sw_tree_open_dir(t->dir_fd, SW_TREE_HIDDEN);
    if (t->hidden_fd < 0)
        return sw_err_sys(err, errno, "open '%s/%s'", t->dir, SW_TREE_HIDDEN);
    return 0;
}

int sw_tree_open(const char *dir, const struct sw_limits *limits, struct sw_tree **ret,
                 struct sw_err *err)
{
    struct sw_tree *t = calloc(1, sizeof(*t));

    if (!t)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    t->dir_fd = t->hidden_fd = t->file = -1;
    t->max_levels = limits->member_depth;
    t->dir = strdup(dir);
    t->levels = calloc(t->max_levels ? t->max_levels : 1, sizeof(*t->levels));
    int rc = t->dir && t->levels ? open_and_lock(t, err)
                                 : sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (rc == 0)
        rc = make_hidden(t, err);
    if (rc < 0) {
        sw_tree_close(t);
        return -1;
    }
    *ret = t;
    return 0;
}

void sw_tree_close(struct sw_tree *t)
{
    struct sw_err ignored = { 0 };

    if (!t)
        return;
    while (t->n_levels)
        close(t->levels[--t->n_levels].fd);
    if (t->file >= 0)
        close(t->file);
    if (t->hidden_fd >= 0) {
        close(t->hidden_fd);
        /* The next run tries again. */
        (void)!sw_tree_remove(t->dir_fd, SW_TREE_HIDDEN, &ignored);
    }
    /* Only an empty one goes. */
    if (t->made_dir)
        (void)rmdir(t->dir);
    if (t->dir_fd >= 0)
        close(t->dir_fd);
    free(t->file_path);
    free(t->levels);
    free(t->dir);
    free(t);
}
