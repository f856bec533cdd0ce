/* SPDX-License-Identifier: Apache-2.0 */
/* What tree.c (filling) and tree_move.c (removing, making visible) share. Internal. */
#ifndef SW_TRANSFER_TREE_IMPL_H
#define SW_TRANSFER_TREE_IMPL_H

#include <dirent.h>
#include <stdbool.h>
#include <sys/types.h>

#include "transfer/tree.h"
#include "transfer/write_behind.h"

/* A directory of the path that is being worked at. Its own time and mode change as entries are made
 * in it: they are put back when the path moves away. So it takes one descriptor for each level, and
 * no memory for each directory. */
struct sw_tree_level {
    int fd;
    char name[256]; /* NAME_MAX and the NUL */
    mode_t mode;
    struct timespec mtime;
    bool keeps_mtime; /* false: made without a member that says when */
};

struct sw_tree {
    char *dir;
    int dir_fd;    /* holds the flock                                 */
    int hidden_fd; /* where members are made                          */
    bool made_dir;
    uint64_t max_levels;
    struct sw_tree_level *levels; /* max_levels of them */
    unsigned n_levels;

    int file; /* being written, or -1 */
    char *file_path;
    struct sw_write_behind behind;
    struct sw_wb_lane lane;
};

/* Remove the directory `name` in `parent` and all below it; fine when there is none. Directories
 * that forbid it are made writable first. Links are removed, not followed. */
SW_MUST_CHECK
int sw_tree_remove(int parent, const char *name, struct sw_err *err);

/* Open a real directory: no link. -1 and errno. */
int sw_tree_open_dir(int parent, const char *name);

/* Put back the attributes of all levels of the current path. */
SW_MUST_CHECK
int sw_tree_leave_all(struct sw_tree *t, struct sw_err *err);

#endif
