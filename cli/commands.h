/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `slipway`. Each reports its own errors (cli_fail) and returns the exit code
 * of the process: 0, or the code of the error's kind. */
#ifndef SW_CLI_COMMANDS_H
#define SW_CLI_COMMANDS_H

struct cli_args;

int cli_import(const struct cli_args *args);
int cli_info(const struct cli_args *args);
int cli_verify(const struct cli_args *args);
int cli_apply(const struct cli_args *args);
int cli_unpack(const struct cli_args *args);
int cli_get(const struct cli_args *args);

#endif
