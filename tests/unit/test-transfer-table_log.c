/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a reader's tables, and bringing a fresh reader to the middle of a stream with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transfer/replay.h"
#include "transfer/table_log.h"

struct folder {
    char path[64], log[96], park[96];
};

static int make_folder(void **state)
{
    struct folder *f = calloc(1, sizeof(*f));

    snprintf(f->path, sizeof(f->path), "/tmp/slipway-table-log-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    snprintf(f->log, sizeof(f->log), "%s/tables", f->path);
    snprintf(f->park, sizeof(f->park), "%s/park", f->path);
    *state = f;
    return 0;
}

static int drop_folder(void **state)
{
    struct folder *f = *state;

    unlink(f->log);
    unlink(f->park);
    rmdir(f->path);
    free(f);
    return 0;
}

static struct sw_table_log *open_log(const struct folder *f, uint64_t max)
{
    struct sw_table_log *l = NULL;
    struct sw_err err = { 0 };

    assert_int_equal(sw_table_log_open(f->log, max, &l, &err), 0);
    return l;
}

static void add(struct sw_table_log *l, enum sw_table_kind kind, uint64_t off, const char *bytes,
                uint32_t len)
{
    const struct sw_table_record r = {
        .kind = kind, .off = off, .len = len, .bytes = (const uint8_t *)bytes
    };
    struct sw_err err = { 0 };

    assert_int_equal(sw_table_log_add(l, &r, &err), 0);
}

static void flush(struct sw_table_log *l)
{
    struct sw_err err = { 0 };

    assert_int_equal(sw_table_log_flush(l, &err), 0);
    assert_int_equal(sw_table_log_sync(l, &err), 0);
}

static int next(struct sw_table_log *l, uint64_t upto, struct sw_table_record *r)
{
    struct sw_err err = { 0 };

    return sw_table_log_next(l, upto, r, &err);
}

static void expect(struct sw_table_log *l, uint64_t upto, enum sw_table_kind kind, uint64_t off,
                   uint32_t len)
{
    struct sw_table_record r;

    assert_int_equal(next(l, upto, &r), 1);
    assert_int_equal(r.kind, kind);
    assert_int_equal(r.off, off);
    assert_int_equal(r.len, len);
}

static void write_sample(const struct folder *f)
{
    struct sw_table_log *l = open_log(f, 1 << 20);

    add(l, SW_TABLE_BYTES, 0, "header", 6);
    add(l, SW_TABLE_PARKED, 6, NULL, 94);
    add(l, SW_TABLE_BYTES, 100, "tables", 6);
    add(l, SW_TABLE_GIVEN, 200, NULL, 0);
    flush(l);
    sw_table_log_close(l);
}

/* ---- the file -------------------------------------------------------------------------------- */

static void reads_back_what_was_added(void **state)
{
    const struct folder *f = *state;
    struct sw_table_record r;

    write_sample(f);
    struct sw_table_log *l = open_log(f, 1 << 20);
    assert_int_equal(next(l, UINT64_MAX, &r), 1);
    assert_memory_equal(r.bytes, "header", 6);
    expect(l, UINT64_MAX, SW_TABLE_PARKED, 6, 94);
    assert_int_equal(next(l, UINT64_MAX, &r), 1);
    assert_memory_equal(r.bytes, "tables", 6);
    expect(l, UINT64_MAX, SW_TABLE_GIVEN, 200, 0);
    assert_int_equal(next(l, UINT64_MAX, &r), 0);
    sw_table_log_close(l);
}

static void refuses_to_read_without_a_file(void **state)
{
    struct sw_table_log *l = open_log(*state, 1 << 20);
    struct sw_table_record r;
    struct sw_err err = { 0 };

    assert_int_equal(sw_table_log_next(l, 1, &r, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NOT_FOUND);
    sw_table_log_close(l);
}

static void drops_a_torn_tail(void **state)
{
    const struct folder *f = *state;
    const size_t ends[] = { 0, 22, 38, 60, 76 }; /* of the records */

    for (size_t cut = 0; cut < 76; cut++) {
        unsigned whole = 0, n = 0;
        struct sw_table_record r;

        write_sample(f);
        assert_int_equal(truncate(f->log, (off_t)cut), 0);
        while (ends[whole + 1] <= cut)
            whole++;
        struct sw_table_log *l = open_log(f, 1 << 20);
        while (next(l, UINT64_MAX, &r) > 0)
            n++;
        assert_int_equal(n, whole);
        sw_table_log_close(l);
    }
}

static void ends_at_the_first_flipped_byte(void **state)
{
    const struct folder *f = *state;

    for (long at = 0; at < 76; at++) {
        struct sw_table_record r;
        uint64_t last = 0;

        write_sample(f);
        FILE *file = fopen(f->log, "r+");
        assert_non_null(file);
        fseek(file, at, SEEK_SET);
        int byte = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(byte ^ 0x21, file);
        fclose(file);

        struct sw_table_log *l = open_log(f, 1 << 20);
        unsigned n = 0;
        for (; next(l, UINT64_MAX, &r) > 0; n++)
            last = r.off;
        assert_int_equal(n, at < 22 ? 0 : at < 38 ? 1 : at < 60 ? 2 : 3);
        assert_true(last <= 100);
        sw_table_log_close(l);
    }
}

static void cuts_at_the_place_to_go_on_from(void **state)
{
    const struct folder *f = *state;
    struct sw_table_record r;
    struct sw_err err = { 0 };

    write_sample(f);
    struct sw_table_log *l = open_log(f, 1 << 20);
    expect(l, 103, SW_TABLE_BYTES, 0, 6);
    expect(l, 103, SW_TABLE_PARKED, 6, 94);
    expect(l, 103, SW_TABLE_BYTES, 100, 3);
    assert_int_equal(next(l, 103, &r), 0);
    assert_int_equal(sw_table_log_cut(l, &err), 0);
    add(l, SW_TABLE_BYTES, 103, "LES", 3);
    flush(l);
    sw_table_log_close(l);

    l = open_log(f, 1 << 20);
    expect(l, UINT64_MAX, SW_TABLE_BYTES, 0, 6);
    expect(l, UINT64_MAX, SW_TABLE_PARKED, 6, 94);
    assert_int_equal(next(l, UINT64_MAX, &r), 1);
    assert_memory_equal(r.bytes, "tab", 3);
    assert_int_equal(next(l, UINT64_MAX, &r), 1);
    assert_memory_equal(r.bytes, "LES", 3);
    assert_int_equal(next(l, UINT64_MAX, &r), 0);
    sw_table_log_close(l);
}

/* What the reader was given with everything before `upto` pushed belongs to it; the next byte does
 * not. */
static void includes_what_was_given_at_the_end(void **state)
{
    struct sw_table_record r;

    write_sample(*state);
    struct sw_table_log *l = open_log(*state, 1 << 20);
    for (int i = 0; i < 3; i++)
        assert_int_equal(next(l, 200, &r), 1);
    expect(l, 200, SW_TABLE_GIVEN, 200, 0);
    sw_table_log_close(l);

    l = open_log(*state, 1 << 20);
    for (int i = 0; i < 3; i++)
        assert_int_equal(next(l, 199, &r), 1);
    assert_int_equal(next(l, 199, &r), 0);
    sw_table_log_close(l);
}

static void stops_at_its_limit(void **state)
{
    const struct folder *f = *state;
    struct sw_table_log *l = open_log(f, 44);
    struct stat st;

    add(l, SW_TABLE_BYTES, 0, "header", 6);
    add(l, SW_TABLE_BYTES, 6, "header", 6);
    assert_true(sw_table_log_whole(l));
    add(l, SW_TABLE_GIVEN, 12, NULL, 0);
    assert_false(sw_table_log_whole(l));
    flush(l);
    sw_table_log_close(l);
    assert_int_equal(stat(f->log, &st), 0);
    assert_int_equal(st.st_size, 44);
}

/* ---- replay ---------------------------------------------------------------------------------- */

/* Four clusters of 512 bytes: the header, the L1, an L2 with one entry, the data. */
#define CLUSTER 512
#define IMAGE (4 * CLUSTER)

static void put_be(uint8_t *p, unsigned n, uint64_t v)
{
    while (n--) {
        p[n] = (uint8_t)v;
        v >>= 8;
    }
}

static void make_image(uint8_t image[IMAGE], uint64_t l1, uint64_t l2, uint64_t data)
{
    memset(image, 0, IMAGE);
    memcpy(image, "QFI\xfb", 4);
    put_be(image + 4, 4, 2);
    put_be(image + 20, 4, 9);
    put_be(image + 24, 8, CLUSTER);
    put_be(image + 36, 4, 1);
    put_be(image + 40, 8, l1);
    put_be(image + l1, 8, l2 | UINT64_C(1) << 63);
    put_be(image + l2, 8, data | UINT64_C(1) << 63);
    memset(image + data, 'D', CLUSTER);
}

struct run {
    struct sw_table_log *log;
    struct sw_park *park;
    const uint8_t *image;
    uint64_t placed, placed_from;
};

static int run_place(void *ctx, const struct sw_placement *p, struct sw_err *err)
{
    struct run *r = ctx;

    (void)err;
    if (!r->placed)
        r->placed_from = p->file_off;
    r->placed += p->guest_len;
    return 0;
}

static int run_park(void *ctx, uint64_t off, uint64_t len, struct sw_err *err)
{
    struct run *r = ctx;

    add(r->log, SW_TABLE_PARKED, off, NULL, (uint32_t)len);
    return sw_park_put(r->park, off, (struct sw_span){ r->image + off, (size_t)len }, err);
}

static int run_took(void *ctx, uint64_t off, struct sw_span bytes, struct sw_err *err)
{
    struct run *r = ctx;

    (void)err;
    add(r->log, SW_TABLE_BYTES, off, (const char *)bytes.p, (uint32_t)bytes.n);
    return 0;
}

static struct sw_reader *open_reader(void)
{
    const struct sw_limits limits = SW_LIMITS_DEFAULT;
    struct sw_reader *reader = NULL;
    struct sw_err err = { 0 };

    assert_int_equal(sw_qcow2_open(&limits, UINT64_MAX, &reader, &err), 0);
    return reader;
}

/* Push [from, to) in steps, giving what is wanted of the park after each. */
static void push(struct sw_reader *reader, struct run *r, uint64_t from, uint64_t to, uint64_t step)
{
    const struct sw_out out = { .place = run_place, .park = run_park, .took = run_took, .ctx = r };
    struct sw_err err = { 0 };

    for (; from < to; from += step) {
        uint64_t end = sw_min_u64(from + step, to);

        assert_int_equal(reader->ops->push(reader, from,
                                           (struct sw_span){ r->image + from, end - from }, &out,
                                           &err),
                         0);
        int given = sw_give_parked(reader, r->park, end, &err);
        assert_true(given >= 0);
        if (given)
            add(r->log, SW_TABLE_GIVEN, end, NULL, 0);
        flush(r->log);
    }
}

static void finish(struct sw_reader *reader, struct run *r)
{
    const struct sw_out out = { .place = run_place, .park = run_park, .ctx = r };
    struct sw_err err = { 0 };

    assert_int_equal(reader->ops->finish(reader, IMAGE, &out, &err), 0);
    assert_true(sw_give_parked(reader, r->park, IMAGE, &err) >= 0);
    assert_int_equal(reader->ops->resolve(reader, &out, &err), 0);
}

static void open_run(struct run *r, const struct folder *f)
{
    struct sw_err err = { 0 };

    r->log = open_log(f, 1 << 20);
    assert_int_equal(sw_park_open(f->park, 0, &r->park, &err), 0);
    r->placed = 0;
}

static void close_run(struct run *r)
{
    sw_table_log_close(r->log);
    sw_park_close(r->park);
}

/* Whatever the order of the parts and the place of the interruption: what the two runs place is the
 * cluster, once. */
static void goes_on_anywhere(void **state)
{
    const struct folder *f = *state;
    static const uint64_t orders[][3] = {
        { 512, 1024, 1536 }, { 512, 1536, 1024 }, { 1024, 512, 1536 },
        { 1536, 512, 1024 }, { 1024, 1536, 512 }, { 1536, 1024, 512 },
    };
    uint8_t image[IMAGE];
    struct run r = { .image = image };

    for (unsigned i = 0; i < SW_COUNT(orders); i++) {
        make_image(image, orders[i][0], orders[i][1], orders[i][2]);
        for (uint64_t at = 64; at < IMAGE; at += 64) {
            struct sw_reader *reader = open_reader();
            struct sw_err err = { 0 };

            open_run(&r, f);
            push(reader, &r, 0, at, 192);
            uint64_t before = r.placed;
            close_run(&r);
            reader->ops->close(reader);

            reader = open_reader();
            open_run(&r, f);
            assert_int_equal(sw_replay(reader, r.park, r.log, at, &err), 0);
            push(reader, &r, at, IMAGE, 192);
            finish(reader, &r);
            assert_int_equal(before + r.placed, CLUSTER);
            close_run(&r);
            reader->ops->close(reader);
            unlink(f->log);
            unlink(f->park);
        }
    }
}

static void write_run(const struct folder *f, uint8_t image[IMAGE])
{
    struct run r = { .image = image };
    struct sw_reader *reader = open_reader();

    make_image(image, 1536, 1024, 512);
    open_run(&r, f);
    push(reader, &r, 0, 1400, 200);
    close_run(&r);
    reader->ops->close(reader);
}

static void refuses(const struct folder *f, uint64_t upto)
{
    struct run r = { 0 };
    struct sw_reader *reader = open_reader();
    struct sw_err err = { 0 };

    open_run(&r, f);
    assert_int_equal(sw_replay(reader, r.park, r.log, upto, &err), -1);
    assert_true(err.kind != SW_ERR_NONE);
    close_run(&r);
    reader->ops->close(reader);
}

/* Zeroes in place of a table would be an empty disk. */
static void refuses_when_tables_are_missing(void **state)
{
    uint8_t image[IMAGE];
    const struct folder *f = *state;

    write_run(f, image);
    assert_int_equal(truncate(f->log, 3), 0);
    refuses(f, 1400);
}

static void refuses_when_the_park_is_missing(void **state)
{
    uint8_t image[IMAGE];
    const struct folder *f = *state;

    write_run(f, image);
    assert_int_equal(truncate(f->park, 1000), 0);
    refuses(f, 1400);
    write_run(f, image);
    unlink(f->park);
    refuses(f, 1400);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, drop_folder)
    const struct CMUnitTest tests[] = {
        TEST(reads_back_what_was_added),
        TEST(refuses_to_read_without_a_file),
        TEST(drops_a_torn_tail),
        TEST(ends_at_the_first_flipped_byte),
        TEST(cuts_at_the_place_to_go_on_from),
        TEST(includes_what_was_given_at_the_end),
        TEST(stops_at_its_limit),
        TEST(goes_on_anywhere),
        TEST(refuses_when_tables_are_missing),
        TEST(refuses_when_the_park_is_missing),
    };
    return cmocka_run_group_tests_name("transfer/table_log", tests, NULL, NULL);
}
