/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/controller.h"

#include <signal.h>
#include <string.h>

#include "common/log.h"
#include "controller/controller_int.h"
#include "controller/keys.h"
#include "controller/names.h"

#define LEASE_NAME "cdi-controller-leader-election-helper" /* operator-deploy.md 5 */
#define NS_DEFAULT "cdi"
#define RETRY_BASE_NS (5 * SW_NS_PER_MS)
/* A quota that was raised, a server that is back: found within a minute. 5,000 keys that fail for
 * good cost 80 requests a second at that. */
#define RETRY_MAX_NS (60 * SW_NS_PER_SEC)
#define END_NS (5 * SW_NS_PER_SEC)
#define END_LOOK_NS (20 * SW_NS_PER_MS)

/* --- Whether to work ------------------------------------------------------------------------- */

static bool leads(const struct sw_controller *c)
{
    return !c->args->leader_elect || (c->lease && sw_lease_is_held(c->lease));
}

static void decide(struct sw_controller *c)
{
    sw_executor_run(c->executor, !c->is_ending && leads(c) && sw_world_is_synced(c->world));
}

static void on_lease(void *ctx, bool is_held)
{
    struct sw_controller *c = ctx;

    if (is_held)
        sw_log_info("controller.leads", SW_STR("identity", c->identity));
    else
        sw_log_warn("controller.stands_by", SW_STR("identity", c->identity));
    decide(c);
}

static void on_lease_failure(void *ctx SW_UNUSED, const struct sw_err *err)
{
    sw_log_warn("controller.lease_failed", SW_ERR(err));
}

/* Nothing has to change for it to be missing. */
static void plan_installation(struct sw_controller *c)
{
    char key[SW_KEY_MAX];

    sw_key_print(SW_PLAN_CDI, NULL, SW_CDI_NAME, key);
    sw_workqueue_add_after(c->queue, key, sw_now_ns(), 0);
}

static void on_synced(void *ctx)
{
    struct sw_controller *c = ctx;

    sw_log_info("controller.synced", SW_MS("ms", sw_now_ns() - c->began_ns));
    plan_installation(c);
    decide(c);
}

/* --- News ------------------------------------------------------------------------------------ */

static void on_key(void *ctx, const char *key, int64_t delay_ns)
{
    struct sw_controller *c = ctx;

    sw_workqueue_add_after(c->queue, key, sw_now_ns(), delay_ns);
    sw_executor_wake(c->executor);
}

static void on_gone(void *ctx, const char *key)
{
    struct sw_controller *c = ctx;

    sw_executor_forget(c->executor, key);
}

static void on_progress(void *ctx, const char *key)
{
    on_key(ctx, key, 0);
}

static void on_watch_failure(void *ctx SW_UNUSED, const char *kind, const struct sw_err *err)
{
    sw_log_warn("controller.watch_failed", SW_STR("of", kind), SW_ERR(err));
}

static void on_event_failure(void *ctx SW_UNUSED, const struct sw_err *err)
{
    sw_log_debug("controller.event_lost", SW_ERR(err));
}

/* --- Health ---------------------------------------------------------------------------------- */

static bool is_ready(void *ctx, const char **ret_reason)
{
    const struct sw_controller *c = ctx;

    *ret_reason = c->is_ending ? "ending" : sw_world_waits_for(c->world);
    return !*ret_reason;
}

static void write_metrics(void *ctx, struct sw_buf *out)
{
    sw_controller_metrics(ctx, out);
}

/* --- The end --------------------------------------------------------------------------------- */

static void on_released(void *ctx)
{
    struct sw_controller *c = ctx;

    sw_loop_stop(c->loop);
}

/* Wait for what is under way, then give the Lease back: nobody else works before that. */
static void on_end_timer(void *ctx)
{
    struct sw_controller *c = ctx;
    bool is_idle = sw_executor_stats(c->executor).jobs == 0 &&
                   sw_kube_events_pending(c->events) == 0;

    if (!is_idle && sw_now_ns() < c->end_by_ns)
        sw_loop_timer_set(c->loop, &c->end_timer, sw_now_ns() + END_LOOK_NS);
    else if (!c->lease || c->has_released)
        sw_loop_stop(c->loop);
    else {
        c->has_released = true;
        sw_lease_release(c->lease, on_released, c);
    }
}

static void on_signal(void *ctx, int signo)
{
    struct sw_controller *c = ctx;

    sw_log_info("controller.ends", SW_I64("signal", signo));
    if (c->is_ending) {
        sw_loop_stop(c->loop);
        return;
    }
    c->is_ending = true;
    c->end_by_ns = sw_now_ns() + END_NS;
    decide(c);
    sw_loop_timer_set(c->loop, &c->end_timer, sw_now_ns());
}

/* --- The beginning --------------------------------------------------------------------------- */

