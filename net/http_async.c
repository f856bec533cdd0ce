/* SPDX-License-Identifier: Apache-2.0 */
/* DESIGN: libcurl forbids to add or remove a request inside of its own callbacks, and those are where
 * most callers want to. So both are put off to a call of the loop: `starting` and `ending` are the
 * two lists that it works through. A request that was cancelled stays in `ending` until then, deaf. */
#include "net/http_async.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "common/buf.h"
#include "net/curl_kind.h"
#include "net/version.h"

/* Peers that vanished: the first question after 15 s of silence, and 30 s without any sign of life
 * end the connection. Without this a watch would wait for ever. */
#define KEEPALIVE_IDLE_S 15L
#define KEEPALIVE_EVERY_S 5L
#define DEAD_AFTER_MS 30000u
#define CONNECT_MS 10000L

/* Idle handles that are kept: making one anew costs some 10 KiB of allocations. */
#define SPARE_HANDLES 16

struct sw_http_async {
    TAILQ_ENTRY(sw_http_async) link;
    TAILQ_HEAD(async_list, sw_http_async) * list; /* the one that it is in */
    struct sw_http_pool *pool;
    CURL *easy;
    bool is_added; /* libcurl has it */
    bool is_dead;  /* no callbacks any more */
    bool had_head;
    struct curl_slist *headers, *route;
    struct sw_loop_timer answer_timer;
    int64_t started_ns;
    char error_text[CURL_ERROR_SIZE];
    struct sw_err body_err; /* what on_body said */
    char *name;             /* "GET host", for messages */

    void *ctx;
    int (*on_body)(void *ctx, const char *bytes, size_t n, struct sw_err *err);
    void (*on_end)(void *ctx, const struct sw_http_async_end *end);
    void (*on_head)(void *ctx, unsigned status);
    void (*on_free)(void *ctx);
};

struct sock {
    struct sw_loop_fd node;
    struct sw_http_pool *pool;
    LIST_ENTRY(sock) link;
};

struct sw_http_pool {
    struct sw_loop *loop;
    CURLM *multi;
    char *user_agent;
    struct sw_loop_timer timer;
    struct sw_loop_call work; /* starting and ending have something */
    struct async_list starting, running, ending;
    LIST_HEAD(sock_list, sock) socks;
    CURL *spare[SPARE_HANDLES];
    unsigned n_spare;
    size_t n_running;
};

static void drain(struct sw_http_pool *pool);

/* --- libcurl's sockets and timer on the loop ----------------------------------------------------- */

