/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a DataVolume: its claim, its own annotations, its status. What fills the claim is the
 * business of plan_claim.c; the two meet in the claim's annotations only. */
#include <string.h>

#include "common/parse.h"
#include "controller/datavolume.h"
#include "controller/names.h"
#include "controller/object.h"

#define CREATE_CLAIM "create-claim"

/* How often to look again at a DataVolume that nothing else may wake up, ms. */
#define LOOK_AGAIN_MS 30000

/* --- Volumes that an administrator reserved (contract datavolume-controller 10) ------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of volumes that are reserved for this claim and can serve it, as a JSON list appended to
 * out; how many there are. */
static size_t list_reserved(struct sw_dv *d, const struct sw_json *spec, struct sw_buf *out)
{
    const char *names[64] = { NULL };
    size_t n = 0;
    sw_autobuf struct sw_buf ref = SW_BUF_INIT(1024);

    sw_buf_printf(&ref, "%s/%s", sw_object_namespace(d->obj), sw_object_name(d->obj));
    const struct sw_json *all = sw_draft_list(d->p, SW_KIND_VOLUME, SW_INDEX_CLAIM_REF,
                                              sw_buf_str(&ref));
    for (size_t i = 0; i < sw_json_length(all) && n < SW_COUNT(names); i++)
        if (sw_object_name(sw_json_at(all, i)) && sw_volume_satisfies(sw_json_at(all, i), spec))
            names[n++] = sw_object_name(sw_json_at(all, i));
    qsort(names, n, sizeof(names[0]), by_name);

    struct sw_json_writer w;
    sw_json_writer_init(&w, out);
    sw_json_begin_array(&w, NULL);
    for (size_t i = 0; i < n; i++)
        sw_json_put_str(&w, NULL, names[i]);
    sw_json_end(&w);
    return n;
}

/* A new claim is either for such a volume, or asks to be filled. */
static void mark_purpose(struct sw_dv *d, struct sw_json *claim)
{
    struct sw_json *metadata = sw_json_enter_object(&d->p->m, claim, "metadata");
    struct sw_json *annotations = sw_json_enter_object(&d->p->m, metadata, "annotations");
    sw_autobuf struct sw_buf names = SW_BUF_INIT(32768);

    if (sw_object_has_annotation(d->obj, SW_ANNO_CHECK_STATIC) &&
        list_reserved(d, sw_json_find(claim, "spec"), &names) > 0 && !names.failed)
        sw_json_set_str(&d->p->m, annotations, SW_ANNO_STATIC_LIST, sw_buf_str(&names));
    else
        sw_dv_put_import(d, annotations);
}

static bool is_listed(const char *list, const char *volume)
{
    sw_auto_json struct sw_json *names = NULL;
    struct sw_err ignored;

    if (!volume || sw_json_parse(list, strlen(list), 65536, &names, &ignored) < 0)
        return false;
    for (size_t i = 0; i < sw_json_length(names); i++)
        if (sw_text_equal(sw_json_text(sw_json_at(names, i), ""), volume))
            return true;
    return false;
}

static struct sw_json *annotation_patch(struct sw_draft *p, struct sw_json **ret_annotations)
{
    struct sw_json *patch = sw_json_new_object(&p->m);
    struct sw_json *metadata = sw_json_enter_object(&p->m, patch, "metadata");

    *ret_annotations = sw_json_enter_object(&p->m, metadata, "annotations");
    return patch;
}

/* The claim waited for a reserved volume and is bound: to one of them, or to something else. */
static void settle_static(struct sw_dv *d, const char *list)
{
    struct sw_json *annotations;

    if (!sw_text_equal(sw_json_text(d->claim, "status.phase"), "Bound"))
        return;
    if (!is_listed(list, sw_json_text(d->claim, "spec.volumeName"))) {
        sw_act_delete(d->p, SW_KIND_CLAIM, d->claim);
        return;
    }
    struct sw_json *patch = annotation_patch(d->p, &annotations);
    sw_json_set_str(&d->p->m, annotations, SW_ANNO_POPULATED_FOR, sw_object_name(d->obj));
    sw_json_set_null(&d->p->m, annotations, SW_ANNO_STATIC_LIST);
    sw_act_patch(d->p, SW_KIND_CLAIM, d->claim, patch);
}

/* --- The claim ------------------------------------------------------------------------------------ */

static void adopt(struct sw_dv *d)
{
    struct sw_json_maker *m = &d->p->m;
    struct sw_json *patch = sw_json_new_object(m);
    struct sw_json *metadata = sw_json_enter_object(m, patch, "metadata");
    const struct sw_json *old = sw_json_find(d->existing, "metadata.ownerReferences");
    struct sw_json *refs = sw_json_enter_array(m, metadata, "ownerReferences");

    for (size_t i = 0; i < sw_json_length(old); i++)
        sw_json_set_copy(m, refs, NULL, sw_json_at(old, i));
    sw_object_add_controller(m, refs, SW_KIND_DATA_VOLUME, d->obj);
    sw_act_patch_exactly(d->p, SW_KIND_CLAIM, d->existing, patch);
}

