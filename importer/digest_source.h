/* SPDX-License-Identifier: Apache-2.0 */
/* From what the user said about digests and signatures to what the engine must check: one policy
 * for the command and the importer program.
 *
 *   --checksum ALG:HEX      the served bytes must have it (any number, any algorithm)
 *   --checksum-url U        fetch the manifest U, find the source's name in it
 *   --keyring K             the manifest must be signed by a key of K: with --signature S by the
 *                           detached signature S; else clear-signed, or by the first of U.gpg,
 *                           U.asc, U.sig that exists and is good. No valid signature is an error.
 *   --signature S           without --checksum-url: S is over the image itself
 *
 * --signature wants --keyring (a signature without a key proves nothing), and --keyring wants one
 * of the other two. U, S and K are URLs or paths, as sw_source_open() takes them.
 *
 * Of a signed manifest only the text that was signed is parsed. Weak digests (MD5, SHA-1) are taken
 * from --checksum, where someone typed them, but not from manifests.
 *
 * How the engine and this work together:
 *
 *   struct sw_digest_plan plan;
 *   sw_digest_plan_make(&options, &plan, err);         before the import: fetches, may block
 *   import.want/n_want = plan.want/n_want;
 *   if (plan.image) {
 *       import.tee = sw_digest_plan_tee;               all served bytes, in order, one thread
 *       import.approve = sw_digest_plan_approve;       after the last byte, before it is visible
 *       import.tee_ctx = &plan;
 *       import.no_resume = true;                       gpgv's state cannot be saved
 *   }
 *   sw_digest_plan_done(&plan);                        always
 *
 * One thread at a time; make is called before the transfer's threads exist. */
#ifndef SW_IMPORTER_DIGEST_SOURCE_H
#define SW_IMPORTER_DIGEST_SOURCE_H

#include "importer/openpgp.h"
#include "importer/sources.h"
#include "transfer/digest.h"

#define SW_DIGEST_PLAN_MAX 4 /* as many as the engine takes */

struct sw_digest_options {
    const char *const *checksums; /* n_checksums of "alg:hex" */
    size_t n_checksums;
    const char *checksum_url; /* NULL: none; the same for all below */
    const char *signature;
    const char *keyring;
    const char *source_name;            /* the image's file name, as struct sw_source has it */
    const struct sw_http_options *http; /* for all that is fetched; may be NULL */
};

struct sw_digest_plan {
    struct sw_digest_want want[SW_DIGEST_PLAN_MAX];
    unsigned n_want;
    bool wants_image_signature;
    struct sw_pgp_verifier *image; /* not NULL: tee all served bytes, then finish              */
    bool is_signed;                /* `signer` is filled: now (manifest), or by finish (image) */
    struct sw_pgp_signer signer;
    char *from; /* owned; what want[].from of the manifest points at */
};

/* Fills plan, also on failure: done is always legal afterwards. Errors: SW_ERR_USAGE (options that
 * do not go together, a checksum that is none, more than four of them), those of
 * sw_source_slurp(), of sw_digest_manifest_find() and of importer/openpgp.h. */
SW_MUST_CHECK
int sw_digest_plan_make(const struct sw_digest_options *o, struct sw_digest_plan *plan,
                        struct sw_err *err);

/* ctx is the plan. Never fails; does nothing when no image signature is wanted. */
void sw_digest_plan_tee(void *ctx, const void *bytes, size_t n);

/* 0, or -1 with SW_ERR_DENIED when the image is not what was signed. 0 when nothing was wanted. The
 * answer stays: calling again, after a refusal too, gives the same one. */
SW_MUST_CHECK
int sw_digest_plan_finish(struct sw_digest_plan *plan, struct sw_err *err);

/* The same for the engine's hook; ctx is the plan. */
SW_MUST_CHECK
int sw_digest_plan_approve(void *ctx, struct sw_err *err);

void sw_digest_plan_done(struct sw_digest_plan *plan);

#endif
