/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/rig.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/loop.h"

static void must(int done, const struct sw_err *err)
{
    if (done >= 0)
        return;
    (void)fprintf(stderr, "rig: %s\n", err->msg);
    abort();
}

static void on_key(void *ctx, const char *key, int64_t delay_ns)
{
    struct rig *r = ctx;

    sw_workqueue_add_after(r->queue, key, sw_now_ns(), delay_ns);
    sw_executor_wake(r->executor);
}

static void on_gone(void *ctx, const char *key)
{
    struct rig *r = ctx;

    sw_executor_forget(r->executor, key);
}

static void on_synced(void *ctx)
{
    struct rig *r = ctx;

    sw_executor_run(r->executor, true);
}

static void on_failure(void *ctx, const char *kind, const struct sw_err *err)
{
    (void)ctx;
    (void)fprintf(stderr, "rig: watch of %s: %s\n", kind, err->msg);
    abort();
}

static void on_progress(void *ctx, const char *key)
{
    on_key(ctx, key, 0);
}

void rig_open(struct rig *r, const struct sw_planner *planner,
              const struct fake_kube_script *script)
{
    struct sw_err err = { 0 };

    *r = (struct rig){ .planner = planner };
    r->env = (struct sw_plan_env){ .namespace = "cdi",
                                   .image = "slipway:test",
                                   .pull_policy = "IfNotPresent",
                                   .version = "0",
                                   .verbosity = 1 };
    must(sw_loop_open(&r->loop, &err), &err);
    r->server = fake_kube_new(r->loop, script);
}

void rig_start(struct rig *r)
{
    const struct sw_workqueue_options queue = { 5 * SW_NS_PER_MS, 50 * SW_NS_PER_MS };
    const struct sw_world_options world = { .ns = "cdi",
                                            .ctx = r,
                                            .on_key = on_key,
                                            .on_gone = on_gone,
                                            .on_synced = on_synced,
                                            .on_failure = on_failure };
    struct sw_err err = { 0 };

    r->client = fake_kube_connect(r->server);
    must(sw_http_pool_open(r->loop, NULL, &r->pool, &err), &err);
    const struct sw_scraper_options scraper = {
        .loop = r->loop, .pool = r->pool, .ctx = r, .on_progress = on_progress
    };
    must(sw_workqueue_new(&queue, &r->queue, &err), &err);
    must(sw_kube_events_open(r->client, NULL, &r->events, &err), &err);
    must(sw_scraper_open(&scraper, &r->scraper, &err), &err);
    must(sw_world_open(r->client, &world, &r->world, &err), &err);
    const struct sw_executor_options executor = { .client = r->client,
                                                  .world = r->world,
                                                  .events = r->events,
                                                  .scraper = r->scraper,
                                                  .queue = r->queue,
                                                  .planner = r->planner,
                                                  .env = &r->env };
    must(sw_executor_open(&executor, &r->executor, &err), &err);
}

void rig_kill(struct rig *r)
{
    if (!r->client)
        return;
    sw_executor_close(r->executor);
    sw_world_close(r->world);
    sw_scraper_close(r->scraper);
    sw_kube_events_close(r->events);
    sw_workqueue_free(r->queue);
    sw_http_pool_close(r->pool);
    sw_kube_client_close(r->client);
    r->client = NULL;
}

void rig_close(struct rig *r)
{
    rig_kill(r);
    fake_kube_free(r->server);
    sw_loop_close(r->loop);
}

void rig_turn(struct rig *r, int64_t wait_ns)
{
    struct sw_err err = { 0 };

    must(sw_loop_turn(r->loop, wait_ns, &err), &err);
}

bool rig_is_idle(const struct rig *r)
{
    return sw_world_is_synced(r->world) && sw_executor_stats(r->executor).jobs == 0 &&
           sw_workqueue_stats(r->queue).depth == 0 && sw_kube_events_pending(r->events) == 0;
}

void rig_settle(struct rig *r)
{
    int64_t deadline = sw_now_ns() + 30 * SW_NS_PER_SEC;

    for (unsigned idle = 0; idle < 5;) {
        rig_turn(r, 2 * SW_NS_PER_MS);
        idle = rig_is_idle(r) ? idle + 1 : 0;
        if (sw_now_ns() < deadline)
            continue;
        (void)fprintf(stderr, "rig: not settled after 30 s\n");
        abort();
    }
}
