/* SPDX-License-Identifier: Apache-2.0 */
/* DESIGN: three states, one request at a time.
 *
 *            page, more to come
 *              +------+
 *              v      |
 *   begin --> LIST ---+--- complete --> WATCH --- ended as it should ---> WATCH
 *              ^  |                     |   |
 *              |  +-- failed --+  410 --+   +-- failed --+
 *              |               v  (LIST)                 v
 *              +------------- WAIT <---------------------+     and then what failed once more
 *
 * A request's callbacks only note what came; on_end() decides, alone, what is next. */
#include "kube/watch.h"

#include <assert.h>
#include <string.h>

#include "common/json_split.h"
#include "common/json_tree.h"
#include "common/parse.h"
#include "kube/client_int.h"

#define PAGE_DEFAULT 500
#define EVENT_DEFAULT ((size_t)3 << 20)
#define TIMEOUT_MIN_S 300
#define TIMEOUT_MAX_S 600
#define BACKOFF_FIRST (100 * SW_NS_PER_MS)
#define BACKOFF_MAX (30 * SW_NS_PER_SEC)
/* A page of a list, and the time until a watch's head comes. The server's own limit for lists is one
 * minute. */
#define LIST_NS (70 * SW_NS_PER_SEC)
#define HEAD_NS (30 * SW_NS_PER_SEC)
/* The server ends a watch within seconds of its timeout; if it does not, somebody between us is dead. */
#define OVERTIME_NS (30 * SW_NS_PER_SEC)
/* A watch that ends sooner than this and brought nothing is a failure, or we would spin. */
#define SHORT_NS SW_NS_PER_SEC
#define REFUSAL_MAX ((size_t)64 << 10)
#define TOKEN_MAX ((size_t)16 << 10)

enum watch_state { LIST, WATCH };

struct sw_kube_watch {
    struct sw_kube_client *client;
    struct sw_kube_watch_config config;
    char *selectors; /* query, with both; may be "" */
    enum watch_state state;
    struct sw_http_async *http; /* NULL: waiting */
    struct sw_loop_timer timer; /* WAIT          */
    unsigned failures;          /* in a row      */
    unsigned expiries;          /* 410s in a row */
    bool is_busy;               /* in a callback of somebody else's */

    char *page_token; /* LIST: of the next page; NULL: the first          */
    uint64_t version; /* WATCH: how far it has come                       */
    bool had_list;

    /* of the present request */
    struct sw_json_split split;
    unsigned status;
    struct sw_buf refusal; /* the body of a status other than 200 */
    bool is_expired;       /* an ERROR event said 410              */
    bool had_event;
};

static void begin(void *ctx);

/* --- What comes in -------------------------------------------------------------------------------- */

static int on_item(void *ctx, const struct sw_json *object, struct sw_err *err)
{
    struct sw_kube_watch *w = ctx;

    return sw_kube_cache_put(w->config.cache, object, err);
}

static int version_of(const struct sw_json *object, uint64_t *ret, struct sw_err *err)
{
    const char *text = sw_json_text(object, "metadata.resourceVersion");

    if (!text || sw_parse_u64(text, 0, UINT64_MAX, ret, err) < 0)
        return sw_err_set(err, SW_ERR_BAD_DATA, "metadata.resourceVersion is missing or no number");
    return 0;
}

/* An ERROR event carries a Status. */
static int on_error_event(struct sw_kube_watch *w, const struct sw_json *object, struct sw_err *err)
{
    struct sw_kube_status status;

    sw_kube_status_from(object, 500, &status);
    w->is_expired = status.code == 410;
    return sw_kube_status_err(&status, err);
}

static int apply(struct sw_kube_watch *w, const char *type, const struct sw_json *object,
                 struct sw_err *err)
{
    if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
        return sw_kube_cache_put(w->config.cache, object, err);
    if (strcmp(type, "DELETED") == 0)
        return sw_kube_cache_remove(w->config.cache, object, err);
    if (strcmp(type, "ERROR") == 0)
        return on_error_event(w, object, err);
    if (strcmp(type, "BOOKMARK") != 0)
        return sw_err_set(err, SW_ERR_BAD_DATA, "an event of type '%.32s'", type);
    sw_kube_client_counters(w->client)->bookmarks++;
    return 0;
}

