/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/action.h"

#include <assert.h>
#include <string.h>

static const char *const names[SW_DO_COUNT_] = {
    [SW_DO_CREATE] = "create", [SW_DO_APPLY] = "apply",
    [SW_DO_PATCH] = "patch",   [SW_DO_PATCH_STATUS] = "patchStatus",
    [SW_DO_DELETE] = "delete", [SW_DO_EVENT] = "event",
    [SW_DO_SCRAPE] = "scrape", [SW_DO_REQUEUE] = "requeue",
    [SW_DO_RETRY] = "retry",
};

const char *sw_action_do_name(enum sw_action_do what)
{
    assert(what < SW_DO_COUNT_);
    return names[what];
}

/* --- Parsing --------------------------------------------------------------------------------- */

static int missing(const struct sw_action *a, const char *what, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_INTERNAL, "the plan's action '%s' has no '%s'", names[a->what],
                      what);
}

/* A text that the action has to have. */
static int need(const struct sw_json *json, const struct sw_action *a, const char *key,
                const char **ret, struct sw_err *err)
{
    *ret = sw_json_member_text(json, key);
    return *ret ? 0 : missing(a, key, err);
}

static int need_number(const struct sw_json *json, const struct sw_action *a, const char *key,
                       uint64_t *ret, struct sw_err *err)
{
    struct sw_err inner = { 0 };

    return sw_json_get_u64(json, key, ret, &inner) == 1 ? 0 : missing(a, key, err);
}

static int parse_target(const struct sw_json *json, struct sw_action *a, struct sw_err *err)
{
    const char *kind = NULL;

    if (need(json, a, "kind", &kind, err) < 0 || need(json, a, "name", &a->name, err) < 0)
        return -1;
    a->kind = sw_kind_find(kind);
    if (a->kind == SW_KIND_COUNT_)
        return sw_err_set(err, SW_ERR_INTERNAL, "the plan's action '%s' names the kind '%.64s'",
                          names[a->what], kind);
    if (sw_kind_info(a->kind)->is_namespaced)
        return need(json, a, "namespace", &a->ns, err);
    return 0;
}

static int parse_write(const struct sw_json *json, struct sw_action *a, struct sw_err *err)
{
    bool is_whole = a->what == SW_DO_CREATE || a->what == SW_DO_APPLY;
    const char *body = is_whole ? "object" : "patch";

    if (parse_target(json, a, err) < 0)
        return -1;
    a->id = sw_json_member_text(json, "id");
    a->resource_version = sw_json_member_text(json, "resourceVersion");
    if (!is_whole && need(json, a, "uid", &a->uid, err) < 0)
        return -1;
    if (a->what == SW_DO_DELETE)
        return 0;
    a->body = sw_json_member(json, body);
    return sw_json_type(a->body) == SW_JSON_OBJECT ? 0 : missing(a, body, err);
}

static int parse_event(const struct sw_json *json, struct sw_action *a, struct sw_err *err)
{
    return parse_target(json, a, err) < 0 || need(json, a, "uid", &a->uid, err) < 0 ||
                   need(json, a, "type", &a->type, err) < 0 ||
                   need(json, a, "reason", &a->reason, err) < 0 ||
                   need(json, a, "message", &a->message, err) < 0
               ? -1
               : 0;
}

static int parse_scrape(const struct sw_json *json, struct sw_action *a, struct sw_err *err)
{
    return need(json, a, "namespace", &a->ns, err) < 0 ||
                   need(json, a, "name", &a->name, err) < 0 ||
                   need(json, a, "address", &a->address, err) < 0 ||
                   need(json, a, "metric", &a->metric, err) < 0 ||
                   need(json, a, "ownerUID", &a->owner_uid, err) < 0 ||
                   need_number(json, a, "port", &a->port, err) < 0 ||
                   need_number(json, a, "ms", &a->ms, err) < 0
               ? -1
               : 0;
}

