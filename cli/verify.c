/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/job.h"

static int verify(struct sw_source *source, const struct cli_job *job SW_UNUSED,
                  const struct sw_import_options *options, struct sw_import_result *ret,
                  struct sw_err *err)
{
    return sw_import_verify(source, options, ret, err);
}

int cli_verify(const struct cli_args *args)
{
    struct cli_job job = { .verb = "verify", .has_progress = true, .work = verify };

    return cli_job_run(args, &job);
}