/* A claim of that name is there: ours, to be taken over, or in the way. */
static void meet_claim(struct sw_dv *d)
{
    const char *name = sw_object_name(d->obj);
    bool is_ours = sw_object_is_controlled_by(d->existing, d->obj);
    bool is_free = !sw_object_controller(d->existing);

    d->needs_work = !sw_dv_is_populated_for(d, d->existing) && !sw_dv_may_adopt(d, d->existing);
    if (sw_object_is_deleting(d->existing)) {
        sw_problem_set(&d->problem, "ErrResourceMarkedForDeletion", "claim %.253s is being deleted",
                       name);
        if (is_ours)
            sw_act_warn(d->p, SW_KIND_DATA_VOLUME, d->obj, d->problem.reason, d->problem.message);
        d->claim = is_ours ? d->existing : NULL;
    } else if (is_ours) {
        d->claim = d->existing;
    } else if (!d->needs_work && is_free) {
        adopt(d);
        d->claim = d->existing;
    } else {
        sw_problem_set(&d->problem, "ErrResourceExists",
                       "claim %.253s exists and is not this DataVolume's", name);
    }
}

/* What the API server said about making the claim, if that is for the user to solve. */
static void read_refusal(struct sw_dv *d)
{
    const struct sw_json *failure = sw_draft_failure(d->p, CREATE_CLAIM);
    const char *message = sw_json_text(failure, "message");
    struct sw_err ignored;
    uint64_t code = 0;

    /* A namespace on its way out takes everything with it: nothing is wrong with the claim. */
    if (!message || sw_json_get_u64(failure, "code", &code, &ignored) != 1 ||
        strstr(message, "because it is being terminated"))
        return;
    if (strstr(message, "exceeded quota:"))
        sw_problem_set(&d->problem, "ErrExceededQuota", "%s", message);
    else if (code == 400 || code == 403 || code == 422)
        sw_problem_set(&d->problem, SW_REASON_CLAIM_NOT_VALID, "%s", message);
    d->was_refused = d->problem.reason != NULL;
}

static void prepare_claim(struct sw_dv *d)
{
    sw_dv_check(d);
    if (d->problem.reason)
        return;
    d->new_claim = sw_dv_make_claim(d);
    if (!d->new_claim)
        return;
    mark_purpose(d, d->new_claim);
    d->needs_work = true;
    read_refusal(d);
    if (!d->problem.reason)
        d->claim = d->new_claim;
}

/* --- The DataVolume itself ------------------------------------------------------------------------ */

/* A user's value has to be a boolean; we have no populators, so it becomes "false" in any case. */
static void check_populator_wish(struct sw_dv *d)
{
    const char *wish = sw_object_annotation(d->obj, SW_ANNO_USE_POPULATOR);
    struct sw_err ignored;
    bool yes;

    if (wish && sw_parse_bool(wish, &yes, &ignored) < 0)
        sw_problem_set(&d->problem, SW_REASON_CLAIM_NOT_VALID,
                       "annotation " SW_ANNO_USE_POPULATOR " is not a boolean");
}

static void patch_metadata(struct sw_dv *d)
{
    struct sw_json *annotations;
    sw_auto_json struct sw_json *patch = annotation_patch(d->p, &annotations);
    bool changed = false;

    if (!sw_object_annotation_is(d->obj, SW_ANNO_USE_POPULATOR, "false")) {
        sw_json_set_str(&d->p->m, annotations, SW_ANNO_USE_POPULATOR, "false");
        changed = true;
    }
    if (sw_dv_is_populated_for(d, d->claim) &&
        sw_text_equal(sw_json_text(d->claim, "status.phase"), "Bound") &&
        !sw_object_has_annotation(d->obj, SW_ANNO_PREPOPULATED)) {
        sw_json_set_str(&d->p->m, annotations, SW_ANNO_PREPOPULATED, sw_object_name(d->claim));
        changed = true;
    }
    if (changed)
        sw_act_patch(d->p, SW_KIND_DATA_VOLUME, d->obj, sw_steal(patch));
}

/* Put a member into the patch when it is not what the status has; text "" removes it. */
static void put_if_new(struct sw_dv *d, struct sw_json *status, const char *member,
                       const char *text)
{
    const char *old = sw_json_member_text(sw_json_find(d->obj, "status"), member);

    if (strcmp(old ? old : "", text) == 0)
        return;
    if (*text)
        sw_json_set_str(&d->p->m, status, member, text);
    else
        sw_json_set_null(&d->p->m, status, member);
}

static void put_restarts(struct sw_dv *d, struct sw_json *status)
{
    const char *text = sw_object_annotation(d->claim, SW_ANNO_RESTARTS);
    uint64_t old = 0, now = 0;
    struct sw_err ignored;

    if (sw_json_get_u64(d->obj, "status.restartCount", &old, &ignored) < 0)
        old = 0;
    if (text && sw_parse_u64(text, 0, INT32_MAX, &now, &ignored) == 0 && now != old)
        sw_json_set_i64(&d->p->m, status, "restartCount", (int64_t)now);
}

