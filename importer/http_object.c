/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/http_object.h"

#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/bytes.h"

#define HOPS_MAX 10
#define CONNECT_RETRIES                                                                            \
    3 /* of a server that has never answered: most likely a wrong name or port */
#define SHORT_BODY (16u << 10)

/* ---- set-up ---- */

static int load_roots(struct sw_http_object *o, struct sw_err *err)
{
    const struct sw_http_options *opt = o->options;

    if (!opt->ca_file && !opt->ca_dir && !opt->proxy_ca_dir)
        return 0;
    if (sw_tls_roots_open(&o->roots, err) < 0)
        return -1;
    if (opt->ca_file && sw_tls_roots_add_file(o->roots, opt->ca_file, err) < 0)
        return -1;
    if (opt->ca_dir && sw_tls_roots_add_dir(o->roots, opt->ca_dir, err) < 0)
        return -1;
    return opt->proxy_ca_dir ? sw_tls_roots_add_dir(o->roots, opt->proxy_ca_dir, err) : 0;
}

/* Credentials in the URL count when no others are given. */
static int load_secrets(struct sw_http_object *o, struct sw_err *err)
{
    const struct sw_http_options *opt = o->options;
    struct sw_http_secrets *s = &o->secrets;

    for (size_t i = 0; i < opt->n_headers; i++) {
        if (sw_http_header_check(opt->headers[i], err) < 0)
            return -1;
    }
    *s = (struct sw_http_secrets){ .headers = opt->headers,
                                   .n_headers = opt->n_headers,
                                   .cert_file = opt->cert_file,
                                   .key_file = opt->key_file };
    if (opt->user && *opt->user) {
        s->user = opt->user;
        s->password = opt->password ? opt->password : "";
    } else if (o->original.user) {
        s->user = o->original.user;
        s->password = o->original.password ? o->original.password : "";
    }
    o->has_secrets = s->user || s->n_headers > 0 || s->cert_file;
    return 0;
}

int sw_http_object_init(struct sw_http_object *o, const char *url,
                        const struct sw_http_options *options, struct sw_err *err)
{
    *o = (struct sw_http_object){ .options = options, .size = SW_SIZE_UNKNOWN };
    pthread_mutex_init(&o->lock, NULL);
    if (sw_url_parse(url, &o->original, err) < 0 || load_secrets(o, err) < 0 ||
        load_roots(o, err) < 0) {
        sw_http_object_done(o);
        return -1;
    }
    o->config = (struct sw_http_config){
        .roots = o->roots,
        .proxy = options->proxy,
        .user_agent = options->user_agent,
        .insecure = options->insecure,
        .stall_ns = options->stall_ns,
        .cancel = options->cancel,
    };
    sw_proxy_env_load(&o->config.proxy_env);
    return 0;
}

void sw_http_object_done(struct sw_http_object *o)
{
    sw_url_done(&o->original);
    sw_url_done(&o->pinned);
    sw_tls_roots_close(o->roots);
    o->roots = NULL;
    free(o->name);
    o->name = NULL;
    pthread_mutex_destroy(&o->lock);
}

/* ---- seats ---- */

int sw_http_object_sit(struct sw_http_object *o, struct sw_http_seat *seat, struct sw_err *err)
{
    if (!seat->client && sw_http_client_open(&o->config, &seat->client, err) < 0)
        return -1;

    SW_LOCK_SCOPE(&o->lock);
    if (seat->generation == o->generation)
        return 0;
    sw_url_done(&seat->url);
    seat->generation = o->generation;
    return sw_url_copy(&o->pinned, &seat->url, err);
}

void sw_http_seat_done(struct sw_http_seat *seat)
{
    sw_http_client_close(seat->client);
    seat->client = NULL;
    sw_url_done(&seat->url);
}

static const struct sw_http_secrets *secrets_for(const struct sw_http_object *o,
                                                 const struct sw_url *url)
{
    return sw_url_same_origin(&o->original, url) ? &o->secrets : NULL;
}

void sw_http_object_address(const struct sw_http_object *o, const struct sw_http_seat *seat,
                            struct sw_http_request *req)
{
    req->url = &seat->url;
    req->secrets = secrets_for(o, &seat->url);
}

/* ---- finding the object ---- */

struct probe {
    struct sw_url url;
    struct sw_http_head head; /* of the last answer */
};

static enum sw_http_verdict on_probe_head(void *ctx, const struct sw_http_head *head,
                                          struct sw_err *err)
{
    struct probe *p = ctx;

    p->head = *head;
    return head->status == 200 && head->length > SHORT_BODY ? SW_HTTP_STOP : SW_HTTP_SKIP;
}

static bool is_redirect(const struct sw_http_head *head)
{
    unsigned s = head->status;

    return (s == 301 || s == 302 || s == 303 || s == 307 || s == 308) && *head->location;
}

