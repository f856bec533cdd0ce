/* SPDX-License-Identifier: Apache-2.0 */
/* The VHDX reader over hand-made images. What qemu-img makes: tests/transfer/survive. */
#include "formats/crc32c.h"
#include "tests/unit/image-harness.h"

#define SIZE (2 * (1 << 20) + 512)
#define BLOCK (1 << 20)
#define PATTERN 2048
#define METADATA (2 << 20)
#define BAT (3 << 20)

static const struct sw_limits limits = { .guest_size = 4 << 20,
                                         .table_memory = 4 << 20,
                                         .decoder_memory = 1 << 20 };

static bool begins(const struct disk *d, size_t block, size_t as)
{
    const struct disk part = { .p = d->p + block * BLOCK,
                               .n = sw_min_u64(PATTERN, d->n - block * BLOCK) };
    bool rest = part.n < PATTERN || sw_is_zero(part.p + PATTERN, BLOCK - PATTERN);

    for (size_t i = 0; i < part.n; i++) {
        if (part.p[i] != (as * 7 + i * 13 + (i >> 8) + 1) % 255 + 1)
            return false;
    }
    return rest;
}

static int read_as(const struct image *image, bool seek, const struct sw_limits *l,
                   struct disk *ret, struct sw_err *err)
{
    const struct read_how how = { .format = SW_FORMAT_VHDX, .seek = seek, .piece = 77777 };

    return read_image((struct sw_span){ image->p, image->n }, &how, l, ret, err);
}

static void reads_every_layout(void **state)
{
    static const char *const names[] = { "vhdx/usual", "vhdx/reverse", "vhdx/last", "vhdx/log" };

    (void)state;
    for (size_t i = 0; i < SW_COUNT(names); i++) {
        struct image image = image_seed(names[i]);

        for (int seek = 0; seek < 2; seek++) {
            struct sw_err err = { 0 };
            struct disk d;

            if (read_as(&image, seek, &limits, &d, &err) < 0)
                fail_msg("%s: %s", names[i], err.msg);
            assert_int_equal(d.n, SIZE);
            assert_true(begins(&d, 0, 0) && begins(&d, 2, 2));
            assert_true(image_zero(&d, 1, BLOCK));
            disk_done(&d);
        }
        image_done(&image);
    }
}

static void shares_blocks(void **state)
{
    struct image image = image_seed("vhdx/shared");
    struct sw_err err = { 0 };
    struct disk d;

    (void)state;
    assert_int_equal(read_as(&image, false, &limits, &d, &err), 0);
    assert_true(begins(&d, 0, 0) && begins(&d, 2, 0));
    disk_done(&d);
    image_done(&image);
}

static void seal(uint8_t *p, size_t n)
{
    memset(p + 4, 0, 4);
    sw_put_le32(p + 4, sw_crc32c(0, p, n));
}

/* The second header is the current one; without it, the first. Without both there is no image. */
static void takes_the_newest_valid_header(void **state)
{
    struct image image = image_seed("vhdx/usual");
    struct sw_err err = { 0 };
    struct disk d;

    (void)state;
    image.p[(64 << 10) + 100] ^= 1;
    assert_int_equal(read_as(&image, false, &limits, &d, &err), 0);
    disk_done(&d);
    image.p[(128 << 10) + 100] ^= 1;
    image_refused(&image, SW_FORMAT_VHDX, &limits, SW_ERR_BAD_DATA, "header: neither");
    image.p[(128 << 10) + 100] ^= 1;
    image.p[192 << 10] ^= 1;
    assert_int_equal(read_as(&image, false, &limits, &d, &err), 0);
    disk_done(&d);
    image.p[256 << 10] ^= 1;
    image_refused(&image, SW_FORMAT_VHDX, &limits, SW_ERR_BAD_DATA, "region table: neither");
    image_done(&image);
}

/* Header 2 names a log (GUID, length, offset); its checksum is made right. */
static void set_log(struct image *image, uint32_t len, uint64_t off)
{
    uint8_t *header = image->p + (128 << 10);

    memset(header + 48, 9, 16);
    sw_put_le32(header + 68, len);
    sw_put_le64(header + 72, off);
    seal(header, 4096);
}

static void refuses_a_log_that_cannot_be_replayed(void **state)
{
    struct image image = image_seed("vhdx/usual");
    struct sw_limits l = limits;

    (void)state;
    set_log(&image, 1 << 20, 1 << 20);
    image_refused(&image, SW_FORMAT_VHDX, &limits, SW_ERR_BAD_DATA, "no valid sequence");
    set_log(&image, 1 << 20, 1 << 19);
    image_refused(&image, SW_FORMAT_VHDX, &limits, SW_ERR_BAD_DATA, "at offset 524288");
    set_log(&image, 12345, 1 << 20);
    image_refused(&image, SW_FORMAT_VHDX, &limits, SW_ERR_BAD_DATA, "12345 bytes");
    set_log(&image, 1 << 20, 1 << 20);
    l.table_memory = (2 << 20) - 1;
    image_refused(&image, SW_FORMAT_VHDX, &l, SW_ERR_UNSUPPORTED, "--memory");
    set_log(&image, 1 << 20, 64 << 20);
    image_refused(&image, SW_FORMAT_VHDX, &limits, SW_ERR_BAD_DATA, "log at offset 67108864");
    image_done(&image);
}

