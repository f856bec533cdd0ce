/* SPDX-License-Identifier: Apache-2.0 */
/* How to open each kind of source. The options are borrowed: they outlive the source. */
#ifndef SW_IMPORTER_SOURCES_H
#define SW_IMPORTER_SOURCES_H

#include "transfer/source.h"

/* Everything a network source may be told. Zeroed means defaults. Strings are borrowed. */
struct sw_http_options {
    const char *user, *password; /* basic authentication; NULL: none                         */
    const char *const *headers;  /* "Name: value" lines, sent to the first host only          */
    size_t n_headers;
    const char *ca_file, *ca_dir; /* PEM file / directory of PEM files (names beginning with '.'
                                        are skipped), added to the system roots                   */
    const char *proxy_ca_dir;     /* the same for an https or an intercepting proxy           */
    const char *cert_file, *key_file;
    const char *proxy;        /* overrides the environment; "" forces none                */
    const char *user_agent;   /* NULL: "slipway/<version>"                                */
    bool insecure;            /* do not check the server's certificate                    */
    unsigned connections;     /* 0: default                                               */
    unsigned retries;         /* attempts per range after the first; 0: default (8)        */
    int64_t stall_ns;         /* no byte for this long is a failed attempt; 0: default 30 s */
    struct sw_cancel *cancel; /* may be NULL                                              */
};

/* Pick the kind by the look of `spec`: http:// https:// nbd:// nbds:// nbd+unix:// file:// a path, or "-".
 * The object is looked at (HEAD or a one-byte range, stat, NBD handshake): after success its size,
 * name and validator are known. Errors as the kinds below; SW_ERR_USAGE for an unknown scheme. */
SW_MUST_CHECK
int sw_source_open(const char *spec, const struct sw_http_options *http, struct sw_source **ret,
                   struct sw_err *err);

SW_MUST_CHECK
int sw_source_open_http(const char *url, const struct sw_http_options *o, struct sw_source **ret,
                        struct sw_err *err);
SW_MUST_CHECK
int sw_source_open_nbd(const char *uri, const struct sw_http_options *o, struct sw_source **ret,
                       struct sw_err *err);
/* path "-" is standard input; a pipe or socket gives a stream, a regular file or block device a
 * seekable source. */
SW_MUST_CHECK
int sw_source_open_file(const char *path, struct sw_cancel *cancel, struct sw_source **ret,
                        struct sw_err *err);

/* Fetch a small text object (digest manifest, signature, keyring) whole: same options, same
 * sources. Longer than max is SW_ERR_BAD_DATA. The caller frees *ret_text. */
SW_MUST_CHECK
int sw_source_slurp(const char *spec, const struct sw_http_options *http, size_t max,
                    char **ret_text, size_t *ret_len, struct sw_err *err);

#endif
