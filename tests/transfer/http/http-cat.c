/* SPDX-License-Identifier: Apache-2.0 */
/* Read one source to its end, with the engine left out, and say what it was: the tests' view of
 * importer/source_http.c.
 *
 *   http-cat [options] URL
 *
 * Prints one JSON line: the source's properties, the sha256 of its bytes, and the error if there was
 * one. Exit code: that of the error's kind. */
#include <getopt.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/parse.h"
#include "importer/sources.h"

#define HEADERS_MAX 16

struct args {
    struct sw_http_options http;
    const char *headers[HEADERS_MAX];
    const char *url;
    size_t chunk;
    uint64_t limit;    /* stop after so many bytes                        */
    uint64_t repeat;   /* read the object so many times (benchmarks)      */
    int64_t cancel_ns; /* cancel after so long; 0: never                  */
    int64_t pause_ns;  /* a consumer that sleeps between reads            */
    _Atomic int64_t cancelled_at;
    bool no_digest, probe, slurp;
    struct sw_cancel cancel;
};

struct run {
    struct sw_source *source;
    const struct args *args;
    uint8_t *ring; /* the whole object, or one chunk per lane        */
    bool keep;
    pthread_mutex_t lock; /* guards next and err                            */
    uint64_t next;
    struct sw_err err;
};

struct lane {
    struct run *run;
    unsigned number;
    pthread_t thread;
};

static bool take_range(struct run *r, uint64_t *off, size_t *len)
{
    SW_LOCK_SCOPE(&r->lock);

    if (r->err.kind != SW_ERR_NONE || r->next >= r->source->size)
        return false;
    *off = r->next;
    *len = (size_t)sw_min_u64(r->args->chunk, r->source->size - *off);
    r->next += *len;
    return true;
}

static void *run_lane(void *ctx)
{
    struct lane *lane = ctx;
    struct run *r = lane->run;
    struct sw_err err = { 0 };
    uint64_t off;
    size_t len;

    while (take_range(r, &off, &len)) {
        uint8_t *to = r->ring + (r->keep ? off : lane->number * r->args->chunk);

        if (r->source->ops->read_at(r->source, lane->number, to, len, off, &err) < 0) {
            SW_LOCK_SCOPE(&r->lock);
            if (r->err.kind == SW_ERR_NONE)
                r->err = err;
        }
    }
    return NULL;
}

static int read_lanes(struct run *r, EVP_MD_CTX *md, struct sw_err *err)
{
    struct lane lanes[SW_LANES_MAX];
    unsigned n = r->source->lanes;

    r->keep = !r->args->no_digest;
    r->ring = malloc(r->keep ? (size_t)r->source->size + 1 : n * r->args->chunk);
    if (!r->ring)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    for (uint64_t i = 0; i < r->args->repeat; i++) {
        r->next = 0;
        for (unsigned k = 0; k < n; k++) {
            lanes[k] = (struct lane){ .run = r, .number = k };
            pthread_create(&lanes[k].thread, NULL, run_lane, &lanes[k]);
        }
        for (unsigned k = 0; k < n; k++)
            pthread_join(lanes[k].thread, NULL);
    }
    if (r->keep && r->err.kind == SW_ERR_NONE)
        EVP_DigestUpdate(md, r->ring, (size_t)r->source->size);
    free(r->ring);
    if (r->err.kind == SW_ERR_NONE)
        return 0;
    *err = r->err;
    return -1;
}

static int read_stream(struct run *r, EVP_MD_CTX *md, struct sw_err *err)
{
    sw_autofree uint8_t *buf = malloc(r->args->chunk);
    ssize_t n;

    while ((n = r->source->ops->read(r->source, buf, r->args->chunk, err)) > 0) {
        if (!r->args->no_digest)
            EVP_DigestUpdate(md, buf, (size_t)n);
        r->next += (uint64_t)n;
        if (r->args->limit && r->next > r->args->limit)
            return sw_err_set(err, SW_ERR_NO_SPACE, "more than %llu bytes",
                              (unsigned long long)r->args->limit);
        if (r->args->pause_ns && sw_cancel_sleep(NULL, r->args->pause_ns, err) < 0)
            return -1;
    }
    return n < 0 ? -1 : 0;
}

