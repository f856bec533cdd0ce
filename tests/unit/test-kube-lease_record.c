/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/lease_record.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

#include "common/clock.h"

#define S SW_NS_PER_SEC

/* What sw_lease_look() says to this text (NULL: no object). */
static enum sw_lease_step look(struct sw_lease_record *r, const char *text, int64_t now_ns)
{
    sw_auto_json struct sw_json *lease = NULL;
    struct sw_err err = { 0 };

    if (text)
        assert_int_equal(sw_json_parse(text, strlen(text), 4096, &lease, &err), 0);
    return sw_lease_look(r, lease, "me_1", 15, now_ns);
}

static const char other_1[] =
    "{\"metadata\":{\"resourceVersion\":\"7\"},\"spec\":{\"holderIdentity\":"
    "\"other\",\"leaseDurationSeconds\":15,\"renewTime\":\"a\"}}";
static const char other_2[] =
    "{\"metadata\":{\"resourceVersion\":\"8\"},\"spec\":{\"holderIdentity\":"
    "\"other\",\"leaseDurationSeconds\":15,\"renewTime\":\"b\"}}";

static void a_lease_that_is_not_there_is_created(void **state)
{
    struct sw_lease_record r = { 0 };

    assert_int_equal(look(&r, NULL, 0), SW_LEASE_CREATE);
    assert_false(r.is_seen);
}

static void a_lease_that_was_given_back_is_taken_at_once(void **state)
{
    struct sw_lease_record r = { 0 };

    assert_int_equal(look(&r, other_1, 0), SW_LEASE_WAIT);
    assert_int_equal(look(&r, "{\"spec\":{\"holderIdentity\":\"\",\"renewTime\":\"b\"}}", 1),
                     SW_LEASE_TAKE);
    memset(&r, 0, sizeof(r));
    assert_int_equal(look(&r, "{\"spec\":{}}", 1), SW_LEASE_TAKE);
}

static void our_own_is_renewed(void **state)
{
    struct sw_lease_record r = { 0 };

    assert_int_equal(look(&r, "{\"spec\":{\"holderIdentity\":\"me_1\"}}", 0), SW_LEASE_RENEW);
    assert_int_equal(look(&r, "{\"spec\":{\"holderIdentity\":\"me_1\"}}", 100 * S), SW_LEASE_RENEW);
    assert_int_equal(look(&r, "{\"spec\":{\"holderIdentity\":\"me_2\"}}", 100 * S), SW_LEASE_WAIT);
}

/* Our own clock decides, from when we first saw the record, however old renewTime says it is. */
static void a_holder_that_does_not_renew_loses_it(void **state)
{
    struct sw_lease_record r = { 0 };

    assert_int_equal(look(&r, other_1, 100 * S), SW_LEASE_WAIT);
    assert_int_equal(look(&r, other_1, 115 * S - 1), SW_LEASE_WAIT);
    assert_int_equal(look(&r, other_1, 115 * S), SW_LEASE_TAKE);
    assert_string_equal(r.resource_version, "7");

    /* It renewed in time: the wait begins anew. */
    memset(&r, 0, sizeof(r));
    assert_int_equal(look(&r, other_1, 100 * S), SW_LEASE_WAIT);
    assert_int_equal(look(&r, other_2, 114 * S), SW_LEASE_WAIT);
    assert_int_equal(look(&r, other_2, 128 * S), SW_LEASE_WAIT);
    assert_int_equal(look(&r, other_2, 129 * S), SW_LEASE_TAKE);
}

