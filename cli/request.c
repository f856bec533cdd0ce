/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/request.h"

#include <string.h>

#include "common/fileio.h"
#include "importer/credentials.h"

#define SECRET_FILE_MAX ((size_t)64 << 10)

/* --- Credentials ----------------------------------------------------------------------------- */

/* Cut the text at its first line end. */
static void first_line(char *text)
{
    text[strcspn(text, "\r\n")] = '\0';
}

/* "USER:PASSWORD", "@FILE" holding that, or "USER:@FILE" holding the password. */
static int read_user(const char *text, char **ret, struct sw_err *err)
{
    const char *colon = strchr(text, ':');
    sw_autofree char *secret = NULL;

    if (text[0] == '@') {
        if (sw_file_slurp(text + 1, SECRET_FILE_MAX, ret, NULL, err) < 0)
            return sw_err_wrap(err, "--user");
        first_line(*ret);
        return 0;
    }
    if (!colon || colon[1] != '@') {
        *ret = strdup(text);
        return *ret ? 0 : sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    }
    if (sw_file_slurp(colon + 2, SECRET_FILE_MAX, &secret, NULL, err) < 0)
        return sw_err_wrap(err, "--user");
    first_line(secret);
    if (asprintf(ret, "%.*s:%s", (int)(colon - text), text, secret) < 0)
        *ret = NULL;
    explicit_bzero(secret, strlen(secret));
    return *ret ? 0 : sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
}

static int set_user(const char *text, struct cli_request *r, struct sw_err *err)
{
    if (read_user(text, &r->user, err) < 0 || !r->user)
        return -1;
    r->user_len = strlen(r->user);

    char *colon = strchr(r->user, ':');
    if (!colon || colon == r->user)
        return sw_err_set(err, SW_ERR_USAGE, "--user: expected USER:PASSWORD, USER:@FILE or @FILE");
    *colon = '\0';
    r->http.user = r->user;
    r->http.password = colon + 1;
    return 0;
}

/* --- Headers --------------------------------------------------------------------------------- */

/* The value is not quoted in messages: it may be a secret. */
static int add_header(const char *line, struct cli_request *r, struct sw_err *err)
{
    size_t name = strcspn(line, ": \t");

    if (!name || line[name] != ':')
        return sw_err_set(err, SW_ERR_USAGE, "--header: expected 'Name: value'");
    if (line[strcspn(line, "\r\n")])
        return sw_err_set(err, SW_ERR_USAGE, "--header '%.*s': a header is one line", (int)name,
                          line);
    if (r->http.n_headers == CLI_HEADERS_MAX)
        return sw_err_set(err, SW_ERR_USAGE, "more than %d headers", CLI_HEADERS_MAX);
    r->headers[r->http.n_headers++] = line;
    return 0;
}

/* A file of header lines; empty lines are skipped. */
static int add_header_file(const char *path, struct cli_request *r, struct sw_err *err)
{
    char **text = &r->header_files[r->n_header_files];
    char *rest;

    if (sw_file_slurp(path, SECRET_FILE_MAX, text, &r->header_lens[r->n_header_files], err) < 0)
        return sw_err_wrap(err, "--header");
    r->n_header_files++;
    rest = *text;
    for (char *line = strsep(&rest, "\r\n"); line; line = strsep(&rest, "\r\n")) {
        if (*line && add_header(line, r, err) < 0)
            return sw_err_wrap(err, "'%s'", path);
    }
    return 0;
}

static int add_headers(const struct cli_args *args, struct cli_request *r, struct sw_err *err)
{
    r->http.headers = r->headers;
    for (unsigned i = 0; i < args->n_headers; i++) {
        const char *h = args->headers[i];

        if ((h[0] == '@' ? add_header_file(h + 1, r, err) : add_header(h, r, err)) < 0)
            return -1;
    }
    return 0;
}

/* --- The whole ------------------------------------------------------------------------------- */

static void fill_plain(const struct cli_args *args, struct cli_request *r)
{
    r->http.ca_file = args->cacert;
    r->http.cert_file = args->cert;
    r->http.key_file = args->key;
    r->http.proxy = args->proxy;
    r->http.insecure = args->insecure;
    r->http.connections = (unsigned)args->connections;

    r->import.format = (enum sw_format)args->format;
    r->import.size = args->size;
    r->import.prealloc = (enum sw_prealloc)args->prealloc;
    r->import.memory = args->memory;
    r->import.no_digest = args->no_digest;
    r->import.expect_arch = args->expect_arch;
    r->import.no_resume = args->no_resume;
    r->import.uid = -1;
    r->import.gid = -1;
}

int cli_request_init(const struct cli_args *args, struct sw_cancel *cancel, struct cli_request *ret,
                     struct sw_err *err)
{
    struct sw_digest_value ignored;

    *ret = (struct cli_request){ 0 };
    ret->progress.source_total = SW_SIZE_UNKNOWN;
    ret->http.cancel = cancel;
    ret->import.cancel = cancel;
    ret->import.progress = &ret->progress;
    fill_plain(args, ret);

    if (args->key && !args->cert)
        return sw_err_set(err, SW_ERR_USAGE, "--key needs --cert");
    if (args->user && set_user(args->user, ret, err) < 0)
        return -1;
    if (add_headers(args, ret, err) < 0)
        return -1;
    if (args->checksum && sw_digest_parse(args->checksum, &ignored, err) < 0)
        return sw_err_wrap(err, "--checksum"); /* before anything is asked of the network */
    return 0;
}

void cli_request_done(struct cli_request *r)
{
    if (r->user)
        explicit_bzero(r->user, r->user_len);
    free(r->user);
    for (unsigned i = 0; i < r->n_header_files; i++) {
        explicit_bzero(r->header_files[i], r->header_lens[i]);
        free(r->header_files[i]);
    }
    sw_digest_plan_done(&r->digests);
    *r = (struct cli_request){ 0 };
}

/* --- Opening --------------------------------------------------------------------------------- */

static int plan_digests(const struct cli_args *args, struct cli_request *r,
                        const struct sw_source *source, struct sw_err *err)
{
    const char *const others[] = { args->checksum_url, args->signature, args->keyring };
    struct sw_http_options http;
    const struct sw_digest_options o = {
        .checksums = &args->checksum,
        .n_checksums = args->checksum ? 1 : 0,
        .checksum_url = args->checksum_url,
        .signature = args->signature,
        .keyring = args->keyring,
        .source_name = source->name,
        .http = &http,
    };

    sw_http_options_for(&r->http, args->operands[0], others, SW_COUNT(others), &http);
    if (sw_digest_plan_make(&o, &r->digests, err) < 0)
        return -1;
    memcpy(r->import.want, r->digests.want, sizeof(r->import.want));
    r->import.n_want = r->digests.n_want;
    if (r->digests.image) {
        r->import.tee = sw_digest_plan_tee;
        r->import.approve = sw_digest_plan_approve;
        r->import.tee_ctx = &r->digests;
        r->import.no_resume = true; /* the verifier's state cannot be saved */
    }
    return 0;
}

int cli_request_open(const struct cli_args *args, struct cli_request *r, struct sw_source **ret,
                     struct sw_err *err)
{
    cli_autosource struct sw_source *source = NULL;

    if (sw_source_open(args->operands[0], &r->http, &source, err) < 0 ||
        plan_digests(args, r, source, err) < 0)
        return -1;
    *ret = sw_steal(source);
    return 0;
}
