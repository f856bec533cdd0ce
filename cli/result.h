/* SPDX-License-Identifier: Apache-2.0 */
/* Results and errors as text for people or JSON for programs. The JSON keys are an interface: they
 * are listed in slipway(1) and never change their meaning. */
#ifndef SW_CLI_RESULT_H
#define SW_CLI_RESULT_H

#include "cli/options.h"
#include "common/buf.h"
#include "common/json.h"
#include "importer/openpgp.h"
#include "transfer/import.h"

/* What a result is about; borrowed strings without secrets. */
struct cli_subject {
    const char *verb;                   /* "import", "verify", "info"     */
    const char *source;                 /* as it may be shown             */
    const char *target;                 /* NULL when nothing was written  */
    const struct sw_pgp_signer *signer; /* of the list or the image; NULL: not signed */
};

/* Append the result, with a newline at the end. */
void cli_result_text(const struct cli_subject *subject, const struct sw_import_result *r,
                     struct sw_buf *out);
void cli_result_json(const struct cli_subject *subject, const struct sw_import_result *r,
                     struct sw_buf *out);

/* Print a result on standard output as args->output asks. Returns the exit code: 0, or that of
 * the error when standard output cannot be written (which is reported). */
SW_MUST_CHECK
int cli_result_print(const struct cli_args *args, const struct cli_subject *subject,
                     const struct sw_import_result *r);

/* Print a finished buffer on standard output; exit code as above. With --output yaml the buffer holds
 * JSON, and is printed as a YAML document. */
SW_MUST_CHECK
int cli_print(const struct cli_args *args, const struct sw_buf *text);

/* Report an error once: "slipway: <message>" and perhaps a hint on standard error, or
 * {"error":{"kind","message"}} on standard output with --output json or yaml. Returns the exit code of the
 * error's kind. */
int cli_fail(const struct cli_args *args, const struct sw_err *err);

#endif
