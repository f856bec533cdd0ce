/* SPDX-License-Identifier: Apache-2.0 */
/* One action of a plan (controller/plan.h lists them) as the executor takes it: checked, with its
 * strings at hand, and as a request to the API server. Pure; one thread. */
#ifndef SW_CONTROLLER_ACTION_H
#define SW_CONTROLLER_ACTION_H

#include "common/json_tree.h"
#include "controller/kind.h"
#include "kube/client.h"

enum sw_action_do {
    SW_DO_CREATE,
    SW_DO_APPLY,
    SW_DO_PATCH,
    SW_DO_PATCH_STATUS,
    SW_DO_DELETE,
    SW_DO_EVENT,
    SW_DO_SCRAPE,
    SW_DO_REQUEUE,
    SW_DO_RETRY,
    SW_DO_COUNT_,
};

/* "create", ... */
const char *sw_action_do_name(enum sw_action_do what);

/* Strings are borrowed from the JSON that was parsed; NULL where the action has no such member. */
struct sw_action {
    enum sw_action_do what;
    const char *id;
    enum sw_kind kind; /* create to event */
    const char *ns, *name, *uid, *resource_version;
    const struct sw_json *body;               /* create, apply: the object; patches: the patch */
    const char *type, *reason, *message;      /* event                                  */
    const char *address, *metric, *owner_uid; /* scrape                                 */
    uint64_t port;
    uint64_t ms; /* scrape, requeue */
};

/* -1 with SW_ERR_INTERNAL: a plan that asks for what there is not is a bug of ours. The message names
 * what is missing. */
SW_MUST_CHECK
int sw_action_parse(const struct sw_json *json, struct sw_action *ret, struct sw_err *err);

/* The resource of a kind, as kube/ wants it: constant data. */
const struct sw_kube_resource *sw_kind_resource(enum sw_kind kind);

/* The request for one of those up to SW_DO_DELETE. Its body is appended to `body`, to which *ret points
 * afterwards, with "$now" replaced by `now` (RFC 3339) where it is the value of a member whose name
 * ends in "Time". ctx and on_done are the caller's to fill. -1: the body does not fit. */
SW_MUST_CHECK
int sw_action_request(const struct sw_action *a, const char *now, struct sw_buf *body,
                      struct sw_kube_request *ret, struct sw_err *err);

#endif
