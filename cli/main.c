/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/result.h"
#include "net/version.h"

static int usage(const struct cli_args *args, const struct sw_err *err)
{
    if (args->output != CLI_OUTPUT_TEXT)
        return cli_fail(args, err);
    fprintf(stderr, "slipway: %s\n", err->msg);
    return sw_err_exit_code(SW_ERR_USAGE);
}

static int unknown_command(const char *word)
{
    const char *near = cli_nearest_command(word);

    if (near)
        fprintf(stderr, "slipway: unknown command '%s'; did you mean '%s'?\n", word, near);
    else
        fprintf(stderr, "slipway: unknown command '%s'; see 'slipway help'\n", word);
    return sw_err_exit_code(SW_ERR_USAGE);
}

/* "help [COMMAND]" and, for the completion script, "complete [COMMAND]". */
static int about(const char *word, void (*print)(FILE *, const struct cli_command *))
{
    const struct cli_command *command = word ? cli_command_find(word) : NULL;

    if (word && !command)
        return unknown_command(word);
    print(stdout, command);
    return 0;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct cli_args args;
    struct sw_err err = { 0 };

    if (cli_parse(command, argc, argv, &args, &err) < 0)
        return usage(&args, &err);
    if (args.help) {
        cli_print_help(stdout, command);
        return 0;
    }
    return command->run(&args);
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    const char *next = argc > 2 ? argv[2] : NULL;

    if (!word) {
        cli_print_help(stderr, NULL);
        return sw_err_exit_code(SW_ERR_USAGE);
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        puts("slipway " SW_VERSION);
        return 0;
    }
    if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return about(next, cli_print_help);
    if (strcmp(word, "complete") == 0)
        return about(next, cli_print_words);

    const struct cli_command *command = cli_command_find(word);
    return command ? run(command, argc - 2, argv + 2) : unknown_command(word);
}
