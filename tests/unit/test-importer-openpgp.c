/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/fileio.h"
#include "common/macros.h"
#include "importer/openpgp.h"
#include "importer/openpgp_status.h"
#include "tests/fakes/pgp_keys.h"

static const char script[] =
    "key one ed25519; key two rsa2048\n"
    "quiet gpg --batch --faked-system-time 20200101T000000 --passphrase '' --quick-gen-key"
    " 'old <old@example.test>' ed25519 sign 1d\n"
    "for u in one two old; do gpg --batch --export $u@example.test > $u.gpg\n"
    "  gpg --batch --armor --export $u@example.test > $u.asc; done\n"
    "cat one.asc two.asc > both.asc; cat one.gpg two.gpg > both.gpg\n"
    "gpg --batch --armor --export one@example.test two@example.test > together.asc\n"
    "printf 'abc  x\\n- dash\\n# comment\\n' > doc; printf 'other\\n' > doc2\n"
    "for u in one two; do sign $u -b -o doc.$u.sig doc; sign $u -a -b -o doc.$u.asc doc\n"
    "  sign $u --clear-sign -o doc.$u.clear doc; done\n"
    "sign one --clear-sign -o doc2.clear doc2\n"
    "sign old --faked-system-time 20200101T010000 -b -o doc.old.sig doc\n"
    "sign two --digest-algo SHA1 -b -o doc.weak.sig doc\n"
    "cat doc.one.sig doc.two.sig > doc.both.sig\n"
    "sign one -o doc.opaque -s doc\n";

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

struct file {
    char *text;
    struct sw_span span;
};

static struct file load(const char *name)
{
    struct sw_err err = { 0 };
    struct file f;
    char path[256];
    size_t n;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (sw_file_slurp(path, 1 << 20, &f.text, &n, &err) < 0)
        fail_msg("%s", err.msg);
    f.span = (struct sw_span){ (uint8_t *)f.text, n };
    return f;
}

static int verify(const char *ring, const char *signature, const char *data,
                  struct sw_pgp_signer *who, struct sw_err *err)
{
    struct file k = load(ring), s = load(signature), d = load(data);
    int rc = sw_pgp_verify_detached(k.span, s.span, d.span, who, err);

    free(k.text);
    free(s.text);
    free(d.text);
    return rc;
}

static void accept_one(const char *ring, const char *signature, const char *user)
{
    struct sw_pgp_signer who = { 0 };
    struct sw_err err = { 0 };

    if (verify(ring, signature, "doc", &who, &err) < 0)
        fail_msg("%s %s: %s", ring, signature, err.msg);
    assert_int_equal(strlen(who.fingerprint), 40);
    assert_string_equal(who.primary, who.fingerprint);
    assert_non_null(strstr(who.user, user));
    assert_true(who.time > 1577836800);
}

static void refuse_one(const char *ring, const char *signature, const char *data, const char *words)
{
    struct sw_pgp_signer who = { 0 };
    struct sw_err err = { 0 };

    if (verify(ring, signature, data, &who, &err) == 0)
        fail_msg("accepted %s %s %s", ring, signature, data);
    assert_int_equal(err.kind, SW_ERR_DENIED);
    assert_string_equal(who.fingerprint, "");
    if (!strstr(err.msg, words))
        fail_msg("'%s' does not say '%s'", err.msg, words);
}

static void accepts_detached_signatures(void **state)
{
    REQUIRE_GPG();
    accept_one("one.gpg", "doc.one.sig", "one@example.test");
    accept_one("one.asc", "doc.one.asc", "one@example.test");
    accept_one("two.asc", "doc.two.sig", "two@example.test");
    accept_one("two.gpg", "doc.two.asc", "two@example.test");
    accept_one("both.asc", "doc.two.sig", "two@example.test");
    accept_one("both.gpg", "doc.one.sig", "one@example.test");
    accept_one("together.asc", "doc.two.sig", "two@example.test");
}

