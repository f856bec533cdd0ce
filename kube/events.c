/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/events.h"

#include <string.h>
#include <time.h>

#include "kube/event_series.h"
#include "net/loop.h"

#define MESSAGE_MAX ((size_t)1024) /* the API server refuses a longer one */
#define BODY_MAX ((size_t)16 << 10)
#define NAME_MAX_BYTES ((size_t)253)
#define COMBINED "(combined from similar events): "

/* One request to come. The strings of the occurrence are kept for the case that the Event to count
 * is gone, which makes a new one of it. */
struct note {
    struct note *next;
    struct sw_kube_events *events;
    struct sw_kube_call *call;
    struct sw_event_decision d;
    int64_t last_ns; /* wall-clock time of this occurrence */
    struct sw_kube_event e;
    char text[]; /* what the members of e point into */
};

struct sw_kube_events {
    struct sw_kube_client *client;
    struct sw_kube_events_options o;
    struct sw_event_series *series;
    struct note *head, **tail; /* waiting */
    struct note *running;
    unsigned n_waiting, n_running;
    struct sw_kube_events_stats stats;
};

static const struct sw_kube_resource resource = {
    .group = "", .version = "v1", .plural = "events", .kind = "Event"
};

static int64_t wall_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * SW_NS_PER_SEC + t.tv_nsec;
}

/* --- Bodies ---------------------------------------------------------------------------------- */

static void put_time(struct sw_json_writer *w, const char *key, int64_t ns)
{
    time_t s = (time_t)(ns / SW_NS_PER_SEC);
    char text[sizeof("2026-01-31T11:44:13Z")] = "";
    struct tm tm;

    gmtime_r(&s, &tm);
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    sw_json_put_str(w, key, text);
}

static const char *space_of(const struct note *n)
{
    return *n->e.ns ? n->e.ns : "default"; /* as for all events about cluster-wide objects */
}

/* "<object>.<time of the first occurrence>": known from the series alone, and unlike the name of
 * any other series of that object. */
static void put_name(const struct note *n, char *ret)
{
    (void)snprintf(ret, NAME_MAX_BYTES + 1, "%.200s.%llx", n->e.name,
                   (unsigned long long)n->d.first_ns);
}

/* At most MESSAGE_MAX bytes, not in the middle of a character. */
static void put_message(struct sw_json_writer *w, const struct note *n)
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(MESSAGE_MAX);
    size_t room = MESSAGE_MAX - (n->d.is_combined ? strlen(COMBINED) : 0);
    size_t len = strlen(n->e.message);

    if (len > room) {
        len = room;
        while (len && ((unsigned char)n->e.message[len] & 0xc0) == 0x80)
            len--;
    }
    if (n->d.is_combined)
        sw_buf_puts(&text, COMBINED);
    sw_buf_append(&text, n->e.message, len);
    sw_json_put_str(w, "message", sw_buf_str(&text));
}

static void put_object(struct sw_json_writer *w, const struct sw_kube_event *e)
{
    sw_json_begin_object(w, "involvedObject");
    sw_json_put_str(w, "apiVersion", e->api_version);
    sw_json_put_str(w, "kind", e->kind);
    if (*e->ns)
        sw_json_put_str(w, "namespace", e->ns);
    sw_json_put_str(w, "name", e->name);
    sw_json_put_str(w, "uid", e->uid);
    sw_json_end(w);
}

