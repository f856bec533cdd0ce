/* SPDX-License-Identifier: Apache-2.0 */
/* The phase of a DataVolume as its claim tells it (contract datavolume-controller 4 and 4.1). */
#include <string.h>

#include "common/parse.h"
#include "controller/cluster.h"
#include "controller/datavolume.h"
#include "controller/names.h"
#include "controller/object.h"

/* What an importer pod's phase, as the claim has it, makes of the DataVolume. The first row is for a
 * pod that is not there yet, and for phases that are not listed. */
static const struct {
    const char *pod_phase, *phase;
    struct sw_phase_event event;
} import_phases[] = {
    { "", "ImportScheduled", { "Normal", "ImportScheduled", "the import is scheduled" } },
    { "Pending", "ImportScheduled", { "Normal", "ImportScheduled", "the import is scheduled" } },
    { "Running", "ImportInProgress", { "Normal", "ImportInProgress", "the import is running" } },
    { "Failed", "ImportScheduled", { "Warning", "ImportFailed", "the import failed" } },
    { "Succeeded", "Succeeded", { "Normal", "ImportSucceeded", "the import is complete" } },
};

static const char *current_phase(const struct sw_dv *d)
{
    const char *phase = sw_json_text(d->obj, "status.phase");

    return phase ? phase : "";
}

static const char *import_phase(struct sw_dv *d, bool is_bound, struct sw_phase_event *ret_event)
{
    const char *pod_phase = sw_object_annotation(d->claim, SW_ANNO_POD_PHASE);
    enum sw_dv_source source = sw_dv_source(d->obj);
    size_t row = 0;

    for (size_t i = 0; i < SW_COUNT(import_phases); i++)
        if (sw_text_equal(pod_phase, import_phases[i].pod_phase))
            row = i;
    if (!sw_text_equal(pod_phase, "Succeeded") &&
        (!is_bound || !sw_object_has_annotation(d->claim, SW_ANNO_POD_NAME) ||
         (source != SW_DV_HTTP && source != SW_DV_BLANK)))
        return NULL;
    *ret_event = import_phases[row].event;
    if (sw_text_equal(pod_phase, "Failed") &&
        sw_object_annotation_is(d->claim, SW_ANNO_FATAL, "true"))
        return "Failed";
    return import_phases[row].phase;
}

/* A claim that nobody has bound yet, and that we have to fill. */
static const char *pending_phase(struct sw_dv *d)
{
    const char *class = sw_json_text(d->claim, "spec.storageClassName");

    if (sw_cluster_has_gate(d->p, SW_GATE_WFFC) &&
        !sw_object_has_annotation(d->claim, SW_ANNO_IMMEDIATE) &&
        sw_class_waits_for_consumer(sw_cluster_class(d->p, class, false)))
        return "WaitForFirstConsumer";
    return "Pending";
}

static const char *bound_phase(struct sw_dv *d, struct sw_phase_event *ret_event)
{
    const char *phase = current_phase(d);
    const char *next = d->needs_work ? import_phase(d, true, ret_event) : "Succeeded";

    if (next)
        return next;
    if (!*phase || strcmp(phase, "Pending") == 0 || strcmp(phase, "WaitForFirstConsumer") == 0 ||
        strcmp(phase, "Unknown") == 0)
        return "PVCBound";
    return phase;
}

static const char *claim_phase(struct sw_dv *d, struct sw_phase_event *ret_event)
{
    const char *claim = sw_json_text(d->claim, "status.phase");

    if (sw_object_has_annotation(d->claim, SW_ANNO_STATIC_LIST))
        return "Pending";
    if (d->needs_work && sw_object_annotation_is(d->claim, SW_ANNO_POD_PHASE, "Succeeded"))
        return import_phase(d, false, ret_event);
    if (!claim || !*claim || strcmp(claim, "Pending") == 0)
        return d->needs_work ? pending_phase(d) : "Succeeded";
    if (strcmp(claim, "Bound") == 0)
        return bound_phase(d, ret_event);
    if (strcmp(claim, "Lost") == 0) {
        *ret_event = (struct sw_phase_event){ "Warning", "ErrClaimLost", "the claim is lost" };
        return "Failed";
    }
    return "Unknown";
}

const char *sw_dv_phase(struct sw_dv *d, struct sw_phase_event *ret_event)
{
    *ret_event = (struct sw_phase_event){ NULL };
    if (d->claim)
        return claim_phase(d, ret_event);
    if (d->was_refused || sw_object_has_annotation(d->obj, SW_ANNO_PREPOPULATED))
        return "Pending";
    /* The phase that means "wait for a storage class": whoever watches them looks for it. */
    if (sw_text_equal(d->problem.reason, SW_REASON_CLAIM_NOT_VALID))
        return "";
    return *current_phase(d) ? current_phase(d) : "Pending";
}

/* --- Progress ------------------------------------------------------------------------------------- */

/* The worker that can be asked; NULL when there is none. */
static const struct sw_json *running_pod(struct sw_dv *d)
{
    const struct sw_json *pods = sw_draft_list(d->p, SW_KIND_POD, SW_INDEX_OWNER,
                                               sw_object_uid(d->claim));

    for (size_t i = 0; i < sw_json_length(pods); i++) {
        const struct sw_json *pod = sw_json_at(pods, i);

        if (sw_text_equal(sw_json_text(pod, "status.phase"), "Running") &&
            sw_json_text(pod, "status.podIP") && !sw_object_is_deleting(pod))
            return pod;
    }
    return NULL;
}

static void ask(struct sw_dv *d, const struct sw_json *pod)
{
    struct sw_json_maker *m = &d->p->m;
    struct sw_json *scrape = sw_act(d->p, "scrape");

    sw_json_set_copy(m, scrape, "namespace", sw_json_find(d->obj, "metadata.namespace"));
    sw_json_set_copy(m, scrape, "name", sw_json_find(pod, "metadata.name"));
    sw_json_set_copy(m, scrape, "address", sw_json_find(pod, "status.podIP"));
    sw_json_set_i64(m, scrape, "port", SW_METRICS_PORT);
    sw_json_set_str(m, scrape, "metric", SW_PROGRESS_METRIC);
    sw_json_set_copy(m, scrape, "ownerUID", sw_json_find(d->obj, "metadata.uid"));
    sw_json_set_i64(m, scrape, "ms", 2000);
}

void sw_dv_progress(struct sw_dv *d, const char *phase, char *text)
{
    const char *now = sw_json_text(d->obj, "status.progress");
    int64_t centi = d->p->view->progress_centi;

    (void)snprintf(text, SW_DV_PROGRESS_MAX, "%.*s", SW_DV_PROGRESS_MAX - 1,
                   now && *now ? now : "N/A");
    if (strcmp(phase, "Succeeded") == 0 && d->needs_work) {
        (void)snprintf(text, SW_DV_PROGRESS_MAX, "100.0%%");
    } else if (strcmp(phase, "ImportInProgress") == 0) {
        const struct sw_json *pod = running_pod(d);

        if (centi >= 0 && centi <= 10000)
            (void)snprintf(text, SW_DV_PROGRESS_MAX, "%lld.%02lld%%", (long long)centi / 100,
                           (long long)centi % 100);
        if (pod)
            ask(d, pod);
    }
}
