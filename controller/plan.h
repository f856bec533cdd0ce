/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: what the control plane decides, without doing any of it.
 *
 * A plan looks at the world through a struct sw_view and answers with a list of actions. It is a pure
 * function: no clock, no randomness, no memory of an earlier call, no I/O. It is level-triggered: it
 * compares what is there with what should be there, so it does not matter which change caused the
 * call, how many were missed, or after which of its actions the process was killed. Applied to the
 * world that its actions make, it answers with nothing but waits and repeated warnings
 * (tests/controller checks that on random worlds).
 *
 * The executor performs the actions in order and stops at the first that fails. Thread rule: a plan
 * uses nothing but its arguments; calls with different views may run at the same time.
 *
 * --- Actions -------------------------------------------------------------------------------------
 *
 * A list of actions is a JSON array of objects, each with a "do". Objects inside are as the API server
 * takes them. A member in [brackets] may be missing.
 *
 *   {"do": "create", ["id": ID,] "kind": K, ["namespace": NS,] "name": NAME, "object": {...}}
 *       POST object (it has apiVersion, kind and metadata). If one of that name exists already
 *       (AlreadyExists), that is no failure: the executor reads it into the cache, leaves the rest of
 *       the list alone and plans again.
 *   {"do": "apply", "kind": K, ["namespace": NS,] "name": NAME, "object": {...}}
 *       Server-side apply of object (field manager "slipway-controller", force): made if it is not
 *       there, and as it says afterwards.
 *   {"do": "patch", ["id": ID,] "kind": K, ["namespace": NS,] "name": NAME, "uid": UID,
 *    ["resourceVersion": RV,] "patch": {...}}
 *       JSON merge patch (RFC 7386) of the object itself. uid, and resourceVersion where it is given,
 *       are preconditions: the executor puts them into the patch's metadata, where the API server
 *       checks them. Refused by them (409) or gone (404): as with create, read and plan again.
 *   {"do": "patchStatus", ...}      the same members; the patch is {"status": {...}} and goes to
 *       /status of kinds that have one (struct sw_kind_info), to the object itself otherwise.
 *   {"do": "delete", ["id": ID,] "kind": K, ["namespace": NS,] "name": NAME, "uid": UID}
 *       DELETE with preconditions.uid, propagationPolicy Background. Gone already, or another uid: fine.
 *   {"do": "event", "kind": K, ["namespace": NS,] "name": NAME, "uid": UID,
 *    "type": "Normal" | "Warning", "reason": R, "message": M}
 *       A core/v1 Event about that object. Fire and forget: its failure stops nothing. A plan may say
 *       the same thing again as long as its cause lasts: whoever writes events counts instead of
 *       repeating.
 *   {"do": "scrape", "namespace": NS, "name": POD, "address": IP, "port": N, "metric": M,
 *    "ownerUID": UID, "ms": N}
 *       Ask https://IP:N/metrics every ms milliseconds for the sample M{ownerUID="UID"} (percent),
 *       as long as the latest plan of this key says so, and call the plan again with it as
 *       view->progress_centi whenever that changed. The last value is kept until the key is gone.
 *   {"do": "requeue", "ms": N}      plan this key again in N ms, if nothing else has caused it by then.
 *   {"do": "retry"}                 plan again when this key's exponential back-off says so, as if an
 *       action had failed. Every list without one that is performed to its end resets the back-off.
 *
 * Time: a plan has no clock. In the body of create, patch and patchStatus the executor replaces the
 * string "$now" by the current time (RFC 3339, whole seconds, UTC), where it is the value of a member
 * whose name ends in "Time".
 *
 * A failed action that has an "id" becomes part of the view (last_error) until the action of that id
 * succeeds or another one with an id fails: a refused create becomes condition and event because the
 * next plan says so. The executor retries failures after the key's back-off, 5 ms at first.
 *
 * --- The view ------------------------------------------------------------------------------------
 *
 * An immutable snapshot. Objects are what the API server returned, cut to the fields of their
 * sw_kind_info(), with "apiVersion" and "kind" or without. They may contain anything a hostile user can
 * write: plans are fuzzed with that. */
#ifndef SW_CONTROLLER_PLAN_H
#define SW_CONTROLLER_PLAN_H

#include <stdint.h>

#include "common/json.h"
#include "controller/kind.h"

