/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the file behind -f. */
#ifndef SW_CLI_MANIFEST_H
#define SW_CLI_MANIFEST_H

#include "common/yaml_tree.h"

/* Read and parse a manifest; path "-" is standard input. Errors of reading have errno's kind, those
 * of the text are SW_ERR_USAGE; both name the file. The caller owes sw_yaml_done(). */
SW_MUST_CHECK
int cli_manifest_read(const char *path, struct sw_yaml *ret, struct sw_err *err);

#endif
