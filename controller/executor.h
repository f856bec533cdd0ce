/* SPDX-License-Identifier: Apache-2.0 */
/* Does what plans say, and nothing else: takes a key from the work queue, shows the plan the world,
 * performs its actions in order, stops at the first that fails, and queues the key again where
 * controller/plan.h says so.
 *
 *   take -> plan -> action -> answer -> action -> ... -> done
 *
 * Many keys are under way at once, each with at most one request. Answers enter the world at once, so
 * that the next plan of a key sees what its last one did without waiting for the watch.
 *
 * One thread: the loop's. */
#ifndef SW_CONTROLLER_EXECUTOR_H
#define SW_CONTROLLER_EXECUTOR_H

#include "controller/scrape.h"
#include "controller/world.h"
#include "kube/events.h"
#include "kube/workqueue.h"

struct sw_executor; /* opaque */

/* The plans, so that tests can put others in their place. */
struct sw_planner {
    int (*plan)(enum sw_plan_id id, const struct sw_view *view, const char *ns, const char *name,
                struct sw_json **ret_actions, struct sw_err *err);
};

/* The four of controller/plan.h. */
extern const struct sw_planner sw_planner_real;

struct sw_executor_options {
    struct sw_kube_client *client;
    struct sw_world *world;
    struct sw_kube_events *events;
    struct sw_scraper *scraper;
    struct sw_workqueue *queue;
    const struct sw_planner *planner;
    const struct sw_plan_env *env;
    unsigned max_jobs; /* keys under way at once; 0: 64 */
};

struct sw_executor_stats {
    uint64_t plans, actions[SW_DO_COUNT_]; /* begun */
    uint64_t failed_plans, failed_actions;
    uint64_t stale; /* actions that found another world than their plan */
    int64_t plan_sum_ns;
    size_t jobs; /* now */
};

/* Everything in options is borrowed. -1 with SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_executor_open(const struct sw_executor_options *options, struct sw_executor **ret,
                     struct sw_err *err);

/* Requests under way are cancelled: what they did stays unknown, as after a crash. Accepts NULL. */
void sw_executor_close(struct sw_executor *x);

/* Keys are taken only while it may run (leader, world synced). At first it may not. What is under way when
 * it may not any more stops before its next request. */
void sw_executor_run(struct sw_executor *x, bool may_run);

/* The queue may have something new. */
void sw_executor_wake(struct sw_executor *x);

/* A key's object is gone: forget its errors and its progress. */
void sw_executor_forget(struct sw_executor *x, const char *key);

struct sw_executor_stats sw_executor_stats(const struct sw_executor *x);

#endif
