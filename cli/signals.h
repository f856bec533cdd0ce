/* SPDX-License-Identifier: Apache-2.0 */
/* SIGINT and SIGTERM: the first asks the import to stop (it keeps what it can continue from), the
 * second ends the process at once with the exit code of a cancelled run. SIGPIPE is ignored: a
 * closed pipe comes back as an error of write(). */
#ifndef SW_CLI_SIGNALS_H
#define SW_CLI_SIGNALS_H

#include "common/cancel.h"

/* Call once, from the main thread, before there are others. `cancel` must outlive the process's
 * use of it: give static storage. */
void cli_signals_install(struct sw_cancel *cancel);

#endif