/* Ubuntu's SHA256SUMS.gpg carries two signatures while keys change. */
static void needs_only_one_of_several_signatures(void **state)
{
    REQUIRE_GPG();
    accept_one("one.gpg", "doc.both.sig", "one@example.test");
    accept_one("two.gpg", "doc.both.sig", "two@example.test");
    refuse_one("both.gpg", "doc.both.sig", "doc2", "not what was signed");
}

static void refuses_what_proves_nothing(void **state)
{
    REQUIRE_GPG();
    refuse_one("one.gpg", "doc.one.sig", "doc2", "the content is not what was signed");
    refuse_one("one.gpg", "doc.two.sig", "doc", "the keyring does not have the key");
    refuse_one("old.gpg", "doc.old.sig", "doc", "the key has expired");
    refuse_one("two.gpg", "doc.weak.sig", "doc", "too weak");
    refuse_one("one.gpg", "doc", "doc", "not an OpenPGP signature");
    refuse_one("one.gpg", "doc.opaque", "doc", "not an OpenPGP signature");
}

/* The keyring is the only one: a key in the user's own (GNUPGHOME is set) does not help. */
static void asks_no_other_keyring(void **state)
{
    REQUIRE_GPG();
    setenv("GNUPGHOME", dir, 1);
    refuse_one("two.gpg", "doc.one.sig", "doc", "the keyring does not have the key");
    unsetenv("GNUPGHOME");
}

static void names_the_unknown_key(void **state)
{
    struct sw_pgp_signer who = { 0 }, known = { 0 };
    struct sw_err err = { 0 };

    REQUIRE_GPG();
    assert_int_equal(verify("one.gpg", "doc.one.sig", "doc", &known, &err), 0);
    assert_int_equal(verify("two.gpg", "doc.one.sig", "doc", &who, &err), -1);
    if (!strstr(err.msg, known.fingerprint + 24))
        fail_msg("'%s' does not name key %s", err.msg, known.fingerprint);
}

static void streams_data_in_pieces(void **state)
{
    REQUIRE_GPG();

    struct file k = load("one.gpg"), s = load("doc.one.sig"), d = load("doc");
    for (size_t piece = 1; piece < 4; piece++) {
        struct sw_pgp_verifier *v = NULL;
        struct sw_pgp_signer who;
        struct sw_err err = { 0 };

        assert_int_equal(sw_pgp_verify_open(k.span, s.span, &v, &err), 0);
        for (size_t at = 0; at < d.span.n; at += piece)
            sw_pgp_verify_update(v, d.span.p + at, d.span.n - at < piece ? d.span.n - at : piece);
        if (sw_pgp_verify_finish(v, &who, &err) < 0)
            fail_msg("%s", err.msg);
        sw_pgp_verify_close(v);
    }
    free(k.text);
    free(s.text);
    free(d.text);
}

/* A short stream, much more than a socket holds, and a verifier that is given up. */
static void refuses_other_streams_without_hanging(void **state)
{
    static uint8_t zeros[65536];

    REQUIRE_GPG();
    struct file k = load("one.gpg"), s = load("doc.one.sig"), d = load("doc");
    for (int run = 0; run < 3; run++) {
        struct sw_pgp_verifier *v = NULL;
        struct sw_pgp_signer who;
        struct sw_err err = { 0 };

        assert_int_equal(sw_pgp_verify_open(k.span, s.span, &v, &err), 0);
        if (run == 0)
            sw_pgp_verify_update(v, d.span.p, d.span.n - 1);
        for (int i = 0; i < 64 && run; i++)
            sw_pgp_verify_update(v, zeros, sizeof(zeros));
        if (run < 2) {
            assert_int_equal(sw_pgp_verify_finish(v, &who, &err), -1);
            assert_int_equal(err.kind, SW_ERR_DENIED);
        }
        sw_pgp_verify_close(v);
    }
    free(k.text);
    free(s.text);
    free(d.text);
}

