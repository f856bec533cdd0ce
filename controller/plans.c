/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/executor.h"

static int plan(enum sw_plan_id id, const struct sw_view *view, const char *ns, const char *name,
                struct sw_json **ret_actions, struct sw_err *err)
{
    switch (id) {
    case SW_PLAN_DATA_VOLUME:
        return sw_plan_datavolume(view, ns, name, ret_actions, err);
    case SW_PLAN_CLAIM:
        return sw_plan_claim(view, ns, name, ret_actions, err);
    case SW_PLAN_STORAGE_PROFILE:
        return sw_plan_storage_profile(view, name, ret_actions, err);
    case SW_PLAN_CDI:
        return sw_plan_cdi(view, name, ret_actions, err);
    case SW_PLAN_COUNT_:
        break;
    }
    return sw_err_set(err, SW_ERR_INTERNAL, "there is no plan %d", (int)id);
}

const struct sw_planner sw_planner_real = { .plan = plan };
