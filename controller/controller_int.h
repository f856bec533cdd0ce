/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files that make up controller/controller.h; nobody else includes it. */
#ifndef SW_CONTROLLER_CONTROLLER_INT_H
#define SW_CONTROLLER_CONTROLLER_INT_H

#include "controller/executor.h"
#include "controller/options.h"
#include "kube/config.h"
#include "kube/health.h"
#include "kube/lease.h"
#include "net/loop.h"

struct sw_controller {
    const struct sw_controller_args *args;
    struct sw_plan_env env;
    struct sw_loop *loop;
    struct sw_kube_config *config;
    struct sw_kube_client *client;
    struct sw_workqueue *queue;
    struct sw_kube_events *events;
    struct sw_scraper *scraper;
    struct sw_world *world;
    struct sw_executor *executor;
    struct sw_lease *lease;
    struct sw_health *health;
    char *identity;
    bool is_ending, has_released;
    int64_t began_ns, end_by_ns;
    struct sw_loop_timer end_timer;
};

/* The page of /metrics. */
void sw_controller_metrics(const struct sw_controller *c, struct sw_buf *out);

#endif
