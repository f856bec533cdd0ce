/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/datavolume.h"

#include <string.h>

#include "cli/secrets.h"
#include "common/bytes.h"
#include "common/parse.h"

#define API_GROUP "cdi.kubevirt.io/"
#define API_VERSION API_GROUP "v1beta1"
#define TEXT_MAX ((size_t)8192)

/* --- Names ----------------------------------------------------------------------------------- */

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Labels of at most 63 bytes each, joined by dots if there may be several. */
static bool is_dns_name(const char *text, size_t max, bool has_dots)
{
    size_t label = 0;

    if (strlen(text) > max)
        return false;
    for (const char *p = text; *p; p++) {
        bool ends = !p[1] || p[1] == '.';

        if (*p == '.' && has_dots && label > 0) {
            label = 0;
            continue;
        }
        if (!is_alnum(*p) && !(*p == '-' && label > 0 && !ends))
            return false;
        if (++label > 63)
            return false;
    }
    return label > 0;
}

bool cli_is_dns_label(const char *text)
{
    return is_dns_name(text, 63, false);
}

bool cli_is_dns_subdomain(const char *text)
{
    return is_dns_name(text, 253, true);
}

/* --- Fields ---------------------------------------------------------------------------------- */

/* As sw_json_get_str(), for a manifest: what is wrong with it is the user's to mend. An empty text
 * counts as absent, as it does in the cluster. */
static int get_text(const struct sw_json *from, const char *path, char **ret, struct sw_err *err)
{
    sw_autofree char *text = NULL;
    int found = sw_json_get_str(from, path, TEXT_MAX, &text, err);

    if (found < 0) {
        err->kind = SW_ERR_USAGE;
        return -1;
    }
    if (!found || !*text)
        return 0;
    *ret = sw_steal(text);
    return 1;
}

static int get_flag(const struct sw_json *from, const char *path, bool *ret, struct sw_err *err)
{
    if (sw_json_get_bool(from, path, ret, err) >= 0)
        return 0;
    err->kind = SW_ERR_USAGE;
    return -1;
}

bool cli_datavolume_is(const struct sw_json *doc)
{
    sw_autofree char *kind = NULL;
    sw_autofree char *version = NULL;
    struct sw_err ignored = { 0 };

    return get_text(doc, "kind", &kind, &ignored) > 0 && strcmp(kind, "DataVolume") == 0 &&
           get_text(doc, "apiVersion", &version, &ignored) > 0 &&
           strncmp(version, API_GROUP, strlen(API_GROUP)) == 0;
}

int cli_datavolume_names(const struct sw_json *doc, char **ret_ns, char **ret_name,
                         struct sw_err *err)
{
    sw_autofree char *ns = NULL;
    sw_autofree char *name = NULL;
    int found = get_text(doc, "metadata.namespace", &ns, err);

    if (found < 0 || get_text(doc, "metadata.name", &name, err) < 0)
        return -1;
    if (!found)
        ns = strdup("default");
    if (!ns)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (!name)
        return sw_err_set(err, SW_ERR_USAGE, "metadata.name is missing");
    if (!cli_is_dns_subdomain(name))
        return sw_err_set(err, SW_ERR_USAGE,
                          "metadata.name '%.64s' is not a DNS-1123 name: lower-case letters, "
                          "digits, '-' and '.'",
                          name);
    if (!cli_is_dns_label(ns))
        return sw_err_set(err, SW_ERR_USAGE,
                          "metadata.namespace '%.64s' is not a DNS-1123 label: lower-case letters, "
                          "digits and '-'",
                          ns);
    *ret_ns = sw_steal(ns);
    *ret_name = sw_steal(name);
    return 0;
}

static int read_annotations(struct cli_datavolume *dv, struct sw_err *err)
{
    const struct {
        const char *key;
        char **field;
    } table[] = {
        { "slipway.io/expect-architecture", &dv->expect_arch },
        { "slipway.io/checksum-url", &dv->checksum_url },
        { "slipway.io/signature", &dv->signature },
        { "slipway.io/keyring", &dv->keyring },
        { "slipway.io/ca-file", &dv->ca_file },
    };
    const struct sw_json *annotations = sw_json_find(dv->doc, "metadata.annotations");

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        /* The keys have dots in them: no path can name them. */
        const struct sw_json *value = sw_json_member(annotations, table[i].key);

        if (get_text(value, "", table[i].field, err) < 0)
            return sw_err_wrap(err, "annotation %s", table[i].key);
    }
    return 0;
}

