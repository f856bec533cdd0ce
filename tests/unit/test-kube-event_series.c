/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/event_series.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>

#define S SW_NS_PER_SEC

static struct sw_event_series *make(void)
{
    struct sw_event_series *s = NULL;
    struct sw_err err = { 0 };

    assert_int_equal(sw_event_series_new(&s, &err), 0);
    return s;
}

static struct sw_event_id about(const char *uid, const char *message)
{
    return (
        struct sw_event_id){ .uid = uid, .type = "Normal", .reason = "Bound", .message = message };
}

static void the_same_again_is_counted_and_written_now_and_then(void **state)
{
    struct sw_event_series *s = make();
    struct sw_event_id id = about("u1", "PVC x Bound");

    struct sw_event_decision d = sw_event_series_record(s, &id, 0, 77);
    assert_int_equal(d.verdict, SW_EVENT_CREATE);
    assert_int_equal(d.count, 1);
    assert_int_equal(d.first_ns, 77);
    for (int i = 1; i <= 5; i++)
        assert_int_equal(sw_event_series_record(s, &id, i * S, 78).verdict, SW_EVENT_DROP);
    d = sw_event_series_record(s, &id, 10 * S, 99);
    assert_int_equal(d.verdict, SW_EVENT_COUNT);
    assert_int_equal(d.count, 7);     /* none of them is lost */
    assert_int_equal(d.first_ns, 77); /* names the Event      */
    assert_int_equal(sw_event_series_record(s, &id, 11 * S, 99).verdict, SW_EVENT_DROP);
    sw_event_series_free(s);
}

static void every_part_of_the_identity_makes_another_series(void **state)
{
    struct sw_event_series *s = make();
    const struct sw_event_id ids[] = {
        { "u", "Normal", "R", "m" }, { "v", "Normal", "R", "m" }, { "u", "Warning", "R", "m" },
        { "u", "Normal", "Rm", "" }, { "u", "Normal", "R", "n" }, { "u", "NormalR", "", "m" },
    };

    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
        assert_int_equal(sw_event_series_record(s, &ids[i], 0, 0).verdict, SW_EVENT_CREATE);
    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
        assert_int_equal(sw_event_series_record(s, &ids[i], 1, 0).verdict, SW_EVENT_DROP);
    sw_event_series_free(s);
}

static void an_event_that_is_gone_begins_anew(void **state)
{
    struct sw_event_series *s = make();
    struct sw_event_id id = about("u1", "m");

    assert_int_equal(sw_event_series_record(s, &id, 0, 5).verdict, SW_EVENT_CREATE);
    sw_event_series_forget(s, &id);
    struct sw_event_decision d = sw_event_series_record(s, &id, 1, 6);
    assert_int_equal(d.verdict, SW_EVENT_CREATE);
    assert_int_equal(d.first_ns, 6);
    sw_event_series_free(s);
}

/* A message with a number in it that changes each time. */
static void many_similar_messages_become_one_series(void **state)
{
    struct sw_event_series *s = make();
    struct sw_event_decision d;
    char text[32];

    for (int i = 0; i < SW_EVENT_SIMILAR_MAX; i++) {
        (void)snprintf(text, sizeof(text), "try %d", i);
        struct sw_event_id id = about("u1", text);
        d = sw_event_series_record(s, &id, i * S, i);
        assert_int_equal(d.verdict, SW_EVENT_CREATE);
        assert_false(d.is_combined);
    }
    struct sw_event_id more = about("u1", "try 11");
    d = sw_event_series_record(s, &more, 20 * S, 20);
    assert_int_equal(d.verdict, SW_EVENT_CREATE);
    assert_true(d.is_combined);
    more.message = "try 12";
    d = sw_event_series_record(s, &more, 40 * S, 40);
    assert_int_equal(d.verdict, SW_EVENT_COUNT);
    assert_int_equal(d.first_ns, 20);
    assert_true(d.is_combined);
    more.message = "try 3"; /* it has its own series */
    assert_false(sw_event_series_record(s, &more, 41 * S, 41).is_combined);
    more.message = "much later";
    d = sw_event_series_record(s, &more, 700 * S, 700);
    assert_int_equal(d.verdict, SW_EVENT_CREATE);
    assert_false(d.is_combined);
    sw_event_series_free(s);
}

