/* SPDX-License-Identifier: Apache-2.0 */
/* The pods of manifests/pods/, compiled in: templates for controller/template.h. And the object of
 * manifests/objects/ that is made when it is missing. */
#ifndef SW_CONTROLLER_PODS_H
#define SW_CONTROLLER_PODS_H

#include "common/json_tree.h"

/* A new tree, or NULL when the maker failed. */
struct sw_json *sw_pod_template_importer(struct sw_json_maker *m);
struct sw_json *sw_object_template_cdi(struct sw_json_maker *m);

#endif