/* By what objects of a kind can be listed. */
enum sw_index {
    SW_INDEX_ALL,   /* value "": all kinds but DataVolume, Claim, Pod and Event                 */
    SW_INDEX_OWNER, /* Pod: uid of the owner reference with controller=true                     */
    SW_INDEX_CLAIM, /* Pod: "ns/claim" of each spec.volumes[].persistentVolumeClaim.claimName   */
    SW_INDEX_CLASS, /* Volume: spec.storageClassName ("" when there is none)                    */
    SW_INDEX_CLAIM_REF, /* Volume: "ns/name" of spec.claimRef                                       */
    SW_INDEX_INVOLVED, /* Event: involvedObject.uid                                                */
    SW_INDEX_COUNT_,
};

struct sw_view;

struct sw_view_ops {
    /* 1 and the object, borrowed until the plan returns; 0 when it is not there; -1 with the error.
     * namespace is NULL for kinds that have none. */
    int (*get)(const struct sw_view *view, enum sw_kind kind, const char *namespace,
               const char *name, const struct sw_json **ret, struct sw_err *err);
    /* *ret: an array of objects, borrowed likewise, in any order, empty when there are none. */
    int (*list)(const struct sw_view *view, enum sw_kind kind, enum sw_index index,
                const char *value, const struct sw_json **ret, struct sw_err *err);
};

/* What the process was started with. All strings are set. */
struct sw_plan_env {
    const char *namespace;   /* the controller's own: "cdi"                              */
    const char *image;       /* for data-plane pods: "slipway:0.1.0"                     */
    const char *pull_policy; /* "IfNotPresent"                                           */
    const char *version;     /* of Slipway, for status fields                            */
    unsigned verbosity;      /* -v=N of data-plane pods, where CDIConfig does not say so */
};

#define SW_PROGRESS_UNKNOWN (-1)

struct sw_view {
    const struct sw_view_ops *ops;
    void *ctx;
    const struct sw_plan_env *env;

    /* About the key that is planned: the last failed action, {"id": ID, "code": HTTP status or 0,
     * "reason": the Status object's ("Forbidden"; "" when there was none), "message": its message or
     * that of the transport}, or NULL; and what was last scraped, in hundredths of a percent. */
    const struct sw_json *last_error;
    int64_t progress_centi;
};

/* Each plan looks at one key and gives a new array of actions, which the caller frees, empty when all
 * is as it should be (also when the key's object is gone). -1 only with SW_ERR_INTERNAL (memory) or
 * what the view failed with: bad input is never an error of the plan but a condition, an event or
 * nothing. When to call: whenever an object that is named here changes. */

/* A DataVolume. Reads it and the claim of its name; CDIConfig; its StorageClass (and all, for the
 * default), StorageProfile; volumes of its class or reserved for its claim; pods owned by its claim (to
 * scrape); events about its claim. IDs: "create-claim". */
SW_MUST_CHECK
int sw_plan_datavolume(const struct sw_view *view, const char *namespace, const char *name,
                       struct sw_json **ret_actions, struct sw_err *err);

/* A claim that carries an import request in its annotations (its own, or put there by the DataVolume's
 * plan): importer pod, the claim's annotations. Reads it; its pod, by name, and pods that mount it; its
 * StorageClass (and all, for the default); CDIConfig, CDI, the ConfigMap with the proxy's CA. IDs:
 * "create-pod". */
SW_MUST_CHECK
int sw_plan_claim(const struct sw_view *view, const char *namespace, const char *name,
                  struct sw_json **ret_actions, struct sw_err *err);

/* The StorageProfile of the StorageClass of that name. Reads both, all VolumeSnapshotClasses, volumes
 * of the class, and the CDI object. */
SW_MUST_CHECK
int sw_plan_storage_profile(const struct sw_view *view, const char *name,
                            struct sw_json **ret_actions, struct sw_err *err);

/* The CDI object of that name and the CDIConfig "config", which follows its spec.config. Reads both and
 * all StorageClasses. With the name "cdi" it also makes that object when there is none of any name, so
 * that key is planned once at the start, and when a CDI object goes. */
SW_MUST_CHECK
int sw_plan_cdi(const struct sw_view *view, const char *name, struct sw_json **ret_actions,
                struct sw_err *err);

#endif
