/* SPDX-License-Identifier: Apache-2.0 */
/* A directory that is filled out of sight: what content type archive has as its target.
 *
 * Everything is made below DIR/.slipway-unpacking, which only the owner can enter, and moved from
 * there into DIR at the very end, entry by entry. So what goes wrong before leaves nothing visible;
 * the next run throws the hidden directory away. (DIR itself cannot be renamed: it is a volume's
 * root. A kill between the first and the last move leaves some entries visible, each of them whole;
 * success has not been reported then, and the next run replaces them.)
 *
 * No path is ever given to the kernel: each component is opened in the directory before it, and
 * none may be a symbolic link. Paths are those of formats/member_name.h.
 *
 * One thread at a time. */
#ifndef SW_TRANSFER_TREE_H
#define SW_TRANSFER_TREE_H

#include <stdint.h>
#include <time.h>

#include "common/bytes.h"
#include "common/error.h"
#include "formats/limits.h"

#define SW_TREE_HIDDEN ".slipway-unpacking"

struct sw_tree;

/* What is kept of a member's attributes. Owners are not: all is the caller's. */
struct sw_tree_attr {
    unsigned mode; /* permissions; set-id bits are dropped, and the sticky bit of files */
    struct timespec mtime;
};

/* Make `dir` if it is not there (its parent has to be), throw away what an earlier run left and
 * begin anew. -1 with SW_ERR_NOT_FOUND, SW_ERR_DENIED, SW_ERR_USAGE (not a directory) or
 * SW_ERR_TRANSIENT (another process is at it: flock). */
SW_MUST_CHECK
int sw_tree_open(const char *dir, const struct sw_limits *limits, struct sw_tree **ret,
                 struct sw_err *err);

/* Bytes that the file system has free for us. */
SW_MUST_CHECK
int sw_tree_room(const struct sw_tree *t, uint64_t *ret, struct sw_err *err);

/* Make one member. Directories above it that no member made get mode 0755. A member replaces an
 * earlier one of the same name; a directory stays, with the new attributes. -1 with SW_ERR_BAD_DATA
 * (a component above it is no directory, a directory would be replaced, a hard link to what is no
 * file of this archive, the name that we keep for ourselves) or errno's kind. */
SW_MUST_CHECK
int sw_tree_dir(struct sw_tree *t, const char *path, const struct sw_tree_attr *attr,
                struct sw_err *err);
SW_MUST_CHECK
int sw_tree_symlink(struct sw_tree *t, const char *path, const char *target,
                    const struct sw_tree_attr *attr, struct sw_err *err);
SW_MUST_CHECK
int sw_tree_hardlink(struct sw_tree *t, const char *path, const char *target, struct sw_err *err);

/* A file: begin, write in ascending order, end. What is not written, and what is written but zero
 * (in blocks of 4 KiB at the ends of each write), is a hole. *ret_written: bytes that were not. */
SW_MUST_CHECK
int sw_tree_file(struct sw_tree *t, const char *path, struct sw_err *err);
SW_MUST_CHECK
int sw_tree_write(struct sw_tree *t, struct sw_span bytes, uint64_t off, uint64_t *ret_written,
                  struct sw_err *err);
SW_MUST_CHECK
int sw_tree_file_end(struct sw_tree *t, uint64_t size, const struct sw_tree_attr *attr,
                     struct sw_err *err);

/* Put all of it on stable storage, then make it visible. A directory that is there already gets the
 * new entries beside its own; a file or link of the same name is replaced. -1 with SW_ERR_USAGE when
 * a directory stands where a file has to go: found before anything is moved. */
SW_MUST_CHECK
int sw_tree_publish(struct sw_tree *t, struct sw_err *err);

/* Accepts NULL. What was not published is removed. */
void sw_tree_close(struct sw_tree *t);

#endif
