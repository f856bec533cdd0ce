/* SPDX-License-Identifier: Apache-2.0 */
/* From a DataVolume to the spec of its claim (contract storage 1): spec.pvc as it is; spec.storage
 * completed from the storage class, its StorageProfile and the filesystem overhead. */
#ifndef SW_CONTROLLER_RENDER_H
#define SW_CONTROLLER_RENDER_H

#include "controller/draft.h"

/* Why a DataVolume gets no further. `reason` goes into conditions and events as it is. */
struct sw_problem {
    const char *reason; /* NULL: there is no problem. A constant. */
    bool is_quiet;      /* no Warning: it will pass by itself */
    char message[1024];
};

/* Set the problem and return NULL. */
void *sw_problem_set(struct sw_problem *problem, const char *reason, const char *fmt, ...)
    SW_PRINTF(3, 4);

#define SW_REASON_CLAIM_NOT_VALID "ErrClaimNotValid"

/* The spec of the claim for dv, a new tree; NULL with the problem. dv has exactly one of spec.pvc and
 * spec.storage (see dv_check.c). */
struct sw_json *sw_render_claim_spec(struct sw_draft *p, const struct sw_json *dv,
                                     struct sw_problem *problem);

/* Whether a volume could serve a claim of that spec: available, not being deleted, large enough, of
 * its class; volume mode and access modes as far as the spec asks for any. */
bool sw_volume_satisfies(const struct sw_json *volume, const struct sw_json *spec);

/* "kubevirt" or "archive". */
const char *sw_content_type(const struct sw_json *dv);

/* Whether a claim (its spec) is a block device. */
bool sw_spec_is_block(const struct sw_json *spec);

#endif
