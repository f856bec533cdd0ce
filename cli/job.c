/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/job.h"

#include "cli/progress.h"
#include "cli/result.h"
#include "cli/signals.h"
#include "net/url.h"

static int open_and_work(const struct cli_args *args, const struct cli_job *job,
                         struct cli_request *r, struct sw_import_result *ret, struct sw_err *err)
{
    cli_autosource struct sw_source *source = NULL;

    if (cli_request_open(args, r, &source, err) < 0)
        return -1;
    return job->work(source, job, &r->import, ret, err);
}

static int work(const struct cli_args *args, const struct cli_job *job,
                struct sw_import_result *ret, struct sw_err *err)
{
    static struct sw_cancel cancel; /* the signal handler's; lives as long as the process */
    cli_autorequest struct cli_request request = { 0 };
    struct cli_progress_view *view = NULL;
    unsigned mode = job->has_progress ? args->progress : CLI_PROGRESS_NONE;

    if (sw_cancel_init(&cancel, err) < 0)
        return -1;
    cli_signals_install(&cancel);
    if (cli_request_init(args, &cancel, &request, err) < 0 ||
        cli_progress_start(mode, &request.progress, &view, err) < 0)
        return -1;
    int done = open_and_work(args, job, &request, ret, err);
    cli_progress_stop(view);
    return done;
}

int cli_job_run(const struct cli_args *args, const struct cli_job *job)
{
    sw_autofree char *shown = sw_url_redact(args->operands[0]);
    struct cli_subject subject = { job->verb, shown ? shown : "source", job->target };
    struct sw_import_result result = { 0 };
    struct sw_err err = { 0 };

    if (work(args, job, &result, &err) < 0) {
        sw_err_wrap(&err, "%s '%s'", job->verb, subject.source);
        return cli_fail(args, &err);
    }
    return cli_result_print(args, &subject, &result);
}
