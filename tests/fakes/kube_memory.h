/* SPDX-License-Identifier: Apache-2.0 */
/* An API server in memory, in place of kube/client.c and kube/watch.c: a program that links this file
 * talks to it through the same functions. It keeps objects, checks preconditions, counts
 * resourceVersions, deletes what belongs to a deleted owner, and tells watches in a later turn of
 * the loop than the answer, as a real one does.
 *
 * Tests script it: a hook sees every write and may play the other controllers of a cluster; another
 * one makes requests fail. One thread. */
#ifndef SW_TESTS_FAKES_KUBE_MEMORY_H
#define SW_TESTS_FAKES_KUBE_MEMORY_H

#include "common/json_tree.h"
#include "kube/client.h"

struct fake_kube;

struct fake_kube_script {
    void *ctx;
    /* A status other than 0 is the answer, and nothing is done; reason and message go with it. */
    unsigned (*refuse)(void *ctx, enum sw_kube_verb verb, const char *path, const char **ret_reason,
                       const char **ret_message);
    /* After a write. object: what it is now, NULL when deleted. May call fake_kube_set(). */
    void (*on_write)(void *ctx, const char *path, const struct sw_json *object);
};

/* script is borrowed. */
struct fake_kube *fake_kube_new(struct sw_loop *loop, const struct fake_kube_script *script);
void fake_kube_free(struct fake_kube *f);

/* A connection to it, as sw_kube_client_open() would give; sw_kube_client_close() drops what is under
 * way without an answer, though it may have been performed: what a killed process leaves. */
struct sw_kube_client *fake_kube_connect(struct fake_kube *f);

/* The object at a path ("/api/v1/namespaces/a/pods/x"), borrowed until the next write; or NULL. */
const struct sw_json *fake_kube_get(const struct fake_kube *f, const char *path);

/* Make or replace an object from JSON text, as somebody else would; a merge patch when is_patch. The
 * uid, where there is none yet, and the resourceVersion are the server's. */
void fake_kube_set(struct fake_kube *f, const char *path, const char *text, bool is_patch);
void fake_kube_delete(struct fake_kube *f, const char *path);

/* Call each() for all objects, in no order. */
void fake_kube_each(const struct fake_kube *f,
                    void (*each)(void *ctx, const char *path, const struct sw_json *object),
                    void *ctx);

size_t fake_kube_count(const struct fake_kube *f, const char *in_path);
uint64_t fake_kube_requests(const struct fake_kube *f);

#endif
