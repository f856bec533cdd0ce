/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the DataVolume plan, which share this struct: what was read of the world, and what the
 * parts found out. Only controller/dv_*.c and plan_datavolume.c include it. */
#ifndef SW_CONTROLLER_DATAVOLUME_H
#define SW_CONTROLLER_DATAVOLUME_H

#include "controller/draft.h"
#include "controller/render.h"

enum sw_dv_source {
    SW_DV_NONE,
    SW_DV_HTTP,
    SW_DV_BLANK,
    SW_DV_OTHER, /* legal, not supported yet */
};

/* An event that a phase came with; type NULL: none. */
struct sw_phase_event {
    const char *type, *reason, *message;
};

struct sw_dv {
    struct sw_draft *p;
    const struct sw_json *obj;      /* the DataVolume                                            */
    const struct sw_json *claim;    /* its claim: there, or made by this plan; NULL otherwise   */
    struct sw_json *new_claim;      /* owned; what claim points to when this plan makes it      */
    const struct sw_json *existing; /* the claim of that name, ours or not                      */
    struct sw_problem problem;      /* why the claim cannot be had                              */
    bool was_refused;               /* ... because the API server refused to make it            */
    bool needs_work;                /* the claim is neither adopted nor populated already       */
};

/* Which source the DataVolume has; SW_DV_NONE: none or several (see sw_dv_check). */
enum sw_dv_source sw_dv_source(const struct sw_json *dv);

/* What the reference's admission webhook refuses and CEL rules cannot (contract apiserver-webhooks
 * 5.1), and what is not supported yet. Sets d->problem. */
void sw_dv_check(struct sw_dv *d);

/* The claim to be created for the DataVolume, complete; NULL with d->problem (or with the planner's
 * failure). Its metadata has no uid. volumes NULL: to be populated by us; otherwise a JSON list of the
 * names of volumes that an administrator prepared for it. */
struct sw_json *sw_dv_make_claim(struct sw_dv *d);

/* The import request as annotations (contract datavolume-controller 5). */
void sw_dv_put_import(struct sw_dv *d, struct sw_json *annotations);

/* Whether the claim may be taken over by the DataVolume though it did not make it. */
bool sw_dv_may_adopt(struct sw_dv *d, const struct sw_json *claim);
/* Whether the claim says that it holds this DataVolume's data already. */
bool sw_dv_is_populated_for(const struct sw_dv *d, const struct sw_json *claim);

/* The phase that follows from the claim, and the event of it. */
const char *sw_dv_phase(struct sw_dv *d, struct sw_phase_event *ret_event);

/* status.conditions as they should be, a new array; events about what changed are added to the plan. */
struct sw_json *sw_dv_conditions(struct sw_dv *d, const char *phase);

/* status.progress as it should be ("N/A", "45.31%"), put into text of 16 bytes; asks for a scrape where
 * there is something to measure. */
void sw_dv_progress(struct sw_dv *d, const char *phase, char *text);
#define SW_DV_PROGRESS_MAX 16

#endif
