/* SPDX-License-Identifier: Apache-2.0 */
/* The common frame of import, info and verify: arguments to request, source, work, result. */
#ifndef SW_CLI_JOB_H
#define SW_CLI_JOB_H

#include <stdbool.h>

#include "cli/request.h"

struct cli_job {
    const char *verb;   /* "import": in messages              */
    const char *target; /* NULL when nothing is written       */
    bool has_progress;  /* show it while the work runs        */
    int (*work)(struct sw_source *source, const struct cli_job *job,
                const struct sw_import_options *options, struct sw_import_result *ret,
                struct sw_err *err);
};

/* Do the job for args->operands[0] and print its result or error. Returns the exit code. */
int cli_job_run(const struct cli_args *args, const struct cli_job *job);

#endif
