/* SPDX-License-Identifier: Apache-2.0 */
/* The Kubernetes client from a command line, for scripts: one command, one line for everything that
 * happens, the client's counters at the end.
 *
 *   kube-cat [OPTION...] get PATH                       any page
 *   kube-cat [OPTION...] watch RESOURCE                 until --until NAME is there or --seconds are over
 *   kube-cat [OPTION...] VERB RESOURCE NS NAME [BODY]   create replace merge json apply delete read
 *   kube-cat [OPTION...] flood RESOURCE NS COUNT        create COUNT at once, then patch, then delete
 *   kube-cat [OPTION...] fetch URL                      a pod's page, certificate unchecked
 *
 * RESOURCE is GROUP/VERSION/PLURAL ("/v1/configmaps"), cluster-wide with a '!' in front. */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/json_tree.h"
#include "common/parse.h"
#include "kube/client.h"
#include "kube/watch.h"

struct options {
    const char *kubeconfig, *context, *selector, *fields, *ns, *uid, *version, *manager, *until,
        *pod;
    uint64_t seconds, page, max_event, deadline_ms, in_flight, timeout_s;
    bool is_forced;
};

struct cat {
    struct options o;
    struct sw_loop *loop;
    struct sw_kube_config *config;
    struct sw_kube_client *client;
    struct sw_kube_cache *cache;
    struct sw_kube_resource resource;
    char *resource_text;
    struct sw_loop_timer timer;
    int exit_code;
    unsigned pending, failed; /* flood */
    const char *ns;
};

static void say(const char *fmt, ...) SW_PRINTF(1, 2);
static void say(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    fflush(stdout);
}

static void stop(void *ctx)
{
    sw_loop_stop(((struct cat *)ctx)->loop);
}

static void on_signal(void *ctx, int signo)
{
    stop(ctx);
}

static void print_stats(const struct cat *c)
{
    const struct sw_kube_stats *s = sw_kube_client_stats(c->client);
    uint64_t answers = 0, ok = 0;

    for (int verb = 0; verb < SW_KUBE_VERB_COUNT_; verb++) {
        for (int class = 0; class < 6; class ++)
            answers += s->answers[verb][class];
        ok += s->answers[verb][2];
    }
    const struct {
        const char *name;
        uint64_t value;
    } table[] = {
        { "answers", answers },        { "ok", ok },
        { "retries", s->retries },     { "conflicts", s->conflicts },
        { "throttled", s->throttled }, { "cut", s->connections_cut },
        { "lists", s->lists },         { "relists", s->relists },
        { "watches", s->watches },     { "failures", s->watch_failures },
        { "events", s->watch_events }, { "bookmarks", s->bookmarks },
        { "expired", s->expired },     { "in_flight", s->in_flight },
        { "queued", s->queued },       { "latency_count", s->latency_count },
    };

    say("stats");
    for (size_t i = 0; i < SW_COUNT(table); i++)
        say(" %s=%llu", table[i].name, (unsigned long long)table[i].value);
    say(" ns=%s\n", sw_kube_client_namespace(c->client));
}

/* --- Requests ------------------------------------------------------------------------------------ */

static void on_answer(void *ctx, const struct sw_kube_answer *a)
{
    struct cat *c = ctx;

    if (a->err)
        say("failed status=%u kind=%s reason=%s attempts=%u %s\n", a->status,
            sw_err_kind_name(a->err->kind), a->failure ? a->failure->reason : "-", a->attempts,
            a->err->msg);
    else
        say("ok status=%u attempts=%u %s\n", a->status, a->attempts, a->text);
    c->exit_code = a->err ? sw_err_exit_code(a->err->kind) : 0;
    stop(c);
}

static int run_request(struct cat *c, struct sw_kube_request *q, struct sw_err *err)
{
    q->uid = c->o.uid;
    q->resource_version = c->o.version;
    q->field_manager = c->o.manager;
    q->is_forced = c->o.is_forced;
    q->deadline_ns = (int64_t)c->o.deadline_ms * SW_NS_PER_MS;
    q->ctx = c;
    q->on_done = on_answer;
    if (sw_kube_call_start(c->client, q, NULL, err) < 0)
        return -1;
    return sw_loop_run(c->loop, err);
}

static int run_get(struct cat *c, char **args, struct sw_err *err)
{
    struct sw_kube_request q = { .verb = SW_KUBE_GET, .path = args[0] };

    return run_request(c, &q, err);
}