static int count_member(void *ctx, const char *key SW_UNUSED, const struct sw_json *value SW_UNUSED)
{
    ++*(size_t *)ctx;
    return 0;
}

/* Events come after the write that they are about: when it fails they are said the next time. */
static void patch_status(struct sw_dv *d)
{
    struct sw_draft *p = d->p;
    sw_auto_json struct sw_json *status = sw_json_new_object(&p->m);
    struct sw_json *all = p->actions;
    struct sw_phase_event event;
    char progress[SW_DV_PROGRESS_MAX];
    const char *phase = sw_dv_phase(d, &event);
    const char *old_phase = sw_json_text(d->obj, "status.phase");
    size_t n = 0;

    p->actions = sw_json_new_array(&p->m); /* what the parts add goes behind the patch */
    sw_auto_json struct sw_json *conditions = sw_dv_conditions(d, phase);
    sw_dv_progress(d, phase, progress);
    if (d->claim)
        put_if_new(d, status, "claimName", sw_object_name(d->obj));
    put_if_new(d, status, "phase", phase);
    put_if_new(d, status, "progress", progress);
    put_restarts(d, status);
    if (!sw_json_equal(conditions, sw_json_find(d->obj, "status.conditions")))
        sw_json_set(&p->m, status, "conditions", sw_steal(conditions));

    sw_auto_json struct sw_json *later = p->actions;
    p->actions = all;
    sw_json_each(status, count_member, &n);
    if (n)
        sw_act_patch_status(p, SW_KIND_DATA_VOLUME, d->obj, sw_steal(status));
    if (event.type && strcmp(old_phase ? old_phase : "", phase) != 0) {
        if (strcmp(event.type, "Warning") == 0)
            sw_act_warn(p, SW_KIND_DATA_VOLUME, d->obj, event.reason, event.message);
        else
            sw_act_note(p, SW_KIND_DATA_VOLUME, d->obj, event.reason, event.message);
    }
    for (size_t i = 0; i < sw_json_length(later); i++)
        sw_json_set_copy(&p->m, p->actions, NULL, sw_json_at(later, i));
}

/* --- All of it ------------------------------------------------------------------------------------ */

static void create_claim(struct sw_dv *d)
{
    sw_act_create(d->p, CREATE_CLAIM, SW_KIND_CLAIM, sw_json_copy(&d->p->m, d->new_claim));
}

/* A DataVolume that is done can be told of whom it was populated for; nothing else this round. */
static bool copy_delayed(struct sw_dv *d)
{
    const char *for_whom = sw_object_annotation(d->obj, SW_ANNO_POPULATED_FOR);
    struct sw_json *annotations;

    if (!d->existing || !for_whom || sw_object_has_annotation(d->existing, SW_ANNO_POPULATED_FOR) ||
        !sw_text_equal(sw_json_text(d->obj, "status.phase"), "Succeeded") ||
        !sw_object_is_controlled_by(d->existing, d->obj))
        return false;

    struct sw_json *patch = annotation_patch(d->p, &annotations);
    sw_json_set_str(&d->p->m, annotations, SW_ANNO_POPULATED_FOR, for_whom);
    sw_act_patch(d->p, SW_KIND_CLAIM, d->existing, patch);
    return true;
}

/* A claim that was refused is asked for again after the status says so: as the executor stops at what
 * fails, the status would never be written otherwise. */
static void plan(struct sw_dv *d)
{
    const char *list;

    check_populator_wish(d);
    if (!d->problem.reason && d->existing)
        meet_claim(d);
    else if (!d->problem.reason && !sw_object_has_annotation(d->obj, SW_ANNO_PREPOPULATED))
        prepare_claim(d);

    if (d->new_claim && d->claim)
        create_claim(d);
    list = d->claim == d->existing ? sw_object_annotation(d->claim, SW_ANNO_STATIC_LIST) : NULL;
    if (list)
        settle_static(d, list);
    if (d->claim)
        patch_metadata(d);
    patch_status(d);
    if (d->new_claim && !d->claim)
        create_claim(d);
    else if (!d->existing && sw_text_equal(d->problem.reason, SW_REASON_CLAIM_NOT_VALID))
        sw_json_set_i64(&d->p->m, sw_act(d->p, "requeue"), "ms", LOOK_AGAIN_MS);
}

int sw_plan_datavolume(const struct sw_view *view, const char *namespace, const char *name,
                       struct sw_json **ret_actions, struct sw_err *err)
{
    struct sw_draft p;

    sw_draft_init(&p, view, err);
    struct sw_dv d = {
        .p = &p,
        .obj = sw_draft_get(&p, SW_KIND_DATA_VOLUME, namespace, name),
    };
    if (sw_object_uid(d.obj) && sw_object_name(d.obj) && sw_object_namespace(d.obj) &&
        !sw_object_is_deleting(d.obj)) {
        d.existing = sw_draft_get(&p, SW_KIND_CLAIM, namespace, name);
        if (!copy_delayed(&d))
            plan(&d);
    }
    sw_json_free(d.new_claim);
    return sw_draft_finish(&p, ret_actions);
}
