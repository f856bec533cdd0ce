/* SPDX-License-Identifier: Apache-2.0 */
/* Plans on objects that anybody may have written: {"plan", "key", "given", "lastError", "progress"} as in
 * tests/controller. Whatever the objects are, a plan answers, and with nothing but actions that the
 * executor takes and the API server can read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "controller/action.h"
#include "tests/controller/world.h"

#define TEXT_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct sw_json *actions)
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(16 * TEXT_MAX);
    sw_auto_json struct sw_json *again = NULL;
    struct sw_err err = { 0 };

    for (size_t i = 0; i < sw_json_length(actions); i++) {
        struct sw_action a;

        if (sw_action_parse(sw_json_at(actions, i), &a, &err) < 0)
            abort();
    }
    sw_json_print(&text, actions);
    if (!text.failed && sw_json_parse(sw_buf_str(&text), text.n, text.max, &again, &err) < 0 &&
        !strstr(err.msg, "nesting"))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sw_auto_json struct sw_json *doc = NULL;
    sw_auto_json struct sw_json *actions = NULL;
    struct sw_err err = { 0 };
    struct world w;
    uint64_t progress;

    if (sw_json_parse((const char *)data, size, TEXT_MAX, &doc, &err) < 0)
        return 0;
    const char *plan = sw_json_text(doc, "plan"), *key = sw_json_text(doc, "key");
    world_init(&w, sw_json_find(doc, "given"));
    w.last_error = sw_json_copy(&w.m, sw_json_find(doc, "lastError"));
    if (sw_json_get_u64(doc, "progress", &progress, &err) == 1)
        w.view.progress_centi = (int64_t)progress;
    if (plan && key) {
        if (world_plan(&w, plan, key, &actions, &err) == 0)
            check(actions);
        else if (err.kind != SW_ERR_USAGE) /* of a plan that there is not */
            abort();
    }
    world_done(&w);
    return 0;
}
