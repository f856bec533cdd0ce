/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/executor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

#include "tests/fakes/rig.h"

#define DV "/apis/cdi.kubevirt.io/v1beta1/namespaces/a/datavolumes/x"
#define CLAIM "/api/v1/namespaces/a/persistentvolumeclaims/x"

/* What the plan of "DataVolume a/x" answers: the test's function, given what the plan may see. */
struct seen {
    unsigned n_plans;
    const struct sw_json *dv, *claim, *last_error;
};
static const char *(*answer)(const struct seen *seen);
static struct seen seen;

static int fake_plan(enum sw_plan_id id, const struct sw_view *view, const char *ns,
                     const char *name, struct sw_json **ret_actions, struct sw_err *err)
{
    const char *text = "[]";

    if (id == SW_PLAN_DATA_VOLUME && strcmp(name, "x") == 0) {
        assert_string_equal(ns, "a");
        seen.n_plans++;
        seen.last_error = view->last_error;
        seen.dv = seen.claim = NULL;
        if (view->ops->get(view, SW_KIND_DATA_VOLUME, "a", "x", &seen.dv, err) < 0 ||
            view->ops->get(view, SW_KIND_CLAIM, "a", "x", &seen.claim, err) < 0)
            return -1;
        text = answer(&seen);
    }
    return sw_json_parse(text, strlen(text), 65536, ret_actions, err);
}

static const struct sw_planner planner = { .plan = fake_plan };

/* Requests that were made, as "POST path" lines; and one that is refused. */
struct log {
    struct sw_buf text;
    const char *refused; /* "create persistentvolumeclaims" */
    unsigned times;      /* how often */
    unsigned status;
    const char *reason, *message;
};

static unsigned refuse(void *ctx, enum sw_kube_verb verb, const char *path, const char **ret_reason,
                       const char **ret_message)
{
    struct log *l = ctx;
    char request[600];

    (void)snprintf(request, sizeof(request), "%s %s", sw_kube_verb_name(verb),
                   strrchr(path, '/') + 1);
    if (strstr(path, "/events"))
        return 0;
    sw_buf_printf(&l->text, "%s%s", l->text.n ? ", " : "", request);
    if (!l->refused || strcmp(request, l->refused) != 0 || !l->times)
        return 0;
    l->times--;
    *ret_reason = l->reason;
    *ret_message = l->message;
    return l->status;
}

static void begin(struct log *l, const char *(*function)(const struct seen *seen), struct rig *r)
{
    static struct fake_kube_script script;

    l->text = (struct sw_buf)SW_BUF_INIT(65536);
    script = (struct fake_kube_script){ .ctx = l, .refuse = refuse };
    answer = function;
    memset(&seen, 0, sizeof(seen));
    rig_open(r, &planner, &script);
    fake_kube_set(r->server, DV, "{\"metadata\":{\"namespace\":\"a\",\"name\":\"x\"},\"spec\":{}}",
                  false);
    rig_start(r);
}

static void run(struct log *l, const char *(*function)(const struct seen *seen), struct rig *r)
{
    begin(l, function, r);
    rig_settle(r);
}

#define CREATE_CLAIM                                                                               \
    "{\"do\":\"create\",\"id\":\"create-claim\",\"kind\":\"PersistentVolumeClaim\","               \
    "\"namespace\":\"a\",\"name\":\"x\",\"object\":{\"metadata\":{\"namespace\":\"a\","            \
    "\"name\":\"x\"},\"spec\":{}}}"
#define STATUS(uid, phase)                                                                         \
    "{\"do\":\"patchStatus\",\"kind\":\"DataVolume\",\"namespace\":\"a\",\"name\":\"x\","          \
    "\"uid\":\"" uid "\",\"patch\":{\"status\":{\"phase\":\"" phase "\","                          \
    "\"lastTransitionTime\":\"$now\"}}}"

