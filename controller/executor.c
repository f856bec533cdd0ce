/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/executor.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/strmap.h"
#include "net/loop.h"

#define JOBS_DEFAULT 64
/* Plans in one turn of the loop: enough to be quick, few enough that answers do not wait (a plan takes
 * about 0.1 ms). */
#define PLANS_PER_TURN 32
#define BODY_MAX ((size_t)2 << 20)
#define NO_REQUEUE UINT64_MAX

/* A key under way. */
struct job {
    struct job *next, **link;
    struct sw_executor *x;
    const char *key; /* the queue's, until done */
    struct sw_key parts;
    struct sw_json *actions;
    size_t at; /* the action that is performed */
    struct sw_action action;
    struct sw_kube_call *call;
    uint64_t requeue_ms;
    bool wants_retry, wants_scrape;
};

struct sw_executor {
    struct sw_executor_options o;
    struct sw_loop *loop;
    struct job *jobs;
    struct sw_strmap errors; /* key to the text of view->last_error */
    struct sw_loop_call pump;
    struct sw_loop_timer timer;
    struct sw_executor_stats stats;
    bool may_run;
};

enum outcome {
    ALL_DONE,
    FAILED,    /* an action or the plan itself: again after the back-off    */
    STALE,     /* the world was not as the plan thought: the same           */
    ABANDONED, /* we may not run any more: it stays queued for whoever may   */
};

/* --- The last error of a key ----------------------------------------------------------------- */

/* {"id":...,"code":...,"reason":...,"message":...} */
static void remember_error(struct job *j, const struct sw_kube_answer *answer)
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(16384);
    const struct sw_kube_status *status = answer->failure;
    struct sw_json_writer w;
    struct sw_err err = { 0 };
    void *old = NULL;

    sw_json_writer_init(&w, &text);
    sw_json_begin_object(&w, NULL);
    sw_json_put_str(&w, "id", j->action.id);
    sw_json_put_u64(&w, "code", answer->status);
    sw_json_put_str(&w, "reason", status ? status->reason : "");
    sw_json_put_str(&w, "message", status ? status->message : answer->err->msg);
    sw_json_end(&w);
    sw_autofree char *copy = text.failed ? NULL : strdup(sw_buf_str(&text));
    if (copy && sw_strmap_set(&j->x->errors, j->key, copy, &old, &err) == 0) {
        (void)sw_steal(copy);
        free(old);
    }
}

static struct sw_json *recall_error(struct sw_executor *x, const char *key)
{
    const char *text = sw_strmap_get(&x->errors, key);
    struct sw_json *json = NULL;
    struct sw_err err = { 0 };

    if (text && sw_json_parse(text, strlen(text), 16384, &json, &err) < 0)
        return NULL;
    return json;
}

/* The action of this id has succeeded. */
static void clear_error(struct sw_executor *x, const char *key, const char *id)
{
    sw_auto_json struct sw_json *last = recall_error(x, key);
    const char *failed = sw_json_text(last, "id");

    if (id && failed && strcmp(id, failed) == 0)
        free(sw_strmap_take(&x->errors, key));
}

/* --- The end of a job ------------------------------------------------------------------------ */

static void arm(struct sw_executor *x);

static void free_job(struct job *j)
{
    *j->link = j->next;
    if (j->next)
        j->next->link = j->link;
    sw_kube_call_cancel(j->call);
    sw_json_free(j->actions);
    j->x->stats.jobs--;
    free(j);
}

static void finish_well(struct job *j, int64_t now)
{
    struct sw_workqueue *q = j->x->o.queue;

    if (!j->wants_scrape)
        sw_scraper_stop(j->x->o.scraper, j->key);
    if (j->wants_retry)
        (void)sw_workqueue_retry(q, j->key, now);
    else
        sw_workqueue_forget(q, j->key);
    if (j->requeue_ms != NO_REQUEUE)
        sw_workqueue_add_after(q, j->key, now, (int64_t)j->requeue_ms * SW_NS_PER_MS);
}

static void finish(struct job *j, enum outcome outcome)
{
    struct sw_executor *x = j->x;
    int64_t now = sw_now_ns();

    switch (outcome) {
    case ALL_DONE:
        finish_well(j, now);
        break;
    case FAILED:
    case STALE:
        (void)sw_workqueue_retry(x->o.queue, j->key, now);
        break;
    case ABANDONED:
        sw_workqueue_add(x->o.queue, j->key, now);
        break;
    }
    sw_workqueue_done(x->o.queue, j->key, now);
    free_job(j);
    arm(x);
}

/* The first failure is said, then ever more rarely. */
static bool is_worth_a_line(const struct job *j)
{
    unsigned n = sw_workqueue_failures(j->x->o.queue, j->key);

    return (n & (n - 1)) == 0;
}

static void fail_action(struct job *j, const struct sw_err *err)
{
    j->x->stats.failed_actions++;
    if (is_worth_a_line(j))
        sw_log_warn("controller.action_failed", SW_STR("key", j->key),
                    SW_STR("do", sw_action_do_name(j->action.what)), SW_ERR(err));
    finish(j, FAILED);
}

