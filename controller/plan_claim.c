/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a claim that is to be filled from somewhere (contract datavolume-controller 6): one
 * importer pod, and the claim's annotations, which tell everybody else how far it is.
 *
 *    eligible ----> pod ----> annotations follow the pod ----> Succeeded: the pod goes
 *       |                          |     |                     Failed for good: the pod goes
 *       |                          |     +--> out of memory:   the pod goes, another one comes
 *    in use: wait                  +--------> pod evicted:     the pod goes, another one comes
 *
 * A claim is not written to while it is being bound: the volume controller's own write would meet ours
 * and wait for its resync. Unless we know that nobody binds it: there is no pod, or it finds no node. */
#include <string.h>

#include "common/parse.h"
#include "controller/claim.h"
#include "controller/cluster.h"
#include "controller/names.h"
#include "controller/object.h"

#define CREATE_POD "create-pod"

struct claim {
    struct sw_draft *p;
    const struct sw_json *obj;
    const struct sw_json *pod; /* the importer, if there is one */
    char pod_name[SW_POD_NAME_MAX];
};

/* --- Annotations ---------------------------------------------------------------------------------- */

/* Changes of annotations and labels; sent as one patch when there are any. */
struct changes {
    struct claim *c;
    struct sw_json *patch, *annotations, *labels;
    unsigned n, n_labels; /* all, and of labels */
    bool is_about_running;
};

static void changes_begin(struct changes *ch, struct claim *c)
{
    struct sw_json_maker *m = &c->p->m;

    *ch = (struct changes){ .c = c, .patch = sw_json_new_object(m) };
    struct sw_json *metadata = sw_json_enter_object(m, ch->patch, "metadata");
    ch->annotations = sw_json_enter_object(m, metadata, "annotations");
    ch->labels = sw_json_new_object(m);
}

static void change(struct changes *ch, const char *key, const char *text)
{
    if (sw_object_annotation_is(ch->c->obj, key, text))
        return;
    sw_json_set_str(&ch->c->p->m, ch->annotations, key, text);
    ch->n++;
    ch->is_about_running = ch->is_about_running ||
                           strncmp(key, SW_ANNO_RUNNING, strlen(SW_ANNO_RUNNING)) == 0;
}

static void change_running(struct changes *ch, const char *running, const char *reason,
                           const char *message)
{
    change(ch, SW_ANNO_RUNNING, running);
    change(ch, SW_ANNO_RUNNING_REASON, reason);
    change(ch, SW_ANNO_RUNNING_MESSAGE, message);
}

/* A label is never taken from the user. */
static int add_label(void *ctx, const char *key, const struct sw_json *value)
{
    struct changes *ch = ctx;

    if (sw_json_text(value, "") && !sw_object_label(ch->c->obj, key)) {
        sw_json_set_copy(&ch->c->p->m, ch->labels, key, value);
        ch->n++;
        ch->n_labels++;
    }
    return 0;
}

/* Whether anything had to be written. */
static bool changes_send(struct changes *ch)
{
    struct sw_json_maker *m = &ch->c->p->m;
    struct sw_json *metadata = sw_json_enter_object(m, ch->patch, "metadata");
    sw_auto_json struct sw_json *labels = sw_steal(ch->labels);
    sw_auto_json struct sw_json *patch = sw_steal(ch->patch);

    if (ch->n == 0)
        return false;
    if (ch->n_labels)
        sw_json_set(m, metadata, "labels", sw_steal(labels));
    sw_act_patch(ch->c->p, SW_KIND_CLAIM, ch->c->obj, sw_steal(patch));
    return true;
}

/* --- Who may do what ------------------------------------------------------------------------------ */

static bool is_bound(const struct claim *c)
{
    return sw_text_equal(sw_json_text(c->obj, "status.phase"), "Bound");
}

static bool is_done(const struct claim *c)
{
    return sw_object_annotation_is(c->obj, SW_ANNO_POD_PHASE, "Succeeded") ||
           sw_object_annotation_is(c->obj, SW_ANNO_FATAL, "true");
}

static bool wants_import(const struct sw_json *claim)
{
    return !sw_object_has_annotation(claim, SW_ANNO_EXTERNAL) &&
           !sw_object_has_annotation(claim, SW_ANNO_STATIC_LIST) &&
           (sw_object_has_annotation(claim, SW_ANNO_ENDPOINT) ||
            sw_object_has_annotation(claim, SW_ANNO_SOURCE));
}

/* Bound; or waiting for a pod, and ours may be the one: nobody wants to place it elsewhere. */
static bool is_eligible(struct claim *c)
{
    const char *class = sw_json_text(c->obj, "spec.storageClassName");

    if (is_bound(c))
        return true;
    if (sw_cluster_has_gate(c->p, SW_GATE_WFFC) &&
        !sw_object_has_annotation(c->obj, SW_ANNO_IMMEDIATE))
        return false;
    return !sw_text_equal(sw_json_text(c->obj, "status.phase"), "Lost") &&
           sw_class_waits_for_consumer(sw_cluster_class(c->p, class, false));
}