/* Each of the two entries that count, damaged: the sequence is broken. */
static void checks_every_entry_of_the_log(void **state)
{
    static const size_t at[] = { (2 << 20) - 8192 + 4096 + 100, (1 << 20) + 4096 + 100 };

    (void)state;
    for (size_t i = 0; i < SW_COUNT(at); i++) {
        struct image image = image_seed("vhdx/log");

        image.p[at[i]] ^= 1;
        for (int seek = 0; seek < 2; seek++) {
            struct sw_err err = { 0 };
            struct disk d;

            assert_int_equal(read_as(&image, seek, &limits, &d, &err), -1);
            assert_int_equal(err.kind, SW_ERR_BAD_DATA);
            disk_done(&d);
        }
        image_done(&image);
    }
}

static void refused(size_t at, uint64_t value, enum sw_err_kind kind, const char *part)
{
    struct image image = image_seed("vhdx/usual");

    sw_put_le64(image.p + at, value);
    image_refused(&image, SW_FORMAT_VHDX, &limits, kind, part);
    image_done(&image);
}

static void refuses_what_tables_may_not_say(void **state)
{
    const size_t params = METADATA + (64 << 10), size = params + 8, logical = size + 8 + 16;

    (void)state;
    refused(BAT, 7 | 4 << 20, SW_ERR_BAD_DATA, "state 7");
    refused(BAT, 6, SW_ERR_BAD_DATA, "entry 0 lies at offset 0");
    refused(BAT, 6 | UINT64_C(0xffff) << 48, SW_ERR_BAD_DATA, "entry 0");
    refused(BAT, 6 | 100 << 20, SW_ERR_BAD_DATA, "guest offset 0");
    refused(params, 3 << 20, SW_ERR_BAD_DATA, "blocks of 3145728");
    refused(params, 512 << 10, SW_ERR_BAD_DATA, "blocks of 524288");
    refused(params, (UINT64_C(2) << 32) | 1 << 20, SW_ERR_UNSUPPORTED, "differencing");
    refused(size, SIZE + 1, SW_ERR_BAD_DATA, "no multiple");
    refused(size, UINT64_MAX - 511, SW_ERR_UNSUPPORTED, "limit");
    refused(logical, 1024, SW_ERR_BAD_DATA, "1024");
    refused(METADATA, 0, SW_ERR_BAD_DATA, "no signature");
    refused(METADATA + 8, UINT64_C(3000) << 16, SW_ERR_BAD_DATA, "3000 entries");
    refused(METADATA + 32 + 16, 1, SW_ERR_BAD_DATA, "file parameters of 0 bytes at offset 1");
}

static void computes_crc32c(void **state)
{
    (void)state;
    /* RFC 3720, B.4: 32 bytes of zeroes, of ones; and the usual check value. */
    assert_int_equal(sw_crc32c(0, (uint8_t[32]){ 0 }, 32), 0x8a9136aau);
    assert_int_equal(sw_crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(sw_crc32c(sw_crc32c(0, "1234", 4), "56789", 5), 0xe3069283u);
}

static void names_what_is_cut(void **state)
{
    static const struct {
        size_t n;
        const char *part;
    } rows[] = {
        { 4, "file type identifier at offset 0" },
        { (64 << 10) + 100, "header at offset 65536" },
        { (200 << 10), "region table at offset 196608" },
        { METADATA + 100, "metadata table at offset 2097152" },
        { METADATA + (64 << 10) + 4, "metadata item at offset 2162688" },
        { BAT + 4, "block allocation table at offset 3145728" },
        { (6 << 20) - BLOCK + 256, "guest offset 2097152" },
    };

    (void)state;
    for (size_t i = 0; i < SW_COUNT(rows); i++) {
        struct image image = image_seed("vhdx/usual");

        image.n = rows[i].n;
        image_refused(&image, SW_FORMAT_VHDX, &limits, SW_ERR_BAD_DATA, rows[i].part);
        image_done(&image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_layout),
        cmocka_unit_test(shares_blocks),
        cmocka_unit_test(takes_the_newest_valid_header),
        cmocka_unit_test(refuses_a_log_that_cannot_be_replayed),
        cmocka_unit_test(checks_every_entry_of_the_log),
        cmocka_unit_test(refuses_what_tables_may_not_say),
        cmocka_unit_test(computes_crc32c),
        cmocka_unit_test(names_what_is_cut),
    };

    return cmocka_run_group_tests_name("formats/vhdx", tests, NULL, NULL);
}
