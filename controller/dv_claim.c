/* SPDX-License-Identifier: Apache-2.0 */
/* The claim of a DataVolume, made with everything on it at once: a later write could meet the volume
 * controller's own in the moment of binding and cost it a resync of 15 s. */
#include <string.h>

#include "common/parse.h"
#include "controller/claim.h"
#include "controller/cluster.h"
#include "controller/datavolume.h"
#include "controller/names.h"
#include "controller/object.h"

/* --- The import request --------------------------------------------------------------------------- */

static void put_indexed(struct sw_dv *d, struct sw_json *annotations, const char *prefix,
                        const struct sw_json *list)
{
    for (size_t i = 0; i < sw_json_length(list); i++) {
        const char *text = sw_json_text(sw_json_at(list, i), "");
        sw_autobuf struct sw_buf key = SW_BUF_INIT(128);

        sw_buf_printf(&key, "%s%zu", prefix, i);
        if (text)
            sw_json_set_str(&d->p->m, annotations, sw_buf_str(&key), text);
    }
}

static void put_http(struct sw_dv *d, struct sw_json *annotations)
{
    static const struct {
        const char *member, *key;
    } texts[] = {
        { "url", SW_ANNO_ENDPOINT },
        { "secretRef", SW_ANNO_SECRET },
        { "certConfigMap", SW_ANNO_CERTS },
        { "checksum", SW_ANNO_CHECKSUM },
    };
    const struct sw_json *http = sw_json_find(d->obj, "spec.source.http");
    struct sw_err ignored;
    bool insecure = false;

    sw_json_set_str(&d->p->m, annotations, SW_ANNO_SOURCE, "http");
    for (size_t i = 0; i < SW_COUNT(texts); i++) {
        const char *text = sw_json_member_text(http, texts[i].member);

        if (text && *text)
            sw_json_set_str(&d->p->m, annotations, texts[i].key, text);
    }
    if (sw_json_get_bool(http, "insecureSkipVerify", &insecure, &ignored) == 1 && insecure)
        sw_json_set_str(&d->p->m, annotations, SW_ANNO_INSECURE, "true");
    put_indexed(d, annotations, SW_ANNO_HEADERS, sw_json_find(http, "extraHeaders"));
    put_indexed(d, annotations, SW_ANNO_SECRET_HEADERS, sw_json_find(http, "secretExtraHeaders"));
}

void sw_dv_put_import(struct sw_dv *d, struct sw_json *annotations)
{
    const char *claim = sw_object_name(d->obj);
    char pod[SW_POD_NAME_MAX];

    if (sw_dv_source(d->obj) == SW_DV_HTTP)
        put_http(d, annotations);
    else
        sw_json_set_str(&d->p->m, annotations, SW_ANNO_SOURCE, "none");
    sw_claim_pod_name(claim, pod);
    sw_json_set_str(&d->p->m, annotations, SW_ANNO_POD_NAME, pod);
}

/* --- Annotations and labels ----------------------------------------------------------------------- */

static bool preallocates(struct sw_dv *d)
{
    struct sw_err ignored;
    bool yes = false;

    if (sw_json_get_bool(d->obj, "spec.preallocation", &yes, &ignored) != 1 &&
        sw_json_get_bool(sw_cluster_config(d->p), "status.preallocation", &yes, &ignored) != 1)
        yes = false;
    return yes;
}