static int follow(const struct sw_http_object *o, struct probe *p, struct sw_err *err)
{
    sw_autourl struct sw_url next = { 0 };

    if (sw_url_resolve(&p->url, p->head.location, &next, err) < 0)
        return sw_err_wrap(err, "%s:%u answered %u", p->url.host, p->url.port, p->head.status);
    if (o->has_secrets && p->url.is_https && !next.is_https)
        return sw_err_set(
            err, SW_ERR_DENIED,
            "%s:%u redirects from https to plain http on %s, refused because credentials"
            " or extra headers are in use",
            p->url.host, p->url.port, next.host);
    sw_url_done(&p->url);
    p->url = next;
    next = (struct sw_url){ 0 };
    return 0;
}

/* From the original URL to the first answer that is not a redirect. */
static int walk(const struct sw_http_object *o, struct sw_http_client *client, struct probe *p,
                struct sw_err *err)
{
    sw_url_done(&p->url);
    if (sw_url_copy(&o->original, &p->url, err) < 0)
        return -1;
    for (unsigned hop = 0; hop <= HOPS_MAX; hop++) {
        const struct sw_http_request req = { .url = &p->url,
                                             .secrets = secrets_for(o, &p->url),
                                             .first = 0,
                                             .last = 0,
                                             .ctx = p,
                                             .on_head = on_probe_head };

        p->head = (struct sw_http_head){ 0 };
        if (sw_http_perform(client, &req, err) < 0)
            return -1;
        if (!is_redirect(&p->head))
            return 0;
        if (hop < HOPS_MAX && follow(o, p, err) < 0)
            return -1;
    }
    return sw_err_set(err, SW_ERR_BAD_DATA, "%s:%u: more than %d redirects", p->url.host,
                      p->url.port, HOPS_MAX);
}

/* Stored compressed and labelled so: "disk.raw.gz" with "Content-Encoding: gzip" from servers that
 * map suffixes to encodings. These bytes are the object; any other encoding is not what we asked. */
static int check_encoding(const struct sw_http_object *o, const struct sw_http_head *head,
                          struct sw_err *err)
{
    static const struct {
        const char *encoding, *suffix;
    } stored[] = { { "gzip", ".gz" },    { "x-gzip", ".gz" }, { "gzip", ".tgz" },
                   { "x-gzip", ".tgz" }, { "xz", ".xz" },     { "x-xz", ".xz" },
                   { "zstd", ".zst" },   { "bzip2", ".bz2" }, { "x-bzip2", ".bz2" } };
    size_t n = o->name ? strlen(o->name) : 0;

    if (!*head->encoding || strcmp(head->encoding, "identity") == 0)
        return 0;
    for (size_t i = 0; i < SW_COUNT(stored); i++) {
        size_t s = strlen(stored[i].suffix);

        if (strcmp(head->encoding, stored[i].encoding) == 0 && n > s &&
            strcasecmp(o->name + n - s, stored[i].suffix) == 0)
            return 0;
    }
    return sw_err_set(
        err, SW_ERR_UNSUPPORTED,
        "the server sends the object with Content-Encoding '%s', which was not asked for",
        head->encoding);
}

/* What the answer to `bytes=0-0` says about an object. */
struct finding {
    uint64_t size;
    bool ranges, resumable;
};

static struct finding judge(const struct sw_http_head *h)
{
    struct finding f = { .size = SW_SIZE_UNKNOWN };

    if (h->status == 200 && !h->chunked) {
        f.size = h->length;
    } else if (h->status == 206 && h->range == SW_HTTP_RANGE_OK && h->first == 0 && h->last == 0) {
        f.size = h->total;
        f.resumable = true;
        f.ranges = h->total != SW_HTTP_UNKNOWN;
    } else if (h->status == 416 && h->range == SW_HTTP_RANGE_UNSAT && h->total == 0) {
        f.size = 0; /* no byte can be asked of an empty object */
        f.ranges = f.resumable = true;
    }
    return f;
}

/* One walk that ends in an answer we can use; the rest is an error. */
static int find(const struct sw_http_object *o, struct sw_http_client *client, struct probe *p,
                struct sw_err *err)
{
    if (walk(o, client, p, err) < 0)
        return -1;
    if (p->head.status == 200 || p->head.status == 206 || p->head.status == 416)
        return check_encoding(o, &p->head, err);
    sw_http_status_err(&p->head, &p->url, err);
    if (err->kind == SW_ERR_DENIED && o->has_secrets && !sw_url_same_origin(&o->original, &p->url))
        return sw_err_wrap(err, "credentials are not sent on after a redirect to another host");
    return -1;
}

static int take_name(struct sw_http_object *o, const struct sw_url *url, struct sw_err *err)
{
    free(o->name);
    o->name = sw_url_last_segment(url->path);
    return o->name ? 0 : sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
}

static void pin(struct sw_http_object *o, struct probe *p)
{
    SW_LOCK_SCOPE(&o->lock);
    sw_url_done(&o->pinned);
    o->pinned = p->url;
    p->url = (struct sw_url){ 0 };
    o->generation++;
}