static int on_event(void *ctx, const struct sw_json *event, struct sw_err *err)
{
    struct sw_kube_watch *w = ctx;
    const struct sw_json *object = sw_json_member(event, "object");
    const char *type = sw_json_member_text(event, "type");
    uint64_t version;

    if (!type)
        return sw_err_set(err, SW_ERR_BAD_DATA, "an event without type");
    if (apply(w, type, object, err) < 0 || version_of(object, &version, err) < 0)
        return -1;
    w->version = version;
    w->had_event = true;
    w->failures = w->expiries = 0;
    sw_kube_client_counters(w->client)->watch_events++;
    sw_kube_cache_seen(w->config.cache, version);
    return 0;
}

static void on_head(void *ctx, unsigned status)
{
    ((struct sw_kube_watch *)ctx)->status = status;
}

static int on_body(void *ctx, const char *bytes, size_t n, struct sw_err *err)
{
    struct sw_kube_watch *w = ctx;

    if (w->status != 200) {
        sw_buf_append(&w->refusal, bytes, n); /* as much as fits is enough for a message */
        return 0;
    }
    w->is_busy = true;
    int done = sw_json_split_push(&w->split, bytes, n, w->state == LIST ? on_item : on_event, w,
                                  err);
    w->is_busy = false;
    return done;
}

/* --- What is next --------------------------------------------------------------------------------- */

static void wait_and_begin(struct sw_kube_watch *w, int64_t at_least_ns)
{
    struct sw_loop *loop = sw_kube_client_loop(w->client);
    int64_t wait = sw_kube_backoff(sw_kube_client_dice(w->client), w->config.backoff_first_ns,
                                   w->config.backoff_max_ns, w->failures);

    wait = wait > at_least_ns ? wait : at_least_ns;
    sw_loop_timer_set(loop, &w->timer, sw_now_ns() + wait);
}

static void list_anew(struct sw_kube_watch *w)
{
    w->state = LIST;
    free(sw_steal(w->page_token));
}

static void on_failed(struct sw_kube_watch *w, struct sw_err *err, int64_t at_least_ns)
{
    sw_err_wrap(err, "%s %s", w->state == LIST ? "list" : "watch", w->config.resource->plural);
    sw_kube_client_counters(w->client)->watch_failures++;
    w->failures++;
    /* What cannot be understood would come again from the same version: look at the whole instead. A
     * list whose connection broke goes on with the page that is missing. */
    if (err->kind == SW_ERR_BAD_DATA)
        list_anew(w);
    wait_and_begin(w, at_least_ns);
    w->is_busy = true;
    if (w->config.on_failure)
        w->config.on_failure(w->config.ctx, w->config.resource, err);
    w->is_busy = false;
}

/* Once is what happens; a list of the present that is too old at once is a server that needs time. */
static void on_expired(struct sw_kube_watch *w)
{
    struct sw_err err;

    sw_kube_client_counters(w->client)->expired++;
    list_anew(w);
    if (w->expiries++ == 0) {
        begin(w);
        return;
    }
    sw_err_set(&err, SW_ERR_TRANSIENT, "410 Expired again");
    on_failed(w, &err, 0);
}

static void on_refused(struct sw_kube_watch *w, const struct sw_http_async_end *end)
{
    struct sw_kube_status status;
    struct sw_err err = { 0 };
    uint64_t wait_s;

    sw_kube_status_parse(sw_buf_str(&w->refusal), w->refusal.n, end->status, &status);
    if (end->status == 410) {
        on_expired(w);
        return;
    }
    wait_s = status.retry_after_s ? status.retry_after_s : end->retry_after_s;
    sw_kube_status_err(&status, &err);
    on_failed(w, &err, (int64_t)(wait_s < 3600 ? wait_s : 3600) * SW_NS_PER_SEC);
}

static void on_list_complete(struct sw_kube_watch *w, uint64_t version)
{
    struct sw_kube_stats *stats = sw_kube_client_counters(w->client);
    bool is_first = !w->had_list, is_taken;

    free(sw_steal(w->page_token));
    w->is_busy = true;
    is_taken = sw_kube_cache_list_end(w->config.cache, version);
    w->is_busy = false;
    if (!is_taken) {
        begin(w);
        return;
    }
    w->had_list = true;
    w->failures = 0;
    w->version = version;
    w->state = WATCH;
    stats->lists++;
    stats->relists += !is_first;
    begin(w);
    w->is_busy = true;
    if (is_first && w->config.on_synced)
        w->config.on_synced(w->config.ctx);
    w->is_busy = false;
}

