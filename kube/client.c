/* SPDX-License-Identifier: Apache-2.0 */
/* DESIGN: a call is queued, running or waiting (for its next attempt). Only the loop's callbacks move it
 * from one to the other: whatever the caller does, on_done never runs inside of it. */
#include "kube/client.h"

#include <assert.h>
#include <string.h>
#include <sys/queue.h>

#include "kube/client_int.h"

#define IN_FLIGHT_DEFAULT 64
/* Over HTTP/1.1 each is a connection; before the first answer nobody knows what the server speaks. */
#define IN_FLIGHT_HTTP1 8
#define ANSWER_DEFAULT ((size_t)32 << 20)
#define DEADLINE_DEFAULT (30 * SW_NS_PER_SEC)
#define RETRY_FIRST (100 * SW_NS_PER_MS)
#define RETRY_MAX (5 * SW_NS_PER_SEC)
/* Even with time left: a server that fails seven times in a row (10 s) does so for a reason that the
 * caller should hear. */
#define ATTEMPTS_MAX 7
/* Files that rotate are looked at this often; a kubelet rotates a token a fifth of its life (10 min at
 * least) before it ends. */
#define REFRESH_EVERY (10 * SW_NS_PER_SEC)

enum call_state {
    QUEUED,
    RUNNING,
    WAITING, /* for its next attempt */
};

struct sw_kube_call {
    TAILQ_ENTRY(sw_kube_call) link;
    struct sw_kube_client *client;
    enum call_state state;
    enum sw_kube_verb verb;
    struct sw_kube_wire wire;
    struct sw_http_async *http; /* RUNNING */
    struct sw_loop_timer timer; /* WAITING: the next attempt; QUEUED: the deadline */
    struct sw_buf answer;
    int64_t started_ns, deadline_ns;
    unsigned attempts;
    bool has_uid;       /* as a precondition */
    bool has_new_token; /* a 401 had its second chance */
    void *ctx;
    void (*on_done)(void *ctx, const struct sw_kube_answer *answer);
};

TAILQ_HEAD(call_list, sw_kube_call);

struct sw_kube_client {
    struct sw_loop *loop;
    struct sw_kube_config *config;
    struct sw_http_pool *pool;
    struct sw_kube_client_options options;
    struct call_list queued, busy; /* busy: RUNNING or WAITING */
    struct sw_loop_call pump;
    bool is_http2;
    int64_t refreshed_ns;
    struct sw_kube_dice dice;
    struct sw_kube_stats stats;
};

const int64_t sw_kube_latency_bounds_ns[SW_KUBE_LATENCY_BUCKETS - 1] = {
    1 * SW_NS_PER_MS,   2 * SW_NS_PER_MS,  5 * SW_NS_PER_MS,   10 * SW_NS_PER_MS,
    20 * SW_NS_PER_MS,  50 * SW_NS_PER_MS, 100 * SW_NS_PER_MS, 200 * SW_NS_PER_MS,
    500 * SW_NS_PER_MS, 1 * SW_NS_PER_SEC, 2 * SW_NS_PER_SEC,  5 * SW_NS_PER_SEC,
    10 * SW_NS_PER_SEC,
};

static void pump(void *ctx);

/* --- Requests of any kind ------------------------------------------------------------------------- */

/* A file that cannot be read now (it is being replaced) leaves what was read before in force. */
static void refresh(struct sw_kube_client *c, bool force)
{
    struct sw_err ignored;
    int64_t now = sw_loop_now(c->loop);

    if (!force && now - c->refreshed_ns < REFRESH_EVERY)
        return;
    c->refreshed_ns = now;
    (void)!sw_kube_config_refresh(c->config, force, &ignored);
}

static struct sw_http_tls tls_of(const struct sw_kube_access *a)
{
    return (struct sw_http_tls){
        .ca = a->ca,
        .ca_n = a->ca ? strlen(a->ca) : 0,
        .cert = a->cert,
        .cert_n = a->cert ? strlen(a->cert) : 0,
        .key = a->key,
        .key_n = a->key ? strlen(a->key) : 0,
        .is_insecure = a->is_insecure,
        .server_name = a->server_name,
    };
}

