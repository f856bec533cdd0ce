/* SPDX-License-Identifier: Apache-2.0 */
/* The conditions Bound, Ready and Running (contract datavolume-controller 4.2). */
#include <string.h>

#include "controller/condition.h"
#include "controller/datavolume.h"
#include "controller/names.h"
#include "controller/object.h"

#define TEXT_MAX 2048

struct condition {
    const char *type, *status, *reason;
    struct sw_buf message;
};

/* --- What they say -------------------------------------------------------------------------------- */

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* RFC 3339 in UTC, as all of these are, compares as text. */
static const char *time_of(const struct sw_json *event)
{
    static const char *const members[] = { "series.lastObservedTime", "lastTimestamp", "eventTime",
                                           "metadata.creationTimestamp" };

    for (size_t i = 0; i < SW_COUNT(members); i++)
        if (sw_json_text(event, members[i]))
            return sw_json_text(event, members[i]);
    return "";
}

/* These say that all goes as it should; a status write for each would double the writes of an import. */
static bool is_routine(const char *reason)
{
    return sw_text_equal(reason, "ExternalProvisioning") || sw_text_equal(reason, "Provisioning") ||
           sw_text_equal(reason, "ProvisioningSucceeded");
}

/* What the storage says about a claim that is not bound: its newest event; NULL when there is none. */
static const char *storage_says(struct sw_dv *d)
{
    const struct sw_json *newest = NULL;
    const struct sw_json *all = sw_draft_list(d->p, SW_KIND_EVENT, SW_INDEX_INVOLVED,
                                              sw_object_uid(d->claim));

    for (size_t i = 0; i < sw_json_length(all); i++) {
        const struct sw_json *e = sw_json_at(all, i);
        int later = newest ? strcmp(time_of(e), time_of(newest)) : 1;

        if (later == 0)
            later = strcmp(or_empty(sw_object_name(e)), or_empty(sw_object_name(newest)));
        if (later > 0 && sw_json_text(e, "message") && !is_routine(sw_json_text(e, "reason")))
            newest = e;
    }
    return sw_json_text(newest, "message");
}

static void describe_pending(struct sw_dv *d, struct condition *c)
{
    const char *mark = sw_object_annotation(d->claim, SW_ANNO_BOUND);
    const char *name = or_empty(sw_object_name(d->claim));
    const char *why = storage_says(d);

    c->reason = "Pending";
    if (mark && strcmp(mark, "true") != 0) {
        c->reason = or_empty(sw_object_annotation(d->claim, SW_ANNO_BOUND_REASON));
        why = or_empty(sw_object_annotation(d->claim, SW_ANNO_BOUND_MESSAGE));
    }
    if (why)
        sw_buf_printf(&c->message, "target PVC %s Pending and %.*s", name, TEXT_MAX / 2, why);
    else
        sw_buf_printf(&c->message, "PVC %s Pending", name);
}

static void describe_bound(struct sw_dv *d, struct condition *c)
{
    const char *mark = sw_object_annotation(d->claim, SW_ANNO_BOUND);

    if (mark && strcmp(mark, "true") != 0) {
        c->reason = or_empty(sw_object_annotation(d->claim, SW_ANNO_BOUND_REASON));
        sw_buf_printf(&c->message, "%.*s", TEXT_MAX / 2,
                      or_empty(sw_object_annotation(d->claim, SW_ANNO_BOUND_MESSAGE)));
        return;
    }
    c->status = "True";
    c->reason = "Bound";
    sw_buf_printf(&c->message, "PVC %s Bound", or_empty(sw_object_name(d->claim)));
}

static void set_bound(struct sw_dv *d, struct condition *c)
{
    const char *phase = or_empty(sw_json_text(d->claim, "status.phase"));

    c->status = "False";
    c->reason = "";
    if (!d->claim) {
        c->reason = d->problem.reason ? d->problem.reason : "NotFound";
        sw_buf_puts(&c->message, d->problem.reason ? d->problem.message : "No PVC found");
    } else if (!*phase || strcmp(phase, "Pending") == 0) {
        describe_pending(d, c);
    } else if (strcmp(phase, "Bound") == 0) {
        describe_bound(d, c);
    } else if (strcmp(phase, "Lost") == 0) {
        c->reason = "ClaimLost";
        sw_buf_puts(&c->message, "Claim Lost");
    }
}