/* --- In order, each seen at once ------------------------------------------------------------- */

static const char *create_then_status(const struct seen *s)
{
    if (!s->claim)
        return "[" CREATE_CLAIM "," STATUS("uid-1", "Pending") "]";
    /* Whenever there is a claim there is the status that was written after it: answers enter the
     * world at once and in order. But for the plan that the claim itself causes. */
    return "[]";
}

static void actions_are_performed_in_order(void **state)
{
    struct log l = { 0 };
    struct rig r;

    run(&l, create_then_status, &r);
    assert_string_equal(sw_buf_str(&l.text), "create persistentvolumeclaims, patch x");
    assert_string_equal(sw_json_text(fake_kube_get(r.server, DV), "status.phase"), "Pending");
    const char *when = sw_json_text(fake_kube_get(r.server, DV), "status.lastTransitionTime");
    assert_true(when && when[0] == '2' && strlen(when) == strlen("2026-01-31T11:44:13Z"));
    assert_int_equal(sw_executor_stats(r.executor).failed_actions, 0);
    rig_close(&r);
    sw_buf_done(&l.text);
}

/* --- Failures -------------------------------------------------------------------------------- */

static const char *quota(const struct seen *s)
{
    if (s->claim)
        return s->last_error ? "[" STATUS("uid-1", "STILL AN ERROR") "]"
                             : "[" STATUS("uid-1", "Bound") "]";
    if (!s->last_error)
        return "[" CREATE_CLAIM "]";
    assert_string_equal(sw_json_text(s->last_error, "id"), "create-claim");
    assert_string_equal(sw_json_text(s->last_error, "reason"), "Forbidden");
    assert_string_equal(sw_json_text(s->last_error, "message"), "exceeded quota: \"q\"");
    return "[" STATUS("uid-1", "Pending") "," CREATE_CLAIM "]";
}

static void a_failure_is_shown_to_the_plan_until_the_action_succeeds(void **state)
{
    struct log l = { .refused = "create persistentvolumeclaims",
                     .times = 4,
                     .status = 403,
                     .reason = "Forbidden",
                     .message = "exceeded quota: \"q\"" };
    struct rig r;

    /* The status is written with every plan here, and each write changes it: stop at Bound. */
    run(&l, quota, &r);
    while (!fake_kube_get(r.server, CLAIM))
        rig_turn(&r, 10 * SW_NS_PER_MS);
    rig_settle(&r);
    assert_int_equal(sw_executor_stats(r.executor).failed_actions, 4);
    assert_non_null(strstr(sw_buf_str(&l.text), "create persistentvolumeclaims, patch x, "));
    assert_string_equal(sw_json_text(fake_kube_get(r.server, DV), "status.phase"), "Bound");
    assert_int_equal(sw_workqueue_failures(r.queue, "DataVolume a/x"), 0);
    rig_close(&r);
    sw_buf_done(&l.text);
}

static const char *second_is_never_reached(const struct seen *s)
{
    (void)s;
    return seen.n_plans > 3 ? "[]" : "[" CREATE_CLAIM "," STATUS("uid-1", "Wrong") "]";
}

static void the_rest_of_a_list_is_left_alone_after_a_failure(void **state)
{
    struct log l = { .refused = "create persistentvolumeclaims",
                     .times = 100,
                     .status = 500,
                     .reason = "InternalError",
                     .message = "no" };
    struct rig r;

    run(&l, second_is_never_reached, &r);
    while (seen.n_plans <= 3)
        rig_turn(&r, 5 * SW_NS_PER_MS);
    rig_settle(&r);
    assert_null(sw_json_text(fake_kube_get(r.server, DV), "status.phase"));
    assert_null(strstr(sw_buf_str(&l.text), "patch"));
    rig_close(&r);
    sw_buf_done(&l.text);
}

/* --- Another world than the plan saw --------------------------------------------------------- */