static void on_sock(void *ctx, int fd, uint32_t events)
{
    struct sock *s = ctx;
    struct sw_http_pool *pool = s->pool; /* s may be gone after the action */
    int what = (events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
               (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (events & EPOLLERR ? CURL_CSELECT_ERR : 0);
    int running;

    curl_multi_socket_action(pool->multi, fd, what, &running);
    drain(pool);
}

static void on_timer(void *ctx)
{
    struct sw_http_pool *pool = ctx;
    int running;

    curl_multi_socket_action(pool->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    drain(pool);
}

static int timer_wanted(CURLM *multi, long timeout_ms, void *ctx)
{
    struct sw_http_pool *pool = ctx;

    if (timeout_ms < 0)
        sw_loop_timer_stop(pool->loop, &pool->timer);
    else
        sw_loop_timer_set(pool->loop, &pool->timer, sw_now_ns() + timeout_ms * SW_NS_PER_MS);
    return 0;
}

static void free_sock(struct sock *s)
{
    sw_loop_unwatch(s->pool->loop, &s->node);
    LIST_REMOVE(s, link);
    free(s);
}

static struct sock *make_sock(struct sw_http_pool *pool)
{
    struct sock *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->pool = pool;
    s->node.fn = on_sock;
    s->node.ctx = s;
    LIST_INSERT_HEAD(&pool->socks, s, link);
    return s;
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct sw_http_pool *pool = ctx;
    struct sock *s = socket_ctx;
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    struct sw_err err;

    if (what == CURL_POLL_REMOVE) {
        if (s)
            free_sock(s);
        return 0;
    }
    if (!s) {
        s = make_sock(pool);
        if (!s)
            return -1;
        curl_multi_assign(pool->multi, fd, s);
    }
    return sw_loop_watch(pool->loop, &s->node, fd, events, &err);
}

/* --- One request -------------------------------------------------------------------------------- */

static void move_to(struct sw_http_async *r, struct async_list *list)
{
    if (r->list)
        TAILQ_REMOVE(r->list, r, link);
    TAILQ_INSERT_TAIL(list, r, link);
    r->list = list;
}

static void give_handle_back(struct sw_http_pool *pool, CURL *easy)
{
    if (!easy)
        return;
    if (pool->n_spare == SPARE_HANDLES) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy);
    pool->spare[pool->n_spare++] = easy;
}

static void free_request(struct sw_http_async *r)
{
    struct sw_http_pool *pool = r->pool;

    if (r->is_added)
        curl_multi_remove_handle(pool->multi, r->easy);
    sw_loop_timer_stop(pool->loop, &r->answer_timer);
    if (r->list)
        TAILQ_REMOVE(r->list, r, link);
    give_handle_back(pool, r->easy);
    curl_slist_free_all(r->headers);
    curl_slist_free_all(r->route);
    if (r->on_free)
        r->on_free(r->ctx);
    free(r->name);
    free(r);
}

static void cleanup_request(struct sw_http_async **r)
{
    if (*r)
        free_request(*r);
}

static void die(struct sw_http_async *r)
{
    struct sw_http_pool *pool = r->pool;

    r->is_dead = true;
    pool->n_running--;
    sw_loop_timer_stop(pool->loop, &r->answer_timer);
    move_to(r, &pool->ending);
    sw_loop_post(pool->loop, &pool->work);
}

/* Tell the caller, once, and forget the request at the end of the turn. */
static void end_request(struct sw_http_async *r, const struct sw_err *err)
{
    struct sw_http_async_end end = { .err = err };
    long status = 0, version = 0, sent = 0;
    curl_off_t retry_after = 0;

    if (r->is_dead)
        return;
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(r->easy, CURLINFO_HTTP_VERSION, &version);
    curl_easy_getinfo(r->easy, CURLINFO_REQUEST_SIZE, &sent);
    curl_easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &retry_after);
    end.status = r->had_head ? (unsigned)status : 0;
    end.http = !r->had_head ? 0 : version == CURL_HTTP_VERSION_2_0 ? 20 : 11;
    end.retry_after_s = retry_after > 0 ? (uint64_t)retry_after : 0;
    end.was_sent = sent > 0;
    end.took_ns = sw_now_ns() - r->started_ns;
    die(r);
    r->on_end(r->ctx, &end);
}

static void finish(struct sw_http_async *r, CURLcode rc)
{
    struct sw_err err = { 0 };

    if (r->body_err.kind != SW_ERR_NONE)
        err = r->body_err;
    else if (rc != CURLE_OK)
        sw_err_set(&err, sw_curl_kind(r->easy, rc, r->error_text), "%s: %s", r->name,
                   *r->error_text ? r->error_text : curl_easy_strerror(rc));
    else if (!r->had_head)
        sw_err_set(&err, SW_ERR_TRANSIENT, "%s: no answer", r->name);
    end_request(r, err.kind == SW_ERR_NONE ? NULL : &err);
}

/* What ended meanwhile; callbacks may start and cancel others. */
static void drain(struct sw_http_pool *pool)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(pool->multi, &left)) != NULL) {
        struct sw_http_async *r = NULL;

        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
        finish(r, m->data.result);
    }
}

