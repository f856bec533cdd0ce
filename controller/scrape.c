/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/scrape.h"

#include <string.h>

#include "common/strmap.h"
#include "controller/sample.h"

#define MS_MIN 100U /* whatever a plan says: never a busy loop */

struct target {
    struct sw_scraper *scraper;
    char *key;
    char *url, *metric, *owner; /* NULL: not wanted now */
    int64_t every_ns;
    int64_t centi;
    struct sw_loop_timer timer;
    struct sw_http_async *request;
};

struct sw_scraper {
    struct sw_scraper_options o;
    struct sw_strmap targets;
    struct sw_scraper_stats stats;
    unsigned n_requests;
};

static void end_request(struct target *t)
{
    if (!t->request)
        return;
    sw_http_async_cancel(sw_steal(t->request));
    t->scraper->n_requests--;
}

static void stop(struct target *t)
{
    if (t->url)
        t->scraper->stats.running--;
    sw_loop_timer_stop(t->scraper->o.loop, &t->timer);
    end_request(t);
    free(sw_steal(t->url));
    free(sw_steal(t->metric));
    free(sw_steal(t->owner));
}

static void free_target(void *value)
{
    struct target *t = value;

    stop(t);
    free(t->key);
    free(t);
}

/* --- One page -------------------------------------------------------------------------------- */

static void on_page(void *ctx, const char *text, size_t n SW_UNUSED,
                    const struct sw_err *err SW_UNUSED)
{
    struct target *t = ctx;
    struct sw_scraper *s = t->scraper;
    int64_t centi = 0;

    t->request = NULL;
    s->n_requests--;
    if (!text)
        return;
    s->stats.answered++;
    if (!sw_sample_find(text, t->metric, t->owner, &centi) || centi == t->centi)
        return;
    t->centi = centi;
    s->o.on_progress(s->o.ctx, t->key);
}

static void on_time(void *ctx)
{
    struct target *t = ctx;
    struct sw_scraper *s = t->scraper;
    const struct sw_http_fetch fetch = { .url = t->url, .ctx = t, .on_done = on_page };
    struct sw_err err = { 0 };

    sw_loop_timer_set(s->o.loop, &t->timer, sw_now_ns() + t->every_ns);
    if (t->request || s->n_requests >= SW_SCRAPES_MAX)
        return;
    if (sw_http_fetch_start(s->o.pool, &fetch, &t->request, &err) < 0) {
        t->request = NULL;
        return;
    }
    s->n_requests++;
    s->stats.asked++;
}

/* --- What is wanted -------------------------------------------------------------------------- */

static struct target *find_or_make(struct sw_scraper *s, const char *key, struct sw_err *err)
{
    struct target *t = sw_strmap_get(&s->targets, key);

    if (t)
        return t;
    t = calloc(1, sizeof(*t));
    if (t)
        t->key = strdup(key);
    if (!t || !t->key) {
        free(t);
        sw_err_set(err, SW_ERR_INTERNAL, "out of memory for progress");
        return NULL;
    }
    t->scraper = s;
    t->centi = -1;
    t->timer = (struct sw_loop_timer){ .fn = on_time, .ctx = t };
    if (sw_strmap_set(&s->targets, key, t, NULL, err) < 0) {
        free(t->key);
        free(t);
        return NULL;
    }
    return t;
}

/* https://ADDRESS:PORT/metrics; an IPv6 address stands in brackets. */
static char *url_of(const struct sw_action *a)
{
    bool is_six = strchr(a->address, ':');
    char *url = NULL;

    if (asprintf(&url, "https://%s%s%s:%llu/metrics", is_six ? "[" : "", a->address,
                 is_six ? "]" : "", (unsigned long long)a->port) < 0)
        return NULL;
    return url;
}

static int start(struct target *t, char *url, const struct sw_action *a, struct sw_err *err)
{
    uint64_t ms = a->ms < MS_MIN ? MS_MIN : a->ms > 3600000 ? 3600000 : a->ms;

    stop(t);
    t->url = url;
    t->metric = strdup(a->metric);
    t->owner = strdup(a->owner_uid);
    t->every_ns = (int64_t)ms * SW_NS_PER_MS;
    t->scraper->stats.running++;
    if (!t->metric || !t->owner) {
        stop(t);
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for progress");
    }
    /* A pod that has just begun does not listen yet. */
    sw_loop_timer_set(t->scraper->o.loop, &t->timer, sw_now_ns() + t->every_ns);
    return 0;
}

int sw_scraper_want(struct sw_scraper *s, const char *key, const struct sw_action *action,
                    struct sw_err *err)
{
    struct target *t = find_or_make(s, key, err);

    if (!t)
        return -1;
    sw_autofree char *url = url_of(action);
    if (!url)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for progress");
    bool is_same = t->url && strcmp(t->url, url) == 0 && strcmp(t->metric, action->metric) == 0 &&
                   strcmp(t->owner, action->owner_uid) == 0;
    return is_same ? 0 : start(t, sw_steal(url), action, err);
}

void sw_scraper_stop(struct sw_scraper *s, const char *key)
{
    struct target *t = sw_strmap_get(&s->targets, key);

    if (t)
        stop(t);
}

int64_t sw_scraper_progress(const struct sw_scraper *s, const char *key)
{
    const struct target *t = sw_strmap_get(&s->targets, key);

    return t ? t->centi : -1;
}

void sw_scraper_forget(struct sw_scraper *s, const char *key)
{
    struct target *t = sw_strmap_take(&s->targets, key);

    if (t)
        free_target(t);
}

struct sw_scraper_stats sw_scraper_stats(const struct sw_scraper *s)
{
    return s->stats;
}

int sw_scraper_open(const struct sw_scraper_options *options, struct sw_scraper **ret,
                    struct sw_err *err)
{
    struct sw_scraper *s = calloc(1, sizeof(*s));

    if (!s)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for progress");
    s->o = *options;
    *ret = s;
    return 0;
}

void sw_scraper_close(struct sw_scraper *s)
{
    if (!s)
        return;
    sw_strmap_done(&s->targets, free_target);
    free(s);
}
