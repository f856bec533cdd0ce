/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/replay.h"

#include <stdlib.h>

#define ZEROES (1u << 20)

struct replay {
    struct sw_reader *reader;
    struct sw_park *park;
    uint64_t pos;          /* pushed up to here                       */
    bool from_log;         /* what is being pushed are the true bytes */
    const uint8_t *zeroes; /* ZEROES of them                          */
};

int sw_give_parked(struct sw_reader *r, struct sw_park *park, uint64_t pos, struct sw_err *err)
{
    uint64_t off;
    size_t len;
    int given = 0;

    for (; r->ops->want(r, 0, &off, &len) && off + len <= pos; given = 1) {
        sw_autofree uint8_t *buf = malloc(len);

        if (!buf)
            return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a table of %zu bytes", len);
        if (sw_park_get(park, off, buf, len, err) < 0 ||
            r->ops->give(r, (struct sw_span){ buf, len }, err) < 0)
            return -1;
    }
    return given;
}

static int placed_before(void *ctx, const struct sw_placement *p, struct sw_err *err)
{
    (void)ctx, (void)p, (void)err;
    return 0;
}

/* The log says what is in the park. */
static int parked_before(void *ctx, uint64_t off, uint64_t len, struct sw_err *err)
{
    (void)ctx, (void)off, (void)len, (void)err;
    return 0;
}

static int took(void *ctx, uint64_t off, struct sw_span bytes, struct sw_err *err)
{
    const struct replay *rp = ctx;

    if (rp->from_log)
        return 0;
    return sw_err_set(err, SW_ERR_BAD_DATA, "the tables at %llu (%zu bytes) were not kept",
                      (unsigned long long)off, bytes.n);
}

static int push(struct replay *rp, struct sw_span bytes, struct sw_err *err)
{
    const struct sw_out out = {
        .place = placed_before, .park = parked_before, .took = took, .ctx = rp
    };

    if (rp->reader->ops->push(rp->reader, rp->pos, bytes, &out, err) < 0)
        return -1;
    rp->pos += bytes.n;
    return 0;
}

/* Up to `to` there was nothing that the reader looked at. */
static int pass_over(struct replay *rp, uint64_t to, struct sw_err *err)
{
    while (rp->pos < to) {
        struct sw_span part = { rp->zeroes, (size_t)sw_min_u64(to - rp->pos, ZEROES) };

        if (push(rp, part, err) < 0)
            return -1;
    }
    return 0;
}

static int push_tables(struct replay *rp, const struct sw_table_record *r, struct sw_err *err)
{
    if (pass_over(rp, r->off, err) < 0)
        return -1;
    if (rp->pos != r->off)
        return sw_err_set(err, SW_ERR_BAD_DATA, "the tables at %llu were kept twice",
                          (unsigned long long)r->off);
    rp->from_log = true;
    int rc = push(rp, (struct sw_span){ r->bytes, r->len }, err);
    rp->from_log = false;
    return rc;
}

static int redo(struct replay *rp, const struct sw_table_record *r, struct sw_err *err)
{
    switch (r->kind) {
    case SW_TABLE_BYTES:
        return push_tables(rp, r, err);
    case SW_TABLE_PARKED:
        return sw_park_restore(rp->park, r->off, r->len, err);
    case SW_TABLE_GIVEN:
        if (pass_over(rp, r->off, err) < 0)
            return -1;
        return sw_give_parked(rp->reader, rp->park, rp->pos, err) < 0 ? -1 : 0;
    }
    return sw_err_set(err, SW_ERR_INTERNAL, "a table record of kind %d", (int)r->kind);
}

int sw_replay(struct sw_reader *r, struct sw_park *park, struct sw_table_log *log, uint64_t upto,
              struct sw_err *err)
{
    sw_autofree uint8_t *zeroes = calloc(1, ZEROES);
    struct replay rp = { .reader = r, .park = park, .zeroes = zeroes };
    struct sw_table_record record;
    int rc;

    if (!zeroes)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    while ((rc = sw_table_log_next(log, upto, &record, err)) > 0) {
        if (redo(&rp, &record, err) < 0)
            return -1;
    }
    if (rc < 0 || pass_over(&rp, upto, err) < 0)
        return -1;
    return sw_table_log_cut(log, err);
}