static void write_new(struct sw_buf *out, const struct note *n)
{
    char name[NAME_MAX_BYTES + 1];
    struct sw_json_writer w;

    put_name(n, name);
    sw_json_writer_init(&w, out);
    sw_json_begin_object(&w, NULL);
    sw_json_put_str(&w, "apiVersion", "v1");
    sw_json_put_str(&w, "kind", "Event");
    sw_json_begin_object(&w, "metadata");
    sw_json_put_str(&w, "namespace", space_of(n));
    sw_json_put_str(&w, "name", name);
    sw_json_end(&w);
    put_object(&w, &n->e);
    sw_json_put_str(&w, "type", n->e.type);
    sw_json_put_str(&w, "reason", n->e.reason);
    put_message(&w, n);
    sw_json_begin_object(&w, "source");
    sw_json_put_str(&w, "component", n->e.component);
    sw_json_end(&w);
    sw_json_put_str(&w, "reportingComponent", n->e.component);
    sw_json_put_str(&w, "reportingInstance", "");
    sw_json_put_u64(&w, "count", n->d.count);
    put_time(&w, "firstTimestamp", n->d.first_ns);
    put_time(&w, "lastTimestamp", n->last_ns);
    sw_json_end(&w);
}

static void write_count(struct sw_buf *out, const struct note *n)
{
    struct sw_json_writer w;

    sw_json_writer_init(&w, out);
    sw_json_begin_object(&w, NULL);
    put_message(&w, n); /* of a combined series the newest text */
    sw_json_put_u64(&w, "count", n->d.count);
    put_time(&w, "lastTimestamp", n->last_ns);
    sw_json_end(&w);
}

/* --- Requests -------------------------------------------------------------------------------- */

static void pump(struct sw_kube_events *ev);

static struct sw_event_id id_of(const struct note *n)
{
    return (struct sw_event_id){
        .uid = n->e.uid, .type = n->e.type, .reason = n->e.reason, .message = n->e.message
    };
}

static void drop_running(struct note *n)
{
    struct sw_kube_events *ev = n->events;
    struct note **at = &ev->running;

    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    ev->n_running--;
    free(n);
}

static int send_note(struct note *n, struct sw_err *err);

/* The Event to count has been cleared away: write it anew. */
static bool begins_anew(struct note *n, const struct sw_kube_answer *answer)
{
    struct sw_event_id id = id_of(n);
    struct sw_err err = { 0 };

    if (n->d.verdict != SW_EVENT_COUNT || answer->status != 404)
        return false;
    sw_event_series_forget(n->events->series, &id);
    n->d = sw_event_series_record(n->events->series, &id, sw_now_ns(), n->last_ns);
    return n->d.verdict == SW_EVENT_CREATE && send_note(n, &err) == 0;
}

static void on_done(void *ctx, const struct sw_kube_answer *answer)
{
    struct note *n = ctx;
    struct sw_kube_events *ev = n->events;

    n->call = NULL;
    if (answer->err && begins_anew(n, answer))
        return;
    if (!answer->err && n->d.verdict == SW_EVENT_CREATE)
        ev->stats.created++;
    else if (!answer->err)
        ev->stats.counted++;
    else
        ev->stats.failed++;
    if (answer->err && ev->o.on_failure)
        ev->o.on_failure(ev->o.ctx, answer->err);
    drop_running(n);
    pump(ev);
}

static int send_note(struct note *n, struct sw_err *err)
{
    sw_autobuf struct sw_buf body = SW_BUF_INIT(BODY_MAX);
    bool is_new = n->d.verdict == SW_EVENT_CREATE;
    char name[NAME_MAX_BYTES + 1];

    put_name(n, name);
    if (is_new)
        write_new(&body, n);
    else
        write_count(&body, n);
    if (sw_buf_check(&body, "the Event", err) < 0)
        return -1;
    return sw_kube_call_start(n->events->client,
                              &(struct sw_kube_request){
                                  .verb = is_new ? SW_KUBE_CREATE : SW_KUBE_MERGE_PATCH,
                                  .where = { &resource, space_of(n), is_new ? NULL : name, NULL },
                                  .body = body.p,
                                  .body_n = body.n,
                                  .ctx = n,
                                  .on_done = on_done,
                              },
                              &n->call, err);
}

