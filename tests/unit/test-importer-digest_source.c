/* SPDX-License-Identifier: Apache-2.0 */
/* The manifests and signatures are files here; the same code fetches them from URLs, which the
 * tests of sw_source_slurp() cover. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/fileio.h"
#include "common/macros.h"
#include "importer/digest_source.h"
#include "tests/fakes/pgp_keys.h"

#define HEX "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define BAD "0000000000000000000000000000000000000000000000000000000000000001"

static const char script[] =
    "key one ed25519; key two ed25519\n"
    "for u in one two; do gpg --batch --armor --export $u@example.test > $u.asc; done\n"
    "line='" HEX "  disk.qcow2'\n"
    "for d in clear gpg asc sig none junk forged; do mkdir $d; echo \"$line\" > $d/SUMS; done\n"
    "sign one --clear-sign -o clear/S clear/SUMS; mv clear/S clear/SUMS\n"
    "echo '" BAD "  disk.qcow2' >> clear/SUMS\n"
    "sign one -b -o gpg/SUMS.gpg gpg/SUMS\n"
    "sign one -a -b -o asc/SUMS.asc asc/SUMS\n"
    "sign one -b -o sig/SUMS.sig sig/SUMS; echo '<html>' > sig/SUMS.gpg\n"
    "echo '<html>' > junk/SUMS.gpg\n"
    "cp gpg/SUMS.gpg forged/SUMS.gpg; echo '" BAD "  x' >> forged/SUMS\n"
    "printf abc > disk.qcow2; sign one -b -o disk.sig disk.qcow2\n"
    "echo '" HEX "  built.img' > disk.qcow2.sha256sum; echo '" HEX "  built.img' > sums\n"
    "echo '900150983cd24fb0d6963f7d28e17f72  disk.qcow2' > MD5SUMS\n";

static char *dir;

static int setup(void **state)
{
    dir = pgp_keys_make(script);
    return 0;
}

static int teardown(void **state)
{
    pgp_keys_done(dir);
    return 0;
}

#define REQUIRE_GPG()                                                                              \
    do {                                                                                           \
        if (!dir)                                                                                  \
            skip();                                                                                \
    } while (0)

static struct sw_digest_plan plan;

/* Names are relative to the directory of keys; NULL: not given. */
static int make(const char *manifest, const char *signature, const char *keyring,
                struct sw_err *err)
{
    char m[256], s[256], k[256];
    struct sw_digest_options o = { .source_name = "disk.qcow2" };

    snprintf(m, sizeof(m), "%s/%s", dir, manifest ? manifest : "");
    snprintf(s, sizeof(s), "%s/%s", dir, signature ? signature : "");
    snprintf(k, sizeof(k), "%s/%s", dir, keyring ? keyring : "");
    o.checksum_url = manifest ? m : NULL;
    o.signature = signature ? s : NULL;
    o.keyring = keyring ? k : NULL;
    return sw_digest_plan_make(&o, &plan, err);
}

static void accept_signed(const char *manifest, const char *signature)
{
    struct sw_digest_value want;
    struct sw_err err = { 0 };

    if (make(manifest, signature, "one.asc", &err) < 0)
        fail_msg("%s: %s", manifest, err.msg);
    assert_int_equal(plan.n_want, 1);
    assert_int_equal(sw_digest_parse("sha256:" HEX, &want, &err), 0);
    assert_true(sw_digest_equal(&plan.want[0].value, &want));
    assert_string_equal(plan.want[0].from, "SUMS");
    assert_true(plan.is_signed);
    assert_non_null(strstr(plan.signer.user, "one@example.test"));
    sw_digest_plan_done(&plan);
}

static void refuse(const char *manifest, const char *signature, const char *keyring,
                   enum sw_err_kind kind, const char *words)
{
    struct sw_err err = { 0 };

    if (make(manifest, signature, keyring, &err) == 0)
        fail_msg("accepted %s", manifest);
    if (err.kind != kind || !strstr(err.msg, words))
        fail_msg("%s: '%s' does not say '%s'", sw_err_kind_name(err.kind), err.msg, words);
    assert_int_equal(plan.n_want, 0);
    assert_false(plan.is_signed);
    sw_digest_plan_done(&plan);
}

static void finds_the_manifests_signature(void **state)
{
    REQUIRE_GPG();
    accept_signed("clear/SUMS", NULL);
    accept_signed("gpg/SUMS", NULL);
    accept_signed("asc/SUMS", NULL);
    accept_signed("sig/SUMS", NULL);
    accept_signed("none/SUMS", "gpg/SUMS.gpg");
}

