/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics: the contract's names as far as this process owns them (metrics-alerts.md 1), then our own.
 * Source of the format: prometheus.io/docs/instrumenting/exposition_formats. */
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/fileio.h"
#include "common/parse.h"
#include "controller/controller_int.h"

static void head(struct sw_buf *out, const char *name, const char *type, const char *help)
{
    sw_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_u64(struct sw_buf *out, const char *name, const char *type, const char *help,
                    uint64_t v)
{
    head(out, name, type, help);
    sw_buf_printf(out, "%s %llu\n", name, (unsigned long long)v);
}

static void put_seconds(struct sw_buf *out, const char *name, const char *type, const char *help,
                        int64_t ns)
{
    head(out, name, type, help);
    sw_buf_printf(out, "%s %.6f\n", name, (double)ns / 1e9);
}

static void put_row(struct sw_buf *out, const char *name, const char *label, const char *value,
                    uint64_t v)
{
    sw_buf_printf(out, "%s{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)v);
}

/* --- The process ----------------------------------------------------------------------------- */

/* Resident pages: the second number of /proc/self/statm (proc(5)). */
static uint64_t resident_bytes(void)
{
    sw_autofree char *text = NULL;
    struct sw_err err;
    uint64_t pages = 0;

    if (sw_file_slurp("/proc/self/statm", 4096, &text, NULL, &err) < 0)
        return 0;
    char *rest = text;
    (void)strsep(&rest, " ");
    const char *second = strsep(&rest, " ");
    if (!second || sw_parse_u64(second, 0, UINT64_MAX, &pages, &err) < 0)
        return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void put_process(struct sw_buf *out)
{
    struct rusage u = { 0 };

    (void)getrusage(RUSAGE_SELF, &u);
    put_seconds(out, "process_cpu_seconds_total", "counter",
                "Total user and system CPU time spent in seconds.",
                (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * SW_NS_PER_SEC +
                    (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000);
    put_u64(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
            resident_bytes());
}

/* --- The client ------------------------------------------------------------------------------ */

static void put_latency(struct sw_buf *out, const struct sw_kube_stats *s)
{
    static const char name[] = "slipway_api_request_duration_seconds";
    uint64_t below = 0;

    head(out, name, "histogram", "One attempt of a request to the API server, sent to answered.");
    for (size_t i = 0; i < SW_KUBE_LATENCY_BUCKETS; i++) {
        below += s->latency[i];
        if (i + 1 < SW_KUBE_LATENCY_BUCKETS)
            sw_buf_printf(out, "%s_bucket{le=\"%g\"} %llu\n", name,
                          (double)sw_kube_latency_bounds_ns[i] / 1e9, (unsigned long long)below);
        else
            sw_buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)below);
    }
    sw_buf_printf(out, "%s_sum %.6f\n%s_count %llu\n", name, (double)s->latency_sum_ns / 1e9, name,
                  (unsigned long long)s->latency_count);
}

static void put_client(struct sw_buf *out, const struct sw_kube_stats *s)
{
    static const char name[] = "slipway_api_requests_total";

    head(out, name, "counter",
         "Answers of the API server by verb and class of status, 0 for none.");
    for (unsigned v = 0; v < SW_KUBE_VERB_COUNT_; v++) {
        for (unsigned c = 0; c < 6; c++) {
            if (s->answers[v][c])
                sw_buf_printf(out, "%s{verb=\"%s\",code=\"%u%s\"} %llu\n", name,
                              sw_kube_verb_name((enum sw_kube_verb)v), c, c ? "xx" : "",
                              (unsigned long long)s->answers[v][c]);
        }
    }
    put_u64(out, "slipway_api_conflicts_total", "counter", "Answers 409.", s->conflicts);
    put_u64(out, "slipway_api_throttled_total", "counter", "Answers 429.", s->throttled);
    put_u64(out, "slipway_api_retries_total", "counter", "Attempts beyond the first.", s->retries);
    put_u64(out, "slipway_api_in_flight", "gauge", "Requests that wait for an answer.",
            s->in_flight);
    put_latency(out, s);
    put_u64(out, "slipway_watches_total", "counter", "Watches that were opened.", s->watches);
    put_u64(out, "slipway_watch_failures_total", "counter", "Lists and watches that failed.",
            s->watch_failures);
    put_u64(out, "slipway_watch_events_total", "counter", "Changes that watches told.",
            s->watch_events);
    put_u64(out, "slipway_relists_total", "counter", "Lists after the first of a kind.",
            s->relists);
}

/* --- The work -------------------------------------------------------------------------------- */

static void put_queue(struct sw_buf *out, struct sw_workqueue_stats s)
{
    put_u64(out, "slipway_workqueue_depth", "gauge", "Keys that are ready.", s.depth);
    put_u64(out, "slipway_workqueue_waiting", "gauge", "Keys that wait for their time.", s.waiting);
    put_u64(out, "slipway_workqueue_adds_total", "counter", "Keys that became ready.", s.adds);
    put_u64(out, "slipway_workqueue_retries_total", "counter", "Keys that failed and come again.",
            s.retries);
    put_seconds(out, "slipway_workqueue_queue_duration_seconds_total", "counter",
                "Time that keys were ready before they were taken.", s.latency_sum_ns);
}

static void put_executor(struct sw_buf *out, struct sw_executor_stats s)
{
    put_u64(out, "slipway_plans_total", "counter", "Plans that were made.", s.plans);
    put_u64(out, "slipway_plan_failures_total", "counter", "Plans that failed.", s.failed_plans);
    put_seconds(out, "slipway_plan_duration_seconds_total", "counter", "Time spent planning.",
                s.plan_sum_ns);
    head(out, "slipway_actions_total", "counter", "Actions that were begun.");
    for (unsigned i = 0; i < SW_DO_COUNT_; i++)
        put_row(out, "slipway_actions_total", "do", sw_action_do_name((enum sw_action_do)i),
                s.actions[i]);
    put_u64(out, "slipway_action_failures_total", "counter", "Actions that failed.",
            s.failed_actions);
    put_u64(out, "slipway_stale_actions_total", "counter",
            "Actions that found another world than their plan.", s.stale);
    put_u64(out, "slipway_jobs", "gauge", "Keys that are worked on.", s.jobs);
}

static void put_events(struct sw_buf *out, struct sw_kube_events_stats s)
{
    static const char name[] = "slipway_events_total";

    head(out, name, "counter", "Events by what became of them.");
    put_row(out, name, "result", "created", s.created);
    put_row(out, name, "result", "counted", s.counted);
    put_row(out, name, "result", "withheld", s.withheld);
    put_row(out, name, "result", "dropped", s.dropped);
    put_row(out, name, "result", "failed", s.failed);
}

static void put_world(struct sw_buf *out, const struct sw_world *w)
{
    static const char objects[] = "slipway_cache_objects", bytes[] = "slipway_cache_bytes";

    head(out, objects, "gauge", "Objects in the cache.");
    for (unsigned k = 0; k < SW_KIND_COUNT_; k++)
        put_row(out, objects, "kind", sw_kind_info((enum sw_kind)k)->name,
                sw_world_count(w, (enum sw_kind)k));
    head(out, bytes, "gauge", "Memory that the cache takes.");
    for (unsigned k = 0; k < SW_KIND_COUNT_; k++)
        put_row(out, bytes, "kind", sw_kind_info((enum sw_kind)k)->name,
                sw_world_bytes(w, (enum sw_kind)k));
}

void sw_controller_metrics(const struct sw_controller *c, struct sw_buf *out)
{
    struct sw_scraper_stats scrapes = sw_scraper_stats(c->scraper);

    put_u64(out, "kubevirt_cdi_datavolume_pending", "gauge",
            "Number of DataVolumes pending for default storage class to be configured",
            sw_world_pending(c->world));
    put_u64(out, "slipway_is_leader", "gauge", "Whether this process does the work.",
            !c->args->leader_elect || sw_lease_is_held(c->lease));
    put_queue(out, sw_workqueue_stats(c->queue));
    put_executor(out, sw_executor_stats(c->executor));
    put_events(out, sw_kube_events_stats(c->events));
    put_u64(out, "slipway_scrapes_total", "counter", "Pods that were asked for their progress.",
            scrapes.asked);
    put_u64(out, "slipway_scrapes_running", "gauge", "Imports whose progress is followed.",
            scrapes.running);
    put_world(out, c->world);
    put_client(out, sw_kube_client_stats(c->client));
    put_process(out);
}