static int parse_resource(struct cat *c, const char *text, struct sw_err *err)
{
    char *rest;

    c->resource.is_cluster = *text == '!';
    c->resource_text = rest = strdup(text + c->resource.is_cluster);
    c->resource.group = strsep(&rest, "/");
    c->resource.version = rest ? strsep(&rest, "/") : NULL;
    c->resource.plural = rest;
    c->resource.kind = "";
    return rest ? 0 : sw_err_set(err, SW_ERR_USAGE, "'%s' is no GROUP/VERSION/PLURAL", text);
}

static int run_object(struct cat *c, enum sw_kube_verb verb, char **args, struct sw_err *err)
{
    struct sw_kube_request q = { .verb = verb };

    if (parse_resource(c, args[0], err) < 0)
        return -1;
    q.where.resource = &c->resource;
    q.where.ns = c->resource.is_cluster ? NULL : args[1];
    q.where.name = verb == SW_KUBE_CREATE ? NULL : args[2];
    q.body = args[3];
    q.body_n = args[3] ? strlen(args[3]) : 0;
    return run_request(c, &q, err);
}

/* --- Watching ------------------------------------------------------------------------------------ */

static void check_until(struct cat *c)
{
    if (c->o.until && sw_kube_cache_is_synced(c->cache) &&
        sw_kube_cache_uid(c->cache, c->o.ns, c->o.until))
        stop(c);
}

static void on_change(void *ctx, const struct sw_kube_change *change)
{
    static const char *const kinds[] = { "added", "updated", "deleted" };
    const char *version = sw_json_text(change->object, "metadata.resourceVersion");
    const char *value = sw_json_text(change->object, "data.v");

    say("%s %s/%s %s %s\n", kinds[change->kind], change->ns, change->name, version,
        value ? value : "-");
    check_until(ctx);
}

static void on_synced(void *ctx)
{
    struct cat *c = ctx;

    say("synced %zu\n", sw_kube_cache_count(c->cache));
    check_until(c);
}

static void on_failure(void *ctx, const struct sw_kube_resource *resource, const struct sw_err *err)
{
    say("failure kind=%s %s\n", sw_err_kind_name(err->kind), err->msg);
}

static int print_object(void *ctx, const char *ns, const char *name)
{
    struct cat *c = ctx;
    sw_auto_json struct sw_json *object = NULL;
    struct sw_err err;
    const char *value;

    if (sw_kube_cache_get(c->cache, ns, name, &object, &err) < 1)
        return -1;
    value = sw_json_text(object, "data.v");
    say("has %s/%s %s %s\n", ns, name, sw_json_text(object, "metadata.resourceVersion"),
        value ? value : "-");
    return 0;
}

static int run_watch(struct cat *c, char **args, struct sw_err *err)
{
    static const char *const keep[] = { "data", "status.phase", NULL };
    struct sw_kube_watch_config config = {
        .resource = &c->resource,
        .ns = c->o.ns,
        .label_selector = c->o.selector,
        .field_selector = c->o.fields,
        .page = (unsigned)c->o.page,
        .max_event = (size_t)c->o.max_event,
        .timeout_min_s = (unsigned)c->o.timeout_s,
        .timeout_max_s = (unsigned)c->o.timeout_s,
        .backoff_first_ns = 20 * SW_NS_PER_MS,
        .ctx = c,
        .on_synced = on_synced,
        .on_failure = on_failure,
    };
    const struct sw_kube_cache_config cache = {
        .resource = &c->resource, .keep = keep, .ctx = c, .on_change = on_change
    };
    struct sw_kube_watch *watch = NULL;

    if (parse_resource(c, args[0], err) < 0 || sw_kube_cache_open(&cache, &c->cache, err) < 0)
        return -1;
    config.cache = c->cache;
    if (sw_kube_watch_open(c->client, &config, &watch, err) < 0)
        return -1;
    int done = sw_loop_run(c->loop, err);
    sw_kube_watch_close(watch);
    (void)sw_kube_cache_each(c->cache, NULL, NULL, print_object, c);
    sw_kube_cache_close(c->cache);
    return done;
}

/* --- Many at once -------------------------------------------------------------------------------- */

static void on_flood(void *ctx, const struct sw_kube_answer *a)
{
    struct cat *c = ctx;

    if (a->err) {
        c->failed++;
        say("failed %s\n", a->err->msg);
    }
    if (--c->pending == 0)
        stop(c);
}

