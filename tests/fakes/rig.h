/* SPDX-License-Identifier: Apache-2.0 */
/* A whole control process on an API server in memory (tests/fakes/kube_memory.h): world, queue,
 * executor and events around any planner. It can be killed and begun anew. One thread. */
#ifndef SW_TESTS_FAKES_RIG_H
#define SW_TESTS_FAKES_RIG_H

#include "controller/executor.h"
#include "tests/fakes/kube_memory.h"

struct rig {
    struct sw_loop *loop;
    struct fake_kube *server;
    const struct sw_planner *planner;
    struct sw_plan_env env;

    /* One life of the process. */
    struct sw_kube_client *client;
    struct sw_http_pool *pool;
    struct sw_workqueue *queue;
    struct sw_kube_events *events;
    struct sw_scraper *scraper;
    struct sw_world *world;
    struct sw_executor *executor;
};

/* The loop and the server; script is borrowed. */
void rig_open(struct rig *r, const struct sw_planner *planner,
              const struct fake_kube_script *script);
void rig_close(struct rig *r);

/* Begin the process; it may run as soon as its world is synced. */
void rig_start(struct rig *r);
/* kill -9. */
void rig_kill(struct rig *r);

/* One turn of the loop, waiting at most that long. */
void rig_turn(struct rig *r, int64_t wait_ns);

/* Nothing is under way or ready; what waits for a time may. */
bool rig_is_idle(const struct rig *r);

/* Turns until it is idle for a while; fails the test after 30 s. */
void rig_settle(struct rig *r);

#endif
