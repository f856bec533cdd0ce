/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the plan of a claim that is to be filled; only controller/claim_*.c, dv_claim.c and
 * plan_claim.c include it. */
#ifndef SW_CONTROLLER_CLAIM_H
#define SW_CONTROLLER_CLAIM_H

#include "controller/draft.h"

#define SW_POD_NAME_MAX 254

/* The importer pod's name of a claim, put into text of SW_POD_NAME_MAX bytes: "importer-<claim>", with a
 * hash instead of what would be too long. */
void sw_claim_pod_name(const char *claim, char *text);

/* What the importer pod of a claim says about itself, as the claim's annotations will tell it. */
struct sw_observation {
    bool is_silent;      /* nothing to tell yet                                               */
    const char *phase;   /* of the pod, but that it Succeeded as soon as its container did    */
    const char *running; /* "true", "false", or NULL: as it was                               */
    const char *reason;
    struct sw_buf message;
    bool is_unschedulable;
    uint64_t restarts;
    bool is_fatal;      /* never to be tried again                                           */
    bool has_failed;    /* a container ended with an exit code other than 0                  */
    bool is_oom;        /* out of memory, and not yet in the mode that needs less            */
    bool has_direct_io; /* the pod runs in that mode                                         */
    bool is_preallocated;
    struct sw_json *said; /* the termination message if it was JSON; owned                    */
};

/* Look at a pod. The caller owes sw_observation_done(). */
void sw_claim_observe(const struct sw_json *pod, struct sw_observation *ret);
void sw_observation_done(struct sw_observation *o);

/* The importer pod for a claim, complete; NULL with the draft's failure. Where a proxy's CA has to be
 * brought along, an action that applies its ConfigMap is added. */
struct sw_json *sw_claim_make_pod(struct sw_draft *p, const struct sw_json *claim);

/* On pods: in which mode they were started ("TRYNONE": no page cache). */
#define SW_ANNO_CACHE_MODE "slipway.io/cache-mode"
#define SW_CACHE_MODE_DIRECT "TRYNONE"

#endif
