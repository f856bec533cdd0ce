/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/digest_source.h"

#include <string.h>

#include "common/buf.h"
#include "formats/digest_manifest.h"

#define SPEC_MAX 8192 /* bytes of a URL with a suffix */

/* A text that was fetched: the manifest, a keyring, a signature. */
struct object {
    char *text;
    size_t n;
};

static void object_done(struct object *o)
{
    free(o->text);
}

#define auto_object __attribute__((cleanup(object_done)))

static struct sw_span span_of(const struct object *o)
{
    return (struct sw_span){ (const uint8_t *)o->text, o->n };
}

static int fetch(const struct sw_digest_options *o, const char *what, const char *spec, size_t max,
                 struct object *ret, struct sw_err *err)
{
    static const struct sw_http_options defaults;

    if (sw_source_slurp(spec, o->http ? o->http : &defaults, max, &ret->text, &ret->n, err) < 0)
        return sw_err_wrap(err, "%s", what);
    return 0;
}

/* ---- --checksum ---- */

static int add_want(struct sw_digest_plan *plan, const struct sw_digest_value *value,
                    const char *from, struct sw_err *err)
{
    if (plan->n_want == SW_DIGEST_PLAN_MAX)
        return sw_err_set(err, SW_ERR_USAGE, "more than %d digests are given for one image",
                          SW_DIGEST_PLAN_MAX);
    plan->want[plan->n_want++] = (struct sw_digest_want){ *value, from };
    return 0;
}