static void set_running(const struct sw_dv *d, struct condition *c)
{
    const char *mark = sw_object_annotation(d->claim, SW_ANNO_RUNNING);

    c->status = "False";
    if (sw_object_annotation_is(d->claim, SW_ANNO_SCHEDULABLE, "false")) {
        c->reason = "Unschedulable";
        sw_buf_puts(&c->message, "Importer pod cannot be scheduled");
        return;
    }
    if (mark && strcmp(mark, "false") != 0)
        c->status = strcmp(mark, "true") == 0 ? "True" : "Unknown";
    c->reason = or_empty(sw_object_annotation(d->claim, SW_ANNO_RUNNING_REASON));
    sw_buf_printf(&c->message, "%.*s", TEXT_MAX / 2,
                  or_empty(sw_object_annotation(d->claim, SW_ANNO_RUNNING_MESSAGE)));
}

static void set_ready(const struct sw_dv *d, const char *phase, bool is_running,
                      struct condition *c)
{
    c->status = strcmp(phase, "Succeeded") == 0 ? "True"
                : strcmp(phase, "Unknown") == 0 ? "Unknown"
                                                : "False";
    c->reason = is_running ? "TransferRunning" : "";
    if (!d->claim && d->problem.reason) {
        c->reason = d->problem.reason;
        sw_buf_puts(&c->message, d->problem.message);
    }
}

/* --- What changed --------------------------------------------------------------------------------- */

static struct sw_condition view_of(const struct condition *c)
{
    return (struct sw_condition){ c->type, c->status, c->reason, sw_buf_str(&c->message) };
}

static bool has_changed(const struct sw_dv *d, const struct condition *c)
{
    const struct sw_condition now = view_of(c);

    return sw_condition_is_new(sw_json_find(d->obj, "status.conditions"), &now);
}

static void put_condition(struct sw_dv *d, struct sw_json *list, const struct condition *c)
{
    const struct sw_condition now = view_of(c);

    sw_condition_put(&d->p->m, list, sw_json_find(d->obj, "status.conditions"), &now);
}

/* A claim that cannot be had is a warning; any other change of Bound is for the record. */
static void tell_bound(struct sw_dv *d, const struct condition *c)
{
    if (!has_changed(d, c) || !*c->reason)
        return;
    if (!d->claim && d->problem.reason) {
        if (!d->problem.is_quiet)
            sw_act_warn(d->p, SW_KIND_DATA_VOLUME, d->obj, c->reason, sw_buf_str(&c->message));
    } else {
        sw_act_note(d->p, SW_KIND_DATA_VOLUME, d->obj, c->reason, sw_buf_str(&c->message));
    }
}

/* A worker that stopped and has something to say about it. */
static void tell_running(struct sw_dv *d, const struct condition *running, bool is_bound,
                         bool is_ready)
{
    const struct sw_json *old = sw_condition_find(sw_json_find(d->obj, "status.conditions"),
                                                  running->type);
    const char *message = sw_buf_str(&running->message);

    if (is_ready || !is_bound || strcmp(running->status, "False") != 0 || !*message ||
        !*running->reason || strcmp(or_empty(sw_json_text(old, "message")), message) == 0)
        return;
    sw_act_warn(d->p, SW_KIND_DATA_VOLUME, d->obj, running->reason, message);
}

struct sw_json *sw_dv_conditions(struct sw_dv *d, const char *phase)
{
    enum { BOUND, READY, RUNNING, COUNT };
    struct condition c[COUNT] = {
        [BOUND] = { .type = "Bound", .message = SW_BUF_INIT(TEXT_MAX) },
        [READY] = { .type = "Ready", .message = SW_BUF_INIT(TEXT_MAX) },
        [RUNNING] = { .type = "Running", .message = SW_BUF_INIT(TEXT_MAX) },
    };
    struct sw_json *list = sw_json_new_array(&d->p->m);

    set_bound(d, &c[BOUND]);
    set_running(d, &c[RUNNING]);
    set_ready(d, phase, strcmp(c[RUNNING].status, "True") == 0, &c[READY]);
    tell_bound(d, &c[BOUND]);
    tell_running(d, &c[RUNNING], strcmp(c[BOUND].status, "True") == 0,
                 strcmp(c[READY].status, "False") != 0);
    for (int i = 0; i < COUNT; i++) {
        put_condition(d, list, &c[i]);
        if (c[i].message.failed)
            d->p->m.failed = true;
        sw_buf_done(&c[i].message);
    }
    return list;
}
