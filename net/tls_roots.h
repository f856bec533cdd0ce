/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates that are trusted in addition to the system's roots. Read once, then immutable: any
 * number of connections in any thread may use them at once.
 *
 * They are put into each connection's OpenSSL store beside what libcurl loaded from the system's
 * bundle (CURLOPT_SSL_CTX_FUNCTION). The other way, CURLOPT_CAINFO with a file that holds both,
 * would have us guess where each distribution keeps its bundle, and replaces the system's roots
 * when that guess is wrong. */
#ifndef SW_NET_TLS_ROOTS_H
#define SW_NET_TLS_ROOTS_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "common/error.h"

struct sw_tls_roots; /* opaque */

/* An empty set. -1 with SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_tls_roots_open(struct sw_tls_roots **ret, struct sw_err *err);
void sw_tls_roots_close(struct sw_tls_roots *roots); /* accepts NULL */

/* All certificates of a PEM file of at most 4 MiB. -1: the kinds of sw_file_slurp(), or
 * SW_ERR_USAGE when there is none in it. */
SW_MUST_CHECK
int sw_tls_roots_add_file(struct sw_tls_roots *roots, const char *path, struct sw_err *err);

/* The same of every regular file in a directory, names that begin with '.' left out (a mounted
 * ConfigMap keeps its versions there) and files without a certificate passed over, as CDI does. At
 * most 4096 files. */
SW_MUST_CHECK
int sw_tls_roots_add_dir(struct sw_tls_roots *roots, const char *path, struct sw_err *err);

/* Certificates in the set. */
int sw_tls_roots_count(const struct sw_tls_roots *roots);

/* Trust them in ctx too. False when OpenSSL refuses one (out of memory). */
bool sw_tls_roots_apply(const struct sw_tls_roots *roots, SSL_CTX *ctx);

#endif
