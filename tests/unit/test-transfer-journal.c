/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "transfer/journal.h"

static struct sw_journal sample(void)
{
    struct sw_journal j = { .url = "https://host/disk.qcow2",
                            .validator = "\"abc\"",
                            .source_size = 123456789,
                            .boot_id = "b",
                            .durable = true,
                            .format = SW_FORMAT_QCOW2,
                            .wraps = { SW_WRAP_XZ, SW_WRAP_NONE },
                            .guest_size = UINT64_C(1) << 40,
                            .disk_size = UINT64_C(1) << 41,
                            .watermark = 1 << 20,
                            .decode_in = 1 << 10,
                            .decode_out = 1 << 19,
                            .digest_at = 77,
                            .n_digests = 2,
                            .head_len = 5,
                            .head_off = 131072,
                            .head_crc = 0xdeadbeef };

    for (unsigned i = 0; i < 2; i++) {
        j.digests[i].n = SW_DIGEST_STATE_MAX;
        memset(j.digests[i].bytes, 0xa0 + (int)i, SW_DIGEST_STATE_MAX);
    }
    return j;
}

static void comes_back_as_it_was_written(void **state)
{
    static char text[SW_JOURNAL_MAX];
    const struct sw_journal j = sample();
    struct sw_journal back;
    struct sw_err err = { 0 };
    size_t n = sw_journal_format(&j, text);

    (void)state;
    assert_int_equal(sw_journal_parse(text, n, &back, &err), 0);
    assert_string_equal(back.url, j.url);
    assert_string_equal(back.validator, j.validator);
    assert_int_equal(back.source_size, j.source_size);
    assert_int_equal(back.durable, j.durable);
    assert_int_equal(back.wraps[0], j.wraps[0]);
    assert_int_equal(back.disk_size, j.disk_size);
    assert_int_equal(back.watermark, j.watermark);
    assert_int_equal(back.head_crc, j.head_crc);
    assert_int_equal(back.n_digests, 2);
    assert_memory_equal(back.digests[1].bytes, j.digests[1].bytes, SW_DIGEST_STATE_MAX);
    assert_true(sw_journal_same_work(&j, &back));
}

/* Torn, cut or flipped: never believed. */
static void refuses_every_damage(void **state)
{
    static char text[SW_JOURNAL_MAX], bad[SW_JOURNAL_MAX];
    const struct sw_journal j = sample();
    struct sw_journal back;
    struct sw_err err = { 0 };
    size_t n = sw_journal_format(&j, text);

    (void)state;
    for (size_t cut = 0; cut < n - 1; cut++) /* the last newline says nothing */
        assert_int_equal(sw_journal_parse(text, cut, &back, &err), -1);
    for (size_t at = 0; at < n - 1; at++) {
        memcpy(bad, text, n);
        bad[at] ^= 1;
        assert_int_equal(sw_journal_parse(bad, n, &back, &err), -1);
    }
}

static void another_work_is_not_continued(void **state)
{
    const struct sw_journal j = sample();
    struct sw_journal k = j;

    (void)state;
    k.validator[1] = 'x';
    assert_false(sw_journal_same_work(&j, &k));
    k = j;
    k.source_size++;
    assert_false(sw_journal_same_work(&j, &k));
    k = j;
    k.disk_size++;
    assert_false(sw_journal_same_work(&j, &k));
    k = j;
    k.format = SW_FORMAT_RAW;
    assert_false(sw_journal_same_work(&j, &k));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was_written),
        cmocka_unit_test(refuses_every_damage),
        cmocka_unit_test(another_work_is_not_continued),
    };

    return cmocka_run_group_tests_name("transfer/journal", tests, NULL, NULL);
}
