/* SPDX-License-Identifier: Apache-2.0 */
/* From command-line arguments to what the sources and the engine take. Owns the secrets read on
 * the way and wipes them. Main thread only. */
#ifndef SW_CLI_REQUEST_H
#define SW_CLI_REQUEST_H

#include "cli/options.h"
#include "importer/digest_source.h"
#include "importer/sources.h"
#include "transfer/import.h"

struct cli_request {
    struct sw_http_options http;
    struct sw_import_options import;
    struct sw_progress progress;
    struct sw_digest_plan digests; /* what import.want points into; made by cli_request_open() */
    char *user;                    /* "user\0password": http.user and http.password point into it */
    size_t user_len;               /* bytes of it, to be wiped                                    */
    char *header_files[CLI_HEADERS_MAX]; /* contents, cut into lines                     */
    size_t header_lens[CLI_HEADERS_MAX];
    unsigned n_header_files;
    const char *headers[CLI_HEADERS_MAX];
};

/* Fill *ret: digest, header and credential texts are parsed and @FILEs read, nothing is opened.
 * `cancel` is borrowed. On failure and after use alike the caller owes cli_request_done(). -1 with
 * SW_ERR_USAGE (malformed value) or the kind of errno for an @FILE. */
SW_MUST_CHECK
int cli_request_init(const struct cli_args *args, struct sw_cancel *cancel, struct cli_request *ret,
                     struct sw_err *err);
void cli_request_done(struct cli_request *r);

#define cli_autorequest __attribute__((cleanup(cli_request_done)))

/* Open args->operands[0] and settle which digests and signatures it must have (--checksum-url and
 * --signature need the name of the opened object, and the network). The source does not outlive r. */
SW_MUST_CHECK
int cli_request_open(const struct cli_args *args, struct cli_request *r, struct sw_source **ret,
                     struct sw_err *err);

static inline void cli_cleanup_source(struct sw_source **s)
{
    sw_source_close(*s);
}
#define cli_autosource __attribute__((cleanup(cli_cleanup_source)))

#endif