static void put_annotations(struct sw_dv *d, struct sw_json *metadata)
{
    static const struct {
        const char *path, *key;
    } names[] = {
        { "spec.priorityClassName", SW_ANNO_PRIORITY_CLASS },
        { "spec.serviceAccountName", SW_ANNO_SERVICE_ACCOUNT },
    };
    struct sw_json_maker *m = &d->p->m;
    struct sw_json *all = sw_json_enter_object(m, metadata, "annotations");
    const char *uid = sw_object_uid(d->obj); /* checked by the plan */

    sw_json_remove(all, SW_ANNO_POPULATED_FOR); /* comes later, when the data is there */
    sw_json_set_str(m, all, SW_ANNO_USE_POPULATOR, "false");
    sw_json_set_str(m, all, SW_ANNO_RESTARTS, "0");
    sw_json_set_str(m, all, SW_ANNO_CONTENT_TYPE, sw_content_type(d->obj));
    for (size_t i = 0; i < SW_COUNT(names); i++) {
        const char *name = sw_json_text(d->obj, names[i].path);

        if (name && *name)
            sw_json_set_str(m, all, names[i].key, name);
    }
    sw_json_set_str(m, all, SW_ANNO_PREALLOCATION_WANTED, preallocates(d) ? "true" : "false");
    sw_json_set_str(m, all, SW_ANNO_CREATED_FOR, uid);
}

struct copying {
    struct sw_json_maker *m;
    struct sw_json *to;
};

static int copy_text(void *ctx, const char *key, const struct sw_json *value)
{
    struct copying *c = ctx;

    if (sw_json_text(value, ""))
        sw_json_set_copy(c->m, c->to, key, value);
    return 0;
}

/* What is not text would make the API server refuse the whole claim. */
static void copy_texts(struct sw_dv *d, const char *path, struct sw_json *to)
{
    struct copying c = { &d->p->m, to };

    sw_json_each(sw_json_find(d->obj, path), copy_text, &c);
}

static void put_labels(struct sw_dv *d, struct sw_json *metadata, const struct sw_json *spec)
{
    struct sw_json *labels = sw_json_enter_object(&d->p->m, metadata, "labels");

    sw_json_set_str(&d->p->m, labels, SW_LABEL_APP, SW_LABEL_APP_VALUE);
    if (!sw_spec_is_block(spec))
        sw_json_set_str(&d->p->m, labels, SW_LABEL_ALERT, "disabled");
    copy_texts(d, "metadata.labels", labels);
    sw_cluster_put_labels(d->p, labels);
}

struct sw_json *sw_dv_make_claim(struct sw_dv *d)
{
    struct sw_json_maker *m = &d->p->m;
    sw_auto_json struct sw_json *spec = sw_render_claim_spec(d->p, d->obj, &d->problem);

    if (!spec)
        return NULL;

    struct sw_json *claim = sw_object_new(m, SW_KIND_CLAIM, sw_object_namespace(d->obj),
                                          sw_object_name(d->obj));
    struct sw_json *metadata = sw_json_enter_object(m, claim, "metadata");
    struct sw_json *annotations = sw_json_enter_object(m, metadata, "annotations");
    copy_texts(d, "metadata.annotations", annotations);
    put_annotations(d, metadata);
    put_labels(d, metadata, spec);
    sw_object_add_controller(m, sw_json_enter_array(m, metadata, "ownerReferences"),
                             SW_KIND_DATA_VOLUME, d->obj);
    sw_json_set(m, claim, "spec", sw_steal(spec));
    return claim;
}

/* --- Claims that were there before ---------------------------------------------------------------- */

bool sw_dv_is_populated_for(const struct sw_dv *d, const struct sw_json *claim)
{
    const char *name = sw_object_name(d->obj);

    return name && sw_object_annotation_is(claim, SW_ANNO_POPULATED_FOR, name);
}

bool sw_dv_may_adopt(struct sw_dv *d, const struct sw_json *claim)
{
    const char *wish = sw_object_annotation(d->obj, SW_ANNO_ADOPTION);
    const char *made_for = sw_object_annotation(claim, SW_ANNO_CREATED_FOR);
    struct sw_err ignored;
    bool yes = false;

    if (made_for && sw_text_equal(made_for, sw_object_uid(d->obj)))
        return false;
    if (wish)
        return sw_parse_bool(wish, &yes, &ignored) == 0 && yes;
    return sw_cluster_has_gate(d->p, SW_GATE_ADOPTION);
}
