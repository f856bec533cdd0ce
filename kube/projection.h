/* SPDX-License-Identifier: Apache-2.0 */
/* What of an object is worth keeping: a list of paths, compiled once.
 *
 *   "spec"                                      the whole subtree
 *   "status.phase"                              one member
 *   "metadata.annotations[cdi.kubevirt.io*]"   a key that has dots; '*' at the end: every key that
 *                                               begins so
 *   "spec.volumes.persistentVolumeClaim"        steps go through arrays: of every element
 *   "-metadata.annotations[x.io/big]"           leave that out of what the others keep
 *
 * metadata's name, namespace, uid and resourceVersion are always kept. metadata.managedFields and the
 * annotation kubectl.kubernetes.io/last-applied-configuration never are. Objects of which nothing is
 * kept vanish, from arrays too (so an index into an array means nothing afterwards). Where several steps
 * fit a key, the exact one counts, then the longest beginning.
 *
 * Immutable once compiled: any thread. Pure. */
#ifndef SW_KUBE_PROJECTION_H
#define SW_KUBE_PROJECTION_H

#include "common/buf.h"
#include "common/error.h"
#include "common/json.h"

#define SW_KUBE_PATH_STEPS 12

struct sw_kube_projection; /* opaque */

/* keep ends with NULL. -1: SW_ERR_USAGE (a path that is not one, quoted), SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_kube_projection_compile(const char *const *keep, struct sw_kube_projection **ret,
                               struct sw_err *err);
void sw_kube_projection_free(struct sw_kube_projection *p); /* accepts NULL */

/* Append the compact JSON text of what is kept. It begins with
 * {"metadata":{"resourceVersion":"N", ...: two versions that differ in nothing else have the same text
 * from *ret_rest (bytes from the beginning of what was appended) on. -1: SW_ERR_BAD_DATA (no object,
 * one without metadata.name, a resourceVersion that is no number), or `out` is full. */
SW_MUST_CHECK
int sw_kube_project(const struct sw_kube_projection *p, const struct sw_json *object,
                    struct sw_buf *out, size_t *ret_rest, struct sw_err *err);

/* One path in the grammar above, but '-': call each(ctx, text) for every string that it leads to (numbers
 * and booleans as their text); a '*' gives the members' values. */
struct sw_kube_selector; /* opaque */

SW_MUST_CHECK
int sw_kube_selector_compile(const char *path, struct sw_kube_selector **ret, struct sw_err *err);
void sw_kube_selector_free(struct sw_kube_selector *s); /* accepts NULL */
void sw_kube_select(const struct sw_kube_selector *s, const struct sw_json *object,
                    void (*each)(void *ctx, const char *text), void *ctx);

#endif