/* --- Requests -------------------------------------------------------------------------------- */

static void step(struct job *j);

static void on_looked(void *ctx, const struct sw_kube_answer *answer)
{
    struct job *j = ctx;

    j->call = NULL;
    if (answer->object)
        sw_world_feed(j->x->o.world, j->action.kind, answer->object);
    finish(j, STALE);
}

/* Read the object that is other than the plan thought, and plan again. */
static void look(struct job *j)
{
    struct sw_err err = { 0 };
    const struct sw_kube_request r = {
        .verb = SW_KUBE_GET,
        .where = { .resource = sw_kind_resource(j->action.kind),
                   .ns = j->action.ns,
                   .name = j->action.name },
        .ctx = j,
        .on_done = on_looked,
    };

    j->x->stats.stale++;
    if (sw_kube_call_start(j->x->o.client, &r, &j->call, &err) < 0) {
        j->call = NULL;
        finish(j, STALE);
    }
}

static bool is_gone_or_other(const struct sw_kube_answer *answer)
{
    return answer->status == 404 || answer->status == 409;
}

/* A deletion is answered with the object as it waits for its end, or with a Status. What is applied is
 * not watched where it lies. */
static bool is_news(const struct sw_action *a, const struct sw_kube_answer *answer)
{
    return answer->object && a->what != SW_DO_APPLY &&
           (a->what != SW_DO_DELETE || sw_json_text(answer->object, "metadata.deletionTimestamp"));
}

static void on_answer(void *ctx, const struct sw_kube_answer *answer)
{
    struct job *j = ctx;
    bool is_delete = j->action.what == SW_DO_DELETE;

    j->call = NULL;
    if (!answer->err || (is_delete && is_gone_or_other(answer))) {
        if (!answer->err && is_news(&j->action, answer))
            sw_world_feed(j->x->o.world, j->action.kind, answer->object);
        clear_error(j->x, j->key, j->action.id);
        j->at++;
        step(j);
    } else if (answer->status == 409 || (answer->status == 404 && j->action.what != SW_DO_CREATE)) {
        look(j);
    } else {
        if (j->action.id)
            remember_error(j, answer);
        fail_action(j, answer->err);
    }
}

/* The present time as the API server writes it. */
static const char *now_text(char *text, size_t room)
{
    time_t s = time(NULL);
    struct tm tm;

    gmtime_r(&s, &tm);
    return strftime(text, room, "%Y-%m-%dT%H:%M:%SZ", &tm) ? text : "";
}

static void send_action(struct job *j)
{
    sw_autobuf struct sw_buf body = SW_BUF_INIT(BODY_MAX);
    char now[sizeof("2026-01-31T11:44:13Z")];
    struct sw_kube_request r;
    struct sw_err err = { 0 };

    if (sw_action_request(&j->action, now_text(now, sizeof(now)), &body, &r, &err) < 0) {
        fail_action(j, &err);
        return;
    }
    r.ctx = j;
    r.on_done = on_answer;
    if (sw_kube_call_start(j->x->o.client, &r, &j->call, &err) < 0) {
        j->call = NULL;
        fail_action(j, &err);
    }
}

/* --- Actions that need no answer ------------------------------------------------------------- */

/* The names under which the controllers of the contract speak (datavolume-controller.md 1). */
static const char *component_of(enum sw_kind kind)
{
    switch (kind) {
    case SW_KIND_DATA_VOLUME:
        return "datavolume-import-controller";
    case SW_KIND_STORAGE_CLASS:
    case SW_KIND_STORAGE_PROFILE:
        return "storageprofile-controller";
    case SW_KIND_CDI:
    case SW_KIND_CDI_CONFIG:
        return "config-controller";
    default:
        return "import-controller";
    }
}

static void record_event(struct job *j)
{
    const struct sw_action *a = &j->action;
    char api_version[SW_API_VERSION_MAX];

    sw_kind_api_version(a->kind, api_version);
    sw_kube_events_record(j->x->o.events,
                          &(struct sw_kube_event){ .component = component_of(a->kind),
                                                   .api_version = api_version,
                                                   .kind = sw_kind_info(a->kind)->name,
                                                   .ns = a->ns,
                                                   .name = a->name,
                                                   .uid = a->uid,
                                                   .type = a->type,
                                                   .reason = a->reason,
                                                   .message = a->message });
}

static int perform_here(struct job *j, struct sw_err *err)
{
    switch (j->action.what) {
    case SW_DO_EVENT:
        record_event(j);
        return 0;
    case SW_DO_SCRAPE:
        j->wants_scrape = true;
        return sw_scraper_want(j->x->o.scraper, j->key, &j->action, err);
    case SW_DO_REQUEUE:
        if (j->action.ms < j->requeue_ms)
            j->requeue_ms = j->action.ms;
        return 0;
    default:
        j->wants_retry = true;
        return 0;
    }
}