/* Fill in server and credentials, and start. */
static int start(struct sw_kube_client *c, const char *path, const char *content_type,
                 const struct sw_http_async_request *request, struct sw_http_async **ret,
                 struct sw_err *err)
{
    struct sw_http_async_request q = *request;
    const struct sw_kube_access *a;
    sw_autobuf struct sw_buf url = SW_BUF_INIT(128 << 10);
    sw_autobuf struct sw_buf token = SW_BUF_INIT(64 << 10);
    sw_autobuf struct sw_buf type = SW_BUF_INIT(256);
    const char *headers[3] = { "Accept: application/json" };
    struct sw_http_tls tls;

    refresh(c, false);
    a = sw_kube_config_access(c->config);
    tls = tls_of(a);
    q.n_headers = 1;
    if (content_type) {
        sw_buf_printf(&type, "Content-Type: %s", content_type);
        headers[q.n_headers++] = sw_buf_str(&type);
    }
    if (a->token) {
        sw_buf_printf(&token, "Authorization: Bearer %s", a->token);
        headers[q.n_headers++] = sw_buf_str(&token);
    }
    sw_buf_printf(&url, "%s%s", a->server, path);
    if (sw_buf_check(&url, "the URL", err) < 0 || sw_buf_check(&token, "the token", err) < 0)
        return -1;
    q.url = sw_buf_str(&url);
    q.headers = headers;
    q.tls = &tls;
    q.proxy = a->proxy;

    int done = sw_http_async_start(c->pool, &q, ret, err);
    if (token.p)
        explicit_bzero(token.p, token.n);
    return done;
}

int sw_kube_client_stream(struct sw_kube_client *c, const char *path,
                          const struct sw_http_async_request *request, struct sw_http_async **ret,
                          struct sw_err *err)
{
    struct sw_http_async_request q = *request;

    q.method = "GET";
    return start(c, path, NULL, &q, ret, err);
}

static void learn(struct sw_kube_client *c, const struct sw_http_async_end *end)
{
    if (end->http)
        c->is_http2 = end->http >= 20;
}

void sw_kube_client_stream_ended(struct sw_kube_client *c, const struct sw_http_async_end *end)
{
    learn(c, end);
    if (end->status == 401)
        refresh(c, true);
}

struct sw_kube_stats *sw_kube_client_counters(struct sw_kube_client *c)
{
    return &c->stats;
}

struct sw_kube_dice *sw_kube_client_dice(struct sw_kube_client *c)
{
    return &c->dice;
}

/* --- The end of a call ---------------------------------------------------------------------------- */

static struct call_list *list_of(const struct sw_kube_call *call)
{
    return call->state == QUEUED ? &call->client->queued : &call->client->busy;
}

static void leave(struct sw_kube_call *call)
{
    struct sw_kube_client *c = call->client;

    TAILQ_REMOVE(list_of(call), call, link);
    c->stats.in_flight -= call->state == RUNNING;
    c->stats.queued -= call->state == QUEUED;
    sw_loop_timer_stop(c->loop, &call->timer);
}

static void enter(struct sw_kube_call *call, enum call_state state)
{
    struct sw_kube_client *c = call->client;

    call->state = state;
    TAILQ_INSERT_TAIL(list_of(call), call, link);
    c->stats.in_flight += state == RUNNING;
    c->stats.queued += state == QUEUED;
}

static void move_to(struct sw_kube_call *call, enum call_state state)
{
    leave(call);
    enter(call, state);
}

static void free_call(struct sw_kube_call *call)
{
    struct sw_kube_client *c = call->client;

    leave(call);
    sw_loop_post(c->loop, &c->pump); /* there may be room for another one */
    sw_kube_wire_done(&call->wire);
    sw_buf_done(&call->answer);
    free(call);
}

