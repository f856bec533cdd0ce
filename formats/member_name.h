/* SPDX-License-Identifier: Apache-2.0 */
/* The names that an archive gives its members, made safe. Pure text; any thread.
 *
 * A path that sw_member_path() returns, created with every component looked up in the directory
 * before it and no symbolic link followed, lies below the directory where that walk began.
 *
 * A symbolic link that sw_member_link() lets through leads to a place below that directory too, and
 * stays one that does: its target begins with at most as many ".." as the link lies deep, which the
 * kernel resolves against real directories, and goes only down from there, maybe through other
 * links of which the same is true. A ".." behind a name is refused, for that name may be a link and
 * ".." then leads to somewhere else than the text says. */
#ifndef SW_FORMATS_MEMBER_NAME_H
#define SW_FORMATS_MEMBER_NAME_H

#include "common/error.h"
#include "formats/limits.h"

#define SW_MEMBER_PATH_MAX 4096 /* bytes, the NUL included, whatever the limits say */
#define SW_MEMBER_SHOWN_MAX 96

/* `name` without '/' at its ends, "." components and doubled slashes; "" when it names the
 * directory itself. As tar does, a leading '/' is dropped and the rest taken. -1 with
 * SW_ERR_BAD_DATA (a ".." component) or SW_ERR_UNSUPPORTED (over limits->member_name or
 * member_depth, with both numbers). */
SW_MUST_CHECK
int sw_member_path(const char *name, const struct sw_limits *limits, char ret[SW_MEMBER_PATH_MAX],
                   struct sw_err *err);

/* Whether a symbolic link at `path`, which sw_member_path() returned, may point to `target`. -1 with
 * SW_ERR_BAD_DATA: empty, absolute, leads out of the directory, or a ".." behind a name;
 * SW_ERR_UNSUPPORTED: over limits->member_name. */
SW_MUST_CHECK
int sw_member_link(const char *path, const char *target, const struct sw_limits *limits,
                   struct sw_err *err);

/* A name for a message: what is not printable ASCII becomes '?', what is too long is cut. */
const char *sw_member_shown(const char *name, char ret[SW_MEMBER_SHOWN_MAX]);

#endif