static void on_no_answer(void *ctx)
{
    struct sw_http_async *r = ctx;
    struct sw_err err;

    sw_err_set(&err, SW_ERR_TRANSIENT, "%s: no answer in time", r->name);
    end_request(r, &err);
}

/* Header lines of all answers, interim ones and trailers too: the empty line after a final status is
 * what counts. */
static size_t on_header_line(char *line, size_t size, size_t n, void *ctx)
{
    struct sw_http_async *r = ctx;
    long status = 0;

    if (r->is_dead || r->had_head || n > 2 || line[0] != '\r')
        return n;
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return n;
    r->had_head = true;
    sw_loop_timer_stop(r->pool->loop, &r->answer_timer);
    if (r->on_head)
        r->on_head(r->ctx, (unsigned)status);
    return n;
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *ctx)
{
    struct sw_http_async *r = ctx;

    if (r->is_dead || r->on_body(r->ctx, bytes, n, &r->body_err) < 0)
        return n + 1; /* not n: an error */
    return r->is_dead ? n + 1 : n;
}

static int on_socket_made(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    unsigned ms = DEAD_AFTER_MS;

    /* Where it cannot be set the keepalive probes still end it, later. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
    return CURL_SOCKOPT_OK;
}

/* --- Setting one up ------------------------------------------------------------------------------ */

static CURL *take_handle(struct sw_http_pool *pool)
{
    return pool->n_spare ? pool->spare[--pool->n_spare] : curl_easy_init();
}

static CURLcode set_blob(CURL *easy, CURLoption option, const char *text, size_t n)
{
    struct curl_blob blob = { .data = (void *)text, .len = n, .flags = CURL_BLOB_COPY };

    return text ? curl_easy_setopt(easy, option, &blob) : CURLE_OK;
}

static int set_tls(CURL *easy, const struct sw_http_tls *tls, struct sw_err *err)
{
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (!tls || !tls->ca)
        sw_curl_set_system_roots(easy);
    if (!tls)
        return 0;
    if (tls->is_insecure) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (set_blob(easy, CURLOPT_CAINFO_BLOB, tls->ca, tls->ca_n) != CURLE_OK ||
        set_blob(easy, CURLOPT_SSLCERT_BLOB, tls->cert, tls->cert_n) != CURLE_OK ||
        set_blob(easy, CURLOPT_SSLKEY_BLOB, tls->key, tls->key_n) != CURLE_OK)
        return sw_err_set(err, SW_ERR_INTERNAL, "libcurl cannot take certificates from memory");
    return 0;
}

static int add_header(struct sw_http_async *r, const char *line, struct sw_err *err)
{
    struct curl_slist *all = NULL;

    assert(!strpbrk(line, "\r\n"));
    all = curl_slist_append(r->headers, line);
    if (!all)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a request");
    r->headers = all;
    return 0;
}

static int set_headers(struct sw_http_async *r, const struct sw_http_async_request *q,
                       struct sw_err *err)
{
    for (size_t i = 0; i < q->n_headers; i++) {
        if (add_header(r, q->headers[i], err) < 0)
            return -1;
    }
    /* Bodies of more than 1 MiB would first ask for permission, and wait a second for it. */
    if (q->body && add_header(r, "Expect:", err) < 0)
        return -1;
    curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
    return 0;
}

static void free_curlu(CURLU **u)
{
    curl_url_cleanup(*u);
}

static void free_curl_text(char **text)
{
    curl_free(*text);
}

/* libcurl takes the name to check from the URL and nowhere else: so that name goes into the URL, and
 * the connection somewhere else. */
static int set_server_name(struct sw_http_async *r, CURLU *u, const char *host, const char *port,
                           const char *server_name, struct sw_err *err)
{
    __attribute__((cleanup(free_curl_text))) char *url = NULL;
    sw_autobuf struct sw_buf text = SW_BUF_INIT(2048);

    sw_buf_printf(&text, "Host: %s:%s", host, port);
    if (sw_buf_check(&text, "the host", err) < 0 || add_header(r, sw_buf_str(&text), err) < 0)
        return -1;
    sw_buf_reset(&text);
    sw_buf_printf(&text, "%s:%s:%s:%s", server_name, port, host, port);
    if (sw_buf_check(&text, "the host", err) < 0)
        return -1;
    r->route = curl_slist_append(NULL, sw_buf_str(&text));
    if (curl_url_set(u, CURLUPART_HOST, server_name, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_URL, &url, 0) != CURLUE_OK || !r->route)
        return sw_err_set(err, SW_ERR_USAGE, "'%s' is no server name", server_name);
    curl_easy_setopt(r->easy, CURLOPT_CONNECT_TO, r->route);
    curl_easy_setopt(r->easy, CURLOPT_URL, url);
    return 0;
}

static int set_url(struct sw_http_async *r, const struct sw_http_async_request *q,
                   struct sw_err *err)
{
    __attribute__((cleanup(free_curlu))) CURLU *u = curl_url();
    __attribute__((cleanup(free_curl_text))) char *host = NULL;
    __attribute__((cleanup(free_curl_text))) char *port = NULL;
    sw_autobuf struct sw_buf name = SW_BUF_INIT(1024);

    if (!u || curl_url_set(u, CURLUPART_URL, q->url, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
        return sw_err_set(err, SW_ERR_USAGE, "not a URL that can be requested");
    sw_buf_printf(&name, "%s %s:%s", q->method, host, port);
    r->name = strdup(sw_buf_str(&name));
    if (!r->name)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a request");
    curl_easy_setopt(r->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    if (q->tls && q->tls->server_name && !q->tls->is_insecure)
        return set_server_name(r, u, host, port, q->tls->server_name, err);
    curl_easy_setopt(r->easy, CURLOPT_URL, q->url);
    return 0;
}

static void set_times(CURL *easy, const struct sw_http_async_request *q)
{
    long deadline_ms = (long)((q->deadline_ns + SW_NS_PER_MS - 1) / SW_NS_PER_MS);

    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, deadline_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     deadline_ms && deadline_ms < CONNECT_MS ? deadline_ms : CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_EVERY_S);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket_made);
}

static void set_callbacks(struct sw_http_async *r)
{
    curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r);
    curl_easy_setopt(r->easy, CURLOPT_ERRORBUFFER, r->error_text);
    curl_easy_setopt(r->easy, CURLOPT_HEADERFUNCTION, on_header_line);
    curl_easy_setopt(r->easy, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(r->easy, CURLOPT_NOSIGNAL, 1L);
}

static int set_method(CURL *easy, const struct sw_http_async_request *q, struct sw_err *err)
{
    CURLcode rc = CURLE_OK;

    if (q->body) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_n);
        rc = curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, q->body);
    }
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, q->method);
    return rc == CURLE_OK ? 0 : sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a request");
}

