/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 of RFC 4648 section 4, as digest annotations and OpenPGP armor use it. Pure; callable from
 * any thread. */
#ifndef SW_COMMON_BASE64_H
#define SW_COMMON_BASE64_H

#include <stdbool.h>

#include "common/bytes.h"

/* Decode text, with or without its '=' padding, into at most max bytes. False when a character is
 * foreign (blanks too), the length or the padding is impossible, bits that should be zero are not,
 * or max is too small; `out` and *ret_n are then unspecified. */
bool sw_base64_decode(struct sw_span text, uint8_t *out, size_t max, size_t *ret_n);

#endif
