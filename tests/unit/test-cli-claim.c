/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/claim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fileio.h"

static const char manifest[] =
    "apiVersion: cdi.kubevirt.io/v1beta1\nkind: DataVolume\n"
    "metadata: {name: disk, namespace: ns, labels: {l: v}, resourceVersion: '7'}\n"
    "spec: {source: {blank: {}}, pvc: {resources: {requests: {storage: 1Gi}}}}\n"
    "status: {phase: Succeeded, progress: lies}\n";

struct fixture {
    char dir[64];
    struct sw_yaml yaml;
    struct cli_datavolume dv;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct sw_err err;

    snprintf(f->dir, sizeof(f->dir), "claim-test-XXXXXX");
    if (!mkdtemp(f->dir) || sw_yaml_parse(manifest, strlen(manifest), &f->yaml, &err) < 0 ||
        cli_datavolume_read(f->yaml.docs[0], &f->yaml, &f->dv, &err) < 0)
        return -1;
    *state = f;
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    cli_datavolume_done(&f->dv);
    sw_yaml_done(&f->yaml);
    free(f);
    return 0;
}

/* The text at a path of datavolume.json, to be freed. */
static char *status_of(const struct cli_claim *c, const char *path)
{
    sw_auto_json struct sw_json *doc = NULL;
    sw_autofree char *text = NULL;
    struct sw_err err = { 0 };
    char *value = NULL;
    size_t n;

    if (sw_file_slurp(c->status_path, CLI_CLAIM_JSON_MAX, &text, &n, &err) < 0 ||
        sw_json_parse(text, n, CLI_CLAIM_JSON_MAX, &doc, &err) < 0 ||
        sw_json_get_str(doc, path, 1024, &value, &err) < 0)
        fail_msg("%s", err.msg);
    return value ? value : strdup("(nothing)");
}

static void expect(const struct cli_claim *c, const char *path, const char *want)
{
    sw_autofree char *got = status_of(c, path);

    if (strcmp(got, want) != 0)
        fail_msg("%s is '%s', not '%s'", path, got, want);
}

static void open_claim(struct fixture *f, struct cli_claim *c)
{
    struct sw_err err = { 0 };

    if (cli_claim_open(f->dir, &f->dv, c, &err) < 0)
        fail_msg("%s", err.msg);
}

static void the_status_follows_the_contract(void **state)
{
    cli_autoclaim struct cli_claim c = { .lock = -1 };
    struct sw_err err = { 0 };

    open_claim(*state, &c);
    assert_false(c.was_seen);
    assert_int_equal(cli_claim_scheduled(&c, &err), 0);
    expect(&c, "status.phase", "ImportScheduled");
    expect(&c, "status.progress", "N/A");
    expect(&c, "status.claimName", "disk");
    expect(&c, "status.conditions.0.message", "PVC disk Bound");
    expect(&c, "metadata.labels.l", "v");
    expect(&c, "metadata.resourceVersion", "(nothing)");
    expect(&c, "spec.pvc.resources.requests.storage", "1Gi");

    assert_int_equal(cli_claim_running(&c, 42.174, &err), 0);
    expect(&c, "status.phase", "ImportInProgress");
    expect(&c, "status.progress", "42.17%");
    expect(&c, "status.conditions.1.status", "True");
    expect(&c, "status.conditions.1.reason", "Pod is running");
    expect(&c, "status.conditions.2.status", "False");
    expect(&c, "status.conditions.2.reason", "TransferRunning");

    assert_int_equal(cli_claim_succeeded(&c, &err), 0);
    expect(&c, "status.phase", "Succeeded");
    expect(&c, "status.progress", "100.0%");
    expect(&c, "status.conditions.1.status", "False");
    expect(&c, "status.conditions.2.type", "Ready");
    expect(&c, "status.conditions.2.status", "True");
}

