/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/signals.h"

#include <signal.h>
#include <unistd.h>

static struct sw_cancel *_Atomic the_cancel;
static atomic_bool came;

static void on_stop(int signal SW_UNUSED)
{
    struct sw_cancel *cancel = atomic_load(&the_cancel);

    if (atomic_exchange(&came, true))
        _exit(sw_err_exit_code(SW_ERR_CANCELLED));
    if (cancel)
        sw_cancel_set(cancel); /* async-signal-safe by contract */
}

void cli_signals_install(struct sw_cancel *cancel)
{
    struct sigaction stop = { .sa_handler = on_stop, .sa_flags = SA_RESTART };

    atomic_store(&the_cancel, cancel);
    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (cancel && atomic_load(&came)) /* it came between two imports */
        sw_cancel_set(cancel);
}

bool cli_signals_came(void)
{
    return atomic_load(&came);
}
