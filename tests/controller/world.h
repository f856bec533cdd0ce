/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster of a few objects in memory: a view for plans, and an API server that performs their
 * actions. For one thread. */
#ifndef SW_TESTS_CONTROLLER_WORLD_H
#define SW_TESTS_CONTROLLER_WORLD_H

#include "common/json_tree.h"
#include "controller/plan.h"

#define WORLD_LISTS_MAX 256

struct world {
    struct sw_json_maker m;
    struct sw_json *objects;                /* an array; each has "kind" and metadata.name */
    struct sw_json *lists[WORLD_LISTS_MAX]; /* what was handed out since the last world_forget() */
    unsigned n_lists;
    unsigned clock; /* uids, resource versions and times count on */
    struct sw_json *last_error;
    unsigned fail_at; /* the how-manieth look at the view fails; 0: none */
    struct sw_plan_env env;
    struct sw_view view;
};

/* Take an array of objects (copied). Objects without uid get "uid-<kind>-<name>". */
void world_init(struct world *w, const struct sw_json *objects);
void world_done(struct world *w);

/* The view of it; lists that it gave live until world_forget(). */
const struct sw_view *world_view(struct world *w);
void world_forget(struct world *w);

struct sw_json *world_find(const struct world *w, const char *kind, const char *ns,
                           const char *name);
/* Add an object as a create would, which is copied. false: one of that name is there. */
bool world_add(struct world *w, const struct sw_json *object);

/* Run the plan ("datavolume", "claim", "storage-profile", "cdi") of a key ("ns/name" or "name"). */
int world_plan(struct world *w, const char *plan, const char *key, struct sw_json **ret_actions,
               struct sw_err *err);

/* Perform actions: create, apply, patch, patchStatus, delete. How many changed something; -1 when one
 * is not as controller/plan.h says (the message has it). */
int world_apply(struct world *w, const struct sw_json *actions, struct sw_err *err);

#endif