static int add_checksums(const struct sw_digest_options *o, struct sw_digest_plan *plan,
                         struct sw_err *err)
{
    for (size_t i = 0; i < o->n_checksums; i++) {
        struct sw_digest_value value;

        if (sw_digest_parse(o->checksums[i], &value, err) < 0 ||
            add_want(plan, &value, "--checksum", err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the manifest's signature ---- */

/* The suffix goes behind the path, before a query or fragment. A path may contain '?'. */
static int with_suffix(const char *spec, const char *suffix, struct sw_buf *ret, struct sw_err *err)
{
    size_t n = strncmp(spec, "http", 4) == 0 ? strcspn(spec, "?#") : strlen(spec);

    sw_buf_reset(ret);
    sw_buf_append(ret, spec, n);
    sw_buf_puts(ret, suffix);
    sw_buf_puts(ret, spec + n);
    return sw_buf_check(ret, "the URL of the manifest's signature", err);
}

static int check_with(const struct sw_digest_options *o, const char *spec, struct sw_span keyring,
                      const struct object *manifest, struct sw_pgp_signer *ret, struct sw_err *err)
{
    auto_object struct object signature = { 0 };

    if (fetch(o, "signature of the digest manifest", spec, SW_PGP_SIGNATURE_MAX, &signature, err) <
        0)
        return -1;
    if (sw_pgp_verify_detached(keyring, span_of(&signature), span_of(manifest), ret, err) < 0)
        return sw_err_wrap(err, "digest manifest");
    return 0;
}

/* Look for a signature beside the manifest. A candidate that is not there, or that is something
 * else (a web page answered with 200), is passed over; any good one suffices, so trying all of them
 * cannot be abused. What is reported is the most telling failure: a refused signature rather than a
 * missing file. */
static int search_signature(const struct sw_digest_options *o, struct sw_span keyring,
                            const struct object *manifest, struct sw_pgp_signer *ret,
                            struct sw_err *err)
{
    static const char *const suffixes[] = { ".gpg", ".asc", ".sig" };
    sw_autobuf struct sw_buf spec = SW_BUF_INIT(SPEC_MAX);
    struct sw_err refused = { 0 };

    for (size_t i = 0; i < SW_COUNT(suffixes); i++) {
        struct sw_err now = { 0 };

        if (with_suffix(o->checksum_url, suffixes[i], &spec, err) < 0)
            return -1;
        if (check_with(o, sw_buf_str(&spec), keyring, manifest, ret, &now) == 0)
            return 0;
        if (now.kind != SW_ERR_NOT_FOUND && now.kind != SW_ERR_DENIED &&
            now.kind != SW_ERR_BAD_DATA) {
            *err = now;
            return -1;
        }
        if (strstr(now.msg, "no valid OpenPGP signature") && refused.kind == SW_ERR_NONE)
            refused = now;
    }
    if (refused.kind != SW_ERR_NONE) {
        *err = refused;
        return -1;
    }
    return sw_err_set(err, SW_ERR_DENIED,
                      "the digest manifest is not signed: it is not clear-signed and there is no "
                      ".gpg, .asc or .sig beside it (--signature can name another place)");
}

/* Verify the manifest and replace it by what was signed, when that is not all of it. */
static int verify_manifest(const struct sw_digest_options *o, struct object *manifest,
                           struct sw_digest_plan *plan, struct sw_err *err)
{
    auto_object struct object keyring = { 0 };
    struct object inner = { 0 };
    int rc;

    if (fetch(o, "keyring", o->keyring, SW_PGP_KEYRING_MAX, &keyring, err) < 0)
        return -1;
    if (o->signature) {
        rc = check_with(o, o->signature, span_of(&keyring), manifest, &plan->signer, err);
    } else if (sw_pgp_is_clear_signed(span_of(manifest))) {
        rc = sw_pgp_verify_clear(span_of(&keyring), span_of(manifest), &inner.text, &inner.n,
                                 &plan->signer, err);
        if (rc < 0)
            return sw_err_wrap(err, "digest manifest");
        free(manifest->text);
        *manifest = inner;
    } else {
        rc = search_signature(o, span_of(&keyring), manifest, &plan->signer, err);
    }
    plan->is_signed = rc == 0;
    return rc;
}

/* ---- --checksum-url ---- */

/* The last path component of a URL or path, without query. */
static struct sw_span last_part(const char *spec)
{
    size_t end = strncmp(spec, "http", 4) == 0 ? strcspn(spec, "?#") : strlen(spec);
    size_t start = end;

    while (start > 0 && spec[start - 1] != '/')
        start--;
    return (struct sw_span){ (const uint8_t *)spec + start, end - start };
}

/* "disk.qcow2.sha256sum" is published for disk.qcow2 alone. */
static bool is_sidecar(const char *manifest, const char *image)
{
    struct sw_span part = last_part(manifest);
    size_t n = strlen(image);

    return n > 0 && part.n > n && memcmp(part.p, image, n) == 0 && part.p[n] == '.';
}

static int add_from_manifest(const struct sw_digest_options *o, const struct object *manifest,
                             struct sw_digest_plan *plan, struct sw_err *err)
{
    unsigned flags = is_sidecar(o->checksum_url, o->source_name) ? SW_MANIFEST_SIDECAR : 0;
    struct sw_span part = last_part(o->checksum_url);
    struct sw_manifest_digest found;
    struct sw_digest_value value = { 0 };

    plan->from = strndup((const char *)part.p, part.n);
    if (!plan->from)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (sw_digest_manifest_find(span_of(manifest), o->source_name, flags, &found, err) < 0)
        return sw_err_wrap(err, "%s", plan->from);
    value.alg = sw_digest_alg_by_size(found.n);
    memcpy(value.bytes, found.bytes, found.n);
    return add_want(plan, &value, plan->from, err);
}

static int use_manifest(const struct sw_digest_options *o, struct sw_digest_plan *plan,
                        struct sw_err *err)
{
    auto_object struct object manifest = { 0 };

    if (fetch(o, "digest manifest", o->checksum_url, SW_MANIFEST_MAX, &manifest, err) < 0)
        return -1;
    if (o->keyring && verify_manifest(o, &manifest, plan, err) < 0)
        return -1;
    return add_from_manifest(o, &manifest, plan, err);
}

/* ---- the image's signature ---- */

static int open_image_signature(const struct sw_digest_options *o, struct sw_digest_plan *plan,
                                struct sw_err *err)
{
    auto_object struct object keyring = { 0 }, signature = { 0 };

    plan->wants_image_signature = true;
    if (fetch(o, "keyring", o->keyring, SW_PGP_KEYRING_MAX, &keyring, err) < 0 ||
        fetch(o, "signature", o->signature, SW_PGP_SIGNATURE_MAX, &signature, err) < 0)
        return -1;
    if (sw_pgp_verify_open(span_of(&keyring), span_of(&signature), &plan->image, err) < 0)
        return sw_err_wrap(err, "signature of the image");
    return 0;
}

static int check_options(const struct sw_digest_options *o, struct sw_err *err)
{
    if (o->signature && !o->keyring)
        return sw_err_set(err, SW_ERR_USAGE,
                          "--signature proves nothing without the keys it may "
                          "be made with: give --keyring too");
    if (o->keyring && !o->signature && !o->checksum_url)
        return sw_err_set(err, SW_ERR_USAGE,
                          "--keyring has nothing to check: give --checksum-url "
                          "(a signed manifest) or --signature (of the image)");
    return 0;
}

int sw_digest_plan_make(const struct sw_digest_options *o, struct sw_digest_plan *plan,
                        struct sw_err *err)
{
    memset(plan, 0, sizeof(*plan));
    if (check_options(o, err) < 0 || add_checksums(o, plan, err) < 0)
        return -1;
    if (o->checksum_url)
        return use_manifest(o, plan, err);
    return o->signature ? open_image_signature(o, plan, err) : 0;
}

void sw_digest_plan_tee(void *ctx, const void *bytes, size_t n)
{
    struct sw_digest_plan *plan = ctx;

    if (plan->image)
        sw_pgp_verify_update(plan->image, bytes, n);
}

int sw_digest_plan_finish(struct sw_digest_plan *plan, struct sw_err *err)
{
    if (!plan->wants_image_signature || plan->is_signed)
        return 0;
    if (!plan->image)
        return sw_err_set(err, SW_ERR_DENIED, "signature of the image: it was refused before");

    int rc = sw_pgp_verify_finish(plan->image, &plan->signer, err);
    sw_pgp_verify_close(plan->image);
    plan->image = NULL;
    plan->is_signed = rc == 0;
    return rc < 0 ? sw_err_wrap(err, "signature of the image") : 0;
}

int sw_digest_plan_approve(void *ctx, struct sw_err *err)
{
    return sw_digest_plan_finish(ctx, err);
}

void sw_digest_plan_done(struct sw_digest_plan *plan)
{
    sw_pgp_verify_close(plan->image);
    free(plan->from);
    memset(plan, 0, sizeof(*plan));
}