static unsigned writes(struct sw_event_series *s, const char *uid, int64_t now_ns, unsigned tries)
{
    unsigned n = 0;
    char reason[32];

    for (unsigned i = 0; i < tries; i++) {
        (void)snprintf(reason, sizeof(reason), "R%lld.%u", (long long)now_ns, i);
        struct sw_event_id id = { uid, "Warning", reason, "m" };
        n += sw_event_series_record(s, &id, now_ns, 0).verdict != SW_EVENT_DROP;
    }
    return n;
}

static void one_object_cannot_flood_the_cluster(void **state)
{
    struct sw_event_series *s = make();

    assert_int_equal(writes(s, "loud", 0, 100), SW_EVENT_BURST);
    assert_int_equal(writes(s, "quiet", 0, 3), 3);
    assert_int_equal(writes(s, "loud", SW_EVENT_REFILL_NS - 1, 5), 0);
    assert_int_equal(writes(s, "loud", SW_EVENT_REFILL_NS, 5), 1);
    assert_int_equal(writes(s, "loud", 4 * SW_EVENT_REFILL_NS, 5), 3);
    assert_int_equal(writes(s, "loud", 1000 * SW_EVENT_REFILL_NS, 100), SW_EVENT_BURST);
    sw_event_series_free(s);
}

/* Three entries per object: far more than the table holds, with the oldest ones giving way. */
static void the_memory_is_bounded_and_keeps_what_is_recent(void **state)
{
    struct sw_event_series *s = make();
    char uid[16];

    for (int i = 0; i < 20000; i++) {
        (void)snprintf(uid, sizeof(uid), "u%d", i);
        struct sw_event_id id = about(uid, "m");
        assert_int_equal(sw_event_series_record(s, &id, i, i).verdict, SW_EVENT_CREATE);
    }
    for (int i = 19000; i < 20000; i++) {
        (void)snprintf(uid, sizeof(uid), "u%d", i);
        struct sw_event_id id = about(uid, "m");
        assert_int_equal(sw_event_series_record(s, &id, 20000, 0).verdict, SW_EVENT_DROP);
    }
    struct sw_event_id first = about("u0", "m");
    assert_int_equal(sw_event_series_record(s, &first, 20000, 5).verdict, SW_EVENT_CREATE);
    sw_event_series_free(s);
}

/* Forgotten entries are still in the list of ages; reusing them must not hurt their neighbours. */
static void forgetting_among_many_hurts_nobody(void **state)
{
    struct sw_event_series *s = make();
    char uid[16];

    for (int i = 0; i < 12000; i++) {
        (void)snprintf(uid, sizeof(uid), "u%d", i);
        struct sw_event_id id = about(uid, "m");
        assert_int_equal(sw_event_series_record(s, &id, i, i).verdict, SW_EVENT_CREATE);
        if (i % 3 == 0)
            sw_event_series_forget(s, &id);
    }
    for (int i = 11000; i < 12000; i++) {
        (void)snprintf(uid, sizeof(uid), "u%d", i);
        struct sw_event_id id = about(uid, "m");
        assert_int_equal(sw_event_series_record(s, &id, 12000, 0).verdict,
                         i % 3 ? SW_EVENT_DROP : SW_EVENT_CREATE);
    }
    sw_event_series_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_again_is_counted_and_written_now_and_then),
        cmocka_unit_test(every_part_of_the_identity_makes_another_series),
        cmocka_unit_test(an_event_that_is_gone_begins_anew),
        cmocka_unit_test(many_similar_messages_become_one_series),
        cmocka_unit_test(one_object_cannot_flood_the_cluster),
        cmocka_unit_test(the_memory_is_bounded_and_keeps_what_is_recent),
        cmocka_unit_test(forgetting_among_many_hurts_nobody),
    };

    return cmocka_run_group_tests_name("kube/event_series", tests, NULL, NULL);
}