static void print_text(const char *key, const char *value)
{
    if (!value) {
        printf("\"%s\": null, ", key);
        return;
    }
    printf("\"%s\": \"", key);
    for (const char *p = value; *p; p++)
        printf(*p == '"' || *p == '\\' ? "\\%c" : (unsigned char)*p < 0x20 ? "?" : "%c", *p);
    printf("\", ");
}

static int report(const struct run *r, EVP_MD_CTX *md, const struct sw_err *err)
{
    const struct sw_source *s = r->source;
    struct rusage usage;
    uint8_t digest[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1];

    EVP_DigestFinal_ex(md, digest, NULL);
    sw_hex_encode(digest, 32, hex);
    getrusage(RUSAGE_SELF, &usage);
    printf("{");
    if (s) {
        printf("\"size\": %lld, ", s->size == SW_SIZE_UNKNOWN ? -1 : (long long)s->size);
        printf("\"seekable\": %s, \"lanes\": %u, ", s->seekable ? "true" : "false", s->lanes);
        printf("\"fetched\": %llu, ", (unsigned long long)s->fetched);
        print_text("url", s->url);
        print_text("name", s->name);
        print_text("validator", s->validator);
        print_text("sha256", hex);
    }
    print_text("error", err->kind ? err->msg : NULL);
    if (r->args->cancelled_at) /* until everything had stopped */
        printf("\"cancel_ms\": %lld, ",
               (long long)((sw_now_ns() - r->args->cancelled_at) / SW_NS_PER_MS));
    printf("\"kind\": \"%s\", \"cpu_ms\": %lld, \"rss_kib\": %ld}\n", sw_err_kind_name(err->kind),
           (long long)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
               (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000,
           usage.ru_maxrss);
    return sw_err_exit_code(err->kind);
}

static uint64_t number(const char *text)
{
    struct sw_err err = { 0 };
    uint64_t v = 0;

    if (sw_parse_size(text, &v, &err) < 0) {
        fprintf(stderr, "http-cat: %s\n", err.msg);
        exit(2);
    }
    return v;
}

enum option_id {
    O_LANES = 256,
    O_CHUNK,
    O_RETRIES,
    O_STALL,
    O_CACERT,
    O_CAPATH,
    O_CERT,
    O_KEY,
    O_INSECURE,
    O_USER,
    O_PASSWORD,
    O_HEADER,
    O_PROXY,
    O_LIMIT,
    O_CANCEL,
    O_PAUSE,
    O_NO_DIGEST,
    O_PROBE,
    O_SLURP,
    O_REPEAT
};

static const struct option long_options[] = {
    { "lanes", 1, NULL, O_LANES },
    { "chunk", 1, NULL, O_CHUNK },
    { "retries", 1, NULL, O_RETRIES },
    { "stall-ms", 1, NULL, O_STALL },
    { "cacert", 1, NULL, O_CACERT },
    { "capath", 1, NULL, O_CAPATH },
    { "cert", 1, NULL, O_CERT },
    { "key", 1, NULL, O_KEY },
    { "insecure", 0, NULL, O_INSECURE },
    { "user", 1, NULL, O_USER },
    { "password", 1, NULL, O_PASSWORD },
    { "header", 1, NULL, O_HEADER },
    { "proxy", 1, NULL, O_PROXY },
    { "limit", 1, NULL, O_LIMIT },
    { "cancel-ms", 1, NULL, O_CANCEL },
    { "pause-ms", 1, NULL, O_PAUSE },
    { "no-digest", 0, NULL, O_NO_DIGEST },
    { "probe", 0, NULL, O_PROBE },
    { "slurp", 0, NULL, O_SLURP },
    { "repeat", 1, NULL, O_REPEAT },
    { NULL, 0, NULL, 0 },
};

static void take_option(struct args *a, int id, const char *value)
{
    struct sw_http_options *h = &a->http;

    switch (id) {
    case O_LANES:
        h->connections = (unsigned)number(value);
        break;
    case O_CHUNK:
        a->chunk = (size_t)number(value);
        break;
    case O_RETRIES:
        h->retries = (unsigned)number(value);
        break;
    case O_STALL:
        h->stall_ns = (int64_t)number(value) * SW_NS_PER_MS;
        break;
    case O_CACERT:
        h->ca_file = value;
        break;
    case O_CAPATH:
        h->ca_dir = value;
        break;
    case O_CERT:
        h->cert_file = value;
        break;
    case O_KEY:
        h->key_file = value;
        break;
    case O_INSECURE:
        h->insecure = true;
        break;
    case O_USER:
        h->user = value;
        break;
    case O_PASSWORD:
        h->password = value;
        break;
    case O_HEADER:
        if (h->n_headers < HEADERS_MAX)
            a->headers[h->n_headers++] = value;
        break;
    case O_PROXY:
        h->proxy = value;
        break;
    case O_LIMIT:
        a->limit = number(value);
        break;
    case O_CANCEL:
        a->cancel_ns = (int64_t)number(value) * SW_NS_PER_MS;
        break;
    case O_PAUSE:
        a->pause_ns = (int64_t)number(value) * SW_NS_PER_MS;
        break;
    case O_NO_DIGEST:
        a->no_digest = true;
        break;
    case O_PROBE:
        a->probe = true;
        break;
    case O_SLURP:
        a->slurp = true;
        break;
    case O_REPEAT:
        a->repeat = number(value);
        break;
    default:
        exit(2);
    }
}

static void *cancel_later(void *ctx)
{
    struct args *a = ctx;
    struct sw_err err;

    if (sw_cancel_sleep(NULL, a->cancel_ns, &err) == 0) {
        a->cancelled_at = sw_now_ns();
        sw_cancel_set(&a->cancel);
    }
    return NULL;
}

static int run(struct args *a, struct run *r, EVP_MD_CTX *md, struct sw_err *err)
{
    if (a->slurp) {
        sw_autofree char *text = NULL;
        size_t n;

        if (sw_source_slurp(a->url, &a->http, a->chunk, &text, &n, err) < 0)
            return -1;
        printf("%s", text);
        return 0;
    }
    if (sw_source_open(a->url, &a->http, &r->source, err) < 0)
        return -1;
    if (a->probe)
        return 0;
    return r->source->seekable ? read_lanes(r, md, err) : read_stream(r, md, err);
}

int main(int argc, char **argv)
{
    struct args a = { .chunk = 1 << 20, .repeat = 1 };
    struct run r = { .args = &a, .lock = PTHREAD_MUTEX_INITIALIZER };
    struct sw_err err = { 0 };
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    pthread_t canceller;
    int id;

    while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        take_option(&a, id, optarg);
    if (optind + 1 != argc || !a.chunk || sw_cancel_init(&a.cancel, &err) < 0)
        return 2;
    a.url = argv[optind];
    a.http.headers = a.headers;
    a.http.cancel = &a.cancel;
    EVP_DigestInit_ex(md, EVP_sha256(), NULL);
    if (a.cancel_ns && pthread_create(&canceller, NULL, cancel_later, &a) == 0)
        pthread_detach(canceller);
    (void)!run(&a, &r, md, &err);
    if (err.kind != SW_ERR_NONE || !a.slurp)
        report(&r, md, &err);
    sw_source_close(r.source);
    EVP_MD_CTX_free(md);
    return sw_err_exit_code(err.kind);
}
