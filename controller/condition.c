/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/condition.h"

#include <string.h>

#include "controller/object.h"

const struct sw_json *sw_condition_find(const struct sw_json *list, const char *type)
{
    for (size_t i = 0; i < sw_json_length(list); i++)
        if (sw_text_equal(sw_json_text(sw_json_at(list, i), "type"), type))
            return sw_json_at(list, i);
    return NULL;
}

static bool is_same(const struct sw_json *old, const char *member, const char *text)
{
    const char *before = sw_json_text(old, member);

    return old && strcmp(before ? before : "", text) == 0;
}

bool sw_condition_is_new(const struct sw_json *before, const struct sw_condition *c)
{
    const struct sw_json *old = sw_condition_find(before, c->type);

    return !is_same(old, "status", c->status) || !is_same(old, "reason", c->reason) ||
           !is_same(old, "message", c->message);
}

static void put_time(struct sw_json_maker *m, struct sw_json *to, const char *member,
                     const struct sw_json *old, bool is_new)
{
    const char *then = sw_json_text(old, member);

    sw_json_set_str(m, to, member, is_new || !then ? "$now" : then);
}

void sw_condition_put(struct sw_json_maker *m, struct sw_json *list, const struct sw_json *before,
                      const struct sw_condition *c)
{
    const struct sw_json *old = sw_condition_find(before, c->type);
    struct sw_json *to = sw_json_enter_object(m, list, NULL);

    sw_json_set_str(m, to, "type", c->type);
    sw_json_set_str(m, to, "status", c->status);
    if (*c->reason)
        sw_json_set_str(m, to, "reason", c->reason);
    if (*c->message)
        sw_json_set_str(m, to, "message", c->message);
    put_time(m, to, "lastTransitionTime", old, !is_same(old, "status", c->status));
    put_time(m, to, "lastHeartbeatTime", old, sw_condition_is_new(before, c));
}
