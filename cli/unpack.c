/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/job.h"

static int unpack(struct sw_source *source, const struct cli_job *job,
                  const struct sw_import_options *options, struct sw_import_result *ret,
                  struct sw_err *err)
{
    return sw_import_archive(source, job->target, options, ret, err);
}

int cli_unpack(const struct cli_args *args)
{
    struct cli_job job = {
        .verb = "unpack",
        .target = args->operands[1],
        .has_progress = true,
        .work = unpack,
    };

    return cli_job_run(args, &job);
}