int sw_action_parse(const struct sw_json *json, struct sw_action *ret, struct sw_err *err)
{
    const char *what = sw_json_member_text(json, "do");

    *ret = (struct sw_action){ .what = SW_DO_COUNT_, .kind = SW_KIND_COUNT_ };
    for (unsigned i = 0; what && i < SW_DO_COUNT_; i++) {
        if (strcmp(what, names[i]) == 0)
            ret->what = (enum sw_action_do)i;
    }
    switch (ret->what) {
    case SW_DO_CREATE:
    case SW_DO_APPLY:
    case SW_DO_PATCH:
    case SW_DO_PATCH_STATUS:
    case SW_DO_DELETE:
        return parse_write(json, ret, err);
    case SW_DO_EVENT:
        return parse_event(json, ret, err);
    case SW_DO_SCRAPE:
        return parse_scrape(json, ret, err);
    case SW_DO_REQUEUE:
        return need_number(json, ret, "ms", &ret->ms, err);
    case SW_DO_RETRY:
        return 0;
    case SW_DO_COUNT_:
        break;
    }
    return sw_err_set(err, SW_ERR_INTERNAL, "the plan asks for '%.32s'", what ? what : "nothing");
}

/* --- The request ----------------------------------------------------------------------------- */

const struct sw_kube_resource *sw_kind_resource(enum sw_kind kind)
{
    static struct sw_kube_resource resources[SW_KIND_COUNT_];

    assert(kind < SW_KIND_COUNT_);
    if (!resources[kind].kind) {
        const struct sw_kind_info *info = sw_kind_info(kind);

        resources[kind] = (struct sw_kube_resource){ .group = info->group,
                                                     .version = info->version,
                                                     .plural = info->plural,
                                                     .kind = info->name,
                                                     .is_cluster = !info->is_namespaced };
    }
    return &resources[kind];
}

/* In compact JSON the bytes Time":"$now" can stand nowhere but at the end of a key and its value: a
 * quotation mark inside a string has a backslash before it. */
static void put_body(struct sw_buf *out, const struct sw_json *body, const char *now)
{
    static const char mark[] = "Time\":\"$now\"";
    sw_autobuf struct sw_buf text = SW_BUF_INIT(out->max);

    sw_json_print(&text, body);
    if (text.failed) {
        out->failed = true;
        return;
    }
    const char *from = sw_buf_str(&text);
    for (const char *at = strstr(from, mark); at; at = strstr(from, mark)) {
        sw_buf_append(out, from, (size_t)(at - from));
        sw_buf_printf(out, "Time\":\"%s\"", now);
        from = at + sizeof(mark) - 1;
    }
    sw_buf_puts(out, from);
}

int sw_action_request(const struct sw_action *a, const char *now, struct sw_buf *body,
                      struct sw_kube_request *ret, struct sw_err *err)
{
    assert(a->what <= SW_DO_DELETE);
    *ret = (struct sw_kube_request){
        .verb = a->what == SW_DO_CREATE   ? SW_KUBE_CREATE
                : a->what == SW_DO_APPLY  ? SW_KUBE_APPLY
                : a->what == SW_DO_DELETE ? SW_KUBE_DELETE
                                          : SW_KUBE_MERGE_PATCH,
        .where = { .resource = sw_kind_resource(a->kind),
                   .ns = a->ns,
                   .name = a->what == SW_DO_CREATE ? NULL : a->name },
        .uid = a->uid,
        .resource_version = a->resource_version,
    };
    if (a->what == SW_DO_PATCH_STATUS && sw_kind_info(a->kind)->has_status)
        ret->where.subresource = "status";
    if (a->what == SW_DO_DELETE) {
        ret->propagation = "Background";
        return 0;
    }
    if (a->what == SW_DO_APPLY) {
        ret->field_manager = "slipway-controller";
        ret->is_forced = true;
    }
    put_body(body, a->body, now);
    if (sw_buf_check(body, "the request's body", err) < 0)
        return -1;
    ret->body = body->p;
    ret->body_n = body->n;
    return 0;
}