static void gives_back_only_what_was_signed(void **state)
{
    static const char *const docs[] = { "doc.one.clear", "doc.two.clear" };

    REQUIRE_GPG();
    for (size_t i = 0; i < SW_COUNT(docs); i++) {
        struct file k = load("both.asc"), doc = load(docs[i]);
        struct sw_pgp_signer who;
        struct sw_err err = { 0 };
        char *text = NULL, *longer = NULL;
        size_t n;

        /* Something unsigned behind the signature must not come along. */
        assert_true(asprintf(&longer, "%s\nevil  x\n", doc.text) > 0);
        struct sw_span span = { (uint8_t *)longer, strlen(longer) };
        if (sw_pgp_verify_clear(k.span, span, &text, &n, &who, &err) < 0)
            fail_msg("%s", err.msg);
        assert_string_equal(text, "abc  x\n- dash\n# comment\n");
        assert_int_equal(n, strlen(text));
        free(text);
        free(longer);
        free(k.text);
        free(doc.text);
    }
}

static void refuse_clear(const char *ring, struct sw_span doc, const char *words)
{
    struct file k = load(ring);
    struct sw_pgp_signer who;
    struct sw_err err = { 0 };
    char *text = NULL;

    assert_int_equal(sw_pgp_verify_clear(k.span, doc, &text, NULL, &who, &err), -1);
    assert_int_equal(err.kind, SW_ERR_DENIED);
    assert_null(text);
    if (!strstr(err.msg, words))
        fail_msg("'%s' does not say '%s'", err.msg, words);
    free(k.text);
}

static void refuses_clear_signed_documents_that_were_changed(void **state)
{
    REQUIRE_GPG();

    struct file doc = load("doc.one.clear"), plain = load("doc");
    char *joined = NULL;
    refuse_clear("two.gpg", doc.span, "does not have the key");
    refuse_clear("one.gpg", plain.span, "not a clear-signed document");

    assert_true(asprintf(&joined, "evil  x\n%s", doc.text) > 0);
    refuse_clear("one.gpg", (struct sw_span){ (uint8_t *)joined, strlen(joined) },
                 "not a clear-signed document");
    free(joined);
    memcpy(strstr(doc.text, "abc"), "abd", 3);
    refuse_clear("one.gpg", doc.span, "not what was signed");
    free(doc.text);
    free(plain.text);
}

/* Two documents in one file: gpgv 2.2 stops after the first. Whatever another version does, texts
 * must not run together. */
static void never_joins_two_documents(void **state)
{
    REQUIRE_GPG();

    struct file k = load("one.gpg"), doc = load("doc.one.clear"), other = load("doc2.clear");
    struct sw_pgp_signer who;
    struct sw_err err = { 0 };
    char *joined = NULL, *text = NULL;

    assert_true(asprintf(&joined, "%s%s", doc.text, other.text) > 0);
    struct sw_span span = { (uint8_t *)joined, strlen(joined) };
    if (sw_pgp_verify_clear(k.span, span, &text, NULL, &who, &err) == 0)
        assert_string_equal(text, "abc  x\n- dash\n# comment\n");
    else
        assert_int_equal(err.kind, SW_ERR_DENIED);
    free(text);
    free(joined);
    free(k.text);
    free(doc.text);
    free(other.text);
}

static void names_the_package_when_gpgv_is_missing(void **state)
{
    struct sw_pgp_signer who = { 0 };
    struct sw_err err = { 0 };
    char *path = strdup(getenv("PATH"));

    REQUIRE_GPG();
    setenv("PATH", "/nonexistent", 1);
    int rc = verify("one.gpg", "doc.one.sig", "doc", &who, &err);
    setenv("PATH", path, 1);
    free(path);
    assert_int_equal(rc, -1);
    assert_int_equal(err.kind, SW_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "'gpgv'"));
}

static void takes_armor_off_exactly(void **state)
{
    REQUIRE_GPG();

    struct file bin = load("both.gpg"), asc = load("both.asc"), one = load("one.asc");
    uint8_t *out = NULL;
    struct sw_err err = { 0 };
    size_t n;

    assert_int_equal(sw_pgp_dearmor(asc.span, &out, &n, &err), 0);
    assert_int_equal(n, bin.span.n);
    assert_memory_equal(out, bin.text, n);
    free(out);

    /* Cut anywhere before its END line it is refused, never half a key. */
    size_t end = (size_t)(strstr(one.text, "-----END PGP ") - one.text);
    for (size_t cut = 0; cut < end; cut++) {
        uint8_t *copy = malloc(cut ? cut : 1);

        memcpy(copy, one.text, cut);
        assert_int_equal(sw_pgp_dearmor((struct sw_span){ copy, cut }, &out, &n, &err), -1);
        assert_int_equal(err.kind, SW_ERR_USAGE);
        free(copy);
    }
    /* A single changed character of its body fails the checksum. */
    char *body = strstr(one.text, "\n\n") + 10;
    *body = *body == 'A' ? 'B' : 'A';
    assert_int_equal(sw_pgp_dearmor(one.span, &out, &n, &err), -1);
    free(bin.text);
    free(asc.text);
    free(one.text);
}

