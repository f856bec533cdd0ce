/* SPDX-License-Identifier: Apache-2.0 */
/* A watch's stream, or a list, in pieces: the first byte says which and seeds the borders. Whole or in
 * pieces, the same objects come out, and the same error or none. What comes out enters a cache. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_split.h"
#include "common/json_tree.h"
#include "kube/cache.h"

struct heard {
    struct sw_buf text;
    struct sw_kube_cache *cache;
};

static int hear(void *ctx, const struct sw_json *object, struct sw_err *err)
{
    struct heard *h = ctx;
    struct sw_err ignored;

    sw_json_print(&h->text, object);
    if (h->cache && sw_kube_cache_put(h->cache, sw_json_find(object, "object"), &ignored) < 0)
        assert(ignored.kind == SW_ERR_BAD_DATA);
    return 0;
}

/* seed 0: in one piece. 0 or -1, and in *ret_kind the error. */
static int split(const char *bytes, size_t n, uint32_t seed, const char *array, struct heard *h,
                 enum sw_err_kind *ret_kind)
{
    sw_auto_json struct sw_json *rest = NULL;
    struct sw_err err = { 0 };
    struct sw_json_split s;
    int done = 0;

    sw_json_split_init(&s, array, 4096);
    for (size_t at = 0; done == 0 && at < n;) {
        size_t len = n - at;

        seed = seed * 1664525 + (seed ? 1013904223 : 0);
        if (seed && len > 1 + (seed >> 16) % 9)
            len = 1 + (seed >> 16) % 9;
        done = sw_json_split_push(&s, bytes + at, len, hear, h, &err);
        at += len;
    }
    if (done == 0)
        done = sw_json_split_end(&s, &rest, &err);
    sw_json_split_done(&s);
    *ret_kind = err.kind;
    return done;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sw_kube_resource resource = { "", "v1", "things", "Thing", false };
    static const char *const keep[] = { "spec", "status.phase", "metadata.labels[a*]", NULL };
    static const struct sw_kube_index indexes[] = {
        { "owner", "metadata.ownerReferences.uid", false }, { NULL, NULL, false }
    };
    const struct sw_kube_cache_config config = { .resource = &resource,
                                                 .keep = keep,
                                                 .indexes = indexes };
    const char *array = size && data[0] & 1 ? "items" : NULL;
    struct heard whole = { .text = SW_BUF_INIT(1 << 24) },
                 pieces = { .text = SW_BUF_INIT(1 << 24) };
    enum sw_err_kind a, b;
    struct sw_err err;

    if (size == 0 || sw_kube_cache_open(&config, &pieces.cache, &err) < 0)
        return 0;
    int first = split((const char *)data + 1, size - 1, 0, array, &whole, &a);
    int second = split((const char *)data + 1, size - 1, 1u + data[0] * 977u, array, &pieces, &b);
    assert(first == second && a == b);
    assert(strcmp(sw_buf_str(&whole.text), sw_buf_str(&pieces.text)) == 0);
    sw_kube_cache_close(pieces.cache);
    sw_buf_done(&whole.text);
    sw_buf_done(&pieces.text);
    return 0;
}
