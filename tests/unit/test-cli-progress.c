/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "cli/human.h"
#include "common/bytes.h"
#include "common/clock.h"
#include "common/json.h"

static const struct cli_sample half = {
    .phase = SW_PHASE_TRANSFER,
    .done = 512 * SW_MIB,
    .total = 1024 * SW_MIB,
    .written = 300 * SW_MIB,
    .rate = 64 * SW_MIB,
};

static void a_wide_terminal_shows_everything(void **state)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(512);

    cli_progress_bar(&half, 100, &out);
    assert_non_null(strstr(out.p, " 50%"));
    assert_non_null(strstr(out.p, "[====================>"));
    assert_non_null(strstr(out.p, "512 MiB of 1.00 GiB"));
    assert_non_null(strstr(out.p, "64.0 MiB/s"));
    assert_non_null(strstr(out.p, "ETA 0:08"));
}

/* A line as long as the terminal is wide would scroll it at every redraw. */
static void never_fills_the_last_column(void **state)
{
    struct cli_sample samples[] = {
        half,
        { .phase = SW_PHASE_OPEN, .total = SW_SIZE_UNKNOWN },
        { .phase = SW_PHASE_TRANSFER,
          .done = UINT64_MAX - 1,
          .total = SW_SIZE_UNKNOWN,
          .rate = UINT64_MAX },
        { .phase = SW_PHASE_TRANSFER, .done = 1, .total = UINT64_MAX - 1, .rate = 1 },
        { .phase = SW_PHASE_VERIFY, .done = 9, .total = 9 },
        { .phase = SW_PHASE_DONE, .done = 9, .total = 9 },
    };

    for (size_t i = 0; i < SW_COUNT(samples); i++) {
        for (unsigned columns = 0; columns < 200; columns++) {
            sw_autobuf struct sw_buf out = SW_BUF_INIT(512);

            cli_progress_bar(&samples[i], columns, &out);
            assert_false(out.failed);
            if (out.n && out.n > (columns ? columns - 1 : 0))
                fail_msg("sample %zu: %zu columns of %u: '%s'", i, out.n, columns, out.p);
        }
    }
}

static void percent_reaches_100_only_when_done(void **state)
{
    struct cli_sample s = { .phase = SW_PHASE_TRANSFER, .done = 10, .total = 10 };

    assert_true(cli_percent(&s) < 100);
    s.phase = SW_PHASE_DONE;
    assert_true(cli_percent(&s) == 100);
    s = (struct cli_sample){ .phase = SW_PHASE_TRANSFER, .total = SW_SIZE_UNKNOWN };
    assert_true(cli_percent(&s) < 0);
    s.total = 0;
    assert_true(cli_percent(&s) < 0);
}

static void a_json_line_is_json(void **state)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(1024);
    sw_auto_json struct sw_json *doc = NULL;
    sw_autofree char *phase = NULL;
    struct sw_err err = { 0 };
    uint64_t v = 0;

    cli_progress_json(&half, &out);
    assert_int_equal(sw_json_parse(out.p, out.n, 1024, &doc, &err), 0);
    assert_int_equal(sw_json_get_str(doc, "phase", 64, &phase, &err), 1);
    assert_string_equal(phase, "transfer");
    assert_int_equal(sw_json_get_u64(doc, "percent", &v, &err), 1);
    assert_int_equal(v, 50);
    assert_int_equal(sw_json_get_u64(doc, "eta_seconds", &v, &err), 1);
    assert_int_equal(v, 8);
    assert_null(strchr(out.p, '\n'));
}

static void an_unknown_total_is_left_out(void **state)
{
    struct cli_sample s = { .phase = SW_PHASE_TRANSFER, .done = 5, .total = SW_SIZE_UNKNOWN };
    sw_autobuf struct sw_buf out = SW_BUF_INIT(1024);

    cli_progress_json(&s, &out);
    assert_null(strstr(out.p, "source_total"));
    assert_null(strstr(out.p, "percent"));
    assert_null(strstr(out.p, "eta"));
}

static void puts_numbers_as_people_read_them(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } table[] = {
        { 0, "0 B" },
        { 999, "999 B" },
        { 1000, "0.98 KiB" },
        { 1536, "1.50 KiB" },
        { 10 * SW_KIB, "10.0 KiB" },
        { 100 * SW_MIB, "100 MiB" },
        { 1023 * SW_KIB + 1023, "1.00 MiB" },
        { UINT64_MAX, "16.0 EiB" },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        sw_autobuf struct sw_buf out = SW_BUF_INIT(64);

        cli_put_bytes(&out, table[i].bytes);
        assert_string_equal(out.p, table[i].text);
    }
}

static void puts_durations_and_ages(void **state)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(256);

    cli_put_duration(&out, 420 * SW_NS_PER_MS);
    sw_buf_puts(&out, ";");
    cli_put_duration(&out, -1);
    sw_buf_puts(&out, ";");
    cli_put_duration(&out, 245 * SW_NS_PER_SEC);
    sw_buf_puts(&out, ";");
    cli_put_duration(&out, 7380 * SW_NS_PER_SEC);
    assert_string_equal(out.p, "0.42 s;0.00 s;4 min 05 s;2 h 03 min");
    sw_buf_reset(&out);
    cli_put_age(&out, 119);
    cli_put_age(&out, 600);
    cli_put_age(&out, 7200 * 2);
    cli_put_age(&out, 86400 * 5);
    assert_string_equal(out.p, "119s10m4h5d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wide_terminal_shows_everything),
        cmocka_unit_test(never_fills_the_last_column),
        cmocka_unit_test(percent_reaches_100_only_when_done),
        cmocka_unit_test(a_json_line_is_json),
        cmocka_unit_test(an_unknown_total_is_left_out),
        cmocka_unit_test(puts_numbers_as_people_read_them),
        cmocka_unit_test(puts_durations_and_ages),
    };

    return cmocka_run_group_tests_name("cli/progress", tests, NULL, NULL);
}
