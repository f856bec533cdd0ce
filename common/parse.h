/* SPDX-License-Identifier: Apache-2.0 */
/* Text to numbers, strictly: the whole text must be the value, in range, or it is an error that
 * quotes the text. Pure; callable from any thread. */
#ifndef SW_COMMON_PARSE_H
#define SW_COMMON_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* Decimal digits only (no sign, no blanks). -1 with SW_ERR_USAGE when text is not a number in
 * [min, max]. */
SW_MUST_CHECK
int sw_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct sw_err *err);

/* A size in bytes as a Kubernetes quantity: "1Gi", "500M", "1.5Gi", "1e9", "1073741824". Binary
 * suffixes Ki Mi Gi Ti Pi Ei, decimal ones k M G T P E; a fraction of a byte is rounded up, as
 * apimachinery's Quantity.Value() does. -1 with SW_ERR_USAGE for anything else, a negative value,
 * or one past 2^63-1.
 * Source: kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity. */
SW_MUST_CHECK
int sw_parse_size(const char *text, uint64_t *ret, struct sw_err *err);

/* A boolean as Go's strconv.ParseBool takes it: 1 t T TRUE true True 0 f F FALSE false False. */
SW_MUST_CHECK
int sw_parse_bool(const char *text, bool *ret, struct sw_err *err);

/* n bytes as 2n lower-case hex digits and a NUL into text, which has room for 2n + 1. */
void sw_hex_encode(const uint8_t *bytes, size_t n, char *text);

/* Exactly 2n hex digits of either case into n bytes; false when text is anything else. */
bool sw_hex_decode(const char *text, uint8_t *bytes, size_t n);

#endif
