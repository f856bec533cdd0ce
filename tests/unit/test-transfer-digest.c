/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/macros.h"
#include "common/parse.h"
#include "transfer/digest.h"

/* FIPS 180-2 / RFC 1321 vectors: "abc". */
static const struct {
    enum sw_digest_alg alg;
    const char *abc;
} known[] = {
    { SW_DIGEST_MD5, "900150983cd24fb0d6963f7d28e17f72" },
    { SW_DIGEST_SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d" },
    { SW_DIGEST_SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { SW_DIGEST_SHA512, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
};

static uint8_t pattern[1000];

static int fill(void **state)
{
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 131 + i / 7);
    return 0;
}

static struct sw_digest *open_ok(enum sw_digest_alg alg)
{
    struct sw_err err = { 0 };
    struct sw_digest *d = NULL;

    assert_int_equal(sw_digest_open(alg, &d, &err), 0);
    return d;
}

static struct sw_digest_value digest_of(enum sw_digest_alg alg, const void *p, size_t n)
{
    struct sw_digest *d = open_ok(alg);
    struct sw_digest_value v;

    sw_digest_update(d, p, n);
    sw_digest_final(d, &v);
    sw_digest_close(d);
    return v;
}

static void computes_the_published_vectors(void **state)
{
    for (size_t i = 0; i < SW_COUNT(known); i++) {
        char text[SW_DIGEST_TEXT_MAX];
        struct sw_digest_value v = digest_of(known[i].alg, "abc", 3);

        sw_digest_format(&v, text);
        assert_string_equal(strchr(text, ':') + 1, known[i].abc);
        assert_int_equal(strlen(known[i].abc), 2 * sw_digest_size(known[i].alg));
        assert_int_equal(
            strncmp(text, sw_digest_alg_name(v.alg), strlen(sw_digest_alg_name(v.alg))), 0);
    }
}

/* Saved and taken up again at every byte of several blocks, the digest is the same. */
static void continues_from_a_saved_state_at_every_byte(void **state)
{
    for (size_t i = 0; i < SW_COUNT(known); i++) {
        struct sw_digest_value whole = digest_of(known[i].alg, pattern, 400);

        for (size_t cut = 0; cut <= 400; cut++) {
            uint8_t saved[SW_DIGEST_STATE_MAX];
            struct sw_err err = { 0 };
            struct sw_digest *d = open_ok(known[i].alg), *again = NULL;
            struct sw_digest_value v;

            sw_digest_update(d, pattern, cut);
            size_t n = sw_digest_save(d, saved);
            sw_digest_close(d);
            assert_true(n <= sizeof(saved));
            assert_int_equal(sw_digest_restore(saved, n, &again, &err), 0);
            sw_digest_update(again, pattern + cut, 400 - cut);
            sw_digest_final(again, &v);
            sw_digest_close(again);
            assert_true(sw_digest_equal(&v, &whole));
        }
    }
}

/* The layout is a promise to other processes and machines. After "abc" no block is complete, so the
 * chaining words are still the initial ones of FIPS 180-2 and the three bytes follow. */
static void saves_the_documented_layout(void **state)
{
    static const uint8_t fresh[] = {
        'S',  'W',  'D',  1,    SW_DIGEST_SHA256,
        0,    0,    0,    3,    0,
        0,    0,    0,    0,    0,
        0,    0x67, 0xe6, 0x09, 0x6a,
        0x85, 0xae, 0x67, 0xbb, 0x72,
        0xf3, 0x6e, 0x3c, 0x3a, 0xf5,
        0x4f, 0xa5, 0x7f, 0x52, 0x0e,
        0x51, 0x8c, 0x68, 0x05, 0x9b,
        0xab, 0xd9, 0x83, 0x1f, 0x19,
        0xcd, 0xe0, 0x5b, 'a',  'b',
        'c',
    };
    uint8_t saved[SW_DIGEST_STATE_MAX];
    struct sw_digest *d = open_ok(SW_DIGEST_SHA256);

    sw_digest_update(d, "abc", 3);
    assert_int_equal(sw_digest_save(d, saved), sizeof(fresh));
    assert_memory_equal(saved, fresh, sizeof(fresh));
    sw_digest_close(d);
}

/* More than 2^32 bits and bytes: the length halves must be carried into the final block. The state
 * is made, not digested: 2^40 + 5 bytes of which only the last five are known. */
static void keeps_lengths_beyond_four_gigabytes(void **state)
{
    for (size_t i = 0; i < SW_COUNT(known); i++) {
        uint8_t saved[SW_DIGEST_STATE_MAX], second[SW_DIGEST_STATE_MAX];
        struct sw_err err = { 0 };
        struct sw_digest *d = open_ok(known[i].alg), *again = NULL;

        sw_digest_update(d, pattern, 5);
        size_t n = sw_digest_save(d, saved);
        sw_digest_close(d);
        saved[8 + 5] = 1; /* + 2^40 bytes, a multiple of every block size */
        assert_int_equal(sw_digest_restore(saved, n, &again, &err), 0);
        assert_int_equal(sw_digest_save(again, second), n);
        assert_memory_equal(saved, second, n);

        struct sw_digest_value longer, shorter = digest_of(known[i].alg, pattern, 5);
        sw_digest_final(again, &longer);
        sw_digest_close(again);
        assert_false(sw_digest_equal(&longer, &shorter));
    }
}

static void refuses_states_that_are_none(void **state)
{
    for (size_t i = 0; i < SW_COUNT(known); i++) {
        uint8_t saved[SW_DIGEST_STATE_MAX];
        struct sw_digest *d = open_ok(known[i].alg), *again = NULL;

        sw_digest_update(d, pattern, 77);
        size_t n = sw_digest_save(d, saved);
        sw_digest_close(d);
        for (size_t cut = 0; cut < n; cut++) {
            struct sw_err err = { 0 };

            assert_int_equal(sw_digest_restore(saved, cut, &again, &err), -1);
            assert_int_equal(err.kind, SW_ERR_BAD_DATA);
        }
        for (size_t at = 0; at < 8; at++) {
            struct sw_err err = { 0 };
            uint8_t bent[SW_DIGEST_STATE_MAX];

            memcpy(bent, saved, n);
            bent[at] ^= 0x40;
            assert_int_equal(sw_digest_restore(bent, n, &again, &err), -1);
            assert_int_equal(err.kind, SW_ERR_BAD_DATA);
        }
        assert_null(again);
    }
}

static void parses_what_the_importer_accepts(void **state)
{
    struct sw_err err = { 0 };
    struct sw_digest_value v;

    assert_int_equal(sw_digest_parse(" SHA256 :\tBA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB4"
                                     "10FF61F20015AD \n",
                                     &v, &err),
                     0);
    struct sw_digest_value abc = digest_of(SW_DIGEST_SHA256, "abc", 3);
    assert_true(sw_digest_equal(&v, &abc));
    assert_int_equal(sw_digest_parse("sha-1:a9993e364706816aba3e25717850c26c9cd0d89d", &v, &err),
                     0);
    assert_int_equal(v.alg, SW_DIGEST_SHA1);
    assert_int_equal(sw_digest_alg_parse("SHA-512"), SW_DIGEST_SHA512);
    assert_int_equal(sw_digest_alg_parse("sha384"), SW_DIGEST_NONE);
    assert_int_equal(sw_digest_alg_by_size(64), SW_DIGEST_SHA512);
    assert_int_equal(sw_digest_alg_by_size(48), SW_DIGEST_NONE);
    assert_int_equal(sw_digest_alg_by_size(0), SW_DIGEST_NONE);
}

/* The words are the contract's (importer 1.9): a controller and its users look for them. */
static void words_its_refusals_as_the_contract_does(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "abc", "invalid checksum format: expected 'algorithm:hash', got 'abc'" },
        { "", "invalid checksum format: expected 'algorithm:hash', got ''" },
        { "sha256: ", "checksum hash value cannot be empty" },
        { "sha3:aa", "unsupported hash algorithm 'sha3': supported algorithms are: md5, sha1, "
                     "sha256, sha512" },
        { ":aa", "unsupported hash algorithm '': supported algorithms are: md5, sha1, sha256, "
                 "sha512" },
        { "none:aa", "unsupported hash algorithm 'none': supported algorithms are: md5, sha1, "
                     "sha256, sha512" },
        { "md5:aa", "invalid md5 hash length: expected 32 hex characters, got 2" },
        { "md5:900150983cd24fb0d6963f7d28e17f7g",
          "checksum hash is not valid hexadecimal: invalid byte 0x67" },
    };

    for (size_t i = 0; i < SW_COUNT(cases); i++) {
        struct sw_err err = { 0 };
        struct sw_digest_value v;

        assert_int_equal(sw_digest_parse(cases[i].text, &v, &err), -1);
        assert_int_equal(err.kind, SW_ERR_USAGE);
        assert_string_equal(err.msg, cases[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computes_the_published_vectors),
        cmocka_unit_test(continues_from_a_saved_state_at_every_byte),
        cmocka_unit_test(saves_the_documented_layout),
        cmocka_unit_test(keeps_lengths_beyond_four_gigabytes),
        cmocka_unit_test(refuses_states_that_are_none),
        cmocka_unit_test(parses_what_the_importer_accepts),
        cmocka_unit_test(words_its_refusals_as_the_contract_does),
    };
    return cmocka_run_group_tests_name("transfer/digest", tests, fill, NULL);
}