static int start_one(struct cat *c, enum sw_kube_verb verb, unsigned i, struct sw_err *err)
{
    sw_autobuf struct sw_buf name = SW_BUF_INIT(64), body = SW_BUF_INIT(4096);
    struct sw_kube_request q = {
        .verb = verb,
        .where = { .resource = &c->resource, .ns = c->ns },
        .deadline_ns = (int64_t)c->o.deadline_ms * SW_NS_PER_MS,
        .ctx = c,
        .on_done = on_flood,
    };

    sw_buf_printf(&name, "flood-%u", i);
    if (verb == SW_KUBE_CREATE)
        sw_buf_printf(&body, "{\"metadata\":{\"name\":\"%s\"},\"data\":{\"v\":\"0\"}}", name.p);
    else if (verb != SW_KUBE_DELETE)
        sw_buf_puts(&body, "{\"data\":{\"v\":\"1\"}}");
    q.where.name = verb == SW_KUBE_CREATE ? NULL : name.p;
    q.body = body.p;
    q.body_n = body.n;
    return sw_kube_call_start(c->client, &q, NULL, err);
}

static int flood(struct cat *c, enum sw_kube_verb verb, unsigned count, struct sw_err *err)
{
    int64_t began = sw_now_ns();

    for (unsigned i = 0; i < count; i++) {
        if (start_one(c, verb, i, err) < 0)
            return -1;
        c->pending++;
    }
    if (sw_loop_run(c->loop, err) < 0)
        return -1;
    say("flood %s count=%u failed=%u ms=%lld\n", sw_kube_verb_name(verb), count, c->failed,
        (long long)((sw_now_ns() - began) / SW_NS_PER_MS));
    return 0;
}

static int run_flood(struct cat *c, char **args, struct sw_err *err)
{
    uint64_t count;

    if (parse_resource(c, args[0], err) < 0 || sw_parse_u64(args[2], 1, 100000, &count, err) < 0)
        return -1;
    c->ns = args[1];
    if (flood(c, SW_KUBE_CREATE, (unsigned)count, err) < 0 ||
        flood(c, SW_KUBE_MERGE_PATCH, (unsigned)count, err) < 0 ||
        flood(c, SW_KUBE_DELETE, (unsigned)count, err) < 0)
        return -1;
    c->exit_code = c->failed ? 1 : 0;
    return 0;
}

static void on_fetched(void *ctx, const char *text, size_t n, const struct sw_err *err)
{
    struct cat *c = ctx;

    if (err)
        say("failed kind=%s %s\n", sw_err_kind_name(err->kind), err->msg);
    else
        say("ok n=%zu %.100s\n", n, text);
    c->exit_code = err ? sw_err_exit_code(err->kind) : 0;
    stop(c);
}

static int run_fetch(struct cat *c, char **args, struct sw_err *err)
{
    const struct sw_http_fetch fetch = { .url = args[0],
                                         .deadline_ns = (int64_t)c->o.deadline_ms * SW_NS_PER_MS,
                                         .ctx = c,
                                         .on_done = on_fetched };

    if (sw_http_fetch_start(sw_kube_client_pool(c->client), &fetch, NULL, err) < 0)
        return -1;
    return sw_loop_run(c->loop, err);
}

/* --- The command line ---------------------------------------------------------------------------- */

static int run(struct cat *c, int n, char **args, struct sw_err *err)
{
    static const struct {
        const char *name;
        enum sw_kube_verb verb;
    } verbs[] = {
        { "read", SW_KUBE_GET },        { "create", SW_KUBE_CREATE },
        { "replace", SW_KUBE_REPLACE }, { "merge", SW_KUBE_MERGE_PATCH },
        { "json", SW_KUBE_JSON_PATCH }, { "apply", SW_KUBE_APPLY },
        { "delete", SW_KUBE_DELETE },
    };

    if (n >= 2 && strcmp(args[0], "get") == 0)
        return run_get(c, args + 1, err);
    if (n >= 2 && strcmp(args[0], "watch") == 0)
        return run_watch(c, args + 1, err);
    if (n >= 4 && strcmp(args[0], "flood") == 0)
        return run_flood(c, args + 1, err);
    if (n >= 2 && strcmp(args[0], "fetch") == 0)
        return run_fetch(c, args + 1, err);
    for (size_t i = 0; n >= 4 && i < SW_COUNT(verbs); i++) {
        if (strcmp(args[0], verbs[i].name) == 0)
            return run_object(c, verbs[i].verb, args + 1, err);
    }
    return sw_err_set(err, SW_ERR_USAGE, "see the beginning of kube-cat.c");
}

