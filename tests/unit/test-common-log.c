/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* 2026-01-31T11:44:13.007999Z */
static const struct timespec when = { .tv_sec = 1769859853, .tv_nsec = 7999000 };

#define FORMAT(out, style, level, ...)                                                             \
    sw_log_format(out, style, &when, level, "import.done",                                         \
                  (const struct sw_field[]){ __VA_ARGS__, SW_NO_FIELDS })

static void writes_typed_json_fields(void **state)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(1024);
    struct sw_err err = { 0 };

    sw_err_set(&err, SW_ERR_NO_SPACE, "disk \"full\"");
    FORMAT(&out, SW_LOG_JSON, SW_LOG_WARN, SW_U64("bytes", UINT64_MAX), SW_I64("delta", -3),
           SW_MS("ms", 1999999), SW_STR("obj", "ns/nä\n"), SW_STR("none", NULL),
           SW_BOOL("resumed", true), SW_ERR(&err));
    assert_string_equal(out.p, "{\"ts\":\"2026-01-31T11:44:13.007Z\",\"lvl\":\"warn\","
                               "\"ev\":\"import.done\",\"bytes\":18446744073709551615,"
                               "\"delta\":-3,\"ms\":1,\"obj\":\"ns/nä\\u000a\",\"none\":null,"
                               "\"resumed\":true,\"kind\":\"no_space\","
                               "\"err\":\"disk \\\"full\\\"\"}\n");
}

static void writes_one_text_line_that_fields_cannot_forge(void **state)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(1024);
    struct sw_err err = { 0 };

    sw_err_set(&err, SW_ERR_BAD_DATA, "cut");
    FORMAT(&out, SW_LOG_TEXT, SW_LOG_INFO, SW_U64("n", 1), SW_STR("word", "a/b"),
           SW_STR("two", "a b"), SW_STR("forged", "x=1"), SW_STR("esc", "\033[2J\n"),
           SW_STR("empty", ""), SW_STR("null", NULL), SW_BOOL("ok", false), SW_I64("i", -1),
           SW_ERR(&err));
    assert_string_equal(out.p + strlen("11:44:13"),
                        " info  import.done n=1 word=a/b two=\"a b\" forged=\"x=1\" "
                        "esc=\"\\u001b[2J\\u000a\" empty=\"\" null=- ok=false i=-1 "
                        "kind=bad_data err=cut\n");
}

/* What arrived in a pipe that stands in for standard error. */
struct capture {
    int fds[2];
    char text[20000];
};

static void begin_capture(struct capture *c, enum sw_log_level threshold)
{
    assert_int_equal(pipe2(c->fds, O_CLOEXEC | O_NONBLOCK), 0);
    sw_log_setup(c->fds[1], SW_LOG_AUTO, threshold);
}

static void end_capture(struct capture *c)
{
    ssize_t n = read(c->fds[0], c->text, sizeof(c->text) - 1);

    c->text[n > 0 ? n : 0] = '\0';
    close(c->fds[0]);
    close(c->fds[1]);
    sw_log_setup(STDERR_FILENO, SW_LOG_AUTO, SW_LOG_INFO);
}

static void writes_nothing_past_the_threshold(void **state)
{
    struct capture c;

    begin_capture(&c, SW_LOG_WARN);
    sw_log_info("test.info", SW_NO_FIELDS);
    sw_log_debug("test.debug", SW_NO_FIELDS);
    sw_log_warn("test.warn", SW_U64("n", 1));
    sw_log_error("test.error", SW_NO_FIELDS);
    end_capture(&c);
    assert_null(strstr(c.text, "test.info"));
    assert_null(strstr(c.text, "test.debug"));
    assert_non_null(strstr(c.text, "\"ev\":\"test.warn\",\"n\":1}\n"));
    assert_non_null(strstr(c.text, "\"ev\":\"test.error\"}\n"));
}

static void cuts_a_line_that_is_too_long_and_says_so(void **state)
{
    static char huge[10000];
    struct capture c;

    memset(huge, 'x', sizeof(huge) - 1);
    begin_capture(&c, SW_LOG_INFO);
    sw_log_info("test.huge", SW_STR("s", huge));
    end_capture(&c);
    assert_non_null(strstr(c.text, "\"ev\":\"test.huge\",\"truncated\":true}\n"));
    assert_true(strlen(c.text) < 200);
}

static void never_fails_its_caller(void **state)
{
    sw_log_setup(-1, SW_LOG_JSON, SW_LOG_INFO);
    errno = ENOTTY;
    sw_log_info("test.lost", SW_NO_FIELDS);
    assert_int_equal(errno, ENOTTY);
    sw_log_setup(STDERR_FILENO, SW_LOG_AUTO, SW_LOG_INFO);
}

static void parses_every_level_and_nothing_else(void **state)
{
    static const char *const names[] = { "error", "warn", "info", "debug" };
    struct sw_err err = { 0 };
    enum sw_log_level level;

    for (size_t i = 0; i < SW_COUNT(names); i++) {
        assert_int_equal(sw_log_level_parse(names[i], &level, &err), 0);
        assert_int_equal(level, i);
    }
    assert_int_equal(sw_log_level_parse("loud", &level, &err), -1);
    assert_int_equal(err.kind, SW_ERR_USAGE);
    assert_non_null(strstr(err.msg, "'loud'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_typed_json_fields),
        cmocka_unit_test(writes_one_text_line_that_fields_cannot_forge),
        cmocka_unit_test(writes_nothing_past_the_threshold),
        cmocka_unit_test(cuts_a_line_that_is_too_long_and_says_so),
        cmocka_unit_test(never_fails_its_caller),
        cmocka_unit_test(parses_every_level_and_nothing_else),
    };
    return cmocka_run_group_tests_name("common/log", tests, NULL, NULL);
}
