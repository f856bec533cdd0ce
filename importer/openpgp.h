/* SPDX-License-Identifier: Apache-2.0 */
/* OpenPGP signatures, checked against one given keyring and nothing else: no key server, no user's
 * keyring, no trust database, no agent.
 *
 * Why gpgv and not gpgme or an own implementation. gpgv is made for exactly this question: it takes
 * its keys from the files named, has no home directory and no state, and apt stands on it. gpgme
 * drives the whole of gpg: keys must be imported into a temporary home, a daemon may be started,
 * and trust has to be argued away. An own parser of signatures would be a second cryptographic
 * implementation to keep right. gpgv runs as a process of its own, once per import that asks for a
 * signature and never otherwise; keyring, signature and answers travel through anonymous memory
 * files, so nothing touches a disk. Only the machine-readable status lines are believed.
 *
 * A signature counts when its group of status lines holds GOODSIG and VALIDSIG, with a digest
 * stronger than MD5, SHA-1 and RIPEMD-160, and none of the signatures of the document is BAD.
 * Expired and revoked keys and expired signatures do not count. Signatures by keys that the keyring
 * does not have are passed over as long as another one counts (distributions sign with two keys
 * while they change them). Source: GnuPG doc/DETAILS, "Format of the --status-fd output".
 *
 * Keyrings may be binary or ASCII-armored, several blocks in one file too. Expiry and revocation
 * are judged by the keys in the given file: refresh it when the distribution does.
 *
 * Threads: each verifier belongs to one thread at a time. Open verifiers before the transfer's
 * threads exist (posix_spawn, no fork). SIGPIPE is not raised. */
#ifndef SW_IMPORTER_OPENPGP_H
#define SW_IMPORTER_OPENPGP_H

#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"

#define SW_PGP_KEYRING_MAX (4 * SW_MIB)
#define SW_PGP_SIGNATURE_MAX (64 * SW_KIB)
#define SW_PGP_DOCUMENT_MAX (4 * SW_MIB) /* a clear-signed document */

/* Who signed. */
struct sw_pgp_signer {
    char fingerprint[65]; /* of the key that signed, hex, upper case                   */
    char primary[65];     /* of the primary key it belongs to; the one that people know */
    char user[128];       /* its first user id, printable ASCII, '?' for the rest       */
    int64_t time;         /* when, in seconds since 1970                                */
};

/* All functions below fail with
 *   SW_ERR_DENIED       no signature that counts; the message says why (unknown key with its id, bad
 *                       signature, expired, weak digest, no signature at all)
 *   SW_ERR_UNSUPPORTED  gpgv is not installed: the message names the package
 *   SW_ERR_USAGE        the keyring holds no OpenPGP keys
 *   SW_ERR_BAD_DATA     keyring, signature or document longer than its maximum
 *   SW_ERR_INTERNAL     no process, memory or descriptor to be had */

/* Check a clear-signed document ("-----BEGIN PGP SIGNED MESSAGE-----"). On success *ret_text is the
 * text that was signed and nothing else, NUL-terminated, freed by the caller: parse that, never the
 * document. ret_len may be NULL. */
SW_MUST_CHECK
int sw_pgp_verify_clear(struct sw_span keyring, struct sw_span document, char **ret_text,
                        size_t *ret_len, struct sw_pgp_signer *ret, struct sw_err *err);

/* Whether text looks like a clear-signed document. */
bool sw_pgp_is_clear_signed(struct sw_span text);

/* Whether bytes look like a detached signature, armored or binary: worth showing to gpgv. */
bool sw_pgp_is_signature(struct sw_span bytes);

/* Check a detached signature (armored or binary) over n bytes in memory. */
SW_MUST_CHECK
int sw_pgp_verify_detached(struct sw_span keyring, struct sw_span signature, struct sw_span data,
                           struct sw_pgp_signer *ret, struct sw_err *err);

/* The same over data that streams by: open, update for all bytes in order, finish, close. update
 * blocks while gpgv hashes, and never fails: what goes wrong shows in finish. close may come at any
 * time; it ends a gpgv that still runs. */
struct sw_pgp_verifier;

SW_MUST_CHECK
int sw_pgp_verify_open(struct sw_span keyring, struct sw_span signature,
                       struct sw_pgp_verifier **ret, struct sw_err *err);
void sw_pgp_verify_update(struct sw_pgp_verifier *v, const void *bytes, size_t n);
SW_MUST_CHECK
int sw_pgp_verify_finish(struct sw_pgp_verifier *v, struct sw_pgp_signer *ret, struct sw_err *err);
void sw_pgp_verify_close(struct sw_pgp_verifier *v); /* accepts NULL */

/* Turn a keyring into its binary form: armor is taken off (RFC 9580 section 6; the checksum, where
 * there is one, must be right), binary comes back as it is. The caller frees *ret. -1 with
 * SW_ERR_USAGE. */
SW_MUST_CHECK
int sw_pgp_dearmor(struct sw_span keyring, uint8_t **ret, size_t *ret_len, struct sw_err *err);

#endif
