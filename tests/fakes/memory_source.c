/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/memory_source.h"

#include <stdlib.h>
#include <string.h>

struct memory {
    struct sw_source base;
    struct sw_span bytes, rest;
    size_t step;
};

static int memory_read_at(struct sw_source *s, unsigned lane, void *buf, size_t len, uint64_t off,
                          struct sw_err *err)
{
    const struct memory *m = (const struct memory *)s;

    if (off > m->bytes.n || len > m->bytes.n - off)
        return sw_err_set(err, SW_ERR_INTERNAL, "read past the end");
    memcpy(buf, m->bytes.p + off, len);
    return 0;
}

static ssize_t memory_read(struct sw_source *s, void *buf, size_t len, struct sw_err *err)
{
    struct memory *m = (struct memory *)s;
    size_t n = len < m->rest.n ? len : m->rest.n;

    if (m->step && n > m->step)
        n = m->step;
    if (!n)
        return 0;
    memcpy(buf, m->rest.p, n);
    m->rest.p += n;
    m->rest.n -= n;
    return (ssize_t)n;
}

static void memory_close(struct sw_source *s)
{
    if (!s)
        return;
    sw_source_done(s);
    free(s);
}

struct sw_source *memory_source(struct sw_span bytes, bool seekable, size_t step)
{
    static const struct sw_source_ops ops = {
        .name = "memory", .read_at = memory_read_at, .read = memory_read, .close = memory_close
    };
    struct memory *m = calloc(1, sizeof(*m));

    if (!m)
        abort();
    m->base.ops = &ops;
    m->base.seekable = seekable;
    m->base.lanes = 1;
    m->base.size = seekable ? bytes.n : SW_SIZE_UNKNOWN;
    m->base.url = strdup("memory");
    m->base.name = strdup("memory");
    m->bytes = m->rest = bytes;
    m->step = step;
    return &m->base;
}
