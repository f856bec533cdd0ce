/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys have to be planned again because an object changed: the other side of what
 * controller/plan.h says each plan reads. Pure; one thread. */
#ifndef SW_CONTROLLER_KEYS_H
#define SW_CONTROLLER_KEYS_H

#include "common/json.h"
#include "controller/kind.h"

/* The plans, by what their keys name. */
enum sw_plan_id {
    SW_PLAN_DATA_VOLUME,
    SW_PLAN_CLAIM,
    SW_PLAN_STORAGE_PROFILE, /* keys name StorageClasses */
    SW_PLAN_CDI,
    SW_PLAN_COUNT_,
};

/* A key as text: "DataVolume ns/name", "PersistentVolumeClaim ns/name", "StorageProfile name",
 * "CDI name". The text of ret has room for SW_KEY_MAX bytes; names are those of Kubernetes objects
 * (at most 253 bytes each). ns is NULL or "" where there is none. */
#define SW_KEY_MAX 640
void sw_key_print(enum sw_plan_id plan, const char *ns, const char *name, char *ret);

/* The parts of such a text; ns is "" where there is none. name points into key. -1 with
 * SW_ERR_INTERNAL when it is none. */
struct sw_key {
    enum sw_plan_id plan;
    char ns[256];
    const char *name;
};
SW_MUST_CHECK
int sw_key_parse(const char *key, struct sw_key *ret, struct sw_err *err);

/* One change, as struct sw_kube_change tells it. object is the last known state of one that was
 * deleted (is_deleted); before is NULL when there was none. */
struct sw_keys_change {
    enum sw_kind kind;
    bool is_deleted;
    const char *ns, *name;
    const struct sw_json *object, *before;
};

/* Where the keys go. A name of NULL stands for all objects that the plan looks after. */
struct sw_keys_sink {
    void *ctx;
    void (*add)(void *ctx, enum sw_plan_id plan, const char *ns, const char *name);
    /* The key of a StorageProfile, but there is no hurry: volumes come and go by the thousand. */
    void (*add_later)(void *ctx, enum sw_plan_id plan, const char *ns, const char *name);
};

void sw_keys_of_change(const struct sw_keys_change *change, const struct sw_keys_sink *sink);

#endif
