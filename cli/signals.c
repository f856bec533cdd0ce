/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/signals.h"

#include <signal.h>
#include <unistd.h>

static struct sw_cancel *the_cancel;

static void on_stop(int signal SW_UNUSED)
{
    if (sw_cancelled(the_cancel))
        _exit(sw_err_exit_code(SW_ERR_CANCELLED));
    sw_cancel_set(the_cancel); /* async-signal-safe by contract */
}

void cli_signals_install(struct sw_cancel *cancel)
{
    struct sigaction stop = { .sa_handler = on_stop, .sa_flags = SA_RESTART };

    the_cancel = cancel;
    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
}
