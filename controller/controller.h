/* SPDX-License-Identifier: Apache-2.0 */
/* The control process as a whole: configuration, client, world, executor, Lease, health port, and the
 * order in which they begin and end.
 *
 *   begin   health port, watches, Lease
 *   work    while all kinds are listed and, with --leader-elect, the Lease is ours
 *   end     after SIGTERM: no new requests, those under way finish (at most 5 s), the Lease is given
 *           back, the process ends. A second signal ends it at once.
 *
 * Killed at any moment it leaves nothing that the next one does not understand: names are derived
 * from the objects' own, writes have preconditions, and plans look at what is there. */
#ifndef SW_CONTROLLER_CONTROLLER_H
#define SW_CONTROLLER_CONTROLLER_H

#include "controller/options.h"

/* Run until a signal ends it: 0. -1 when it cannot begin (configuration, port) or the loop fails. */
SW_MUST_CHECK
int sw_controller_run(const struct sw_controller_args *args, struct sw_err *err);

#endif
