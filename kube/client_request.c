/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to what goes onto the wire. Pure. */
#include <string.h>

#include "common/json_tree.h"
#include "kube/client_int.h"

/* etcd's limit is 1.5 MiB for an object, the apiserver's 3 MiB for a request. */
#define BODY_MAX ((size_t)3 << 20)
#define PATH_MAX_BYTES ((size_t)64 << 10)

struct verb {
    const char *name, *method, *content_type;
};

static const struct verb verbs[] = {
    [SW_KUBE_GET] = { "get", "GET", NULL },
    [SW_KUBE_LIST] = { "list", "GET", NULL },
    [SW_KUBE_CREATE] = { "create", "POST", "application/json" },
    [SW_KUBE_REPLACE] = { "update", "PUT", "application/json" },
    [SW_KUBE_MERGE_PATCH] = { "patch", "PATCH", "application/merge-patch+json" },
    [SW_KUBE_JSON_PATCH] = { "json-patch", "PATCH", "application/json-patch+json" },
    /* JSON is YAML: the server takes it as such. */
    [SW_KUBE_APPLY] = { "apply", "PATCH", "application/apply-patch+yaml" },
    [SW_KUBE_DELETE] = { "delete", "DELETE", "application/json" },
};

_Static_assert(SW_COUNT(verbs) == SW_KUBE_VERB_COUNT_, "a row for each verb");

const char *sw_kube_verb_name(enum sw_kube_verb verb)
{
    return verbs[verb].name;
}

static bool is_harmless(const struct sw_kube_request *q)
{
    switch (q->verb) {
    case SW_KUBE_GET:
    case SW_KUBE_LIST:
    case SW_KUBE_APPLY:
        return true;
    case SW_KUBE_REPLACE:
    case SW_KUBE_MERGE_PATCH:
        return q->resource_version;
    case SW_KUBE_DELETE:
        return q->uid;
    default:
        return false;
    }
}

static int make_path(const struct sw_kube_request *q, char **ret, struct sw_err *err)
{
    sw_autobuf struct sw_buf path = SW_BUF_INIT(PATH_MAX_BYTES);

    if (q->path)
        sw_buf_puts(&path, q->path);
    else if (sw_kube_path(&path, &q->where, err) < 0)
        return -1;
    if (q->query)
        sw_buf_puts(&path, q->query);
    if (q->verb != SW_KUBE_DELETE)
        sw_kube_query(&path, "fieldManager", q->field_manager);
    if (q->verb == SW_KUBE_APPLY && q->is_forced)
        sw_kube_query(&path, "force", "true");
    if (q->verb != SW_KUBE_DELETE && q->is_dry_run)
        sw_kube_query(&path, "dryRun", "All");
    if (sw_buf_check(&path, "the path", err) < 0)
        return -1;
    *ret = sw_steal(path.p);
    return 0;
}

/* The options of a DELETE, with its preconditions. */
static void put_delete_options(const struct sw_kube_request *q, struct sw_buf *out)
{
    struct sw_json_writer w;

    sw_json_writer_init(&w, out);
    sw_json_begin_object(&w, NULL);
    sw_json_put_str(&w, "kind", "DeleteOptions");
    sw_json_put_str(&w, "apiVersion", "v1");
    if (q->uid || q->resource_version) {
        sw_json_begin_object(&w, "preconditions");
        if (q->uid)
            sw_json_put_str(&w, "uid", q->uid);
        if (q->resource_version)
            sw_json_put_str(&w, "resourceVersion", q->resource_version);
        sw_json_end(&w);
    }
    if (q->propagation)
        sw_json_put_str(&w, "propagationPolicy", q->propagation);
    if (q->has_grace)
        sw_json_put_u64(&w, "gracePeriodSeconds", q->grace_s);
    if (q->is_dry_run) {
        sw_json_begin_array(&w, "dryRun");
        sw_json_put_str(&w, NULL, "All");
        sw_json_end(&w);
    }
    sw_json_end(&w);
}

/* The body with uid and resourceVersion in its metadata: the server compares both with what it has,
 * for patches too. */
static int put_with_preconditions(const struct sw_kube_request *q, struct sw_buf *out,
                                  struct sw_err *err)
{
    sw_auto_json struct sw_json *doc = NULL;
    struct sw_json_maker m = { 0 };

    if (sw_json_parse(q->body, q->body_n, BODY_MAX, &doc, err) < 0) {
        err->kind = SW_ERR_USAGE;
        return sw_err_wrap(err, "the body");
    }
    if (sw_json_type(doc) != SW_JSON_OBJECT)
        return sw_err_set(err, SW_ERR_USAGE, "a body that is no object takes no preconditions");
    struct sw_json *metadata = sw_json_enter_object(&m, doc, "metadata");
    if (q->uid)
        sw_json_set_str(&m, metadata, "uid", q->uid);
    if (q->resource_version)
        sw_json_set_str(&m, metadata, "resourceVersion", q->resource_version);
    sw_json_print(out, doc);
    return sw_json_maker_check(&m, "the body", err);
}

static int make_body(const struct sw_kube_request *q, struct sw_kube_wire *wire, struct sw_err *err)
{
    sw_autobuf struct sw_buf body = SW_BUF_INIT(BODY_MAX);
    bool has_preconditions = q->uid || q->resource_version;

    if (q->verb == SW_KUBE_DELETE)
        put_delete_options(q, &body);
    else if (!q->body)
        return 0;
    else if (!has_preconditions)
        sw_buf_append(&body, q->body, q->body_n);
    else if (put_with_preconditions(q, &body, err) < 0)
        return -1;
    if (sw_buf_check(&body, "the body", err) < 0)
        return -1;
    wire->content_type = verbs[q->verb].content_type;
    wire->body_n = body.n;
    wire->body = sw_steal(body.p);
    return 0;
}

int sw_kube_wire_make(const struct sw_kube_request *q, struct sw_kube_wire *ret, struct sw_err *err)
{
    struct sw_kube_wire wire = { .method = verbs[q->verb].method, .is_harmless = is_harmless(q) };

    if ((q->verb == SW_KUBE_CREATE || q->verb == SW_KUBE_JSON_PATCH) &&
        (q->uid || q->resource_version))
        return sw_err_set(err, SW_ERR_USAGE, "%s takes no preconditions", verbs[q->verb].name);
    if (make_path(q, &wire.path, err) < 0)
        return -1;
    if (make_body(q, &wire, err) < 0) {
        sw_kube_wire_done(&wire);
        return -1;
    }
    *ret = wire;
    return 0;
}

void sw_kube_wire_done(struct sw_kube_wire *wire)
{
    free(wire->path);
    free(wire->body);
    *wire = (struct sw_kube_wire){ 0 };
}
