/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base64.h"
#include "common/macros.h"
#include "common/parse.h"
#include "formats/digest_manifest.h"

#define MD5A "900150983cd24fb0d6963f7d28e17f72"
#define SHA1A "a9993e364706816aba3e25717850c26c9cd0d89d"
#define SHA256A "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA256B "0000000000000000000000000000000000000000000000000000000000000001"
#define SHA384A                                                                                    \
    "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c8" \
    "25a7"
#define SHA512A                                                                                    \
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"                             \
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
/* The same SHA-512 as Debian writes it. */
#define SHA512A_B64                                                                                \
    "3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw"

#define NAME "disk.qcow2"

/* Every call hands over a heap block of exactly the text's size, so ASan sees an overrun. */
static int find(const char *text, const char *name, unsigned flags, struct sw_manifest_digest *ret,
                struct sw_err *err)
{
    size_t n = strlen(text);
    uint8_t *copy = malloc(n ? n : 1);

    assert_non_null(copy);
    memcpy(copy, text, n);
    int rc = sw_digest_manifest_find((struct sw_span){ copy, n }, name, flags, ret, err);
    free(copy);
    return rc;
}

static void expect(const char *text, const char *name, unsigned flags, const char *hex)
{
    struct sw_manifest_digest got = { 0 };
    struct sw_err err = { 0 };
    char shown[2 * sizeof(got.bytes) + 1];

    if (find(text, name, flags, &got, &err) < 0)
        fail_msg("%s\n in: %s", err.msg, text);
    sw_hex_encode(got.bytes, got.n, shown);
    assert_string_equal(shown, hex);
}

static void refuse(const char *text, unsigned flags, enum sw_err_kind kind, const char *words)
{
    struct sw_manifest_digest got = { 0 };
    struct sw_err err = { 0 };

    if (find(text, NAME, flags, &got, &err) == 0)
        fail_msg("accepted: %s", text);
    assert_int_equal(err.kind, kind);
    if (!strstr(err.msg, words))
        fail_msg("'%s' does not say '%s'", err.msg, words);
}

static void finds_gnu_lines(void **state)
{
    expect(SHA256B "  other.qcow2\n" SHA256A "  disk.qcow2\n", NAME, 0, SHA256A);
    expect(SHA256A " *disk.qcow2", NAME, 0, SHA256A);
    expect(SHA256A "  disk.qcow2\r\n" SHA256B "  other\r\n", NAME, 0, SHA256A);
    expect(SHA256A "  ./disk.qcow2\n", NAME, 0, SHA256A);
    expect(SHA256A "  images/riscv64/disk.qcow2\n", NAME, 0, SHA256A);
    expect(SHA256A "\tdisk.qcow2\n", NAME, 0, SHA256A);
    expect("\\" SHA256A "  a\\\\b\\nc\n", "a\\b\nc", 0, SHA256A);
    expect("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD  disk.qcow2\n", NAME,
           0, SHA256A);
    expect(SHA512A "  disk.qcow2\n" SHA512A "  disk.qcow2\n", NAME, 0, SHA512A);
}

static void does_not_take_a_name_that_only_ends_alike(void **state)
{
    refuse(SHA256A "  bigdisk.qcow2\n", 0, SW_ERR_NOT_FOUND, "bigdisk.qcow2");
    refuse(SHA256A "  disk.qcow2.sig\n", 0, SW_ERR_NOT_FOUND, "disk.qcow2.sig");
    refuse(SHA256A "  DISK.qcow2\n", 0, SW_ERR_NOT_FOUND, "DISK.qcow2");
}

static void prefers_the_exact_name_to_one_in_a_directory(void **state)
{
    expect(SHA256B "  old/disk.qcow2\n" SHA256A "  disk.qcow2\n" SHA256B "  new/disk.qcow2\n", NAME,
           0, SHA256A);
    refuse(SHA256A "  a/disk.qcow2\n" SHA256B "  b/disk.qcow2\n", 0, SW_ERR_BAD_DATA,
           "two different SHA-256");
}

