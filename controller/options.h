/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `slipway-controller`: one table drives parsing, --help and the test that
 * compares the manual page. Strings belong to argv. No I/O. */
#ifndef SW_CONTROLLER_OPTIONS_H
#define SW_CONTROLLER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/error.h"

/* What was asked for; sw_controller_parse() begins with the defaults that --help shows. NULL: not
 * given. */
struct sw_controller_args {
    const char *kubeconfig, *context;
    const char *ns;
    const char *image, *pull_policy;
    const char *log_level;
    uint64_t port;
    uint64_t verbosity;
    uint64_t jobs;
    bool leader_elect;
    bool help, version;
};

/* Options are "--name VALUE" or "--name=VALUE". -1 with SW_ERR_USAGE: an unknown word, a missing or
 * impossible value. --help and --version stop further checks. */
SW_MUST_CHECK
int sw_controller_parse(int argc, char *const *argv, struct sw_controller_args *ret,
                        struct sw_err *err);

void sw_controller_print_help(FILE *out);

#endif
