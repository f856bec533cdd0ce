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

static int work(const struct cli_args *args, const struct cli_job *job, struct cli_request *r,
                struct sw_import_result *ret, struct sw_err *err)
{
    struct cli_progress_view *view = NULL;
    unsigned mode = job->has_progress ? args->progress : CLI_PROGRESS_NONE;
    struct sw_cancel cancel;

    if (sw_cancel_init(&cancel, err) < 0)
        return -1;
    cli_signals_install(&cancel);
    int done = cli_request_init(args, &cancel, r, err);
    if (done == 0)
        done = cli_progress_start(mode, &r->progress, &view, err);
    if (done == 0)
        done = open_and_work(args, job, r, ret, err);
    cli_progress_stop(view);
    cli_signals_install(NULL);
    sw_cancel_done(&cancel);
    return done;
}

int cli_job_run(const struct cli_args *args, const struct cli_job *job)
{
    cli_autorequest struct cli_request request = { 0 };
    sw_autofree char *shown = sw_url_redact(args->operands[0]);
    struct cli_subject subject = { job->verb, shown ? shown : "source", job->target, NULL };
    struct sw_import_result result = { 0 };
    struct sw_err err = { 0 };

    if (work(args, job, &request, &result, &err) < 0) {
        sw_err_wrap(&err, "%s '%s'", job->verb, subject.source);
        return cli_fail(args, &err);
    }
    if (request.digests.is_signed)
        subject.signer = &request.digests.signer;
    return cli_result_print(args, &subject, &result);
}