static void finds_bsd_lines(void **state)
{
    expect("# disk.qcow2: 474021888 bytes\nSHA256 (disk.qcow2) = " SHA256A "\n", NAME, 0, SHA256A);
    expect("SHA512 (a (copy).img) = " SHA512A "\n", "a (copy).img", 0, SHA512A);
    expect("SHA2-256(disk.qcow2)= " SHA256A "\n", NAME, 0, SHA256A);
    expect("SHA256 (./disk.qcow2) = " SHA256A "\r\n", NAME, 0, SHA256A);
    /* The label must be the digest's algorithm, and one that we know. */
    refuse("SHA512 (disk.qcow2) = " SHA256A "\n", 0, SW_ERR_BAD_DATA, "not a digest manifest");
    refuse("SHA3-256 (disk.qcow2) = " SHA256A "\n", 0, SW_ERR_BAD_DATA, "not a digest manifest");
}

static void reads_only_the_signed_part_of_a_clear_signed_text(void **state)
{
    static const char text[] = SHA256B
        "  disk.qcow2\n"
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
        "- -----BEGIN x\n# size: 5\n- SHA256 (disk.qcow2) = " SHA256A "\n"
        "-----BEGIN PGP SIGNATURE-----\n\niQIz\n-----END PGP SIGNATURE-----\n" SHA256B
        "  disk.qcow2\n";

    expect(text, NAME, 0, SHA256A);
}

static void takes_a_bare_digest_when_it_is_alone(void **state)
{
    expect(SHA512A, NAME, 0, SHA512A);
    expect("\n" SHA512A "\r\n\n", NAME, 0, SHA512A);
    refuse(SHA512A "\n" SHA256A "\n", 0, SW_ERR_NOT_FOUND, "among 2 entries");
    refuse(SHA256A "\n" SHA256A "  other\n", 0, SW_ERR_NOT_FOUND, "among 2 entries");
}

/* openEuler's <file>.sha256sum may carry the builder's path; a sidecar is told by its own name. */
static void takes_the_only_line_of_a_sidecar(void **state)
{
    refuse(SHA256A "  build.img\n", 0, SW_ERR_NOT_FOUND, "build.img");
    expect(SHA256A "  build.img\n", NAME, SW_MANIFEST_SIDECAR, SHA256A);
    refuse(SHA256A "  build.img\n" SHA256B "  b\n", SW_MANIFEST_SIDECAR, SW_ERR_NOT_FOUND, "2");
}

static void takes_the_strongest_algorithm(void **state)
{
    static const char all[] = MD5A "  disk.qcow2\n" SHA512A "  disk.qcow2\n" SHA384A
                                   "  disk.qcow2\n" SHA256A "  disk.qcow2\n" SHA1A "  disk.qcow2\n";

    expect(all, NAME, 0, SHA512A);
    expect(all, NAME, SW_MANIFEST_ALLOW_WEAK, SHA512A);
    expect(SHA384A "  disk.qcow2\n" SHA256A "  disk.qcow2\n", NAME, 0, SHA256A);
}

static void refuses_weak_digests_unless_allowed(void **state)
{
    refuse(MD5A "  disk.qcow2\n", 0, SW_ERR_UNSUPPORTED, "only a MD5 digest");
    refuse(SHA1A, 0, SW_ERR_UNSUPPORTED, "too weak");
    refuse(SHA384A "  disk.qcow2\n", SW_MANIFEST_ALLOW_WEAK, SW_ERR_UNSUPPORTED, "not supported");
    expect(MD5A "  disk.qcow2\n" SHA1A "  disk.qcow2\n", NAME, SW_MANIFEST_ALLOW_WEAK, SHA1A);
}

static void refuses_contradictions(void **state)
{
    refuse(SHA256A "  disk.qcow2\n" SHA256B "  disk.qcow2\n", 0, SW_ERR_BAD_DATA,
           "two different SHA-256");
    refuse(SHA256A "  disk.qcow2\nSHA256 (disk.qcow2) = " SHA256B "\n", 0, SW_ERR_BAD_DATA,
           "two different");
}