static int find_with_retries(struct sw_http_object *o, struct sw_http_client *client,
                             struct probe *p, struct sw_err *err)
{
    unsigned retries = o->options->retries ? o->options->retries : SW_HTTP_RETRIES;
    struct sw_http_retry retry = { .cancel = o->options->cancel };
    bool answered = false;
    struct sw_err attempt = { 0 }; /* err stays untouched unless this is the end */

    while (find(o, client, p, &attempt) < 0) {
        answered |= sw_http_was_answered(client);
        retry.max = answered || retries < CONNECT_RETRIES ? retries : CONNECT_RETRIES;
        if (sw_http_retry_wait(&retry, p->head.retry_after_sec, &attempt) < 0) {
            *err = attempt;
            return -1;
        }
    }
    return 0;
}

int sw_http_object_resolve(struct sw_http_object *o, struct sw_http_seat *seat, struct sw_err *err)
{
    struct probe p = { 0 };

    if (take_name(o, &o->original, err) < 0 || sw_http_object_sit(o, seat, err) < 0)
        return -1;
    if (find_with_retries(o, seat->client, &p, err) < 0) {
        sw_url_done(&p.url);
        return -1;
    }
    struct finding f = judge(&p.head);
    o->size = f.size;
    o->ranges = f.ranges;
    o->resumable = f.resumable;
    if (sw_http_etag_is_strong(p.head.etag))
        memcpy(o->etag, p.head.etag, sizeof(o->etag));
    memcpy(o->modified, p.head.modified, sizeof(o->modified));
    int rc = *o->name ? 0 : take_name(o, &p.url, err);
    pin(o, &p);
    return rc < 0 ? -1 : sw_http_object_sit(o, seat, err);
}

/* ---- staying the same ---- */

bool sw_http_object_is_stale(const struct sw_http_object *o, const struct sw_http_seat *seat,
                             unsigned status)
{
    if (status >= 300 && status < 400)
        return true;
    return seat->url.text && strcmp(seat->url.text, o->original.text) != 0 &&
           (status == 401 || status == 403 || status == 404 || status == 410);
}

bool sw_http_object_has_identity(const struct sw_http_object *o)
{
    return *o->etag || (*o->modified && o->size != SW_SIZE_UNKNOWN);
}

static int changed(struct sw_err *err, const char *what, const char *then, const char *now)
{
    return sw_err_set(
        err, SW_ERR_BAD_DATA,
        "the object changed while it was read: its %s was %s and is %s now; start again", what,
        then, *now ? now : "missing");
}

/* A 206 to a conditional range may leave Last-Modified out (RFC 9110, 15.3.7): when there is a strong
 * ETag, that one decides. */
static int check_validators(const struct sw_http_object *o, const struct sw_http_head *head,
                            struct sw_err *err)
{
    if (*o->etag && strcmp(o->etag, head->etag) != 0)
        return changed(err, "ETag", o->etag, head->etag);
    if (*o->modified && (*head->modified || !*o->etag) && strcmp(o->modified, head->modified) != 0)
        return changed(err, "Last-Modified", o->modified, head->modified);
    return 0;
}

int sw_http_object_check(const struct sw_http_object *o, const struct sw_http_head *head,
                         struct sw_err *err)
{
    uint64_t size = head->status == 206 ? head->total
                    : head->chunked     ? SW_HTTP_UNKNOWN
                                        : head->length;

    if (check_encoding(o, head, err) < 0 || check_validators(o, head, err) < 0)
        return -1;
    if (o->size != SW_SIZE_UNKNOWN && size != SW_HTTP_UNKNOWN && o->size != size)
        return sw_err_set(
            err, SW_ERR_BAD_DATA,
            "the object changed while it was read: it had %llu bytes and has %llu now;"
            " start again",
            (unsigned long long)o->size, (unsigned long long)size);
    return 0;
}

int sw_http_object_renew(struct sw_http_object *o, struct sw_http_seat *seat, struct sw_err *err)
{
    struct probe p = { 0 };
    unsigned used = seat->generation;

    if (sw_http_object_sit(o, seat, err) < 0)
        return -1;
    if (seat->generation != used) /* another lane was here first */
        return 0;
    if (find(o, seat->client, &p, err) < 0 || sw_http_object_check(o, &p.head, err) < 0) {
        sw_url_done(&p.url);
        return -1;
    }
    pin(o, &p);
    return sw_http_object_sit(o, seat, err);
}

int sw_http_object_validator(const struct sw_http_object *o, char **ret, struct sw_err *err)
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(2 * SW_HTTP_VALUE_MAX);

    if (*o->etag)
        sw_buf_printf(&text, "etag:%s", o->etag);
    else if (sw_http_object_has_identity(o))
        sw_buf_printf(&text, "modified:%s;length:%llu", o->modified, (unsigned long long)o->size);
    if (sw_buf_check(&text, "validator", err) < 0)
        return -1;
    *ret = sw_steal(text.p);
    return 0;
}