static int set_up(struct sw_http_async *r, const struct sw_http_async_request *q,
                  struct sw_err *err)
{
    CURL *easy = r->easy;

    curl_easy_setopt(easy, CURLOPT_USERAGENT, r->pool->user_agent);
    curl_easy_setopt(easy, CURLOPT_PROXY, q->proxy ? q->proxy : "");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                     q->is_http1 ? (long)CURL_HTTP_VERSION_1_1 : (long)CURL_HTTP_VERSION_2TLS);
    /* Wait until TLS has told whether the first connection takes many requests, instead of opening
     * one more for each of those that come meanwhile. Without TLS nothing tells. */
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT,
                     !q->is_http1 && strncasecmp(q->url, "https:", 6) == 0 ? 1L : 0L);
    set_times(easy, q);
    set_callbacks(r);
    if (set_url(r, q, err) < 0 || set_tls(easy, q->tls, err) < 0 || set_method(easy, q, err) < 0)
        return -1;
    return set_headers(r, q, err);
}

int sw_http_async_start(struct sw_http_pool *pool, const struct sw_http_async_request *q,
                        struct sw_http_async **ret, struct sw_err *err)
{
    __attribute__((cleanup(cleanup_request))) struct sw_http_async *r = calloc(1, sizeof(*r));