static int take_option(struct options *o, int option, struct sw_err *err)
{
    const char **const texts[] = {
        ['k'] = &o->kubeconfig, ['c'] = &o->context, ['l'] = &o->selector, ['f'] = &o->fields,
        ['n'] = &o->ns,         ['u'] = &o->uid,     ['v'] = &o->version,  ['m'] = &o->manager,
        ['U'] = &o->until,      ['P'] = &o->pod,
    };
    uint64_t *const numbers[] = {
        ['s'] = &o->seconds,     ['p'] = &o->page,      ['e'] = &o->max_event,
        ['d'] = &o->deadline_ms, ['i'] = &o->in_flight, ['t'] = &o->timeout_s,
    };

    if (option == 'F')
        o->is_forced = true;
    else if ((size_t)option < SW_COUNT(texts) && texts[option])
        *texts[option] = optarg;
    else if ((size_t)option < SW_COUNT(numbers) && numbers[option])
        return sw_parse_u64(optarg, 0, UINT32_MAX, numbers[option], err);
    else
        return sw_err_set(err, SW_ERR_USAGE, "see the beginning of kube-cat.c");
    return 0;
}

static int parse_options(struct options *o, int argc, char **argv, struct sw_err *err)
{
    static const struct option table[] = {
        { "kubeconfig", 1, NULL, 'k' }, { "context", 1, NULL, 'c' },
        { "selector", 1, NULL, 'l' },   { "fields", 1, NULL, 'f' },
        { "namespace", 1, NULL, 'n' },  { "uid", 1, NULL, 'u' },
        { "version", 1, NULL, 'v' },    { "manager", 1, NULL, 'm' },
        { "force", 0, NULL, 'F' },      { "until", 1, NULL, 'U' },
        { "seconds", 1, NULL, 's' },    { "page", 1, NULL, 'p' },
        { "max-event", 1, NULL, 'e' },  { "deadline", 1, NULL, 'd' },
        { "in-flight", 1, NULL, 'i' },  { "timeout", 1, NULL, 't' },
        { "pod", 1, NULL, 'P' },        { NULL, 0, NULL, 0 },
    };
    int option;

    while ((option = getopt_long(argc, argv, "+", table, NULL)) >= 0) {
        if (take_option(o, option, err) < 0)
            return -1;
    }
    return 0;
}

static int open_config(struct cat *c, struct sw_err *err)
{
    if (c->o.pod)
        return sw_kube_config_in_cluster(c->o.pod, &c->config, err);
    if (c->o.kubeconfig)
        return sw_kube_config_file(c->o.kubeconfig, c->o.context, &c->config, err);
    return sw_kube_config_default(&c->config, err);
}

static int cat_main(struct cat *c, int argc, char **argv, struct sw_err *err)
{
    struct sw_kube_client_options options = { .user_agent = "kube-cat",
                                              .retry_first_ns = 20 * SW_NS_PER_MS };

    if (parse_options(&c->o, argc, argv, err) < 0 || sw_loop_open(&c->loop, err) < 0 ||
        sw_loop_on_signal(c->loop, SIGTERM, on_signal, c, err) < 0)
        return -1;
    options.max_in_flight = (unsigned)c->o.in_flight;
    if (open_config(c, err) < 0)
        return -1;
    if (sw_kube_client_open(c->loop, c->config, &options, &c->client, err) < 0)
        return -1;
    c->timer = (struct sw_loop_timer){ .fn = stop, .ctx = c };
    if (c->o.seconds)
        sw_loop_timer_set(c->loop, &c->timer, sw_now_ns() + (int64_t)c->o.seconds * SW_NS_PER_SEC);
    int done = run(c, argc - optind, argv + optind, err);
    print_stats(c);
    return done;
}

int main(int argc, char **argv)
{
    struct cat c = { 0 };
    struct sw_err err = { 0 };

    if (cat_main(&c, argc, argv, &err) < 0) {
        say("error kind=%s %s\n", sw_err_kind_name(err.kind), err.msg);
        c.exit_code = sw_err_exit_code(err.kind);
    }
    if (c.loop)
        sw_loop_timer_stop(c.loop, &c.timer);
    sw_kube_client_close(c.client);
    sw_kube_config_free(c.config);
    sw_loop_close(c.loop);
    free(c.resource_text);
    return c.exit_code;
}