/* The end, when no attempt brought an answer or none could be made. */
static void fail(struct sw_kube_call *call, const struct sw_err *err)
{
    struct sw_kube_answer answer = {
        .text = "",
        .err = err,
        .attempts = call->attempts,
        .took_ns = sw_now_ns() - call->started_ns,
    };

    call->on_done(call->ctx, &answer);
    free_call(call);
}

static void succeed(struct sw_kube_call *call, unsigned status)
{
    sw_auto_json struct sw_json *object = NULL;
    struct sw_kube_answer answer = {
        .status = status,
        .text = sw_buf_str(&call->answer),
        .n = call->answer.n,
        .attempts = call->attempts,
        .took_ns = sw_now_ns() - call->started_ns,
    };
    struct sw_err ignored;

    if (answer.n && sw_json_parse(answer.text, answer.n, call->client->options.max_answer, &object,
                                  &ignored) == 0)
        answer.object = object;
    call->on_done(call->ctx, &answer);
    free_call(call);
}

static void refuse(struct sw_kube_call *call, const struct sw_kube_status *status, unsigned http)
{
    struct sw_err err = { 0 };
    struct sw_kube_answer answer = {
        .status = http,
        .text = sw_buf_str(&call->answer),
        .n = call->answer.n,
        .failure = status,
        .err = &err,
        .attempts = call->attempts,
        .took_ns = sw_now_ns() - call->started_ns,
    };

    sw_kube_status_err(status, &err);
    sw_err_wrap(&err, "%s %s", call->wire.method, call->wire.path);
    call->on_done(call->ctx, &answer);
    free_call(call);
}

/* --- Again, or not -------------------------------------------------------------------------------- */

static void on_queued_too_long(void *ctx)
{
    struct sw_kube_call *call = ctx;
    struct sw_err err;

    sw_err_set(&err, SW_ERR_TRANSIENT, "%s %s: still queued at its deadline", call->wire.method,
               call->wire.path);
    fail(call, &err);
}

static void wait_for_turn(struct sw_kube_call *call)
{
    struct sw_kube_client *c = call->client;

    call->timer.fn = on_queued_too_long;
    sw_loop_timer_set(c->loop, &call->timer, call->deadline_ns);
    sw_loop_post(c->loop, &c->pump);
}

static void try_again(void *ctx)
{
    struct sw_kube_call *call = ctx;

    move_to(call, QUEUED);
    wait_for_turn(call);
}

/* Whether there will be another attempt: after wait_ns or a back-off, whichever is longer. */
static bool wait_for_another(struct sw_kube_call *call, int64_t wait_ns)
{
    struct sw_kube_client *c = call->client;
    int64_t backoff = sw_kube_backoff(&c->dice, c->options.retry_first_ns, RETRY_MAX,
                                      call->attempts);
    int64_t at = sw_now_ns() + (wait_ns > backoff ? wait_ns : backoff);

    if (call->attempts >= ATTEMPTS_MAX || at >= call->deadline_ns)
        return false;
    move_to(call, WAITING);
    call->timer.fn = try_again;
    sw_loop_timer_set(c->loop, &call->timer, at);
    return true;
}

static void on_no_answer(struct sw_kube_call *call, const struct sw_http_async_end *end)
{
    bool may_repeat = !end->was_sent || call->wire.is_harmless;
    struct sw_err err = *end->err;

    call->client->stats.connections_cut++;
    if (err.kind == SW_ERR_TRANSIENT && may_repeat && wait_for_another(call, 0))
        return;
    sw_err_wrap(&err, "%s %s", call->wire.method, call->wire.path);
    fail(call, &err);
}

static bool is_repeated(const struct sw_kube_call *call, const struct sw_kube_status *status,
                        unsigned http, uint64_t retry_after_s)
{
    switch (http) {
    case 429:
        return true; /* the server says so before it begins */
    case 503:
        return call->wire.is_harmless || (retry_after_s && status->is_not_performed);
    case 500:
    case 502:
    case 504:
        return call->wire.is_harmless;
    default:
        return false;
    }
}