/* --- What goes with the source --------------------------------------------------------------- */

static int add_header(struct cli_datavolume *dv, const char *line, struct sw_err *err)
{
    size_t name = strcspn(line, ": \t\r\n");
    size_t n = strlen(line);

    while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        n--; /* what editors and base64 leave at the end of a Secret's value */
    if (!name || line[name] != ':' || strcspn(line, "\r\n") < n)
        return sw_err_set(err, SW_ERR_USAGE, "expected one line 'Name: value'");
    if (dv->n_headers == CLI_DV_HEADERS_MAX)
        return sw_err_set(err, SW_ERR_USAGE, "more than %d headers", CLI_DV_HEADERS_MAX);
    dv->headers[dv->n_headers] = strndup(line, n);
    if (!dv->headers[dv->n_headers])
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    dv->n_headers++;
    return 0;
}

static int read_extra_headers(struct cli_datavolume *dv, const struct sw_json *http,
                              struct sw_err *err)
{
    const struct sw_json *list = sw_json_find(http, "extraHeaders");

    for (size_t i = 0; i < sw_json_length(list); i++) {
        sw_autofree char *line = NULL;

        if (get_text(sw_json_at(list, i), "", &line, err) < 0 ||
            (line && add_header(dv, line, err) < 0))
            return sw_err_wrap(err, "spec.source.http.extraHeaders[%zu]", i);
    }
    return 0;
}

static int add_secret_header(void *ctx, const char *key SW_UNUSED, const char *text,
                             struct sw_err *err)
{
    return add_header(ctx, text, err);
}

static int read_secret_headers(struct cli_datavolume *dv, const struct sw_json *http,
                               const struct sw_yaml *all, struct sw_err *err)
{
    const struct sw_json *list = sw_json_find(http, "secretExtraHeaders");

    for (size_t i = 0; i < sw_json_length(list); i++) {
        const struct sw_json *secret = NULL;
        sw_autofree char *name = NULL;

        if (get_text(sw_json_at(list, i), "", &name, err) < 0 ||
            cli_object_find(all, "Secret", dv->ns, name ? name : "", &secret, err) < 0 ||
            cli_object_each(secret, add_secret_header, dv, err) < 0)
            return sw_err_wrap(err, "spec.source.http.secretExtraHeaders[%zu]", i);
    }
    return 0;
}

/* Basic authentication wants both halves; the cluster sends none when one is missing (contract
 * importer 1.6), which never is what the user meant. */
static int read_credentials(struct cli_datavolume *dv, const struct sw_json *http,
                            const struct sw_yaml *all, struct sw_err *err)
{
    const struct sw_json *secret = NULL;
    sw_autofree char *name = NULL;
    int found = get_text(http, "secretRef", &name, err);

    if (found <= 0)
        return found;
    if (cli_object_find(all, "Secret", dv->ns, name, &secret, err) < 0 ||
        cli_object_value(secret, "accessKeyId", &dv->user, err) < 0 ||
        cli_object_value(secret, "secretKey", &dv->password, err) < 0)
        return sw_err_wrap(err, "spec.source.http.secretRef");
    if (!dv->user || !dv->password)
        return sw_err_set(err, SW_ERR_USAGE, "Secret '%.64s' has no accessKeyId or no secretKey",
                          name);
    return 0;
}

static int add_pem(void *ctx, const char *key SW_UNUSED, const char *text, struct sw_err *err)
{
    struct sw_buf *pem = ctx;

    sw_buf_puts(pem, text);
    sw_buf_puts(pem, "\n");
    return sw_buf_check(pem, "the certificates", err);
}

