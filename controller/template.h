/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON document with named holes, so that a pod looks in the source as it will look in the cluster:
 *
 *   "member": "${name}"      becomes the value of that name, of whatever type; without one the member
 *                            (or the element of an array) is left out
 *   "${...name}"             in an array: the elements of that value, none without one
 *   {"?": "name", ...}       the object is left out unless there is a value of that name; "?" always is
 *
 * Text inside values is never looked at: a user's "${x}" stays what it is. Pure; any thread. */
#ifndef SW_CONTROLLER_TEMPLATE_H
#define SW_CONTROLLER_TEMPLATE_H

#include "common/json_tree.h"

/* A new tree, or NULL when the maker failed. `values` is an object. */
struct sw_json *sw_template_fill(struct sw_json_maker *m, const struct sw_json *template,
                                 const struct sw_json *values);

#endif
