/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets and ConfigMaps that stand in the same manifest as the DataVolume that names them. Values
 * are untrusted text; no message quotes one. Pure. */
#ifndef SW_CLI_SECRETS_H
#define SW_CLI_SECRETS_H

#include "common/yaml_tree.h"

/* Longest value taken, bytes: the limit that Kubernetes puts on a whole Secret. */
#define CLI_SECRET_MAX ((size_t)1 << 20)

/* The object of that kind ("Secret", "ConfigMap"), namespace and name, borrowed from `all`. -1 with
 * SW_ERR_NOT_FOUND that says where it should stand. An object without a namespace is in "default". */
SW_MUST_CHECK
int cli_object_find(const struct sw_yaml *all, const char *kind, const char *ns, const char *name,
                    const struct sw_json **ret, struct sw_err *err);

/* The value of `key`: for a Secret `data` (base64) or, before it, `stringData`; for a ConfigMap
 * `data`. 1 and *ret (the caller wipes and frees), 0 when there is no such key, -1 with SW_ERR_USAGE
 * when it is not text. */
SW_MUST_CHECK
int cli_object_value(const struct sw_json *object, const char *key, char **ret, struct sw_err *err);

/* Call each(ctx, key, text, err) for all values in the order of the file until it returns -1. text
 * is borrowed for the call. */
SW_MUST_CHECK
int cli_object_each(const struct sw_json *object,
                    int (*each)(void *ctx, const char *key, const char *text, struct sw_err *err),
                    void *ctx, struct sw_err *err);

/* Zero a text and free it; NULL is fine. */
void cli_wipe(char *text);

#endif
