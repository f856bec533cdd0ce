/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/source_signed.h"

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/macros.h"

struct signed_source {
    struct sw_source base;
    struct sw_source *inner;
    struct sw_digest_plan *plan;
    uint64_t pos; /* bytes passed on */
};

/* The next bytes of inner, whichever way it is read. */
static ssize_t read_inner(struct signed_source *s, void *buf, size_t len, struct sw_err *err)
{
    if (!s->inner->seekable)
        return s->inner->ops->read(s->inner, buf, len, err);
    size_t n = (size_t)sw_min_u64(len, s->inner->size - s->pos);
    if (n && s->inner->ops->read_at(s->inner, 0, buf, n, s->pos, err) < 0)
        return -1;
    return (ssize_t)n;
}

static ssize_t signed_read(struct sw_source *base, void *buf, size_t len, struct sw_err *err)
{
    struct signed_source *s = (struct signed_source *)base;
    ssize_t n = read_inner(s, buf, len, err);

    if (n < 0)
        return -1;
    if (n == 0)
        return sw_digest_plan_finish(s->plan, err);
    sw_digest_plan_tee(s->plan, buf, (size_t)n);
    s->pos += (uint64_t)n;
    __atomic_store_n(&base->fetched, s->pos, __ATOMIC_RELAXED);
    return n;
}

static void signed_close(struct sw_source *base)
{
    struct signed_source *s = (struct signed_source *)base;

    if (!s)
        return;
    sw_source_close(s->inner);
    sw_source_done(base);
    free(s);
}

static const struct sw_source_ops signed_ops = {
    .name = "signed",
    .read = signed_read,
    .close = signed_close,
};

int sw_source_open_signed(struct sw_source *inner, struct sw_digest_plan *plan,
                          struct sw_source **ret, struct sw_err *err)
{
    struct signed_source *s = calloc(1, sizeof(*s));

    if (!s) {
        sw_source_close(inner);
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    }
    s->base = (struct sw_source){
        .ops = &signed_ops,
        .lanes = 1,
        .size = inner->size,
        .url = inner->url ? strdup(inner->url) : NULL,
        .name = inner->name ? strdup(inner->name) : NULL,
    };
    s->inner = inner;
    s->plan = plan;
    *ret = &s->base;
    return 0;
}
