/* SPDX-License-Identifier: Apache-2.0 */
/* JSON trees as YAML, in the block style that kubectl prints. The other direction is
 * common/yaml_tree.h; what is written here reads there, and in every YAML 1.1 and 1.2 reader, as the
 * same tree. Pure; any thread. */
#ifndef SW_COMMON_YAML_PUT_H
#define SW_COMMON_YAML_PUT_H

#include "common/buf.h"
#include "common/json.h"

/* Append value (NULL: null) as lines of YAML, each with its newline. Texts that another reader could
 * take for something else, or that are not plain ASCII, are quoted as in JSON. */
void sw_yaml_put(struct sw_buf *out, const struct sw_json *value);

#endif
