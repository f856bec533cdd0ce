/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `slipway`. One table of options and one of commands drive everything that
 * has to agree: parsing, --help, the bash completion and the test that compares the man page.
 *
 * Parsing fills a struct cli_args whose strings belong to argv; it does no I/O and asks nothing of
 * the machine. One thread. */
#ifndef SW_CLI_OPTIONS_H
#define SW_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/error.h"

enum cli_output { CLI_OUTPUT_TEXT, CLI_OUTPUT_JSON, CLI_OUTPUT_YAML };
enum cli_progress { CLI_PROGRESS_AUTO, CLI_PROGRESS_BAR, CLI_PROGRESS_JSON, CLI_PROGRESS_NONE };

#define CLI_HEADERS_MAX 64

/* What was asked for. Zero or NULL: not given. */
struct cli_args {
    const char *operands[2]; /* SOURCE, TARGET or DIR                                 */
    unsigned n_operands;

    unsigned format;      /* enum sw_format                                        */
    uint64_t size;        /* bytes                                                 */
    const char *checksum; /* "alg:hex"                                             */
    const char *checksum_url;
    const char *signature;
    const char *keyring;
    bool no_digest;
    const char *expect_arch;
    unsigned prealloc; /* enum sw_prealloc                                      */
    uint64_t connections;
    uint64_t memory; /* bytes                                                 */
    bool no_resume;

    const char *cacert, *cert, *key;
    bool insecure;
    const char *user; /* "USER:PASSWORD" or "@FILE"                            */
    const char *headers[CLI_HEADERS_MAX]; /* "Name: value" or "@FILE"                 */
    unsigned n_headers;
    const char *proxy;

    unsigned output;   /* enum cli_output                                       */
    unsigned progress; /* enum cli_progress                                     */

    const char *file; /* -f                                                    */
    const char *volumes;
    bool watch;

    bool help, version;
};

enum cli_option_kind {
    CLI_FLAG,   /* bool                                  */
    CLI_TEXT,   /* const char *                          */
    CLI_LIST,   /* into headers[]                        */
    CLI_SIZE,   /* uint64_t bytes, a quantity            */
    CLI_COUNT,  /* uint64_t from 1 to 16                 */
    CLI_CHOICE, /* unsigned: index into the words of value */
};

struct cli_option {
    const char *name; /* without the dashes                                           */
    char letter;      /* short form, or 0                                             */
    enum cli_option_kind kind;
    const char *value; /* what follows: "FILE", or for a choice its words "a|b|c"; NULL */
    size_t offset;     /* of the field in struct cli_args                              */
    unsigned commands; /* bit set over enum cli_command_id                             */
    const char *help;  /* one line                                                     */
};

enum cli_command_id {
    CLI_IMPORT,
    CLI_INFO,
    CLI_VERIFY,
    CLI_UNPACK,
    CLI_APPLY,
    CLI_GET,
    CLI_COMMAND_COUNT_
};

struct cli_command {
    const char *name;
    const char *operands; /* "SOURCE TARGET"                                              */
    unsigned n_operands;  /* exactly so many                                              */
    const char *summary;  /* one line                                                     */
    const char *examples; /* lines to be shown after two blanks                           */
    int (*run)(const struct cli_args *args); /* returns the exit code                      */
};

extern const struct cli_option cli_options[];
extern const size_t cli_n_options;
extern const struct cli_command cli_commands[CLI_COMMAND_COUNT_];

/* The command of that name, or NULL. */
const struct cli_command *cli_command_find(const char *name);

/* Parse the words after the command. -1 with SW_ERR_USAGE: unknown option (names the nearest one),
 * missing or impossible value, wrong number of operands. --help stops further checks. */
SW_MUST_CHECK
int cli_parse(const struct cli_command *command, int argc, char *const *argv, struct cli_args *ret,
              struct sw_err *err);

/* The word of a table that is most like `word`, or NULL when none is near enough to suggest. */
const char *cli_nearest_option(const struct cli_command *command, const char *word);
const char *cli_nearest_command(const char *word);

void cli_print_help(FILE *out, const struct cli_command *command); /* NULL: the overview */

/* For the completion script: the commands, or the options of one ("--format raw qcow2 auto"). */
void cli_print_words(FILE *out, const struct cli_command *command);

#endif