#define FPR "3F908FDEAF31DD782995A2E3DCC650610702EC8A"
#define NEW "[GNUPG:] NEWSIG\n"
#define GOOD "[GNUPG:] GOODSIG DCC650610702EC8A A User <a@b>\n"
#define VALID(hash, class)                                                                         \
    "[GNUPG:] VALIDSIG " FPR " 2026-11-22 1795349152 0 4 0 22 " hash " " class " " FPR "\n"

static int judge(const char *status, struct sw_pgp_signer *who, struct sw_err *err)
{
    return sw_pgp_judge_status((struct sw_span){ (const uint8_t *)status, strlen(status) }, who,
                               NULL, err);
}

static void judges_status_lines_strictly(void **state)
{
    static const char *const refused[] = {
        "",
        NEW GOOD,
        NEW VALID("8", "00"),
        NEW GOOD NEW VALID("8", "00"), /* of two different signatures   */
        NEW GOOD VALID("2", "00"),     /* SHA-1                         */
        NEW GOOD VALID("8", "13"),     /* a certification               */
        NEW GOOD VALID("x", "00"),
        NEW GOOD "[GNUPG:] VALIDSIG " FPR " 2026-11-22 1795349152 0 4 0 22 8 00 " FPR, /* cut */
        NEW GOOD VALID("8", "00") NEW "[GNUPG:] BADSIG DCC650610702EC8A A\n",
        "GOODSIG DCC650610702EC8A A\n" VALID("8", "00"), /* without gpg's prefix          */
        NEW "[GNUPG:] EXPKEYSIG DCC650610702EC8A A\n" VALID("8", "00"),
        NEW "[GNUPG:] REVKEYSIG DCC650610702EC8A A\n" VALID("8", "00"),
        NEW "[GNUPG:] EXPSIG DCC650610702EC8A A\n" VALID("8", "00"),
    };
    struct sw_pgp_signer who;

    for (size_t i = 0; i < SW_COUNT(refused); i++) {
        struct sw_err err = { 0 };

        if (judge(refused[i], &who, &err) == 0)
            fail_msg("accepted: %s", refused[i]);
        assert_int_equal(err.kind, SW_ERR_DENIED);
    }

    struct sw_err err = { 0 };
    assert_int_equal(judge(NEW "[GNUPG:] NO_PUBKEY 1\n" NEW GOOD VALID("10", "01"), &who, &err), 0);
    assert_string_equal(who.fingerprint, FPR);
    assert_string_equal(who.user, "A User <a@b>");
    assert_int_equal(who.time, 1795349152);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_detached_signatures),
        cmocka_unit_test(needs_only_one_of_several_signatures),
        cmocka_unit_test(refuses_what_proves_nothing),
        cmocka_unit_test(asks_no_other_keyring),
        cmocka_unit_test(names_the_unknown_key),
        cmocka_unit_test(streams_data_in_pieces),
        cmocka_unit_test(refuses_other_streams_without_hanging),
        cmocka_unit_test(gives_back_only_what_was_signed),
        cmocka_unit_test(refuses_clear_signed_documents_that_were_changed),
        cmocka_unit_test(never_joins_two_documents),
        cmocka_unit_test(names_the_package_when_gpgv_is_missing),
        cmocka_unit_test(takes_armor_off_exactly),
        cmocka_unit_test(judges_status_lines_strictly),
    };
    return cmocka_run_group_tests_name("importer/openpgp", tests, setup, teardown);
}
