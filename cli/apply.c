/* SPDX-License-Identifier: Apache-2.0 */
/* DESIGN: what the cluster does with a controller, a claim and a pod happens here in one process,
 * one DataVolume after the other. datavolume.json in the claim's directory is the object as the
 * controller would have left it; applying a manifest again is safe at every moment. */
#include <string.h>

#include "cli/claim.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/manifest.h"
#include "cli/progress.h"
#include "cli/request.h"
#include "cli/result.h"
#include "cli/signals.h"
#include "cli/ticker.h"
#include "common/clock.h"
#include "importer/pem.h"
#include "net/url.h"

#define STATUS_PERIOD SW_NS_PER_SEC

/* One DataVolume on its way. */
struct work {
    const struct cli_args *args;
    const struct cli_datavolume *dv;
    struct cli_claim *claim;
    struct cli_request *request;
    struct sw_pem pem;
};

/* --- The request ----------------------------------------------------------------------------- */

/* Certificates come from three places and the sources take one file. */
static int gather_certificates(struct work *w, struct sw_err *err)
{
    struct sw_pem *pem = &w->pem;

    if ((w->args->cacert && sw_pem_add_file(pem, w->args->cacert, err) < 0) ||
        (w->dv->ca_file && sw_pem_add_file(pem, w->dv->ca_file, err) < 0))
        return -1;
    if (w->dv->ca_pem)
        sw_buf_puts(&pem->text, w->dv->ca_pem);
    return sw_pem_finish(pem, &w->request->http.ca_file, err);
}

/* The command-line form of what the manifest asks, so that both go the same way from here. */
static struct cli_args as_arguments(const struct work *w)
{
    const struct cli_datavolume *dv = w->dv;
    struct cli_args a = *w->args;

    a.operands[0] = dv->url;
    a.operands[1] = w->claim->disk;
    a.n_operands = 2;
    a.cacert = NULL;
    a.size = dv->size;
    a.checksum = dv->checksum;
    a.checksum_url = dv->checksum_url;
    a.signature = dv->signature;
    a.keyring = dv->keyring;
    a.expect_arch = dv->expect_arch;
    a.prealloc = dv->preallocation ? SW_PREALLOC_FALLOC : SW_PREALLOC_OFF;
    a.insecure = dv->insecure;
    return a;
}

static void add_secrets(struct work *w)
{
    struct sw_http_options *http = &w->request->http;

    http->user = w->dv->user;
    http->password = w->dv->password;
    http->headers = (const char *const *)w->dv->headers;
    http->n_headers = w->dv->n_headers;
}

static int transfer(struct work *w, const struct cli_args *a, struct sw_import_result *ret,
                    struct sw_err *err)
{
    cli_autosource struct sw_source *source = NULL;

    if (w->dv->source == CLI_DV_BLANK)
        return sw_import_blank(w->claim->disk, &w->request->import, ret, err);
    add_secrets(w);
    if (gather_certificates(w, err) < 0 || cli_request_open(a, w->request, &source, err) < 0)
        return -1;
    if (!w->dv->is_archive)
        return sw_import_run(source, w->claim->disk, &w->request->import, ret, err);
    w->request->import.max_size = w->dv->size;
    return sw_import_archive(source, w->claim->disk, &w->request->import, ret, err);
}

/* --- Status while it runs -------------------------------------------------------------------- */

/* A status that cannot be written now does not stop the import; the one at the end reports. */
static void write_progress(void *ctx)
{
    struct work *w = ctx;
    const struct sw_progress *p = &w->request->progress;
    struct cli_sample s = { .phase = p->phase, .done = p->source_done, .total = p->source_total };
    struct sw_err ignored = { 0 };

    if (cli_claim_running(w->claim, cli_percent(&s), &ignored) < 0)
        return;
}

static int run_shown(struct work *w, const struct cli_args *a, struct sw_import_result *ret,
                     struct sw_err *err)
{
    struct cli_progress_view *view = NULL;
    struct cli_ticker *ticker = NULL;
    int done = -1;

    if (cli_claim_running(w->claim, -1, err) == 0 &&
        cli_ticker_start(STATUS_PERIOD, write_progress, w, &ticker, err) == 0 &&
        cli_progress_start(w->args->progress, &w->request->progress, &view, err) == 0)
        done = transfer(w, a, ret, err);
    cli_progress_stop(view);
    cli_ticker_stop(ticker);
    return done;
}

/* --- One DataVolume -------------------------------------------------------------------------- */

static int print_unchanged(const struct work *w)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(4096);
    struct sw_json_writer j;

    if (w->args->output != CLI_OUTPUT_TEXT) {
        sw_json_writer_init(&j, &out);
        sw_json_begin_object(&j, NULL);
        sw_json_put_str(&j, "target", w->claim->disk);
        sw_json_put_bool(&j, "unchanged", true);
        sw_json_end(&j);
        sw_buf_puts(&out, "\n");
    } else {
        sw_buf_printf(&out, "datavolume.cdi.kubevirt.io/%s unchanged\n", w->dv->name);
    }
    return cli_print(w->args, &out);
}