static int read_certificates(struct cli_datavolume *dv, const struct sw_json *http,
                             const struct sw_yaml *all, struct sw_err *err)
{
    sw_autobuf struct sw_buf pem = SW_BUF_INIT(CLI_SECRET_MAX);
    const struct sw_json *map = NULL;
    sw_autofree char *name = NULL;
    int found = get_text(http, "certConfigMap", &name, err);

    if (found <= 0)
        return found;
    if (cli_object_find(all, "ConfigMap", dv->ns, name, &map, err) < 0 ||
        cli_object_each(map, add_pem, &pem, err) < 0)
        return sw_err_wrap(err, "spec.source.http.certConfigMap");
    dv->ca_pem = strdup(sw_buf_str(&pem));
    return dv->ca_pem ? 0 : sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
}

static int read_http(struct cli_datavolume *dv, const struct sw_json *http,
                     const struct sw_yaml *all, struct sw_err *err)
{
    if (get_text(http, "url", &dv->url, err) < 0 ||
        get_text(http, "checksum", &dv->checksum, err) < 0 ||
        get_flag(http, "insecureSkipVerify", &dv->insecure, err) < 0)
        return sw_err_wrap(err, "spec.source.http");
    if (!dv->url)
        return sw_err_set(err, SW_ERR_USAGE, "spec.source.http.url is missing");
    if (strncmp(dv->url, "http://", 7) != 0 && strncmp(dv->url, "https://", 8) != 0)
        return sw_err_set(err, SW_ERR_USAGE,
                          "spec.source.http.url: the scheme must be http or https");
    if (read_credentials(dv, http, all, err) < 0 || read_certificates(dv, http, all, err) < 0 ||
        read_extra_headers(dv, http, err) < 0)
        return -1;
    return read_secret_headers(dv, http, all, err);
}

struct member_list {
    unsigned n;
    const char *first;
};

static int count_member(void *ctx, const char *key, const struct sw_json *value)
{
    struct member_list *list = ctx;

    if (value && list->n++ == 0)
        list->first = key;
    return 0;
}

/* Exactly one member of spec.source, and one that is done here. */
static int read_source(struct cli_datavolume *dv, const struct sw_yaml *all, struct sw_err *err)
{
    const struct sw_json *source = sw_json_find(dv->doc, "spec.source");
    struct member_list members = { 0 };

    if (sw_json_find(dv->doc, "spec.sourceRef"))
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "spec.sourceRef is not yet in local mode");
    sw_json_each(source, count_member, &members);
    if (members.n != 1)
        return sw_err_set(err, SW_ERR_USAGE, "spec.source must have exactly one member, not %u",
                          members.n);
    if (strcmp(members.first, "blank") == 0) {
        dv->source = CLI_DV_BLANK;
        return dv->is_archive ? sw_err_set(err, SW_ERR_USAGE,
                                           "spec.source.blank needs spec.contentType kubevirt")
                              : 0;
    }
    if (strcmp(members.first, "http") == 0)
        return read_http(dv, sw_json_member(source, "http"), all, err);
    return sw_err_set(err, SW_ERR_UNSUPPORTED,
                      "spec.source.%.32s is not yet in local mode; http and blank are",
                      members.first);
}

/* --- The claim ------------------------------------------------------------------------------- */

/* Quantities may be written as numbers too. */
static int read_quantity(const struct sw_json *value, uint64_t *ret, struct sw_err *err)
{
    sw_autofree char *text = NULL;
    struct sw_err ignored = { 0 };

    if (sw_json_get_u64(value, "", ret, &ignored) > 0)
        return 0;
    if (get_text(value, "", &text, err) < 0)
        return -1;
    return sw_parse_size(text ? text : "", ret, err);
}

static int check_claim(const struct sw_json *claim, struct sw_err *err)
{
    sw_autofree char *mode = NULL;

    if (get_text(claim, "volumeMode", &mode, err) < 0)
        return -1;
    if (mode && strcmp(mode, "Filesystem") != 0)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "volumeMode %.32s: local mode makes files; for a block device use "
                          "'slipway import'",
                          mode);
    if (sw_json_find(claim, "dataSource") || sw_json_find(claim, "dataSourceRef"))
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "dataSource is not yet in local mode");
    return 0;
}