/* The rule for finished and failed pods (contract: "should delete"). */
static bool may_delete_pod(const struct claim *c)
{
    return !sw_object_annotation_is(c->obj, SW_ANNO_RETAIN, "true") ||
           sw_object_annotation_is(c->obj, SW_ANNO_DIRECT_IO, "true") ||
           sw_object_is_deleting(c->obj);
}

static void delete_pod(struct claim *c)
{
    if (!sw_object_is_deleting(c->pod))
        sw_act_delete(c->p, SW_KIND_POD, c->pod);
}

/* --- No pod --------------------------------------------------------------------------------------- */

static bool is_over(const struct sw_json *pod)
{
    const char *phase = sw_json_text(pod, "status.phase");

    return sw_text_equal(phase, "Succeeded") || sw_text_equal(phase, "Failed");
}

/* Somebody else's pod has the claim mounted: filling it now would pull the disk from under its feet. */
static bool is_in_use(struct claim *c)
{
    sw_autobuf struct sw_buf key = SW_BUF_INIT(1024);
    bool in_use = false;

    sw_buf_printf(&key, "%s/%s", sw_object_namespace(c->obj), sw_object_name(c->obj));
    const struct sw_json *pods = sw_draft_list(c->p, SW_KIND_POD, SW_INDEX_CLAIM, sw_buf_str(&key));
    for (size_t i = 0; i < sw_json_length(pods); i++) {
        const struct sw_json *pod = sw_json_at(pods, i);
        sw_autobuf struct sw_buf text = SW_BUF_INIT(1024);

        if (is_over(pod) || sw_object_is_controlled_by(pod, c->obj))
            continue;
        in_use = true;
        sw_buf_printf(&text, "pod %.253s uses the claim", sw_object_name(pod));
        sw_act_warn(c->p, SW_KIND_CLAIM, c->obj, "ImportTargetInUse", sw_buf_str(&text));
    }
    return in_use;
}

/* Sources that the API knows and we do not. Any other value means http, as in the reference. */
static const char *unsupported_source(const struct claim *c)
{
    static const char *const names[] = { "gcs", "glance", "imageio", "registry", "s3", "vddk" };

    for (size_t i = 0; i < SW_COUNT(names); i++)
        if (sw_object_annotation_is(c->obj, SW_ANNO_SOURCE, names[i]))
            return names[i];
    return NULL;
}

static void refuse_source(struct claim *c, const char *source)
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(128);
    struct changes ch;

    sw_buf_printf(&text, "source %s is not supported yet", source);
    changes_begin(&ch, c);
    change_running(&ch, "false", "ErrSourceNotSupported", sw_buf_str(&text));
    if (changes_send(&ch))
        sw_act_warn(c->p, SW_KIND_CLAIM, c->obj, "ErrSourceNotSupported", sw_buf_str(&text));
}

/* The API server did not take the pod: that is said before it is asked again. */
static void tell_refusal(struct claim *c)
{
    const struct sw_json *failure = sw_draft_failure(c->p, CREATE_POD);
    const char *message = sw_json_text(failure, "message");
    const char *reason = "ErrStartingPod";
    sw_autobuf struct sw_buf text = SW_BUF_INIT(2048);
    struct changes ch;

    if (!message || strstr(message, "because it is being terminated"))
        return; /* nothing, or the namespace goes and takes the claim with it */
    if (strstr(message, "exceeded quota:"))
        reason = "ErrExceededQuota";
    sw_buf_printf(&text, "cannot start pod %s: %.1024s", c->pod_name, message);
    changes_begin(&ch, c);
    change(&ch, SW_ANNO_POD_PHASE, "Failed");
    change_running(&ch, "false", reason, sw_buf_str(&text));
    if (changes_send(&ch))
        sw_act_warn(c->p, SW_KIND_CLAIM, c->obj, reason, sw_buf_str(&text));
}

static void start_pod(struct claim *c)
{
    const char *source = unsupported_source(c);
    struct sw_json *pod;

    if (is_done(c) || sw_object_is_deleting(c->obj) || !is_eligible(c))
        return;
    if (source) {
        refuse_source(c, source);
        return;
    }
    if (is_in_use(c)) {
        sw_act_retry(c->p);
        return;
    }
    tell_refusal(c);
    pod = sw_claim_make_pod(c->p, c->obj);
    if (pod)
        sw_act_create(c->p, CREATE_POD, SW_KIND_POD, pod);
}

/* --- A pod ---------------------------------------------------------------------------------------- */