/* The rest of a page's object: which version it is of, and where the next page begins. */
static int read_page(struct sw_kube_watch *w, uint64_t *ret_version, struct sw_err *err)
{
    sw_auto_json struct sw_json *rest = NULL;
    enum sw_json_type items;

    if (sw_json_split_end(&w->split, &rest, err) < 0 || version_of(rest, ret_version, err) < 0)
        return -1;
    items = sw_json_type(sw_json_member(rest, "items"));
    if (items != SW_JSON_ARRAY && items != SW_JSON_NULL)
        return sw_err_set(err, SW_ERR_BAD_DATA, "a list whose items are none");
    free(sw_steal(w->page_token));
    if (sw_json_get_str(rest, "metadata.continue", TOKEN_MAX, &w->page_token, err) < 0)
        return -1;
    if (w->page_token && !*w->page_token)
        free(sw_steal(w->page_token));
    return 0;
}

static void on_page(struct sw_kube_watch *w)
{
    struct sw_err err = { 0 };
    uint64_t version;

    if (read_page(w, &version, &err) < 0)
        on_failed(w, &err, 0);
    else if (w->page_token)
        begin(w);
    else
        on_list_complete(w, version);
}

static void on_stream_over(struct sw_kube_watch *w, int64_t took_ns)
{
    struct sw_err err = { 0 };

    if (sw_json_split_end(&w->split, NULL, &err) < 0) {
        on_failed(w, &err, 0);
    } else if (took_ns < SHORT_NS && !w->had_event) {
        sw_err_set(&err, SW_ERR_TRANSIENT, "ended at once");
        on_failed(w, &err, 0);
    } else {
        w->failures = w->expiries = 0;
        begin(w);
    }
}

static void on_end(void *ctx, const struct sw_http_async_end *end)
{
    struct sw_kube_watch *w = ctx;
    struct sw_err err = { 0 };

    w->http = NULL;
    sw_kube_client_stream_ended(w->client, end);
    if (w->is_expired) {
        on_expired(w);
    } else if (end->err) {
        err = *end->err;
        on_failed(w, &err, 0);
    } else if (end->status != 200) {
        on_refused(w, end);
    } else if (w->state == LIST) {
        on_page(w);
    } else {
        on_stream_over(w, end->took_ns);
    }
}

/* --- Requests ------------------------------------------------------------------------------------- */

static void put_list_query(const struct sw_kube_watch *w, struct sw_buf *path)
{
    sw_autobuf struct sw_buf limit = SW_BUF_INIT(32);

    sw_buf_printf(&limit, "%u", w->config.page);
    sw_kube_query(path, "limit", sw_buf_str(&limit));
    sw_kube_query(path, "continue", w->page_token);
}

static void put_watch_query(const struct sw_kube_watch *w, unsigned timeout_s, struct sw_buf *path)
{
    sw_autobuf struct sw_buf number = SW_BUF_INIT(32);

    sw_kube_query(path, "watch", "true");
    sw_kube_query(path, "allowWatchBookmarks", "true");
    sw_buf_printf(&number, "%llu", (unsigned long long)w->version);
    sw_kube_query(path, "resourceVersion", sw_buf_str(&number));
    sw_buf_reset(&number);
    sw_buf_printf(&number, "%u", timeout_s);
    sw_kube_query(path, "timeoutSeconds", sw_buf_str(&number));
}

static int start_request(struct sw_kube_watch *w, struct sw_err *err)
{
    const struct sw_kube_where where = { .resource = w->config.resource, .ns = w->config.ns };
    struct sw_http_async_request q = {
        .answer_ns = HEAD_NS, .ctx = w, .on_head = on_head, .on_body = on_body, .on_end = on_end
    };
    unsigned timeout_s = (unsigned)sw_kube_dice_roll(
        sw_kube_client_dice(w->client), w->config.timeout_min_s, w->config.timeout_max_s);
    sw_autobuf struct sw_buf path = SW_BUF_INIT(64 << 10);

    if (sw_kube_path(&path, &where, err) < 0)
        return -1;
    sw_buf_puts(&path, w->selectors);
    if (w->state == LIST)
        put_list_query(w, &path);
    else
        put_watch_query(w, timeout_s, &path);
    q.deadline_ns = w->state == LIST ? LIST_NS : timeout_s * SW_NS_PER_SEC + OVERTIME_NS;
    if (sw_buf_check(&path, "the query", err) < 0)
        return -1;
    return sw_kube_client_stream(w->client, sw_buf_str(&path), &q, &w->http, err);
}

