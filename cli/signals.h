/* SPDX-License-Identifier: Apache-2.0 */
/* SIGINT and SIGTERM: the first asks the import to stop (it keeps what it can continue from), the
 * second ends the process at once with the exit code of a cancelled run. SIGPIPE is ignored: a
 * closed pipe comes back as an error of write(). */
#ifndef SW_CLI_SIGNALS_H
#define SW_CLI_SIGNALS_H

#include "common/cancel.h"

/* From now on a signal sets `cancel` (NULL: nothing to stop). Main thread; call it again for the next
 * import, and with NULL before `cancel` goes away. */
void cli_signals_install(struct sw_cancel *cancel);

/* Whether a signal has come. The flag of an import does not tell: the engine sets it too. */
bool cli_signals_came(void);

#endif