/* A patch with another uid is refused as an attempt to change it, which is an invalid object and
 * not a conflict (seen with 1.34). Our callers mean a precondition. */
static void translate(struct sw_kube_call *call, struct sw_kube_status *status)
{
    if (!call->has_uid || status->code != 422 ||
        !strstr(status->message, "metadata.uid: Invalid value"))
        return;
    call->client->stats.conflicts++;
    status->code = 409;
    sw_kube_status_set_reason(status, "Conflict");
}

static void on_refused(struct sw_kube_call *call, const struct sw_http_async_end *end)
{
    struct sw_kube_client *c = call->client;
    struct sw_kube_status status;
    uint64_t wait_s;

    c->stats.conflicts += end->status == 409;
    c->stats.throttled += end->status == 429;
    if (end->status == 401 && !call->has_new_token) {
        call->has_new_token = true;
        refresh(c, true);
        try_again(call);
        return;
    }
    sw_kube_status_parse(sw_buf_str(&call->answer), call->answer.n, end->status, &status);
    translate(call, &status);
    if (!status.retry_after_s)
        status.retry_after_s = end->retry_after_s;
    /* An hour is for ever, and does not overflow. */
    wait_s = status.retry_after_s < 3600 ? status.retry_after_s : 3600;
    if (is_repeated(call, &status, end->status, wait_s) &&
        wait_for_another(call, (int64_t)wait_s * SW_NS_PER_SEC))
        return;
    refuse(call, &status, status.code);
}

static void count_attempt(struct sw_kube_client *c, const struct sw_kube_call *call,
                          const struct sw_http_async_end *end)
{
    unsigned i = 0;

    c->stats.answers[call->verb][end->status < 600 ? end->status / 100 : 5]++;
    if (!end->status)
        return;
    while (i < SW_KUBE_LATENCY_BUCKETS - 1 && end->took_ns > sw_kube_latency_bounds_ns[i])
        i++;
    c->stats.latency[i]++;
    c->stats.latency_count++;
    c->stats.latency_sum_ns += end->took_ns;
}

static void on_end(void *ctx, const struct sw_http_async_end *end)
{
    struct sw_kube_call *call = ctx;
    struct sw_kube_client *c = call->client;

    call->http = NULL;
    learn(c, end);
    count_attempt(c, call, end);
    sw_loop_post(c->loop, &c->pump);
    if (end->err)
        on_no_answer(call, end);
    else if (end->status < 200 || end->status > 299)
        on_refused(call, end);
    else
        succeed(call, end->status);
}

static int on_body(void *ctx, const char *bytes, size_t n, struct sw_err *err)
{
    struct sw_kube_call *call = ctx;

    sw_buf_append(&call->answer, bytes, n);
    return sw_buf_check(&call->answer, "the answer", err);
}

/* --- Starting ------------------------------------------------------------------------------------- */

static void begin_attempt(struct sw_kube_call *call)
{
    struct sw_kube_client *c = call->client;
    struct sw_http_async_request q = {
        .method = call->wire.method,
        .body = call->wire.body,
        .body_n = call->wire.body_n,
        .deadline_ns = call->deadline_ns - sw_now_ns(),
        .ctx = call,
        .on_body = on_body,
        .on_end = on_end,
    };
    struct sw_err err = { 0 };

    move_to(call, RUNNING);
    sw_buf_reset(&call->answer);
    c->stats.retries += call->attempts > 0;
    if (q.deadline_ns <= 0)
        sw_err_set(&err, SW_ERR_TRANSIENT, "no time left");
    else if (start(c, call->wire.path, call->wire.content_type, &q, &call->http, &err) == 0)
        call->attempts++;
    if (err.kind != SW_ERR_NONE)
        fail(call, &err);
}