    if (!r)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a request");
    r->pool = pool;
    r->ctx = q->ctx;
    r->on_body = q->on_body;
    r->on_end = q->on_end;
    r->on_head = q->on_head;
    r->answer_timer.fn = on_no_answer;
    r->answer_timer.ctx = r;
    r->started_ns = sw_now_ns();
    r->easy = take_handle(pool);
    if (!r->easy)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a request");
    if (set_up(r, q, err) < 0)
        return -1;
    if (q->answer_ns > 0)
        sw_loop_timer_set(pool->loop, &r->answer_timer, r->started_ns + q->answer_ns);
    move_to(r, &pool->starting);
    pool->n_running++;
    sw_loop_post(pool->loop, &pool->work);
    r->on_free = q->on_free;
    if (ret)
        *ret = r;
    sw_steal(r);
    return 0;
}

void sw_http_async_cancel(struct sw_http_async *r)
{
    if (r && !r->is_dead)
        die(r);
}

/* --- The pool ------------------------------------------------------------------------------------ */

static void start_one(struct sw_http_pool *pool, struct sw_http_async *r)
{
    move_to(r, &pool->running);
    if (curl_multi_add_handle(pool->multi, r->easy) == CURLM_OK)
        r->is_added = true;
    else
        finish(r, CURLE_OUT_OF_MEMORY);
}

static void on_work(void *ctx)
{
    struct sw_http_pool *pool = ctx;

    while (!TAILQ_EMPTY(&pool->starting))
        start_one(pool, TAILQ_FIRST(&pool->starting));
    while (!TAILQ_EMPTY(&pool->ending))
        free_request(TAILQ_FIRST(&pool->ending));
    drain(pool);
}

int sw_http_pool_open(struct sw_loop *loop, const char *user_agent, struct sw_http_pool **ret,
                      struct sw_err *err)
{
    sw_auto_http_pool struct sw_http_pool *pool = NULL;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return sw_err_set(err, SW_ERR_INTERNAL, "libcurl cannot be initialised");
    pool = calloc(1, sizeof(*pool));
    if (!pool)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for HTTP");
    pool->loop = loop;
    pool->timer.fn = on_timer;
    pool->work.fn = on_work;
    pool->timer.ctx = pool->work.ctx = pool;
    TAILQ_INIT(&pool->starting);
    TAILQ_INIT(&pool->running);
    TAILQ_INIT(&pool->ending);
    pool->multi = curl_multi_init();
    pool->user_agent = strdup(user_agent ? user_agent : SW_USER_AGENT);
    if (!pool->multi || !pool->user_agent)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for HTTP");
    curl_multi_setopt(pool->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool);
    curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
    curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool);
    *ret = sw_steal(pool);
    return 0;
}

static void free_list(struct async_list *list)
{
    while (!TAILQ_EMPTY(list))
        free_request(TAILQ_FIRST(list));
}

void sw_http_pool_close(struct sw_http_pool *pool)
{
    if (!pool)
        return;
    free_list(&pool->starting);
    free_list(&pool->running);
    free_list(&pool->ending);
    for (unsigned i = 0; i < pool->n_spare; i++)
        curl_easy_cleanup(pool->spare[i]);
    curl_multi_cleanup(pool->multi);
    while (!LIST_EMPTY(&pool->socks))
        free_sock(LIST_FIRST(&pool->socks));
    sw_loop_timer_stop(pool->loop, &pool->timer);
    sw_loop_unpost(pool->loop, &pool->work);
    free(pool->user_agent);
    free(pool);
}

size_t sw_http_pool_running(const struct sw_http_pool *pool)
{
    return pool->n_running;
}
