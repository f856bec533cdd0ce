/* SPDX-License-Identifier: Apache-2.0 */
/* One of several replicas leads: who holds a Lease object of coordination.k8s.io/v1.
 *
 *   stand by --- nobody holds it, or its record has not changed for duration ---> lead
 *      ^                                                                           |
 *      +---- give_up without a successful renewal, or somebody else holds it ------+
 *
 * Clocks of different machines are never compared: a stand-by measures with its own clock how long
 * the record stays the same. The leader renews every renew_ns; after a failure every retry_ns; and stops
 * leading give_up_ns after the sending of the last renewal that succeeded. As give_up is shorter than
 * duration there is no moment with two leaders, unless a process sleeps (a stopped machine): so
 * writes still need preconditions.
 *
 * One thread: the loop's. Source: kubernetes.io/docs/concepts/architecture/leases. */
#ifndef SW_KUBE_LEASE_H
#define SW_KUBE_LEASE_H

#include <stdbool.h>

#include "kube/client.h"

struct sw_lease; /* opaque */

struct sw_lease_options {
    const char *ns, *name; /* of the Lease object; copied                                */
    const char *identity;  /* of this process, unlike any other's: see sw_lease_identity */

    /* 0: 15 s, 5 s, 2 s and 10 s. renew and retry < give_up < duration (assert). duration is written
     * into the object in whole seconds. */
    int64_t duration_ns, renew_ns, retry_ns, give_up_ns;

    void *ctx;
    /* The answer of sw_lease_is_held() has changed. May release and close the lease. */
    void (*on_change)(void *ctx, bool is_held);
    /* A request failed (for a log); the lease tries again by itself. May be NULL. */
    void (*on_failure)(void *ctx, const struct sw_err *err);
};

/* "<host name>_<16 hex digits>", the digits random: two runs on one host differ. The caller frees it. */
SW_MUST_CHECK
int sw_lease_identity(char **ret, struct sw_err *err);

/* Begins in the next turn of the loop. -1 with SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_lease_open(struct sw_kube_client *client, const struct sw_lease_options *options,
                  struct sw_lease **ret, struct sw_err *err);

bool sw_lease_is_held(const struct sw_lease *lease);

/* How often the Lease went to another holder, as far as this process has seen. */
uint64_t sw_lease_transitions(const struct sw_lease *lease);

/* Stop leading (without on_change) and tell the others, so that they need not wait; on_done comes
 * after the server's answer, or in the next turn when there is nothing to tell. Nothing else is
 * done with this lease afterwards but closing it. */
void sw_lease_release(struct sw_lease *lease, void (*on_done)(void *ctx), void *ctx);

/* Just stop; the Lease stays ours until it runs out. Accepts NULL. */
void sw_lease_close(struct sw_lease *lease);

#endif