static void put_observed(struct changes *ch, const struct sw_observation *o)
{
    const char *stored = sw_object_annotation(ch->c->obj, SW_ANNO_RESTARTS);
    sw_autobuf struct sw_buf restarts = SW_BUF_INIT(32);
    struct sw_err ignored;
    uint64_t before = 0;

    if (!stored || sw_parse_u64(stored, 0, INT32_MAX, &before, &ignored) < 0 ||
        o->restarts >= before) {
        sw_buf_printf(&restarts, "%llu", (unsigned long long)o->restarts);
        change(ch, SW_ANNO_RESTARTS, sw_buf_str(&restarts));
    }
    change(ch, SW_ANNO_POD_NAME, ch->c->pod_name);
    change(ch, SW_ANNO_POD_PHASE, o->phase);
    change(ch, SW_ANNO_SCHEDULABLE, o->is_unschedulable ? "false" : "true");
    if (o->running)
        change_running(ch, o->running, o->reason, sw_buf_str(&o->message));
    else if (sw_object_annotation_is(ch->c->obj, SW_ANNO_RUNNING, "true"))
        change_running(ch, "false", "Pending", "");
    if (o->is_preallocated)
        change(ch, SW_ANNO_PREALLOCATED, "true");
    if (o->has_direct_io && sw_object_annotation_is(ch->c->obj, SW_ANNO_DIRECT_IO, "true"))
        change(ch, SW_ANNO_DIRECT_IO, "false");
    if (o->is_fatal)
        change(ch, SW_ANNO_FATAL, "true");
    if (strcmp(o->phase, "Succeeded") == 0) {
        if (!sw_object_label(ch->c->obj, SW_LABEL_APP)) {
            sw_json_set_str(&ch->c->p->m, ch->labels, SW_LABEL_APP, SW_LABEL_APP_VALUE);
            ch->n++;
            ch->n_labels++;
        }
        sw_json_each(sw_json_find(o->said, "labels"), add_label, ch);
    }
}

static void tell_end(struct claim *c, const struct sw_observation *o, bool is_about_running)
{
    if (o->is_fatal || (o->has_failed && is_about_running))
        sw_act_warn(c->p, SW_KIND_CLAIM, c->obj, "ErrImportFailed", sw_buf_str(&o->message));
    else if (strcmp(o->phase, "Succeeded") == 0)
        sw_act_note(c->p, SW_KIND_CLAIM, c->obj, "ImportSucceeded", "the disk is complete");
}

/* The next pod is to do without the page cache. */
static void restart_with_direct_io(struct claim *c)
{
    struct changes ch;

    changes_begin(&ch, c);
    change(&ch, SW_ANNO_DIRECT_IO, "true");
    changes_send(&ch);
    delete_pod(c);
}

static void follow(struct claim *c, const struct sw_observation *o)
{
    struct changes ch;

    changes_begin(&ch, c);
    put_observed(&ch, o);
    bool is_about_running = ch.is_about_running;
    if (changes_send(&ch))
        tell_end(c, o, is_about_running);

    bool is_finished = o->is_fatal || strcmp(o->phase, "Succeeded") == 0;
    /* A pod that failed as a whole (evicted, its node gone) never comes back by itself. */
    if (is_finished ? may_delete_pod(c) : strcmp(o->phase, "Failed") == 0)
        delete_pod(c);
}

/* A pod that has just been made says nothing that the claim does not say already. */
static bool is_news(const struct claim *c, const struct sw_observation *o)
{
    return !o->is_silent || sw_object_has_annotation(c->obj, SW_ANNO_POD_PHASE) ||
           !sw_object_has_annotation(c->obj, SW_ANNO_POD_NAME);
}

static void watch_pod(struct claim *c)
{
    struct sw_observation o;

    if (sw_object_is_deleting(c->obj)) {
        delete_pod(c);
        return;
    }
    if (is_done(c)) {
        if (may_delete_pod(c))
            delete_pod(c);
        return;
    }
    sw_claim_observe(c->pod, &o);
    if (o.message.failed)
        c->p->m.failed = true;
    bool is_being_bound = !is_bound(c) && !o.is_unschedulable;
    if (!is_being_bound && o.is_oom)
        restart_with_direct_io(c);
    else if (!is_being_bound && is_news(c, &o))
        follow(c, &o);
    sw_observation_done(&o);
}

/* --- All of it ------------------------------------------------------------------------------------ */

static void plan(struct claim *c)
{
    const struct sw_json *pod;

    sw_claim_pod_name(sw_object_name(c->obj), c->pod_name);
    pod = sw_draft_get(c->p, SW_KIND_POD, sw_object_namespace(c->obj), c->pod_name);
    if (sw_object_is_controlled_by(pod, c->obj)) {
        c->pod = pod;
        watch_pod(c);
    } else if (!pod) {
        start_pod(c);
    } else if (!is_done(c) && !sw_object_is_deleting(c->obj)) {
        sw_autobuf struct sw_buf text = SW_BUF_INIT(1024);

        sw_buf_printf(&text, "pod %s exists and is not this claim's", c->pod_name);
        sw_act_warn(c->p, SW_KIND_CLAIM, c->obj, "ErrStartingPod", sw_buf_str(&text));
        sw_act_retry(c->p);
    }
}

int sw_plan_claim(const struct sw_view *view, const char *namespace, const char *name,
                  struct sw_json **ret_actions, struct sw_err *err)
{
    struct sw_draft p;

    sw_draft_init(&p, view, err);
    struct claim c = { .p = &p, .obj = sw_draft_get(&p, SW_KIND_CLAIM, namespace, name) };
    if (sw_object_uid(c.obj) && sw_object_name(c.obj) && sw_object_namespace(c.obj) &&
        wants_import(c.obj))
        plan(&c);
    return sw_draft_finish(&p, ret_actions);
}