static void begin(void *ctx)
{
    struct sw_kube_watch *w = ctx;
    struct sw_err err = { 0 };

    sw_json_split_done(&w->split);
    sw_json_split_init(&w->split, w->state == LIST ? "items" : NULL, w->config.max_event);
    sw_buf_reset(&w->refusal);
    w->status = 0;
    w->is_expired = w->had_event = false;
    if (w->state == LIST && !w->page_token)
        sw_kube_cache_list_begin(w->config.cache);
    if (w->state == WATCH)
        sw_kube_client_counters(w->client)->watches++;
    if (start_request(w, &err) < 0)
        on_failed(w, &err, 0);
}

/* --- Life ----------------------------------------------------------------------------------------- */

static void set_defaults(struct sw_kube_watch_config *c)
{
    c->page = c->page ? c->page : PAGE_DEFAULT;
    c->max_event = c->max_event ? c->max_event : EVENT_DEFAULT;
    c->timeout_min_s = c->timeout_min_s ? c->timeout_min_s : TIMEOUT_MIN_S;
    c->timeout_max_s = c->timeout_max_s ? c->timeout_max_s : TIMEOUT_MAX_S;
    c->backoff_first_ns = c->backoff_first_ns ? c->backoff_first_ns : BACKOFF_FIRST;
    c->backoff_max_ns = c->backoff_max_ns ? c->backoff_max_ns : BACKOFF_MAX;
    assert(c->timeout_min_s <= c->timeout_max_s);
}

static int make_selectors(struct sw_kube_watch *w, struct sw_err *err)
{
    sw_autobuf struct sw_buf query = SW_BUF_INIT(16 << 10);

    sw_buf_puts(&query, "");
    sw_kube_query(&query, "labelSelector", w->config.label_selector);
    sw_kube_query(&query, "fieldSelector", w->config.field_selector);
    if (sw_buf_check(&query, "the selectors", err) < 0)
        return sw_err_set(err, SW_ERR_USAGE, "selectors that are too long");
    w->selectors = strdup(sw_buf_str(&query));
    return w->selectors ? 0 : sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a watch");
}

static void cleanup_watch(struct sw_kube_watch **w)
{
    sw_kube_watch_close(*w);
}

int sw_kube_watch_open(struct sw_kube_client *client, const struct sw_kube_watch_config *config,
                       struct sw_kube_watch **ret, struct sw_err *err)
{
    __attribute__((cleanup(cleanup_watch))) struct sw_kube_watch *w = calloc(1, sizeof(*w));
    const struct sw_kube_where where = { .resource = config->resource, .ns = config->ns };
    sw_autobuf struct sw_buf path = SW_BUF_INIT(64 << 10);

    if (!w)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a watch");
    w->client = client;
    w->config = *config;
    set_defaults(&w->config);
    sw_buf_init(&w->refusal, REFUSAL_MAX);
    w->timer.fn = begin;
    w->timer.ctx = w;
    if (make_selectors(w, err) < 0 || sw_kube_path(&path, &where, err) < 0)
        return -1;
    w->config.label_selector = w->config.field_selector = NULL; /* were copied */
    sw_loop_timer_set(sw_kube_client_loop(client), &w->timer, 0);
    *ret = sw_steal(w);
    return 0;
}

void sw_kube_watch_close(struct sw_kube_watch *w)
{
    if (!w)
        return;
    assert(!w->is_busy);
    sw_http_async_cancel(w->http);
    sw_loop_timer_stop(sw_kube_client_loop(w->client), &w->timer);
    sw_json_split_done(&w->split);
    sw_buf_done(&w->refusal);
    free(w->page_token);
    free(w->selectors);
    free(w);
}

bool sw_kube_watch_is_synced(const struct sw_kube_watch *w)
{
    return w->had_list;
}
