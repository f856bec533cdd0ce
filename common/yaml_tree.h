/* SPDX-License-Identifier: Apache-2.0 */
/* Kubernetes manifests: the YAML that kubectl takes, as JSON trees.
 *
 * The text is untrusted. Refused, with line and column: more than SW_YAML_MAX_BYTES, deeper than
 * SW_JSON_MAX_DEPTH, more than SW_YAML_MAX_NODES values, more than SW_YAML_MAX_KEYS members in one
 * mapping, aliases and merge keys (a few lines of them can expand to gigabytes), a key twice in one
 * mapping, keys that are not scalars, tags other than the core schema's. The parser is driven event
 * by event, so that it stops at the first of these.
 *
 * Scalars follow kubectl (YAML 1.1 as go-yaml reads it): true/false and yes/no/on/off are booleans,
 * decimal numbers are numbers, null and ~ and nothing are null, the rest and all quoted ones are
 * strings. Octal, hexadecimal and sexagesimal numbers stay strings.
 *
 * Pure; any thread. Fuzzed by tests/fuzz/fuzz-datavolume.c. */
#ifndef SW_COMMON_YAML_TREE_H
#define SW_COMMON_YAML_TREE_H

#include "common/error.h"
#include "common/json.h"

#define SW_YAML_MAX_BYTES ((size_t)1 << 20)
#define SW_YAML_MAX_NODES 50000
#define SW_YAML_MAX_KEYS 1024
#define SW_YAML_MAX_DOCUMENTS 256

struct sw_yaml {
    struct sw_json **docs; /* n of them, owned; empty documents are left out */
    size_t n;
};

/* Parse n bytes. -1 with SW_ERR_USAGE (see above; a manifest is part of the request) or
 * SW_ERR_INTERNAL. On success the caller owes sw_yaml_done(). */
SW_MUST_CHECK
int sw_yaml_parse(const char *text, size_t n, struct sw_yaml *ret, struct sw_err *err);

/* Free the content; a zeroed struct is fine. */
void sw_yaml_done(struct sw_yaml *y);

#define sw_autoyaml __attribute__((cleanup(sw_yaml_done)))

#endif
