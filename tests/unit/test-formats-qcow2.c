/* SPDX-License-Identifier: Apache-2.0 */
/* The qcow2 reader over hand-made images (tests/fuzz/make-qcow2-seeds.py), whose guest clusters hold a
 * pattern that names them. Damage and every other layout: tests/formats, tests/transfer/survive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/fileio.h"
#include "tests/formats/read_image.h"

static const struct sw_limits limits = { .guest_size = 4 << 20,
                                         .table_memory = 1 << 20,
                                         .decoder_memory = 1 << 20 };

static int read_seed(const char *name, const struct read_how *how, const struct sw_limits *l,
                     struct disk *ret, struct sw_err *err)
{
    char path[512];
    sw_autofree char *text = NULL;
    size_t n = 0;

    snprintf(path, sizeof(path), "%s/qcow2/%s", SW_FUZZ_SEEDS, name);
    if (sw_file_slurp(path, 1 << 20, &text, &n, err) < 0)
        fail_msg("%s", err->msg);
    return read_image((struct sw_span){ (uint8_t *)text, n }, how, l, ret, err);
}

static bool holds(const struct disk *d, unsigned cluster, unsigned as, size_t size, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (d->p[cluster * size + i] != (as * 7 + i * 13 + (i >> 8) + 1) % 255 + 1)
            return false;
    }
    return true;
}

/* As a stream, every piece size that divides nothing. */
static void read_stream(const char *name, struct disk *ret)
{
    const struct read_how how = { .format = SW_FORMAT_QCOW2, .piece = 333 };
    struct sw_err err = { 0 };

    if (read_seed(name, &how, &limits, ret, &err) < 0)
        fail_msg("%s: %s", name, err.msg);
}

static void places_clusters(void **state)
{
    struct disk d;

    (void)state;
    read_stream("plain", &d);
    assert_int_equal(d.n, 20 * 512 + 512);
    assert_true(holds(&d, 9, 9, 512, 512));
    for (size_t i = 3 * 512; i < 5 * 512; i++)
        assert_int_equal(d.p[i], 0);
    disk_done(&d);
}

static void parks_what_precedes_its_tables(void **state)
{
    struct disk d;

    (void)state;
    read_stream("tables_last", &d);
    assert_true(d.parked >= 27 * 512);
    for (unsigned i = 0; i < 80; i += 3)
        assert_true(holds(&d, i, i, 512, 512));
    disk_done(&d);
}

static void shares_sectors(void **state)
{
    struct disk d;

    (void)state;
    read_stream("between", &d);
    assert_true(holds(&d, 0, 0, 512, 20) && holds(&d, 64, 64, 512, 20) && holds(&d, 5, 5, 512, 20));
    disk_done(&d);
}

static void reads_subclusters(void **state)
{
    struct disk d;

    (void)state;
    read_stream("extended", &d);
    assert_true(holds(&d, 0, 0, 16384, 16 * 512));
    assert_int_equal(d.p[16 * 512], 0);
    assert_true(holds(&d, 3, 3, 16384, 16384));
    disk_done(&d);
}

static void places_a_tables_own_bytes(void **state)
{
    struct disk d;
    bool zero = true;

    (void)state;
    read_stream("data_over_table", &d);
    for (size_t i = 3 * 512; i < 4 * 512; i++)
        zero = zero && d.p[i] == 0;
    assert_false(zero);
    disk_done(&d);
}

static void names_the_backing_file(void **state)
{
    (void)state;
    for (int seek = 0; seek < 2; seek++) {
        const struct read_how how = { .format = SW_FORMAT_QCOW2, .seek = seek, .piece = 50 };
        struct sw_err err = { 0 };
        struct disk d;

        assert_int_equal(read_seed("backing", &how, &limits, &d, &err), -1);
        assert_int_equal(err.kind, SW_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.msg, "'base.img'"));
        disk_done(&d);
    }
}

static void keeps_to_the_limits(void **state)
{
    const struct read_how how = { .format = SW_FORMAT_QCOW2, .seek = true };
    struct sw_limits l = limits;
    struct sw_err err = { 0 };
    struct disk d;

    (void)state;
    l.guest_size = 20 * 512 + 512;
    assert_int_equal(read_seed("plain", &how, &l, &d, &err), 0);
    disk_done(&d);
    l.guest_size--;
    assert_int_equal(read_seed("plain", &how, &l, &d, &err), -1);
    assert_int_equal(err.kind, SW_ERR_UNSUPPORTED);
    disk_done(&d);
    l = limits;
    l.table_memory = 1000;
    assert_int_equal(read_seed("reverse", &how, &l, &d, &err), -1);
    assert_int_equal(err.kind, SW_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "--memory"));
    disk_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_clusters),
        cmocka_unit_test(parks_what_precedes_its_tables),
        cmocka_unit_test(shares_sectors),
        cmocka_unit_test(reads_subclusters),
        cmocka_unit_test(places_a_tables_own_bytes),
        cmocka_unit_test(names_the_backing_file),
        cmocka_unit_test(keeps_to_the_limits),
    };

    return cmocka_run_group_tests_name("formats/qcow2", tests, NULL, NULL);
}
