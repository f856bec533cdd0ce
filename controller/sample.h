/* SPDX-License-Identifier: Apache-2.0 */
/* One number out of a page in Prometheus' text format. Untrusted text. Pure; any thread. */
#ifndef SW_CONTROLLER_SAMPLE_H
#define SW_CONTROLLER_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

/* The value of the sample `metric{ownerUID="owner"} V`, which has that label only, in hundredths;
 * false when the page (NUL-terminated) has none, or V is not a number from 0 to 100. Of several the
 * first counts.
 * Source: prometheus.io/docs/instrumenting/exposition_formats, text-based format. */
bool sw_sample_find(const char *page, const char *metric, const char *owner, int64_t *ret_centi);

#endif