static void names_what_it_saw_when_nothing_matches(void **state)
{
    refuse(SHA256A "  zebra\n" SHA256A "  disk.raw\n" SHA256A "  disk-2.qcow2\n" SHA256A "  y\n", 0,
           SW_ERR_NOT_FOUND,
           "among 4 entries; the nearest names are 'disk-2.qcow2' and 'disk.raw'");
    refuse(SHA256A "  a\033[31mdisk.qcow2\n" SHA256B "  b\n", 0, SW_ERR_NOT_FOUND, "a?[31mdisk");
}

static void refuses_what_is_no_manifest(void **state)
{
    refuse("", 0, SW_ERR_BAD_DATA, "not a digest manifest");
    refuse(" \n<!DOCTYPE html><html>" SHA256A "  disk.qcow2\n", 0, SW_ERR_BAD_DATA, "web page");
    refuse("abc  disk.qcow2\n", 0, SW_ERR_BAD_DATA, "not a digest manifest");
    refuse(SHA256A "0  disk.qcow2\n", 0, SW_ERR_BAD_DATA, "not a digest manifest");
}

static void keeps_the_ceiling(void **state)
{
    struct sw_manifest_digest got;
    size_t max = SW_MANIFEST_MAX;
    char *text = malloc(max + 2);

    assert_non_null(text);
    memset(text, '\n', max + 1);
    memcpy(text, SHA256A, 64);
    text[max + 1] = '\0';
    struct sw_err err = { 0 };
    assert_int_equal(
        sw_digest_manifest_find((struct sw_span){ (uint8_t *)text, max + 1 }, NAME, 0, &got, &err),
        -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    assert_int_equal(
        sw_digest_manifest_find((struct sw_span){ (uint8_t *)text, max }, NAME, 0, &got, &err), 0);
    free(text);
}

#define ITEM(ref, digest)                                                                          \
    "{\"apiVersion\":\"cloud.debian.org/v1alpha1\",\"kind\":\"Upload\","                           \
    "\"data\":{\"provider\":\"cloud.debian.org\",\"ref\":\"" ref "\"},"                            \
    "\"metadata\":{\"annotations\":{\"cloud.debian.org/digest\":\"" digest "\"},"                  \
    "\"labels\":{\"upload.cloud.debian.org/image-format\":\"qcow2\"}}}"
#define BUILD "{\"kind\":\"Build\",\"data\":{\"info\":{\"arch\":\"riscv64\"},\"packages\":[]}}"
#define LIST(items) "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[" BUILD "," items "]}"

static void finds_debian_json_items(void **state)
{
    static const char dated[] = "debian-13-nocloud-riscv64-20260712-2537.qcow2";
    static const char list[] = LIST(
        ITEM("trixie/20260712-2537/debian-13-nocloud-riscv64-20260712-2537.raw",
             "sha256:AAAA") "," ITEM("trixie/20260712-2537/"
                                     "debian-13-nocloud-riscv64-20260712-2537.qcow2",
                                     "sha512:" SHA512A_B64));

    expect(list, dated, 0, SHA512A);
    expect(list, "debian-13-nocloud-riscv64.qcow2", 0, SHA512A);
    expect(LIST(ITEM("disk.qcow2", "sha512:" SHA512A_B64 "==")), NAME, 0, SHA512A);
    expect(LIST(ITEM("disk.qcow2", "sha256:" SHA256A)), NAME, 0, SHA256A);
    expect(LIST("{\"metadata\":{\"annotations\":{\"cloud.debian.org/digest\":\"sha512:" SHA512A_B64
                "\"}}}"),
           NAME, 0, SHA512A);
}

static void refuses_debian_json_of_other_files(void **state)
{
    struct sw_manifest_digest got;
    struct sw_err err = { 0 };

    assert_int_equal(
        find(LIST(ITEM("x/debian-13-nocloud-riscv64-20260712-2537.qcow2", "sha512:" SHA512A_B64)),
             "debian-13-nocloud-amd64.qcow2", 0, &got, &err),
        -1);
    assert_int_equal(err.kind, SW_ERR_NOT_FOUND);
    refuse(LIST(ITEM("disk-2026-1.qcow2", "sha512:" SHA512A_B64)), 0, SW_ERR_NOT_FOUND,
           "disk-2026");
    refuse(LIST(ITEM("disk.qcow2", "sha256:" SHA512A_B64)), 0, SW_ERR_BAD_DATA, "not a digest");
    refuse("{\"item\":[]}", 0, SW_ERR_BAD_DATA, "Debian's layout");
    refuse("{\"items\":{}}", 0, SW_ERR_BAD_DATA, "not a digest manifest");
    refuse("{\"items\":[1,null,{\"metadata\":7},{\"data\":{\"ref\":5}}]}", 0, SW_ERR_BAD_DATA,
           "not a digest manifest");
    refuse("{\"items\":[", 0, SW_ERR_BAD_DATA, "digest manifest: ");
}

static void refuses_json_that_would_cost_memory(void **state)
{
    size_t n = 2 * 20000;
    char *text = malloc(n + 16);

    assert_non_null(text);
    memcpy(text, "{\"a\":[", 6);
    for (size_t i = 0; i < n; i += 2)
        memcpy(text + 6 + i, "{}", 2);
    text[6 + n] = '\0';
    refuse(text, 0, SW_ERR_BAD_DATA, "no digest manifest");
    free(text);
}

static void decodes_base64_strictly(void **state)
{
    static const struct {
        const char *text, *bytes; /* NULL: refused */
    } cases[] = {
        { "", "" },           { "Zg", "f" },          { "Zg==", "f" },
        { "Zm8=", "fo" },     { "Zm8", "fo" },        { "Zm9v", "foo" },
        { "Zm9vYg", "foob" }, { "Z", NULL },          { "Zg=", NULL },
        { "Zg===", NULL },    { "====", NULL },       { "Zh", NULL },
        { "Zm9v\n", NULL },   { "Zm-v", NULL },       { "Zm9vYmE", "fooba" },
        { "Zm9vYmF", NULL },  { "Zm9vYmFyYg", NULL },
    };

    for (size_t i = 0; i < SW_COUNT(cases); i++) {
        uint8_t out[6];
        size_t n = 99;
        struct sw_span text = { (const uint8_t *)cases[i].text, strlen(cases[i].text) };
        bool ok = sw_base64_decode(text, out, sizeof(out), &n);

        assert_int_equal(ok, cases[i].bytes != NULL);
        if (ok) {
            assert_int_equal(n, strlen(cases[i].bytes));
            assert_memory_equal(out, cases[i].bytes, n);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_gnu_lines),
        cmocka_unit_test(does_not_take_a_name_that_only_ends_alike),
        cmocka_unit_test(prefers_the_exact_name_to_one_in_a_directory),
        cmocka_unit_test(finds_bsd_lines),
        cmocka_unit_test(reads_only_the_signed_part_of_a_clear_signed_text),
        cmocka_unit_test(takes_a_bare_digest_when_it_is_alone),
        cmocka_unit_test(takes_the_only_line_of_a_sidecar),
        cmocka_unit_test(takes_the_strongest_algorithm),
        cmocka_unit_test(refuses_weak_digests_unless_allowed),
        cmocka_unit_test(refuses_contradictions),
        cmocka_unit_test(names_what_it_saw_when_nothing_matches),
        cmocka_unit_test(refuses_what_is_no_manifest),
        cmocka_unit_test(keeps_the_ceiling),
        cmocka_unit_test(finds_debian_json_items),
        cmocka_unit_test(refuses_debian_json_of_other_files),
        cmocka_unit_test(refuses_json_that_would_cost_memory),
        cmocka_unit_test(decodes_base64_strictly),
    };
    return cmocka_run_group_tests_name("formats/digest_manifest", tests, NULL, NULL);
}
