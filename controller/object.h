/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about a Kubernetes object's metadata. obj may be NULL or any JSON: what is missing or of
 * another type is NULL or false. Texts are borrowed from the object. */
#ifndef SW_CONTROLLER_OBJECT_H
#define SW_CONTROLLER_OBJECT_H

#include <stdbool.h>

#include "common/json_tree.h"
#include "controller/kind.h"

const char *sw_object_name(const struct sw_json *obj);
const char *sw_object_namespace(const struct sw_json *obj);
const char *sw_object_uid(const struct sw_json *obj);

const char *sw_object_annotation(const struct sw_json *obj, const char *key);
bool sw_object_has_annotation(const struct sw_json *obj, const char *key);
bool sw_object_annotation_is(const struct sw_json *obj, const char *key, const char *value);
const char *sw_object_label(const struct sw_json *obj, const char *key);

bool sw_object_is_deleting(const struct sw_json *obj);

/* The owner reference with controller=true; NULL when there is none. */
const struct sw_json *sw_object_controller(const struct sw_json *obj);
/* Whether that one names owner's uid. */
bool sw_object_is_controlled_by(const struct sw_json *obj, const struct sw_json *owner);

/* A controller reference (blockOwnerDeletion true) to owner, appended to the array `refs`. */
void sw_object_add_controller(struct sw_json_maker *m, struct sw_json *refs, enum sw_kind kind,
                              const struct sw_json *owner);

/* A new object with apiVersion, kind and metadata.name (and .namespace unless NULL). */
struct sw_json *sw_object_new(struct sw_json_maker *m, enum sw_kind kind, const char *namespace,
                              const char *name);

/* Text equality in which NULL equals NULL only. */
bool sw_text_equal(const char *a, const char *b);

#endif
