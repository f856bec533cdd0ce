/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate for a server whose clients do not check who it is (the progress endpoint of a pod,
 * contract importer 1.12), made anew at every start: a P-256 key, which takes a millisecond where
 * RSA-2048 takes up to a second on a small riscv64 core. */
#ifndef SW_NET_SELF_SIGNED_H
#define SW_NET_SELF_SIGNED_H

#include "common/error.h"

/* A key and a certificate for `host_name` (common name and DNS name, at most 64 bytes), valid from
 * one hour ago for ten years, both as NUL-terminated PEM text that the caller frees; the key with
 * explicit_bzero() first. -1 with SW_ERR_INTERNAL when OpenSSL refuses. Any thread. */
SW_MUST_CHECK
int sw_self_signed(const char *host_name, char **ret_key, char **ret_cert, struct sw_err *err);

#endif