/* Go on until an action needs an answer, or to the end; the job is gone then. */
static void step(struct job *j)
{
    struct sw_executor *x = j->x;
    struct sw_err err = { 0 };

    for (; j->at < sw_json_length(j->actions); j->at++) {
        if (sw_action_parse(sw_json_at(j->actions, j->at), &j->action, &err) < 0) {
            j->action.what = SW_DO_RETRY; /* for the log's line only */
            fail_action(j, &err);
            return;
        }
        x->stats.actions[j->action.what]++;
        if (j->action.what <= SW_DO_DELETE) {
            if (x->may_run)
                send_action(j);
            else
                finish(j, ABANDONED);
            return;
        }
        if (perform_here(j, &err) < 0) {
            fail_action(j, &err);
            return;
        }
    }
    finish(j, ALL_DONE);
}

/* --- The beginning of a job ------------------------------------------------------------------ */

static int make_plan(struct job *j, struct sw_err *err)
{
    struct sw_executor *x = j->x;
    sw_auto_json struct sw_json *last_error = recall_error(x, j->key);
    int64_t began = sw_now_ns();
    struct sw_world_view v;

    if (sw_key_parse(j->key, &j->parts, err) < 0)
        return -1;
    sw_world_view_begin(x->o.world, x->o.env, &v);
    v.view.last_error = last_error;
    v.view.progress_centi = sw_scraper_progress(x->o.scraper, j->key);
    int done = x->o.planner->plan(j->parts.plan, &v.view, j->parts.ns, j->parts.name, &j->actions,
                                  err);
    sw_world_view_end(&v);
    x->stats.plans++;
    x->stats.plan_sum_ns += sw_now_ns() - began;
    return done;
}

static void begin(struct sw_executor *x, const char *key)
{
    struct job *j = calloc(1, sizeof(*j));
    struct sw_err err = { 0 };

    assert(j); /* a lost key would be a silent bug */
    j->x = x;
    j->key = key;
    j->requeue_ms = NO_REQUEUE;
    j->next = x->jobs;
    j->link = &x->jobs;
    if (j->next)
        j->next->link = &j->next;
    x->jobs = j;
    x->stats.jobs++;
    if (make_plan(j, &err) == 0) {
        step(j);
        return;
    }
    x->stats.failed_plans++;
    sw_log_error("controller.plan_failed", SW_STR("key", key), SW_ERR(&err));
    finish(j, FAILED);
}

static void on_pump(void *ctx)
{
    struct sw_executor *x = ctx;

    for (unsigned n = 0; x->may_run && x->stats.jobs < x->o.max_jobs; n++) {
        if (n == PLANS_PER_TURN) {
            sw_loop_post(x->loop, &x->pump);
            return;
        }
        const char *key = sw_workqueue_take(x->o.queue, sw_now_ns());
        if (!key)
            break;
        begin(x, key);
    }
    arm(x);
}

/* Come back when there is something to take: now, or with the queue's next timer. */
static void arm(struct sw_executor *x)
{
    struct sw_workqueue_stats q = sw_workqueue_stats(x->o.queue);
    int64_t next = sw_workqueue_next_ns(x->o.queue);

    if (!x->may_run || x->stats.jobs >= x->o.max_jobs)
        return; /* whoever changes that calls again */
    if (q.depth)
        sw_loop_post(x->loop, &x->pump);
    if (next == INT64_MAX)
        sw_loop_timer_stop(x->loop, &x->timer);
    else
        sw_loop_timer_set(x->loop, &x->timer, next);
}

/* --- Life ------------------------------------------------------------------------------------ */

int sw_executor_open(const struct sw_executor_options *options, struct sw_executor **ret,
                     struct sw_err *err)
{
    struct sw_executor *x = calloc(1, sizeof(*x));

    if (!x)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for the executor");
    x->o = *options;
    if (!x->o.max_jobs)
        x->o.max_jobs = JOBS_DEFAULT;
    x->loop = sw_kube_client_loop(x->o.client);
    x->pump = (struct sw_loop_call){ .fn = on_pump, .ctx = x };
    x->timer = (struct sw_loop_timer){ .fn = on_pump, .ctx = x };
    *ret = x;
    return 0;
}

void sw_executor_close(struct sw_executor *x)
{
    if (!x)
        return;
    x->may_run = false;
    while (x->jobs) {
        sw_workqueue_done(x->o.queue, x->jobs->key, sw_now_ns());
        free_job(x->jobs);
    }
    sw_loop_unpost(x->loop, &x->pump);
    sw_loop_timer_stop(x->loop, &x->timer);
    sw_strmap_done(&x->errors, free);
    free(x);
}

void sw_executor_run(struct sw_executor *x, bool may_run)
{
    x->may_run = may_run;
    arm(x);
}

void sw_executor_wake(struct sw_executor *x)
{
    arm(x);
}

void sw_executor_forget(struct sw_executor *x, const char *key)
{
    free(sw_strmap_take(&x->errors, key));
    sw_scraper_forget(x->o.scraper, key);
    sw_workqueue_forget(x->o.queue, key);
}

struct sw_executor_stats sw_executor_stats(const struct sw_executor *x)
{
    return x->stats;
}