static void demands_a_signature_once_there_is_a_keyring(void **state)
{
    REQUIRE_GPG();
    refuse("none/SUMS", NULL, "one.asc", SW_ERR_DENIED, "is not signed");
    refuse("junk/SUMS", NULL, "one.asc", SW_ERR_DENIED, "is not signed");
    refuse("forged/SUMS", NULL, "one.asc", SW_ERR_DENIED, "not what was signed");
    refuse("gpg/SUMS", NULL, "two.asc", SW_ERR_DENIED, "does not have the key");
    refuse("clear/SUMS", NULL, "two.asc", SW_ERR_DENIED, "does not have the key");
    refuse("none/SUMS", "junk/SUMS.gpg", "one.asc", SW_ERR_DENIED, "not an OpenPGP signature");
    refuse("none/SUMS", "none/absent", "one.asc", SW_ERR_NOT_FOUND, "signature of the digest");
    refuse("gpg/SUMS", NULL, "absent.asc", SW_ERR_NOT_FOUND, "keyring");
    refuse("gpg/SUMS", NULL, "gpg/SUMS", SW_ERR_USAGE, "no OpenPGP public keys");
}

static void refuses_options_that_do_not_go_together(void **state)
{
    REQUIRE_GPG();
    refuse("gpg/SUMS", "gpg/SUMS.gpg", NULL, SW_ERR_USAGE, "--keyring");
    refuse(NULL, NULL, "one.asc", SW_ERR_USAGE, "nothing to check");
    refuse("absent", NULL, NULL, SW_ERR_NOT_FOUND, "digest manifest");
    refuse("MD5SUMS", NULL, NULL, SW_ERR_UNSUPPORTED, "too weak");
}

static void believes_the_name_of_a_sidecar(void **state)
{
    struct sw_err err = { 0 };

    REQUIRE_GPG();
    assert_int_equal(make("disk.qcow2.sha256sum", NULL, NULL, &err), 0);
    assert_int_equal(plan.n_want, 1);
    assert_false(plan.is_signed);
    sw_digest_plan_done(&plan);
    refuse("sums", NULL, NULL, SW_ERR_NOT_FOUND, "built.img");
}

static void checks_the_signature_of_the_image_itself(void **state)
{
    static const char *const bytes[] = { "abc", "abd" };

    REQUIRE_GPG();
    for (int i = 0; i < 2; i++) {
        struct sw_err err = { 0 };

        assert_int_equal(make(NULL, "disk.sig", "one.asc", &err), 0);
        assert_non_null(plan.image);
        assert_false(plan.is_signed);
        sw_digest_plan_tee(&plan, bytes[i], 2);
        sw_digest_plan_tee(&plan, bytes[i] + 2, 1);
        assert_int_equal(sw_digest_plan_finish(&plan, &err), i ? -1 : 0);
        assert_int_equal(plan.is_signed, !i);
        assert_int_equal(err.kind, i ? SW_ERR_DENIED : SW_ERR_NONE);
        /* Asking again does not change the answer. */
        assert_int_equal(sw_digest_plan_approve(&plan, &err), i ? -1 : 0);
        sw_digest_plan_done(&plan);
    }
}

/* Nobody fed the bytes: that is no signature either. */
static void refuses_an_image_that_was_never_seen(void **state)
{
    struct sw_err err = { 0 };

    REQUIRE_GPG();
    assert_int_equal(make(NULL, "disk.sig", "one.asc", &err), 0);
    assert_int_equal(sw_digest_plan_approve(&plan, &err), -1);
    assert_int_equal(err.kind, SW_ERR_DENIED);
    sw_digest_plan_done(&plan);
}

static void takes_up_to_four_checksums(void **state)
{
    static const char *const sums[] = { "sha256:" HEX, "md5:900150983cd24fb0d6963f7d28e17f72",
                                        "sha256:" HEX, "sha256:" HEX, "sha256:" HEX };
    struct sw_digest_options o = { .checksums = sums, .n_checksums = 4, .source_name = "x" };
    struct sw_err err = { 0 };

    assert_int_equal(sw_digest_plan_make(&o, &plan, &err), 0);
    assert_int_equal(plan.n_want, 4);
    assert_int_equal(plan.want[1].value.alg, SW_DIGEST_MD5);
    assert_int_equal(sw_digest_plan_finish(&plan, &err), 0);
    sw_digest_plan_done(&plan);
    o.n_checksums = 5;
    assert_int_equal(sw_digest_plan_make(&o, &plan, &err), -1);
    assert_int_equal(err.kind, SW_ERR_USAGE);
    sw_digest_plan_done(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_manifests_signature),
        cmocka_unit_test(demands_a_signature_once_there_is_a_keyring),
        cmocka_unit_test(refuses_options_that_do_not_go_together),
        cmocka_unit_test(believes_the_name_of_a_sidecar),
        cmocka_unit_test(checks_the_signature_of_the_image_itself),
        cmocka_unit_test(refuses_an_image_that_was_never_seen),
        cmocka_unit_test(takes_up_to_four_checksums),
    };
    return cmocka_run_group_tests_name("importer/digest_source", tests, setup, teardown);
}