/* spec.storage is the size the guest gets: rounded up to whole MiB. spec.pvc is the size of the
 * claim, and the disk has to fit: rounded down (contract storage 2, with an overhead of zero). */
static int read_claim(struct cli_datavolume *dv, struct sw_err *err)
{
    const struct sw_json *storage = sw_json_find(dv->doc, "spec.storage");
    const struct sw_json *pvc = sw_json_find(dv->doc, "spec.pvc");
    const struct sw_json *claim = storage ? storage : pvc;
    const char *what = storage ? "spec.storage" : "spec.pvc";
    const struct sw_json *request = sw_json_find(claim, "resources.requests.storage");
    uint64_t size;

    if (!storage == !pvc)
        return sw_err_set(err, SW_ERR_USAGE, "exactly one of spec.storage and spec.pvc is needed");
    if (check_claim(claim, err) < 0)
        return sw_err_wrap(err, "%s", what);
    if (!request)
        return sw_err_set(err, SW_ERR_USAGE, "%s.resources.requests.storage is missing", what);
    if (read_quantity(request, &size, err) < 0)
        return sw_err_wrap(err, "%s.resources.requests.storage", what);
    if (size < SW_MIB || size > INT64_MAX - SW_MIB)
        return sw_err_set(err, SW_ERR_USAGE,
                          "%s.resources.requests.storage: %llu bytes; at least 1Mi is needed", what,
                          (unsigned long long)size);
    dv->size = storage ? sw_align_up(size, SW_MIB) : sw_align_down(size, SW_MIB);
    return 0;
}

static int read_content(struct cli_datavolume *dv, struct sw_err *err)
{
    sw_autofree char *type = NULL;

    if (get_text(dv->doc, "spec.contentType", &type, err) < 0)
        return -1;
    dv->is_archive = type && strcmp(type, "archive") == 0;
    if (!type || dv->is_archive || strcmp(type, "kubevirt") == 0)
        return 0;
    return sw_err_set(err, SW_ERR_USAGE, "spec.contentType '%.32s' is neither kubevirt nor archive",
                      type);
}

static int read_all(struct cli_datavolume *dv, const struct sw_yaml *all, struct sw_err *err)
{
    sw_autofree char *version = NULL;

    if (get_text(dv->doc, "apiVersion", &version, err) < 0)
        return -1;
    if (!version || strcmp(version, API_VERSION) != 0)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "apiVersion '%.64s': %s is what we know",
                          version ? version : "", API_VERSION);
    if (read_content(dv, err) < 0 || read_annotations(dv, err) < 0 ||
        get_flag(dv->doc, "spec.preallocation", &dv->preallocation, err) < 0 ||
        read_claim(dv, err) < 0)
        return -1;
    if (dv->signature && !dv->keyring)
        return sw_err_set(err, SW_ERR_USAGE,
                          "annotation slipway.io/signature needs slipway.io/keyring");
    if (dv->is_archive && dv->expect_arch)
        return sw_err_set(
            err, SW_ERR_USAGE,
            "annotation slipway.io/expect-architecture needs spec.contentType kubevirt");
    return read_source(dv, all, err);
}

int cli_datavolume_read(const struct sw_json *doc, const struct sw_yaml *all,
                        struct cli_datavolume *ret, struct sw_err *err)
{
    *ret = (struct cli_datavolume){ .doc = doc };
    if (cli_datavolume_names(doc, &ret->ns, &ret->name, err) < 0)
        return -1;
    return read_all(ret, all, err);
}

void cli_datavolume_done(struct cli_datavolume *dv)
{
    for (unsigned i = 0; i < dv->n_headers; i++)
        cli_wipe(dv->headers[i]);
    cli_wipe(dv->password);
    free(dv->user);
    free(dv->ns);
    free(dv->name);
    free(dv->url);
    free(dv->checksum);
    free(dv->ca_pem);
    free(dv->expect_arch);
    free(dv->checksum_url);
    free(dv->signature);
    free(dv->keyring);
    free(dv->ca_file);
    *dv = (struct cli_datavolume){ 0 };
}
