/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "formats/reader.h"
#include "transfer/sink.h"

#define PARSE(command, args, err, ...)                                                             \
    parse(command, args, err, (const char *const[]){ __VA_ARGS__, NULL })

static int parse(const char *command, struct cli_args *args, struct sw_err *err,
                 const char *const *words)
{
    int n = 0;

    while (words[n])
        n++;
    *err = (struct sw_err){ 0 };
    return cli_parse(cli_command_find(command), n, (char *const *)words, args, err);
}

static void takes_options_in_all_spellings(void **state)
{
    struct cli_args a;
    struct sw_err err;

    assert_int_equal(PARSE("import", &a, &err, "--size=10Gi", "src", "--format", "qcow2",
                           "--no-digest", "--header", "A: b", "--header=C: d", "--preallocation",
                           "full", "tgt"),
                     0);
    assert_true(a.size == UINT64_C(10) << 30);
    assert_int_equal(a.format, SW_FORMAT_QCOW2);
    assert_int_equal(a.prealloc, SW_PREALLOC_FULL);
    assert_true(a.no_digest);
    assert_int_equal(a.n_headers, 2);
    assert_string_equal(a.headers[1], "C: d");
    assert_string_equal(a.operands[0], "src");
    assert_string_equal(a.operands[1], "tgt");

    assert_int_equal(PARSE("get", &a, &err, "-fx.yaml", "-w", "-o", "json", "--volumes", "d"), 0);
    assert_string_equal(a.file, "x.yaml");
    assert_true(a.watch);
    assert_int_equal(a.output, CLI_OUTPUT_JSON);
}

/* The order of the words of a choice is the order of the enum behind it. */
static void choices_match_their_enums(void **state)
{
    static const struct {
        const char *option, *word;
        unsigned want;
    } table[] = {
        { "--format", "auto", SW_FORMAT_AUTO },
        { "--format", "raw", SW_FORMAT_RAW },
        { "--format", "qcow2", SW_FORMAT_QCOW2 },
        { "--preallocation", "off", SW_PREALLOC_OFF },
        { "--preallocation", "falloc", SW_PREALLOC_FALLOC },
        { "--progress", "auto", CLI_PROGRESS_AUTO },
        { "--progress", "bar", CLI_PROGRESS_BAR },
        { "--progress", "json", CLI_PROGRESS_JSON },
        { "--progress", "none", CLI_PROGRESS_NONE },
        { "--output", "text", CLI_OUTPUT_TEXT },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        struct cli_args a;
        struct sw_err err;
        const char *option = table[i].option;

        assert_int_equal(PARSE("import", &a, &err, option, table[i].word, "s", "t"), 0);
        unsigned got = strcmp(option, "--format") == 0          ? a.format
                       : strcmp(option, "--preallocation") == 0 ? a.prealloc
                       : strcmp(option, "--progress") == 0      ? a.progress
                                                                : a.output;
        assert_int_equal(got, table[i].want);
    }
}

static void a_dash_and_two_dashes_make_operands(void **state)
{
    struct cli_args a;
    struct sw_err err;

    assert_int_equal(PARSE("import", &a, &err, "-", "--", "--odd-name"), 0);
    assert_string_equal(a.operands[0], "-");
    assert_string_equal(a.operands[1], "--odd-name");
}

static void names_the_nearest_option(void **state)
{
    static const struct {
        const char *typed, *meant;
    } table[] = {
        { "--chekcsum", "--checksum'" },       { "--checksum-u", "--checksum-url'" },
        { "--expect-arhc", "--expect-arch'" }, { "--connection=4", "--connections'" },
        { "--ca-cert", "--cacert'" },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        struct cli_args a;
        struct sw_err err;

        assert_int_equal(PARSE("import", &a, &err, table[i].typed, "s", "t"), -1);
        assert_int_equal(err.kind, SW_ERR_USAGE);
        assert_non_null(strstr(err.msg, table[i].meant));
    }
}

static void makes_no_wild_suggestion(void **state)
{
    assert_null(cli_nearest_option(cli_command_find("import"), "zzzzzz"));
    assert_null(cli_nearest_option(cli_command_find("info"), "preallocation"));
    assert_null(cli_nearest_command("frobnicate"));
    assert_string_equal(cli_nearest_command("aply"), "apply");
}

#define REFUSES(command, part, ...)                                                                \
    do {                                                                                           \
        struct cli_args a_;                                                                        \
        struct sw_err err_;                                                                        \
        assert_int_equal(PARSE(command, &a_, &err_, __VA_ARGS__), -1);                             \
        assert_int_equal(err_.kind, SW_ERR_USAGE);                                                 \
        assert_non_null(strstr(err_.msg, part));                                                   \
    } while (0)

static void refuses_impossible_values(void **state)
{
    REFUSES("import", "--size", "--size", "10Xi", "s", "t");
    REFUSES("import", "more than zero", "--size", "0", "s", "t");
    REFUSES("import", "--connections", "--connections", "0", "s", "t");
    REFUSES("import", "--connections", "--connections", "17", "s", "t");
    REFUSES("import", "raw|qcow2", "--format", "dmg", "s", "t");
    REFUSES("import", "raw|qcow2", "--format", "", "s", "t");
    REFUSES("import", "raw|qcow2", "--format", "raw|qcow2", "s", "t");
    REFUSES("import", "takes no value", "--no-digest=yes", "s", "t");
    REFUSES("import", "needs a value", "s", "t", "--checksum");
}

static void refuses_a_wrong_number_of_operands(void **state)
{
    REFUSES("import", "usage: slipway import", "s");
    REFUSES("import", "one word too many", "s", "t", "u");
    REFUSES("apply", "one word too many", "-f", "x", "stray");
    REFUSES("info", "usage: slipway info", "--insecure");
}

static void refuses_more_headers_than_there_is_room_for(void **state)
{
    const char *words[2 * CLI_HEADERS_MAX + 5] = { 0 };
    struct cli_args a;
    struct sw_err err;
    int n = 0;

    for (int i = 0; i < CLI_HEADERS_MAX; i++) {
        words[n++] = "--header";
        words[n++] = "A: b";
    }
    words[n++] = "source";
    assert_int_equal(parse("info", &a, &err, words), 0);
    words[n++] = "--header";
    words[n++] = "A: b";
    assert_int_equal(parse("info", &a, &err, words), -1);
}

/* What would make the table lie: two options of one command with the same name or letter. */
static void the_table_is_unambiguous(void **state)
{
    for (size_t i = 0; i < cli_n_options; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct cli_option *a = &cli_options[i];
            const struct cli_option *b = &cli_options[j];

            if (!(a->commands & b->commands))
                continue;
            assert_string_not_equal(a->name, b->name);
            assert_true(!a->letter || a->letter != b->letter);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_options_in_all_spellings),
        cmocka_unit_test(choices_match_their_enums),
        cmocka_unit_test(a_dash_and_two_dashes_make_operands),
        cmocka_unit_test(names_the_nearest_option),
        cmocka_unit_test(makes_no_wild_suggestion),
        cmocka_unit_test(refuses_impossible_values),
        cmocka_unit_test(refuses_a_wrong_number_of_operands),
        cmocka_unit_test(refuses_more_headers_than_there_is_room_for),
        cmocka_unit_test(the_table_is_unambiguous),
    };

    return cmocka_run_group_tests_name("cli/options", tests, NULL, NULL);
}