static void pump(struct sw_kube_events *ev)
{
    while (ev->head && ev->n_running < ev->o.max_in_flight) {
        struct note *n = ev->head;
        struct sw_err err = { 0 };

        ev->head = n->next;
        if (!ev->head)
            ev->tail = &ev->head;
        ev->n_waiting--;
        n->next = ev->running;
        ev->running = n;
        ev->n_running++;
        if (send_note(n, &err) == 0)
            continue;
        ev->stats.failed++;
        if (ev->o.on_failure)
            ev->o.on_failure(ev->o.ctx, &err);
        drop_running(n);
    }
}

/* --- Occurrences ----------------------------------------------------------------------------- */

/* One allocation for the note and its strings. */
static struct note *copy(const struct sw_kube_event *e)
{
    const char *from[] = { e->component, e->api_version, e->kind,   e->ns ? e->ns : "", e->name,
                           e->uid,       e->type,        e->reason, e->message };
    const char **to[SW_COUNT(from)];
    size_t n = 0;

    for (size_t i = 0; i < SW_COUNT(from); i++)
        n += strlen(from[i]) + 1;
    struct note *note = calloc(1, sizeof(*note) + n);
    if (!note)
        return NULL;
    to[0] = &note->e.component;
    to[1] = &note->e.api_version;
    to[2] = &note->e.kind;
    to[3] = &note->e.ns;
    to[4] = &note->e.name;
    to[5] = &note->e.uid;
    to[6] = &note->e.type;
    to[7] = &note->e.reason;
    to[8] = &note->e.message;
    char *at = note->text;
    for (size_t i = 0; i < SW_COUNT(from); i++) {
        size_t len = strlen(from[i]) + 1;

        memcpy(at, from[i], len);
        *to[i] = at;
        at += len;
    }
    return note;
}

void sw_kube_events_record(struct sw_kube_events *ev, const struct sw_kube_event *event)
{
    const struct sw_event_id id = {
        .uid = event->uid, .type = event->type, .reason = event->reason, .message = event->message
    };
    int64_t wall = wall_ns();

    if (ev->n_waiting >= ev->o.max_waiting) {
        ev->stats.dropped++;
        return;
    }
    struct sw_event_decision d = sw_event_series_record(ev->series, &id, sw_now_ns(), wall);
    if (d.verdict == SW_EVENT_DROP) {
        ev->stats.withheld++;
        return;
    }
    struct note *n = copy(event);
    if (!n) {
        ev->stats.dropped++;
        return;
    }
    n->events = ev;
    n->d = d;
    n->last_ns = wall;
    *ev->tail = n;
    ev->tail = &n->next;
    ev->n_waiting++;
    pump(ev);
}

/* --- Life ------------------------------------------------------------------------------------ */

int sw_kube_events_open(struct sw_kube_client *client, const struct sw_kube_events_options *options,
                        struct sw_kube_events **ret, struct sw_err *err)
{
    struct sw_kube_events *ev = calloc(1, sizeof(*ev));

    if (!ev || sw_event_series_new(&ev->series, err) < 0) {
        free(ev);
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for events");
    }
    ev->client = client;
    if (options)
        ev->o = *options;
    if (!ev->o.max_in_flight)
        ev->o.max_in_flight = 4;
    if (!ev->o.max_waiting)
        ev->o.max_waiting = 10000;
    ev->tail = &ev->head;
    *ret = ev;
    return 0;
}

void sw_kube_events_close(struct sw_kube_events *ev)
{
    if (!ev)
        return;
    while (ev->running) {
        struct note *n = ev->running;

        sw_kube_call_cancel(n->call);
        ev->running = n->next;
        free(n);
    }
    while (ev->head) {
        struct note *n = ev->head;

        ev->head = n->next;
        free(n);
    }
    sw_event_series_free(ev->series);
    free(ev);
}

size_t sw_kube_events_pending(const struct sw_kube_events *ev)
{
    return (size_t)ev->n_waiting + ev->n_running;
}

struct sw_kube_events_stats sw_kube_events_stats(const struct sw_kube_events *ev)
{
    return ev->stats;
}