static void the_holders_own_duration_counts(void **state)
{
    struct sw_lease_record r = { 0 };
    static const char quick[] =
        "{\"spec\":{\"holderIdentity\":\"o\",\"leaseDurationSeconds\":3,\"renewTime\":\"a\"}}";
    static const char absurd[] = "{\"spec\":{\"holderIdentity\":\"o\",\"leaseDurationSeconds\":"
                                 "18446744073709551614,\"renewTime\":\"a\"}}";
    static const char none[] = "{\"spec\":{\"holderIdentity\":\"o\",\"renewTime\":\"a\"}}";

    assert_int_equal(look(&r, quick, 0), SW_LEASE_WAIT);
    assert_int_equal(look(&r, quick, 3 * S), SW_LEASE_TAKE);
    memset(&r, 0, sizeof(r));
    assert_int_equal(look(&r, absurd, 0), SW_LEASE_WAIT);
    assert_int_equal(look(&r, absurd, 86400 * S), SW_LEASE_WAIT);
    memset(&r, 0, sizeof(r));
    assert_int_equal(look(&r, none, 0), SW_LEASE_WAIT);
    assert_int_equal(look(&r, none, 15 * S), SW_LEASE_TAKE);
}

static void nonsense_counts_as_not_given(void **state)
{
    struct sw_lease_record r = { 0 };

    assert_int_equal(look(&r, "[]", 0), SW_LEASE_TAKE);
    assert_int_equal(look(&r, "{\"spec\":7}", 0), SW_LEASE_TAKE);
    assert_int_equal(look(&r, "{\"spec\":{\"holderIdentity\":[1],\"leaseTransitions\":\"x\"}}", 0),
                     SW_LEASE_TAKE);
    assert_int_equal(r.transitions, 0);
}

static void expect_write(const struct sw_lease_record *r, const char *holder, const char *want)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(4096);

    sw_lease_write(&out, r,
                   &(struct sw_lease_claim){ .ns = "cdi",
                                             .name = "l",
                                             .holder = holder,
                                             .duration_s = 15,
                                             .wall_ns = 1000000000 * S + 123456789 });
    const char *spec = strstr(sw_buf_str(&out), "\"spec\":");
    assert_non_null(spec);
    assert_string_equal(spec, want);
}

#define NOW "\"2001-09-09T01:46:40.123456Z\""

static void what_is_written_follows_the_record(void **state)
{
    struct sw_lease_record r = { 0 };

    expect_write(&r, "me_1",
                 "\"spec\":{\"holderIdentity\":\"me_1\",\"leaseDurationSeconds\":15,"
                 "\"leaseTransitions\":0,\"acquireTime\":" NOW ",\"renewTime\":" NOW "}}");
    (void)look(&r,
               "{\"spec\":{\"holderIdentity\":\"other\",\"leaseTransitions\":4,"
               "\"acquireTime\":\"then\"}}",
               0);
    expect_write(&r, "me_1",
                 "\"spec\":{\"holderIdentity\":\"me_1\",\"leaseDurationSeconds\":15,"
                 "\"leaseTransitions\":5,\"acquireTime\":" NOW ",\"renewTime\":" NOW "}}");
    (void)look(&r,
               "{\"spec\":{\"holderIdentity\":\"me_1\",\"leaseTransitions\":5,"
               "\"acquireTime\":\"then\"}}",
               0);
    expect_write(&r, "me_1",
                 "\"spec\":{\"holderIdentity\":\"me_1\",\"leaseDurationSeconds\":15,"
                 "\"leaseTransitions\":5,\"acquireTime\":\"then\",\"renewTime\":" NOW "}}");
    expect_write(&r, "",
                 "\"spec\":{\"holderIdentity\":\"\",\"leaseDurationSeconds\":1,"
                 "\"leaseTransitions\":5,\"acquireTime\":" NOW ",\"renewTime\":" NOW "}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_that_is_not_there_is_created),
        cmocka_unit_test(a_lease_that_was_given_back_is_taken_at_once),
        cmocka_unit_test(our_own_is_renewed),
        cmocka_unit_test(a_holder_that_does_not_renew_loses_it),
        cmocka_unit_test(the_holders_own_duration_counts),
        cmocka_unit_test(nonsense_counts_as_not_given),
        cmocka_unit_test(what_is_written_follows_the_record),
    };

    return cmocka_run_group_tests_name("kube/lease_record", tests, NULL, NULL);
}
