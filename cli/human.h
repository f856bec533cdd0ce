/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as people read them. All functions append to a buffer and cannot fail otherwise. Pure. */
#ifndef SW_CLI_HUMAN_H
#define SW_CLI_HUMAN_H

#include <stdint.h>

#include "common/buf.h"

/* Bytes with three significant digits and a binary unit: "0 B", "999 B", "1.50 GiB", "64.0 MiB". */
void cli_put_bytes(struct sw_buf *out, uint64_t bytes);

/* A rate in bytes per second in the same way: "250 MiB/s". */
void cli_put_rate(struct sw_buf *out, uint64_t bytes_per_second);

/* A duration: "0.42 s", "12.3 s", "4 min 05 s", "2 h 03 min". Negative counts as 0. */
void cli_put_duration(struct sw_buf *out, int64_t ns);

/* The age of something in kubectl's manner: "42s", "5m", "3h", "2d". */
void cli_put_age(struct sw_buf *out, int64_t seconds);

/* bytes / ns as bytes per second; 0 when no time has passed. */
uint64_t cli_rate(uint64_t bytes, int64_t ns);

#endif