static int open_config(struct sw_controller *c, struct sw_err *err)
{
    const struct sw_controller_args *a = c->args;

    if (a->kubeconfig || a->context)
        return sw_kube_config_file(a->kubeconfig, a->context, &c->config, err);
    return sw_kube_config_default(&c->config, err);
}

/* The pod's namespace; a kubeconfig's, which is where its user works, is not ours. */
static const char *own_namespace(const struct sw_controller *c)
{
    if (c->args->ns)
        return c->args->ns;
    if (c->args->kubeconfig || c->args->context || !getenv("KUBERNETES_SERVICE_HOST"))
        return NS_DEFAULT;
    return sw_kube_client_namespace(c->client);
}

static int open_client(struct sw_controller *c, struct sw_err *err)
{
    if (sw_loop_open(&c->loop, err) < 0 ||
        sw_loop_on_signal(c->loop, SIGTERM, on_signal, c, err) < 0 ||
        sw_loop_on_signal(c->loop, SIGINT, on_signal, c, err) < 0 || open_config(c, err) < 0 ||
        sw_kube_client_open(c->loop, c->config, NULL, &c->client, err) < 0)
        return -1;
    c->end_timer = (struct sw_loop_timer){ .fn = on_end_timer, .ctx = c };
    c->env = (struct sw_plan_env){
        .namespace = own_namespace(c),
        .image = c->args->image,
        .pull_policy = c->args->pull_policy,
        .version = SW_VERSION,
        .verbosity = (unsigned)c->args->verbosity,
    };
    return 0;
}

static int open_parts(struct sw_controller *c, struct sw_err *err)
{
    const struct sw_workqueue_options queue = { RETRY_BASE_NS, RETRY_MAX_NS };
    const struct sw_kube_events_options events = { .ctx = c, .on_failure = on_event_failure };
    const struct sw_scraper_options scraper = { .loop = c->loop,
                                                .pool = sw_kube_client_pool(c->client),
                                                .ctx = c,
                                                .on_progress = on_progress };
    const struct sw_world_options world = { .ns = c->env.namespace,
                                            .ctx = c,
                                            .on_key = on_key,
                                            .on_gone = on_gone,
                                            .on_synced = on_synced,
                                            .on_failure = on_watch_failure };

    if (sw_workqueue_new(&queue, &c->queue, err) < 0 ||
        sw_kube_events_open(c->client, &events, &c->events, err) < 0 ||
        sw_scraper_open(&scraper, &c->scraper, err) < 0 ||
        sw_world_open(c->client, &world, &c->world, err) < 0)
        return -1;
    const struct sw_executor_options executor = { .client = c->client,
                                                  .world = c->world,
                                                  .events = c->events,
                                                  .scraper = c->scraper,
                                                  .queue = c->queue,
                                                  .planner = &sw_planner_real,
                                                  .env = &c->env,
                                                  .max_jobs = (unsigned)c->args->jobs };
    return sw_executor_open(&executor, &c->executor, err);
}

static int open_lease(struct sw_controller *c, struct sw_err *err)
{
    if (!c->args->leader_elect)
        return 0;
    if (sw_lease_identity(&c->identity, err) < 0)
        return -1;
    const struct sw_lease_options lease = { .ns = c->env.namespace,
                                            .name = LEASE_NAME,
                                            .identity = c->identity,
                                            .ctx = c,
                                            .on_change = on_lease,
                                            .on_failure = on_lease_failure };
    return sw_lease_open(c->client, &lease, &c->lease, err);
}

static int open_all(struct sw_controller *c, struct sw_err *err)
{
    const struct sw_health_options health = { .port = (uint16_t)c->args->port,
                                              .ctx = c,
                                              .is_ready = is_ready,
                                              .write_metrics = write_metrics };

    c->began_ns = sw_now_ns();
    if (open_client(c, err) < 0 || open_parts(c, err) < 0 || open_lease(c, err) < 0 ||
        sw_health_open(c->loop, &health, &c->health, err) < 0)
        return -1;
    sw_log_info("controller.begins", SW_STR("version", SW_VERSION),
                SW_STR("server", sw_kube_config_access(c->config)->server),
                SW_STR("namespace", c->env.namespace), SW_U64("port", sw_health_port(c->health)));
    return 0;
}

static void close_all(struct sw_controller *c)
{
    sw_health_close(c->health);
    sw_lease_close(c->lease);
    sw_executor_close(c->executor);
    sw_world_close(c->world);
    sw_scraper_close(c->scraper);
    sw_kube_events_close(c->events);
    sw_workqueue_free(c->queue);
    if (c->loop)
        sw_loop_timer_stop(c->loop, &c->end_timer);
    sw_kube_client_close(c->client);
    sw_kube_config_free(c->config);
    sw_loop_close(c->loop);
    free(c->identity);
}

int sw_controller_run(const struct sw_controller_args *args, struct sw_err *err)
{
    struct sw_controller c = { .args = args };
    int done = open_all(&c, err);

    if (done == 0)
        done = sw_loop_run(c.loop, err);
    close_all(&c);
    return done;
}