static int print_result(const struct work *w, const struct sw_import_result *r)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(4096);
    sw_autofree char *shown = w->dv->url ? sw_url_redact(w->dv->url) : NULL;
    const struct sw_digest_plan *plan = &w->request->digests;
    struct cli_subject subject = { "import", shown ? shown : "blank", w->claim->disk,
                                   plan->is_signed ? &plan->signer : NULL };

    if (w->dv->source != CLI_DV_BLANK || w->args->output != CLI_OUTPUT_TEXT)
        return cli_result_print(w->args, &subject, r);
    sw_buf_printf(&out, "%s: empty disk of ", w->claim->disk);
    cli_put_bytes(&out, r->guest_size);
    sw_buf_puts(&out, "\n");
    return cli_print(w->args, &out);
}

/* The transfer, and its end in the status. */
static int import_claim(struct work *w, struct sw_import_result *ret, struct sw_err *err)
{
    struct cli_args a = as_arguments(w);
    struct sw_err later = { 0 };
    int done = -1;

    w->claim->restarts += w->claim->was_seen;
    if (cli_claim_scheduled(w->claim, err) < 0)
        return -1;
    if (cli_request_init(&a, w->request->import.cancel, w->request, err) == 0)
        done = run_shown(w, &a, ret, err);
    if (done == 0)
        return cli_claim_succeeded(w->claim, err);
    if (cli_claim_failed(w->claim, err, &later) < 0)
        fprintf(stderr, "slipway: %s\n", later.msg);
    return -1;
}

static int check_claim(const struct work *w, struct sw_err *err)
{
    const struct cli_claim *c = w->claim;

    if (c->was_seen && !c->is_same_spec)
        return sw_err_set(
            err, SW_ERR_USAGE,
            "the spec differs from the one that was applied, and specs are immutable; "
            "use another name, or remove '%s' to start over",
            c->dir);
    if (!c->was_seen && access(c->disk, F_OK) == 0)
        return sw_err_set(err, SW_ERR_USAGE,
                          "'%s' is already there and no DataVolume made it; move it away", c->disk);
    return 0;
}

static int apply_claim(struct work *w, int *ret_code, struct sw_err *err)
{
    struct sw_import_result result = { 0 };

    if (check_claim(w, err) < 0)
        return -1;
    if (w->claim->was_done) {
        *ret_code = print_unchanged(w);
        return 0;
    }
    if (import_claim(w, &result, err) < 0)
        return -1;
    *ret_code = print_result(w, &result);
    return 0;
}

/* The cancel flag is this DataVolume's own: a failing import sets it. */
static int apply_cancellable(struct work *w, struct sw_cancel *cancel, int *ret_code,
                             struct sw_err *err)
{
    w->request->import.cancel = cancel;
    cli_signals_install(cancel);
    int done = apply_claim(w, ret_code, err);
    cli_signals_install(NULL);
    return done;
}

static int apply_one(const struct cli_args *args, const struct sw_json *doc,
                     const struct sw_yaml *all, struct sw_cancel *cancel, struct sw_err *err)
{
    cli_autodv struct cli_datavolume dv = { 0 };
    cli_autoclaim struct cli_claim claim = { .lock = -1 };
    cli_autorequest struct cli_request request = { 0 };
    struct work w = { args, &dv, &claim, &request, SW_PEM_INIT };
    int code = 0;

    int done = cli_datavolume_read(doc, all, &dv, err);
    if (done == 0)
        done = cli_claim_open(args->volumes, &dv, &claim, err);
    if (done == 0)
        done = apply_cancellable(&w, cancel, &code, err);
    sw_pem_done(&w.pem);
    if (done == 0)
        return code;
    sw_err_wrap(err, "datavolume %s/%s", dv.ns ? dv.ns : "?", dv.name ? dv.name : "?");
    return cli_fail(args, err);
}

/* --- All of them ----------------------------------------------------------------------------- */

static int worse(int a, int b)
{
    return a > b ? a : b;
}

static int apply_document(const struct cli_args *args, const struct sw_json *doc,
                          const struct sw_yaml *all)
{
    struct sw_cancel cancel;
    struct sw_err err = { 0 };

    if (sw_cancel_init(&cancel, &err) < 0)
        return cli_fail(args, &err);
    int code = apply_one(args, doc, all, &cancel, &err);
    sw_cancel_done(&cancel);
    return code;
}

static int apply_all(const struct cli_args *args, const struct sw_yaml *all)
{
    struct sw_err err = { 0 };
    unsigned n = 0;
    int code = 0;

    for (size_t i = 0; i < all->n && !cli_signals_came(); i++) {
        if (!cli_datavolume_is(all->docs[i]))
            continue;
        n++;
        code = worse(code, apply_document(args, all->docs[i], all));
    }
    if (n)
        return code;
    sw_err_set(&err, SW_ERR_USAGE, "'%s' holds no DataVolume of cdi.kubevirt.io", args->file);
    return cli_fail(args, &err);
}

int cli_apply(const struct cli_args *args)
{
    sw_autoyaml struct sw_yaml all = { 0 };
    struct sw_err err = { 0 };

    if (!args->file || !args->volumes)
        sw_err_set(&err, SW_ERR_USAGE, "apply needs -f FILE and --volumes DIR");
    else if (cli_manifest_read(args->file, &all, &err) == 0)
        return apply_all(args, &all);
    return cli_fail(args, &err);
}
