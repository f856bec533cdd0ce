/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/decode-harness.h"

static enum sw_wrap sniff(const void *p, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);

    assert_non_null(copy);
    memcpy(copy, p, n);
    enum sw_wrap wrap = sw_wrap_sniff((struct sw_span){ copy, n });
    free(copy);
    return wrap;
}

static const struct {
    enum sw_wrap wrap;
    const char *folder;
    const char *names[12];
} seeds[] = {
    { SW_WRAP_GZIP,
      "gzip",
      { "gzip.gz", "pigz.gz", "igzip.gz", "stored.gz", "all-fields.gz", "two-members.gz",
        "empty-gzip.gz" } },
    { SW_WRAP_XZ,
      "xz",
      { "xz.xz", "threads.xz", "pixz.xz", "sha256.xz", "no-check.xz", "filters.xz",
        "empty-xz.xz" } },
    { SW_WRAP_ZSTD,
      "zstd",
      { "zstd.zst", "sized.zst", "no-check.zst", "long.zst", "pzstd.zst", "skippable.zst",
        "empty-zstd.zst" } },
    { SW_WRAP_BZIP2, "bzip2", { "bzip2.bz2", "small.bz2", "lbzip2.bz2", "empty-bzip2.bz2" } },
};

static void knows_what_every_tool_writes(void **state)
{
    for (size_t i = 0; i < SW_COUNT(seeds); i++) {
        for (size_t k = 0; seeds[i].names[k]; k++) {
            auto_bytes in = load_seed(seeds[i].folder, seeds[i].names[k]);

            for (size_t n = 32; n <= in.n; n += in.n)
                if (sniff(in.p, n) != seeds[i].wrap)
                    fail_msg("%s is not recognised in %zu bytes", seeds[i].names[k], n);
            assert_int_equal(sniff(in.p, in.n), seeds[i].wrap);
        }
    }
}

/* A file that was cut must be refused as truncated, not be taken for a raw disk: the magic alone is
 * enough, and less than the magic is nothing. */
static void needs_the_whole_magic_and_no_more(void **state)
{
    static const size_t magic[] = { 3, 6, 4, 4 };

    for (size_t i = 0; i < SW_COUNT(seeds); i++) {
        auto_bytes in = load_seed(seeds[i].folder, seeds[i].names[0]);

        for (size_t n = 0; n <= in.n; n++)
            assert_int_equal(sniff(in.p, n), n < magic[i] ? SW_WRAP_NONE : seeds[i].wrap);
    }
}

static void looks_past_the_magic(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } impostors[] = {
        { "\x1f\x8b\x07\0\0\0\0\0\0\3", 10 },           /* method */
        { "\x1f\x8b\x08\x80\0\0\0\0\0\3", 10 },         /* reserved flag */
        { "\x1f\x8b\x08\0\0\0\0\0\0\3\x07", 11 },       /* block type 3 */
        { "\x1f\x8b\x08\0\0\0\0\0\0\3\1\5\0\0\0", 15 }, /* stored length without inverse */
        { "\xfd\x37zXZ\0\1\4", 8 },                     /* first flag byte */
        { "\xfd\x37zXZ\0\0\x14", 8 },                   /* reserved flags */
        { "\xfd\x37zXZ\0\0\4\xe6\xd6\xb4\x47", 12 },    /* CRC32 of the flags */
        { "\x28\xb5\x2f\xfd\x08\x58\0\0\0", 9 },        /* reserved bit */
        { "\x28\xb5\x2f\xfd\0\x58\x06\0\0", 9 },        /* block type 3 */
        { "\x50\x2a\x4d\x18\4\0\0\0abcdLZ4!", 16 },     /* skippable, then something else */
        { "\x50\x2a\x4d\x18\xff\xff\xff\xff\x28\xb5\x2f\xfd", 12 }, /* skippable, out of sight */
        { "BZh0\x31\x41\x59\x26\x53\x59", 10 },                     /* level */
        { "BZh9\x31\x41\x59\x26\x53\x58", 10 },                     /* block magic */
        { "BZhello", 7 },
        { "QFI\xfb\0\0\0\3", 8 },
    };

    for (size_t i = 0; i < SW_COUNT(impostors); i++)
        if (sniff(impostors[i].bytes, impostors[i].n) != SW_WRAP_NONE)
            fail_msg("impostor %zu is taken for %s", i,
                     sw_wrap_name(sniff(impostors[i].bytes, impostors[i].n)));
}

static void names_and_operations_fit_the_wrapper(void **state)
{
    assert_string_equal(sw_wrap_name(SW_WRAP_NONE), "none");
    assert_null(sw_decoder_for(SW_WRAP_NONE));
    assert_null(sw_decoder_for((enum sw_wrap)99));
    assert_string_equal(sw_wrap_name((enum sw_wrap)99), "unknown");
    for (unsigned w = SW_WRAP_GZIP; w < SW_WRAP_COUNT_; w++)
        assert_string_equal(sw_decoder_for((enum sw_wrap)w)->name, sw_wrap_name((enum sw_wrap)w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_what_every_tool_writes),
        cmocka_unit_test(needs_the_whole_magic_and_no_more),
        cmocka_unit_test(looks_past_the_magic),
        cmocka_unit_test(names_and_operations_fit_the_wrapper),
    };

    return cmocka_run_group_tests_name("formats/decoder", tests, NULL, NULL);
}
