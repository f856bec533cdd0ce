/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes of claims: what a disk of some size needs when a filesystem takes its share (contract storage
 * 2). Pure; any thread. */
#ifndef SW_CONTROLLER_QUANTITY_H
#define SW_CONTROLLER_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/json.h"

/* A filesystem overhead as it stands in CDIConfig: "0", "1", "0.5", "0.055" (at most three decimals);
 * false for anything else, NULL too. */
bool sw_overhead_parse(const char *text, double *ret);

/* Bytes that a claim must ask for so that `n` bytes of disk fit: ceil(n rounded up to 1 MiB x (1 +
 * overhead)), in the floating-point arithmetic of the reference. UINT64_MAX when it does not fit. */
uint64_t sw_required_size(uint64_t n, double overhead);

/* The quantity at a member of `from` (a string, or a whole number) in bytes: 1; 0 when there is none;
 * -1 with SW_ERR_BAD_DATA when it is no quantity, negative, or past 2^63-1. */
SW_MUST_CHECK
int sw_quantity_get(const struct sw_json *from, const char *path, uint64_t *ret,
                    struct sw_err *err);

#endif
