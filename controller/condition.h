/* SPDX-License-Identifier: Apache-2.0 */
/* The conditions in a status: type, status, reason, message and two times (contract
 * datavolume-controller 4.2). Pure; any thread. */
#ifndef SW_CONTROLLER_CONDITION_H
#define SW_CONTROLLER_CONDITION_H

#include <stdbool.h>

#include "common/json_tree.h"

/* Borrowed texts; "" for no reason and no message. */
struct sw_condition {
    const char *type, *status, *reason, *message;
};

/* The condition of that type in a list; NULL when there is none. */
const struct sw_json *sw_condition_find(const struct sw_json *list, const char *type);

/* Whether c differs from the one of its type in the list of before. */
bool sw_condition_is_new(const struct sw_json *before, const struct sw_condition *c);

/* Append c to a new list. lastTransitionTime is "$now" when the status differs from before,
 * lastHeartbeatTime when anything does; otherwise they stay. */
void sw_condition_put(struct sw_json_maker *m, struct sw_json *list, const struct sw_json *before,
                      const struct sw_condition *c);

#endif