static const char *create_what_exists(const struct seen *s)
{
    /* The first plan does not see the claim, as if its watch were late. */
    return seen.n_plans == 1 || !s->claim ? "[" CREATE_CLAIM "," STATUS("uid-1", "Wrong") "]"
                                          : "[]";
}

static void a_claim_that_exists_is_read_and_planned_for(void **state)
{
    struct log l = { .refused = "create persistentvolumeclaims",
                     .times = 1,
                     .status = 409,
                     .reason = "AlreadyExists",
                     .message = "exists" };
    struct rig r;

    begin(&l, create_what_exists, &r);
    fake_kube_set(r.server, CLAIM,
                  "{\"metadata\":{\"namespace\":\"a\",\"name\":\"x\"},\"spec\":{}}", false);
    rig_settle(&r);
    assert_string_equal(sw_buf_str(&l.text), "create persistentvolumeclaims, get x");
    assert_int_equal(sw_executor_stats(r.executor).stale, 1);
    assert_int_equal(sw_executor_stats(r.executor).failed_actions, 0);
    assert_null(sw_json_text(fake_kube_get(r.server, DV), "status.phase"));
    rig_close(&r);
    sw_buf_done(&l.text);
}

static const char *patch_a_stranger(const struct seen *s)
{
    (void)s;
    return seen.n_plans == 1 ? "[" STATUS("somebody-else", "Wrong") "]" : "[]";
}

static void a_precondition_that_fails_is_no_failure(void **state)
{
    struct log l = { 0 };
    struct rig r;

    run(&l, patch_a_stranger, &r);
    assert_string_equal(sw_buf_str(&l.text), "patch x, get x");
    assert_int_equal(seen.n_plans, 2);
    assert_int_equal(sw_executor_stats(r.executor).failed_actions, 0);
    rig_close(&r);
    sw_buf_done(&l.text);
}

static const char *delete_nothing(const struct seen *s)
{
    (void)s;
    return seen.n_plans == 1 ? "[{\"do\":\"delete\",\"kind\":\"Pod\",\"namespace\":\"a\","
                               "\"name\":\"p\",\"uid\":\"u\"}," STATUS("uid-1", "Done") "]"
                             : "[]";
}

static void what_is_gone_already_is_deleted(void **state)
{
    struct log l = { 0 };
    struct rig r;

    run(&l, delete_nothing, &r);
    assert_string_equal(sw_json_text(fake_kube_get(r.server, DV), "status.phase"), "Done");
    rig_close(&r);
    sw_buf_done(&l.text);
}

/* --- Again ----------------------------------------------------------------------------------- */

static const char *requeue_twice(const struct seen *s)
{
    (void)s;
    return seen.n_plans < 3 ? "[{\"do\":\"requeue\",\"ms\":60000},{\"do\":\"requeue\",\"ms\":1}]"
                            : "[]";
}

static void the_sooner_requeue_counts(void **state)
{
    struct log l = { 0 };
    struct rig r;

    run(&l, requeue_twice, &r);
    while (seen.n_plans < 3)
        rig_turn(&r, 10 * SW_NS_PER_MS);
    assert_int_equal(sw_workqueue_failures(r.queue, "DataVolume a/x"), 0);
    rig_close(&r);
    sw_buf_done(&l.text);
}

static const char *retry_thrice(const struct seen *s)
{
    (void)s;
    return seen.n_plans <= 3 ? "[{\"do\":\"retry\"}]" : "[]";
}

static void a_plan_may_ask_for_the_back_off(void **state)
{
    struct log l = { 0 };
    struct rig r;
    unsigned most = 0;

    run(&l, retry_thrice, &r);
    while (seen.n_plans < 4) {
        unsigned n = sw_workqueue_failures(r.queue, "DataVolume a/x");

        most = n > most ? n : most;
        rig_turn(&r, 10 * SW_NS_PER_MS);
    }
    rig_settle(&r);
    assert_true(most >= 1);
    assert_int_equal(sw_workqueue_failures(r.queue, "DataVolume a/x"), 0);
    rig_close(&r);
    sw_buf_done(&l.text);
}

