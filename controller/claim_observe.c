/* SPDX-License-Identifier: Apache-2.0 */
/* What an importer pod's status means (contract datavolume-controller 6, "PVC update from pod"). */
#include <string.h>

#include "controller/claim.h"
#include "controller/names.h"
#include "controller/object.h"

#define TOO_SMALL "DataVolume too small to contain image"
#define MESSAGE_MAX 4096 /* what the kubelet keeps of a termination message */

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static bool contains(const char *text, const char *part)
{
    return strstr(or_empty(text), part) != NULL;
}

/* The status of the importer's container; the first one's when none has the name. */
static const struct sw_json *find_container(const struct sw_json *pod)
{
    const struct sw_json *all = sw_json_find(pod, "status.containerStatuses");

    for (size_t i = 0; i < sw_json_length(all); i++)
        if (sw_text_equal(sw_json_text(sw_json_at(all, i), "name"), "importer"))
            return sw_json_at(all, i);
    return sw_json_length(all) ? sw_json_at(all, 0) : NULL;
}

static bool is_unschedulable(const struct sw_json *pod)
{
    const struct sw_json *all = sw_json_find(pod, "status.conditions");

    if (!sw_text_equal(sw_json_text(pod, "status.phase"), "Pending"))
        return false;
    for (size_t i = 0; i < sw_json_length(all); i++)
        if (sw_text_equal(sw_json_text(sw_json_at(all, i), "type"), "PodScheduled") &&
            sw_text_equal(sw_json_text(sw_json_at(all, i), "reason"), "Unschedulable"))
            return true;
    return false;
}

static void set(struct sw_observation *o, const char *running, const char *reason,
                const char *message)
{
    o->running = running;
    o->reason = or_empty(reason);
    sw_buf_reset(&o->message);
    sw_buf_printf(&o->message, "%.*s", MESSAGE_MAX, or_empty(message));
}

/* --- A container that ended ----------------------------------------------------------------------- */

/* Exit code 0: either the disk is there, or it never will be. */
static void observe_end(struct sw_observation *o, const struct sw_json *terminated)
{
    const char *text = or_empty(sw_json_text(terminated, "message"));
    const char *said;
    struct sw_err ignored;

    o->phase = "Succeeded";
    set(o, "false", sw_json_text(terminated, "reason"), text);
    if (sw_json_parse(text, strlen(text), MESSAGE_MAX, &o->said, &ignored) < 0)
        return;

    said = or_empty(sw_json_text(o->said, "message"));
    set(o, "false", sw_json_text(terminated, "reason"), said);
    if (sw_json_get_bool(o->said, "preallocationApplied", &o->is_preallocated, &ignored) != 1)
        o->is_preallocated = false;
    if (sw_json_get_bool(o->said, "fatal", &o->is_fatal, &ignored) != 1)
        o->is_fatal = contains(said, "checksum mismatch");
    if (o->is_fatal) {
        const char *reason = sw_json_text(o->said, "reason");

        o->phase = "Failed";
        o->reason = reason && *reason ? reason : "ChecksumError";
    }
}

/* Texts that mean that the disk does not fit. */
static bool says_too_small(const char *text)
{
    static const char *const phrases[] = { "is larger than the reported available",
                                           "no space left on device",
                                           "file largest block is bigger than maxblock",
                                           "disk quota exceeded" };

    for (size_t i = 0; i < SW_COUNT(phrases); i++)
        if (contains(text, phrases[i]))
            return true;
    return false;
}

/* An exit code above 128 is a signal: somebody stopped the process, and the kubelet starts it again,
 * where it left off. KubeVirt reads the reason "Error" as "this disk has failed", so it must not be
 * that. */
static void observe_failure(struct sw_observation *o, const struct sw_json *terminated,
                            uint64_t code)
{
    const char *text = or_empty(sw_json_text(terminated, "message"));

    o->has_failed = true;
    if (contains(text, "failed to pull image"))
        set(o, "false", "ImagePullFailed", text);
    else if (code > 128)
        set(o, "false", "Restarting", *text ? text : "the importer was stopped and starts again");
    else
        set(o, "false", sw_json_text(terminated, "reason"),
            says_too_small(text) ? TOO_SMALL : text);
    if (contains(text, "Preallocation applied"))
        o->is_preallocated = true;
}

static void observe_terminated(struct sw_observation *o, const struct sw_json *terminated)
{
    uint64_t code = 0;
    struct sw_err ignored;

    if (sw_json_get_u64(terminated, "exitCode", &code, &ignored) == 1 && code == 0)
        observe_end(o, terminated);
    else
        observe_failure(o, terminated, code);
}

/* --- Any container -------------------------------------------------------------------------------- */

static void observe_waiting(struct sw_observation *o, const struct sw_json *container)
{
    const char *reason = sw_json_text(container, "state.waiting.reason");
    const struct sw_json *last = sw_json_find(container, "lastState.terminated");

    if (sw_text_equal(reason, "ImagePullBackOff") || sw_text_equal(reason, "ErrImagePull") ||
        sw_text_equal(reason, "InvalidImageName")) {
        set(o, "false", "ImagePullFailed", NULL);
        sw_buf_printf(&o->message, "failed to pull image: %.1024s",
                      or_empty(sw_json_text(container, "image")));
    } else if (!sw_text_equal(reason, "CrashLoopBackOff")) {
        set(o, "false", reason, sw_json_text(container, "state.waiting.message"));
    } else if (last) {
        observe_terminated(o, last);
        o->phase = "Running"; /* whatever ended is started again */
        o->is_fatal = false;
    }
}

static bool was_oom_killed(const struct sw_json *container)
{
    return sw_text_equal(sw_json_text(container, "state.terminated.reason"), "OOMKilled") ||
           sw_text_equal(sw_json_text(container, "lastState.terminated.reason"), "OOMKilled");
}

static void observe_container(struct sw_observation *o, const struct sw_json *container)
{
    struct sw_err ignored;

    if (sw_json_get_u64(container, "restartCount", &o->restarts, &ignored) != 1 ||
        o->restarts > INT32_MAX)
        o->restarts = 0;
    o->is_oom = was_oom_killed(container) && !o->has_direct_io;
    if (sw_json_find(container, "state.terminated"))
        observe_terminated(o, sw_json_find(container, "state.terminated"));
    else if (sw_json_find(container, "state.running"))
        set(o, "true", "Pod is running", "");
    else if (sw_json_find(container, "state.waiting"))
        observe_waiting(o, container);
}

void sw_claim_observe(const struct sw_json *pod, struct sw_observation *ret)
{
    const struct sw_json *container = find_container(pod);
    const char *phase = sw_json_text(pod, "status.phase");

    *ret = (struct sw_observation){
        .phase = phase && *phase ? phase : "Pending",
        .reason = "",
        .is_unschedulable = is_unschedulable(pod),
        .has_direct_io = sw_object_annotation_is(pod, SW_ANNO_CACHE_MODE, SW_CACHE_MODE_DIRECT),
    };
    sw_buf_init(&ret->message, MESSAGE_MAX + 64);
    if (container)
        observe_container(ret, container);
    else if (strcmp(ret->phase, "Failed") == 0)
        set(ret, "false", sw_json_text(pod, "status.reason"), sw_json_text(pod, "status.message"));
    ret->is_silent = !container && !ret->is_unschedulable && strcmp(ret->phase, "Pending") == 0;
}

void sw_observation_done(struct sw_observation *o)
{
    sw_buf_done(&o->message);
    sw_json_free(o->said);
}
