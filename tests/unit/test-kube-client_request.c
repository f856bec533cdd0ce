/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/client_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static const struct sw_kube_resource maps = { "", "v1", "configmaps", "ConfigMap", false };
#define IT_IS .where = { &maps, "ns", "a", NULL }
#define ALL_ARE .where = { &maps, "ns", NULL, NULL }

#define ITEM "/api/v1/namespaces/ns/configmaps/a"
#define ALL "/api/v1/namespaces/ns/configmaps"
#define BODY(text) .body = (text), .body_n = sizeof(text) - 1
#define OPTIONS "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\""

static void puts_requests_onto_the_wire(void **state)
{
    static const struct {
        struct sw_kube_request q;
        const char *method, *path, *type, *body;
        bool is_harmless;
    } table[] = {
        { { .verb = SW_KUBE_GET, IT_IS }, "GET", ITEM, NULL, NULL, true },
        { { .verb = SW_KUBE_GET, .path = "/version" }, "GET", "/version", NULL, NULL, true },
        { { .verb = SW_KUBE_LIST, ALL_ARE, .query = "?limit=1" },
          "GET",
          ALL "?limit=1",
          NULL,
          NULL,
          true },
        { { .verb = SW_KUBE_CREATE, ALL_ARE, BODY("{}"), .field_manager = "me" },
          "POST",
          ALL "?fieldManager=me",
          "application/json",
          "{}",
          false },
        { { .verb = SW_KUBE_REPLACE, IT_IS, BODY("{}") },
          "PUT",
          ITEM,
          "application/json",
          "{}",
          false },
        { { .verb = SW_KUBE_REPLACE,
            IT_IS,
            BODY("{\"metadata\":{\"name\":\"a\"}}"),
            .resource_version = "7" },
          "PUT",
          ITEM,
          "application/json",
          "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"7\"}}",
          true },
        { { .verb = SW_KUBE_MERGE_PATCH, IT_IS, BODY("{\"data\":null}"), .uid = "u" },
          "PATCH",
          ITEM,
          "application/merge-patch+json",
          "{\"data\":null,\"metadata\":{\"uid\":\"u\"}}",
          false },
        { { .verb = SW_KUBE_JSON_PATCH, IT_IS, BODY("[]") },
          "PATCH",
          ITEM,
          "application/json-patch+json",
          "[]",
          false },
        { { .verb = SW_KUBE_APPLY,
            IT_IS,
            BODY("{}"),
            .field_manager = "m/e",
            .is_forced = true,
            .is_dry_run = true },
          "PATCH",
          ITEM "?fieldManager=m%2Fe&force=true&dryRun=All",
          "application/apply-patch+yaml",
          "{}",
          true },
        { { .verb = SW_KUBE_DELETE, IT_IS },
          "DELETE",
          ITEM,
          "application/json",
          OPTIONS "}",
          false },
        { { .verb = SW_KUBE_DELETE,
            IT_IS,
            .uid = "u",
            .resource_version = "7",
            .propagation = "Background",
            .has_grace = true,
            .grace_s = 0,
            .is_dry_run = true,
            .field_manager = "me" },
          "DELETE",
          ITEM,
          "application/json",
          OPTIONS
          ",\"preconditions\":{\"uid\":\"u\",\"resourceVersion\":\"7\"},\"propagationPolicy\":"
          "\"Background\",\"gracePeriodSeconds\":0,\"dryRun\":[\"All\"]}",
          true },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        struct sw_kube_wire wire = { 0 };
        struct sw_err err = { 0 };

        if (sw_kube_wire_make(&table[i].q, &wire, &err) < 0)
            fail_msg("%zu: %s", i, err.msg);
        assert_string_equal(wire.method, table[i].method);
        assert_string_equal(wire.path, table[i].path);
        assert_int_equal(wire.is_harmless, table[i].is_harmless);
        assert_int_equal(!!wire.body, !!table[i].body);
        if (wire.body) {
            assert_string_equal(wire.body, table[i].body);
            assert_int_equal(wire.body_n, strlen(wire.body));
            assert_string_equal(wire.content_type, table[i].type);
        }
        sw_kube_wire_done(&wire);
    }
}

static void refuses_preconditions_that_nobody_would_check(void **state)
{
    static const struct sw_kube_request table[] = {
        { .verb = SW_KUBE_CREATE, ALL_ARE, BODY("{}"), .uid = "u" },
        { .verb = SW_KUBE_JSON_PATCH, IT_IS, BODY("[]"), .resource_version = "1" },
        { .verb = SW_KUBE_MERGE_PATCH, IT_IS, BODY("[]"), .uid = "u" },
        { .verb = SW_KUBE_MERGE_PATCH, IT_IS, BODY("{"), .uid = "u" },
        { .verb = SW_KUBE_GET, .where = { &maps, NULL, "a", NULL } },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        struct sw_kube_wire wire = { 0 };
        struct sw_err err = { 0 };

        assert_int_equal(sw_kube_wire_make(&table[i], &wire, &err), -1);
        assert_int_equal(err.kind, SW_ERR_USAGE);
    }
}

static void every_verb_has_a_name(void **state)
{
    for (int verb = 0; verb < SW_KUBE_VERB_COUNT_; verb++)
        assert_true(strlen(sw_kube_verb_name(verb)) > 2);
}

static void back_off_doubles_and_stays_below_its_limit(void **state)
{
    struct sw_kube_dice dice;
    bool differs = false;

    sw_kube_dice_init(&dice);
    for (unsigned n = 1; n < 200; n++) {
        int64_t base = n < 10 ? 100 << (n - 1) : 30000;
        int64_t wait = sw_kube_backoff(&dice, 100, 30000, n);

        base = base < 30000 ? base : 30000;
        assert_in_range(wait, base - base / 5, base + base / 5);
        differs |= wait != base;
    }
    assert_true(differs);
    assert_int_equal(sw_kube_dice_roll(&dice, 7, 7), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_requests_onto_the_wire),
        cmocka_unit_test(refuses_preconditions_that_nobody_would_check),
        cmocka_unit_test(every_verb_has_a_name),
        cmocka_unit_test(back_off_doubles_and_stays_below_its_limit),
    };
    return cmocka_run_group_tests_name("kube/client_request", tests, NULL, NULL);
}
