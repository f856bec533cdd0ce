/* SPDX-License-Identifier: Apache-2.0 */
/* A DataVolume manifest (cdi.kubevirt.io/v1beta1) as local mode understands it: which disk to make
 * from what. Everything is checked here, before anything is touched: names above all, for they
 * become paths.
 *
 * The document is untrusted. Pure: no I/O; any thread. Fuzzed by tests/fuzz/fuzz-datavolume.c.
 * Sources: contract api-types 2 (fields), annotations 2; docs/DEVIATIONS.md "Local mode". */
#ifndef SW_CLI_DATAVOLUME_H
#define SW_CLI_DATAVOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/yaml_tree.h"

enum cli_dv_source { CLI_DV_HTTP, CLI_DV_BLANK };

#define CLI_DV_HEADERS_MAX 64

struct cli_datavolume {
    char *ns, *name; /* DNS-1123 names; ns is "default" when none is given           */
    enum cli_dv_source source;
    char *url;      /* http only                                                    */
    char *checksum; /* "alg:hex", NULL: none                                        */
    bool insecure;
    char *user, *password; /* from secretRef; NULL: none                                   */
    char *headers[CLI_DV_HEADERS_MAX]; /* extraHeaders, then those of secretExtraHeaders          */
    unsigned n_headers;
    char *ca_pem;  /* all entries of certConfigMap, one after the other; NULL: none */
    uint64_t size; /* bytes the disk gets: the claim's request, whole MiB          */
    bool preallocation;
    bool is_archive;    /* spec.contentType archive: a directory, no disk                  */
    char *expect_arch;  /* annotation slipway.io/expect-architecture; NULL: any                */
    char *checksum_url; /* slipway.io/checksum-url                                     */
    char *signature;    /* slipway.io/signature                                        */
    char *keyring;      /* slipway.io/keyring, a path                                  */
    char *ca_file;      /* slipway.io/ca-file, a path                                  */
    const struct sw_json *doc; /* the whole object, borrowed from the struct sw_yaml          */
};

/* Whether a document is a DataVolume that claims to be of cdi.kubevirt.io. */
bool cli_datavolume_is(const struct sw_json *doc);

/* Read doc, one of `all`, whose Secrets and ConfigMaps are looked up by name in its namespace.
 * -1 with SW_ERR_USAGE (malformed, missing, contradictory; the message names the field),
 * SW_ERR_UNSUPPORTED (a source, volume mode or content type that local mode does not do),
 * SW_ERR_NOT_FOUND (secretRef and the like name nothing in the file) or SW_ERR_INTERNAL. After
 * failure as after success the caller owes cli_datavolume_done(). */
SW_MUST_CHECK
int cli_datavolume_read(const struct sw_json *doc, const struct sw_yaml *all,
                        struct cli_datavolume *ret, struct sw_err *err);

/* Wipe and free; a zeroed struct is fine. */
void cli_datavolume_done(struct cli_datavolume *dv);

#define cli_autodv __attribute__((cleanup(cli_datavolume_done)))

/* Just the two names, checked; for those who only want to know which object is meant. The caller
 * frees both. Errors as above. */
SW_MUST_CHECK
int cli_datavolume_names(const struct sw_json *doc, char **ret_ns, char **ret_name,
                         struct sw_err *err);

/* A DNS-1123 label (namespaces: at most 63) or subdomain (names: at most 253): lower-case letters,
 * digits and dashes, dots only between labels. So never empty, ".", "..", or with a slash. */
bool cli_is_dns_label(const char *text);
bool cli_is_dns_subdomain(const char *text);

#endif
