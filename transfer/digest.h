/* SPDX-License-Identifier: Apache-2.0 */
/* Message digests whose state can be saved to a journal and taken up by another process, which
 * OpenSSL's EVP interface cannot do; hence the (deprecated, but optimised and present in every
 * OpenSSL 3) low-level interface behind this one. One thread at a time per digest. */
#ifndef SW_TRANSFER_DIGEST_H
#define SW_TRANSFER_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum sw_digest_alg {
    SW_DIGEST_NONE,
    SW_DIGEST_MD5,
    SW_DIGEST_SHA1,
    SW_DIGEST_SHA256,
    SW_DIGEST_SHA512,
    SW_DIGEST_COUNT_,
};

#define SW_DIGEST_MAX_BYTES 64

struct sw_digest_value {
    enum sw_digest_alg alg;
    uint8_t bytes[SW_DIGEST_MAX_BYTES]; /* sw_digest_size(alg) of them count */
};

/* A digest that bytes must have, and where that demand comes from, for the message. */
struct sw_digest_want {
    struct sw_digest_value value;
    const char *from; /* "--checksum", "SHA512SUMS"; borrowed; may be NULL */
};

struct sw_digest; /* opaque */

const char *sw_digest_alg_name(enum sw_digest_alg alg); /* "sha256" */
size_t sw_digest_size(enum sw_digest_alg alg);          /* bytes: 16, 20, 32, 64; 0 for NONE */

/* "sha256" in any case, "sha-256" too; SW_DIGEST_NONE when unknown. */
enum sw_digest_alg sw_digest_alg_parse(const char *name);

/* The algorithm that a digest of n bytes can only mean among ours; SW_DIGEST_NONE otherwise. */
enum sw_digest_alg sw_digest_alg_by_size(size_t n);

/* "algorithm:hex" split at the first ':', both parts trimmed, any case, as IMPORTER_CHECKSUM has it
 * (contract: importer 1.9, the messages too). -1 with SW_ERR_USAGE. */
SW_MUST_CHECK
int sw_digest_parse(const char *text, struct sw_digest_value *ret, struct sw_err *err);

/* "sha256:<hex>" into text; SW_DIGEST_TEXT_MAX bytes always suffice. */
#define SW_DIGEST_TEXT_MAX (8 + 2 * SW_DIGEST_MAX_BYTES + 1)
void sw_digest_format(const struct sw_digest_value *v, char text[SW_DIGEST_TEXT_MAX]);

/* Constant time is not needed: digests are public. */
int sw_digest_equal(const struct sw_digest_value *a, const struct sw_digest_value *b);

SW_MUST_CHECK
int sw_digest_open(enum sw_digest_alg alg, struct sw_digest **ret, struct sw_err *err);
void sw_digest_update(struct sw_digest *d, const void *bytes, size_t n);
/* Ends the digest; only close may follow. */
void sw_digest_final(struct sw_digest *d, struct sw_digest_value *ret);
void sw_digest_close(struct sw_digest *d);

/* The whole state between two updates as portable bytes (little endian, versioned): any process on
 * any architecture can go on from it. */
#define SW_DIGEST_STATE_MAX 256
size_t sw_digest_save(const struct sw_digest *d, uint8_t state[SW_DIGEST_STATE_MAX]);
/* -1 with SW_ERR_BAD_DATA when the bytes are not such a state. */
SW_MUST_CHECK
int sw_digest_restore(const uint8_t *state, size_t n, struct sw_digest **ret, struct sw_err *err);

#endif