static void failures_tell_whether_to_try_again(void **state)
{
    static const struct {
        enum sw_err_kind kind;
        const char *msg, *phase, *reason;
    } table[] = {
        { SW_ERR_TRANSIENT, "reset", "ImportScheduled", "Error" },
        { SW_ERR_CANCELLED, "stop", "ImportScheduled", "Error" },
        { SW_ERR_NOT_FOUND, "404", "Failed", "Error" },
        { SW_ERR_BAD_DATA, "checksum validation failed: checksum mismatch: x", "Failed",
          "ChecksumError" },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        cli_autoclaim struct cli_claim c = { .lock = -1 };
        struct sw_err why = { 0 };
        struct sw_err err = { 0 };

        open_claim(*state, &c);
        sw_err_set(&why, table[i].kind, "%s", table[i].msg);
        assert_int_equal(cli_claim_failed(&c, &why, &err), 0);
        expect(&c, "status.phase", table[i].phase);
        expect(&c, "status.conditions.1.reason", table[i].reason);
        expect(&c, "status.conditions.1.message", table[i].msg);
    }
}

static void progress_never_says_100_before_the_end(void **state)
{
    cli_autoclaim struct cli_claim c = { .lock = -1 };
    struct sw_err err = { 0 };

    open_claim(*state, &c);
    assert_int_equal(cli_claim_running(&c, 100, &err), 0);
    expect(&c, "status.progress", "99.99%");
    assert_int_equal(cli_claim_running(&c, -1, &err), 0); /* unknown: the last one stays */
    expect(&c, "status.progress", "99.99%");
}

static void only_one_process_fills_a_claim(void **state)
{
    struct fixture *f = *state;
    cli_autoclaim struct cli_claim first = { .lock = -1 };
    cli_autoclaim struct cli_claim second = { .lock = -1 };
    struct sw_err err = { 0 };

    open_claim(f, &first);
    assert_true(cli_claim_is_busy(first.dir));
    assert_int_equal(cli_claim_open(f->dir, &f->dv, &second, &err), -1);
    assert_int_equal(err.kind, SW_ERR_TRANSIENT);
    cli_claim_close(&second);

    sw_autofree char *dir = strdup(first.dir);
    cli_claim_close(&first);
    assert_false(cli_claim_is_busy(dir));
    assert_false(cli_claim_is_busy("no/such/directory"));
}

static void a_second_run_knows_the_first(void **state)
{
    struct fixture *f = *state;
    char created[CLI_RFC3339_MAX];
    struct sw_err err = { 0 };

    {
        cli_autoclaim struct cli_claim c = { .lock = -1 };

        open_claim(f, &c);
        snprintf(c.created, sizeof(c.created), "2020-01-02T03:04:05Z");
        memcpy(created, c.created, sizeof(created));
        c.restarts = 3;
        assert_int_equal(cli_claim_succeeded(&c, &err), 0);
    }
    {
        cli_autoclaim struct cli_claim c = { .lock = -1 };

        open_claim(f, &c);
        assert_true(c.was_seen);
        assert_true(c.is_same_spec);
        assert_false(c.was_done); /* somebody removed the disk */
        assert_string_equal(c.created, created);
        assert_int_equal(c.restarts, 3);
        assert_int_equal(sw_file_replace(c.disk, "x", 1, 0600, &err), 0);
    }
    cli_autoclaim struct cli_claim c = { .lock = -1 };
    open_claim(f, &c);
    assert_true(c.was_done);
}

static void a_status_that_is_not_ours_is_not_replaced(void **state)
{
    struct fixture *f = *state;
    cli_autoclaim struct cli_claim first = { .lock = -1 };
    cli_autoclaim struct cli_claim second = { .lock = -1 };
    struct sw_err err = { 0 };

    open_claim(f, &first);
    assert_int_equal(sw_file_replace(first.status_path, "not json", 8, 0600, &err), 0);
    cli_claim_close(&first);
    assert_int_equal(cli_claim_open(f->dir, &f->dv, &second, &err), -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    assert_non_null(strstr(err.msg, "datavolume.json"));
}

static void times_go_both_ways(void **state)
{
    char text[CLI_RFC3339_MAX];

    cli_put_time(1767323045, text);
    assert_string_equal(text, "2026-01-02T03:04:05Z");
    assert_int_equal(cli_parse_time(text), 1767323045);
    assert_int_equal(cli_parse_time("2026-01-02"), -1);
    assert_int_equal(cli_parse_time("2026-01-02T03:04:05Zjunk"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_status_follows_the_contract, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures_tell_whether_to_try_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(progress_never_says_100_before_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_one_process_fills_a_claim, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_run_knows_the_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_status_that_is_not_ours_is_not_replaced, set_up,
                                        tear_down),
        cmocka_unit_test(times_go_both_ways),
    };

    return cmocka_run_group_tests_name("cli/claim", tests, NULL, NULL);
}
