/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/object.h"

#include <string.h>

bool sw_text_equal(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

const char *sw_object_name(const struct sw_json *obj)
{
    return sw_json_text(obj, "metadata.name");
}

const char *sw_object_namespace(const struct sw_json *obj)
{
    return sw_json_text(obj, "metadata.namespace");
}

const char *sw_object_uid(const struct sw_json *obj)
{
    return sw_json_text(obj, "metadata.uid");
}

const char *sw_object_annotation(const struct sw_json *obj, const char *key)
{
    return sw_json_member_text(sw_json_find(obj, "metadata.annotations"), key);
}

bool sw_object_has_annotation(const struct sw_json *obj, const char *key)
{
    return sw_object_annotation(obj, key) != NULL;
}

bool sw_object_annotation_is(const struct sw_json *obj, const char *key, const char *value)
{
    return sw_text_equal(sw_object_annotation(obj, key), value);
}

const char *sw_object_label(const struct sw_json *obj, const char *key)
{
    return sw_json_member_text(sw_json_find(obj, "metadata.labels"), key);
}

bool sw_object_is_deleting(const struct sw_json *obj)
{
    return sw_json_find(obj, "metadata.deletionTimestamp") != NULL;
}

const struct sw_json *sw_object_controller(const struct sw_json *obj)
{
    const struct sw_json *refs = sw_json_find(obj, "metadata.ownerReferences");

    for (size_t i = 0; i < sw_json_length(refs); i++) {
        bool is_controller = false;
        struct sw_err ignored;

        if (sw_json_get_bool(sw_json_at(refs, i), "controller", &is_controller, &ignored) == 1 &&
            is_controller)
            return sw_json_at(refs, i);
    }
    return NULL;
}

bool sw_object_is_controlled_by(const struct sw_json *obj, const struct sw_json *owner)
{
    const char *uid = sw_object_uid(owner);

    return uid && sw_text_equal(sw_json_text(sw_object_controller(obj), "uid"), uid);
}

void sw_object_add_controller(struct sw_json_maker *m, struct sw_json *refs, enum sw_kind kind,
                              const struct sw_json *owner)
{
    struct sw_json *ref = sw_json_enter_object(m, refs, NULL);
    char version[SW_API_VERSION_MAX];

    sw_kind_api_version(kind, version);
    sw_json_set_str(m, ref, "apiVersion", version);
    sw_json_set_str(m, ref, "kind", sw_kind_info(kind)->name);
    sw_json_set_copy(m, ref, "name", sw_json_find(owner, "metadata.name"));
    sw_json_set_copy(m, ref, "uid", sw_json_find(owner, "metadata.uid"));
    sw_json_set_bool(m, ref, "controller", true);
    sw_json_set_bool(m, ref, "blockOwnerDeletion", true);
}

struct sw_json *sw_object_new(struct sw_json_maker *m, enum sw_kind kind, const char *namespace,
                              const char *name)
{
    struct sw_json *obj = sw_json_new_object(m);
    struct sw_json *metadata = sw_json_enter_object(m, obj, "metadata");
    char version[SW_API_VERSION_MAX];

    sw_kind_api_version(kind, version);
    sw_json_set_str(m, obj, "apiVersion", version);
    sw_json_set_str(m, obj, "kind", sw_kind_info(kind)->name);
    sw_json_set_str(m, metadata, "name", name);
    if (namespace)
        sw_json_set_str(m, metadata, "namespace", namespace);
    return obj;
}
