/* SPDX-License-Identifier: Apache-2.0 */
/* Find the digest of one file in the text that a distribution publishes beside its images. Pure: no
 * allocation but the JSON tree of Debian's layout, no I/O; callable from any thread. Fuzzed by
 * tests/fuzz/fuzz-digest_manifest.c.
 *
 * Accepted, mixed freely (real files mix them), LF or CRLF, blank lines and '#' lines ignored:
 *
 *   <hex>  name      <hex> *name       GNU coreutils; a leading '\' means that \\ \n \r in the name
 *                                      are escapes (coreutils manual, "md5sum invocation")
 *   SHA256 (name) = <hex>              BSD; also "SHA256(name)= <hex>" of openssl dgst
 *   <hex>                              a bare digest: only when the text holds no other entry
 *   {"items": [...]}                   Debian's cloud images, see below
 *
 * A name matches when it equals the wanted one, with or without "./" in front. When no entry does,
 * entries whose last path component is the wanted name count instead.
 *
 * Of an OpenPGP clear-signed document only the lines inside the signed part count, without their
 * dash escapes (RFC 9580 section 7). That is reading, not verifying: whoever demands a signature
 * passes the text that importer/openpgp.h returns.
 *
 * Debian's layout, as cloud.debian.org/images/cloud/<release>/<version>/<image>.json has it: an
 * object whose "items" array holds objects with
 *   kind                                                  "Build" or "Upload": not looked at
 *   data.ref                                              "trixie/20260712-2537/<file name>"
 *   metadata.annotations["cloud.debian.org/digest"]       "sha512:<base64, unpadded>"
 * An item belongs to the wanted name when the last component of data.ref is that name, or is it
 * with a "-YYYYMMDD-SERIAL" stamp before the extension (what latest/ serves without the stamp).
 * Items without data.ref count only when exactly one item has a digest at all; they then stand for
 * the file beside which the JSON lies. Other spellings of the digest (hex, padding) are accepted.
 *
 * Algorithms are told by their length, or by name in BSD lines; unknown BSD algorithms are skipped.
 * When several are listed for the name the strongest that we compute is taken. */
#ifndef SW_FORMATS_DIGEST_MANIFEST_H
#define SW_FORMATS_DIGEST_MANIFEST_H

#include "common/bytes.h"
#include "common/error.h"

#define SW_MANIFEST_MAX (4 * SW_MIB) /* longer texts are refused */

/* n tells the algorithm: 16 MD5, 20 SHA-1, 32 SHA-256, 64 SHA-512. */
struct sw_manifest_digest {
    size_t n;
    uint8_t bytes[64];
};

enum sw_manifest_flags {
    SW_MANIFEST_ALLOW_WEAK =
        1,                   /* take MD5 and SHA-1 too, when nothing stronger is there          */
    SW_MANIFEST_SIDECAR = 2, /* the text was published for this one file (its own name says so):
                                   when it holds exactly one entry, take it whatever its name      */
};

/* name: the file's name as served, no directories. flags: of enum sw_manifest_flags.
 *
 * -1 with
 *   SW_ERR_NOT_FOUND    no entry has the name: says how many there were and the nearest names
 *   SW_ERR_BAD_DATA     two different digests of one algorithm for the name; no entry at all; a web
 *                       page; broken JSON; longer than SW_MANIFEST_MAX
 *   SW_ERR_UNSUPPORTED  only MD5, SHA-1 (without ALLOW_WEAK), SHA-224 or SHA-384 are listed */
SW_MUST_CHECK
int sw_digest_manifest_find(struct sw_span text, const char *name, unsigned flags,
                            struct sw_manifest_digest *ret, struct sw_err *err);

#endif
