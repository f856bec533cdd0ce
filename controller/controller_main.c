/* SPDX-License-Identifier: Apache-2.0 */
/* slipway-controller: see slipway-controller(1). */
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include "common/log.h"
#include "controller/controller.h"

/* Objects live for days between short-lived trees; give pages of the latter back early. */
static void tame_malloc(void)
{
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 10);
    (void)mallopt(M_MMAP_THRESHOLD, 256 << 10);
}

int main(int argc, char **argv)
{
    struct sw_controller_args args;
    enum sw_log_level level = SW_LOG_INFO;
    struct sw_err err = { 0 };

    if (sw_controller_parse(argc, argv, &args, &err) < 0 ||
        sw_log_level_parse(args.log_level, &level, &err) < 0) {
        (void)fprintf(stderr, "slipway-controller: %s\n", err.msg);
        return sw_err_exit_code(err.kind);
    }
    if (args.help) {
        sw_controller_print_help(stdout);
        return 0;
    }
    if (args.version) {
        puts("slipway-controller " SW_VERSION);
        return 0;
    }
    tame_malloc();
    signal(SIGPIPE, SIG_IGN);
    sw_log_setup(STDERR_FILENO, SW_LOG_AUTO, level);
    if (sw_controller_run(&args, &err) == 0)
        return 0;
    sw_log_error("controller.failed", SW_ERR(&err));
    return sw_err_exit_code(err.kind);
}