static const char *nonsense(const struct seen *s)
{
    (void)s;
    return seen.n_plans < 3 ? "[{\"do\":\"dance\"}]" : "[]";
}

static void a_plan_that_asks_for_nonsense_is_asked_again(void **state)
{
    struct log l = { 0 };
    struct rig r;

    run(&l, nonsense, &r);
    while (seen.n_plans < 3)
        rig_turn(&r, 10 * SW_NS_PER_MS);
    assert_string_equal(sw_buf_str(&l.text), "");
    rig_close(&r);
    sw_buf_done(&l.text);
}

/* --- Leading --------------------------------------------------------------------------------- */

static struct rig *stopped;

static const char *stop_between(const struct seen *s)
{
    (void)s;
    if (seen.n_plans > 1)
        return "[]";
    sw_executor_run(stopped->executor, false); /* as if the Lease were lost now */
    return "[" CREATE_CLAIM "]";
}

static void nothing_is_written_by_who_does_not_lead(void **state)
{
    struct log l = { 0 };
    struct rig r;

    stopped = &r;
    begin(&l, stop_between, &r);
    while (!seen.n_plans || sw_executor_stats(r.executor).jobs)
        rig_turn(&r, 10 * SW_NS_PER_MS);
    for (int i = 0; i < 10; i++)
        rig_turn(&r, 10 * SW_NS_PER_MS);
    assert_null(fake_kube_get(r.server, CLAIM));
    assert_int_equal(seen.n_plans, 1);
    sw_executor_run(r.executor, true); /* the key was kept */
    rig_settle(&r);
    assert_int_equal(seen.n_plans, 2);
    rig_close(&r);
    sw_buf_done(&l.text);
}

static const char *event_each_time(const struct seen *s)
{
    (void)s;
    return seen.n_plans > 5
               ? "[]"
               : "[{\"do\":\"event\",\"kind\":\"DataVolume\",\"namespace\":\"a\",\"name\":\"x\","
                 "\"uid\":\"uid-1\",\"type\":\"Warning\",\"reason\":\"R\",\"message\":\"m\"},"
                 "{\"do\":\"requeue\",\"ms\":1}]";
}

static void the_same_event_again_and_again_is_one_object(void **state)
{
    struct log l = { 0 };
    struct rig r;

    run(&l, event_each_time, &r);
    while (seen.n_plans <= 5)
        rig_turn(&r, 10 * SW_NS_PER_MS);
    rig_settle(&r);
    assert_int_equal(fake_kube_count(r.server, "/namespaces/a/events/x."), 1);
    assert_int_equal(sw_kube_events_stats(r.events).created, 1);
    assert_int_equal(sw_kube_events_stats(r.events).withheld, 4);
    rig_close(&r);
    sw_buf_done(&l.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actions_are_performed_in_order),
        cmocka_unit_test(a_failure_is_shown_to_the_plan_until_the_action_succeeds),
        cmocka_unit_test(the_rest_of_a_list_is_left_alone_after_a_failure),
        cmocka_unit_test(a_claim_that_exists_is_read_and_planned_for),
        cmocka_unit_test(a_precondition_that_fails_is_no_failure),
        cmocka_unit_test(what_is_gone_already_is_deleted),
        cmocka_unit_test(the_sooner_requeue_counts),
        cmocka_unit_test(a_plan_may_ask_for_the_back_off),
        cmocka_unit_test(a_plan_that_asks_for_nonsense_is_asked_again),
        cmocka_unit_test(nothing_is_written_by_who_does_not_lead),
        cmocka_unit_test(the_same_event_again_and_again_is_one_object),
    };

    return cmocka_run_group_tests_name("controller/executor", tests, NULL, NULL);
}
