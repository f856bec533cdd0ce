/* SPDX-License-Identifier: Apache-2.0 */
/* What all plans share: reading the view and appending to the list of actions (controller/plan.h says
 * what each action means), with one failure that sticks, as in struct sw_buf. After it reads give
 * nothing and actions go nowhere, and sw_draft_finish() reports it. */
#ifndef SW_CONTROLLER_DRAFT_H
#define SW_CONTROLLER_DRAFT_H

#include "common/json_tree.h"
#include "controller/plan.h"

struct sw_draft {
    const struct sw_view *view;
    struct sw_json_maker m;
    struct sw_json *actions;
    struct sw_err *err;
    bool view_failed;
};

void sw_draft_init(struct sw_draft *p, const struct sw_view *view, struct sw_err *err);

/* 0 and the actions, or -1 with the error. */
SW_MUST_CHECK
int sw_draft_finish(struct sw_draft *p, struct sw_json **ret_actions);

/* The object, borrowed; NULL when it is not there or the view failed. */
const struct sw_json *sw_draft_get(struct sw_draft *p, enum sw_kind kind, const char *namespace,
                                   const char *name);
/* An array, borrowed; NULL when the view failed. */
const struct sw_json *sw_draft_list(struct sw_draft *p, enum sw_kind kind, enum sw_index index,
                                    const char *value);

/* The last error if it came from the action of that id, else NULL. */
const struct sw_json *sw_draft_failure(const struct sw_draft *p, const char *id);

/* The actions. Objects and patches are taken; `about` is the object as it was read, whose name,
 * namespace and uid go into the action. id may be NULL. */
void sw_act_create(struct sw_draft *p, const char *id, enum sw_kind kind, struct sw_json *object);
void sw_act_apply(struct sw_draft *p, enum sw_kind kind, struct sw_json *object);
void sw_act_patch(struct sw_draft *p, enum sw_kind kind, const struct sw_json *about,
                  struct sw_json *patch);
/* With about's resourceVersion as a precondition too: for patches that replace a list. */
void sw_act_patch_exactly(struct sw_draft *p, enum sw_kind kind, const struct sw_json *about,
                          struct sw_json *patch);
void sw_act_patch_status(struct sw_draft *p, enum sw_kind kind, const struct sw_json *about,
                         struct sw_json *status);
void sw_act_delete(struct sw_draft *p, enum sw_kind kind, const struct sw_json *about);
void sw_act_warn(struct sw_draft *p, enum sw_kind kind, const struct sw_json *about,
                 const char *reason, const char *message);
void sw_act_note(struct sw_draft *p, enum sw_kind kind, const struct sw_json *about,
                 const char *reason, const char *message); /* a Normal event */
void sw_act_retry(struct sw_draft *p);
/* A bare action to which the caller adds members. */
struct sw_json *sw_act(struct sw_draft *p, const char *what);

#endif