/* As many of the queue as may run. */
static void pump(void *ctx)
{
    struct sw_kube_client *c = ctx;
    unsigned most = c->options.max_in_flight;

    if (!c->is_http2 && most > IN_FLIGHT_HTTP1)
        most = IN_FLIGHT_HTTP1;
    while (c->stats.in_flight < most && !TAILQ_EMPTY(&c->queued))
        begin_attempt(TAILQ_FIRST(&c->queued));
}

int sw_kube_call_start(struct sw_kube_client *c, const struct sw_kube_request *q,
                       struct sw_kube_call **ret, struct sw_err *err)
{
    struct sw_kube_call *call = calloc(1, sizeof(*call));

    if (!call)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a request");
    if (sw_kube_wire_make(q, &call->wire, err) < 0) {
        free(call);
        return -1;
    }
    call->client = c;
    call->verb = q->verb;
    call->has_uid = q->uid;
    call->ctx = q->ctx;
    call->on_done = q->on_done;
    call->started_ns = sw_now_ns();
    call->deadline_ns = call->started_ns + (q->deadline_ns ? q->deadline_ns : DEADLINE_DEFAULT);
    call->timer.ctx = call;
    sw_buf_init(&call->answer, c->options.max_answer);
    enter(call, QUEUED);
    wait_for_turn(call);
    if (ret)
        *ret = call;
    return 0;
}

void sw_kube_call_cancel(struct sw_kube_call *call)
{
    if (!call)
        return;
    sw_http_async_cancel(call->http);
    free_call(call);
}

/* --- Life ----------------------------------------------------------------------------------------- */

int sw_kube_client_open(struct sw_loop *loop, struct sw_kube_config *config,
                        const struct sw_kube_client_options *options, struct sw_kube_client **ret,
                        struct sw_err *err)
{
    sw_auto_kube_client struct sw_kube_client *c = calloc(1, sizeof(*c));

    if (!c)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a client");
    TAILQ_INIT(&c->queued);
    TAILQ_INIT(&c->busy);
    c->loop = loop;
    c->config = config;
    if (options)
        c->options = *options;
    if (!c->options.max_in_flight)
        c->options.max_in_flight = IN_FLIGHT_DEFAULT;
    if (!c->options.max_answer)
        c->options.max_answer = ANSWER_DEFAULT;
    if (!c->options.retry_first_ns)
        c->options.retry_first_ns = RETRY_FIRST;
    c->pump.fn = pump;
    c->pump.ctx = c;
    sw_kube_dice_init(&c->dice);
    c->refreshed_ns = sw_loop_now(loop);
    if (sw_kube_config_refresh(config, true, err) < 0 ||
        sw_http_pool_open(loop, c->options.user_agent, &c->pool, err) < 0)
        return -1;
    *ret = sw_steal(c);
    return 0;
}

void sw_kube_client_close(struct sw_kube_client *c)
{
    if (!c)
        return;
    while (!TAILQ_EMPTY(&c->queued))
        sw_kube_call_cancel(TAILQ_FIRST(&c->queued));
    while (!TAILQ_EMPTY(&c->busy))
        sw_kube_call_cancel(TAILQ_FIRST(&c->busy));
    sw_loop_unpost(c->loop, &c->pump);
    sw_http_pool_close(c->pool);
    free(c);
}

struct sw_loop *sw_kube_client_loop(const struct sw_kube_client *c)
{
    return c->loop;
}

struct sw_http_pool *sw_kube_client_pool(const struct sw_kube_client *c)
{
    return c->pool;
}

const char *sw_kube_client_namespace(const struct sw_kube_client *c)
{
    return sw_kube_config_access(c->config)->ns;
}

size_t sw_kube_client_queued(const struct sw_kube_client *c)
{
    return c->stats.queued;
}

size_t sw_kube_client_pending(const struct sw_kube_client *c)
{
    const struct sw_kube_call *call;
    size_t n = c->stats.queued;

    for (call = TAILQ_FIRST(&c->busy); call; call = TAILQ_NEXT(call, link))
        n++;
    return n;
}

const struct sw_kube_stats *sw_kube_client_stats(const struct sw_kube_client *c)
{
    return &c->stats;
}
