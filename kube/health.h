/* SPDX-License-Identifier: Apache-2.0 */
/* The pages that a node's agent and Prometheus ask a control process for, over plain HTTP:
 *
 *   /healthz  200 as long as the process answers at all (the loop that would answer is the one that
 *             does the work: a stuck loop is a failed probe)
 *   /readyz   200 when is_ready() says so, else 503 with its reason
 *   /metrics  what write_metrics() writes, in Prometheus' text format
 *
 * Driven by the loop; no thread. */
#ifndef SW_KUBE_HEALTH_H
#define SW_KUBE_HEALTH_H

#include <stdbool.h>

#include "common/buf.h"
#include "net/loop.h"

struct sw_health; /* opaque */

struct sw_health_options {
    uint16_t port; /* 0: any free one */
    void *ctx;
    bool (*is_ready)(void *ctx, const char **ret_reason); /* reason: static text */
    void (*write_metrics)(void *ctx, struct sw_buf *out);
};

/* -1: what listening on the port gave. */
SW_MUST_CHECK
int sw_health_open(struct sw_loop *loop, const struct sw_health_options *options,
                   struct sw_health **ret, struct sw_err *err);
uint16_t sw_health_port(const struct sw_health *health);
void sw_health_close(struct sw_health *health); /* accepts NULL */

#endif
