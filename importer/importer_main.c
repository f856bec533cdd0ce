/* SPDX-License-Identifier: Apache-2.0 */
/* slipway-importer: what runs in an importer pod. It knows nothing of Kubernetes: it reads its
 * environment and some files, fills one volume, and says in the termination file how it went
 * (contract importer 1.1 to 1.13; differences in docs/DEVIATIONS.md). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "importer/claim_volume.h"
#include "importer/credentials.h"
#include "importer/digest_source.h"
#include "importer/env.h"
#include "importer/metrics.h"
#include "importer/node_pull.h"
#include "importer/pem.h"
#include "importer/sources.h"
#include "importer/termination.h"
#include "transfer/import.h"

#define USER_AGENT "cdi-golang-importer slipway/" SW_VERSION
#define EXIT_SIGTERM (128 + SIGTERM)

/* Everything of one run. */
struct importer {
    struct sw_importer_env env;
    struct sw_claim_volume volume;
    struct sw_progress progress;
    struct sw_import_options options;
    struct sw_import_result result;
    struct sw_http_options http;
    struct sw_pem pem;
    struct sw_labels labels;
    struct sw_digest_plan digests; /* what options.want points into */
    char *url;                     /* where the disk is, when not the endpoint itself */
};

static struct sw_cancel cancel; /* the signal handler's, and the engine's when it fails */
static atomic_bool was_signalled;

/* --- Ending ---------------------------------------------------------------------------------- */

static int write_message(const struct importer *im, const struct sw_buf *text)
{
    sw_autofree char *path = sw_importer_path(&im->env, "/dev/termination-log");
    struct sw_err err = { 0 };

    if (sw_buf_check(text, "the termination message", &err) == 0 && path &&
        sw_termination_write(path, sw_buf_str(text), &err) == 0)
        return 0;
    sw_log_error("importer.message_lost", SW_ERR(&err));
    return -1;
}

/* The exit code of a failure, its termination message written. */
static int fail(const struct importer *im, const char *prefix, const struct sw_err *err)
{
    sw_autobuf struct sw_buf plain = SW_BUF_INIT(SW_TERMINATION_MAX);
    sw_autobuf struct sw_buf text = SW_BUF_INIT(SW_TERMINATION_MAX);
    const char *final = sw_termination_final(err);

    sw_termination_failure(&plain, prefix, err, im->progress.guest_size, im->volume.available);
    sw_log_error("importer.failed", SW_STR("msg", sw_buf_str(&plain)),
                 SW_STR("kind", sw_err_kind_name(err->kind)));
    if (final)
        sw_termination_fatal(&text, final, sw_buf_str(&plain));
    else
        sw_buf_puts(&text, sw_buf_str(&plain));
    if (write_message(im, &text) < 0)
        return 1;
    if (err->kind == SW_ERR_CANCELLED)
        return EXIT_SIGTERM;
    return final ? 0 : 1;
}

/* An error of the set-up, which by contract leaves no termination message: the log has it. */
static int fail_silently(const struct sw_err *err)
{
    sw_log_error("importer.failed", SW_STR("msg", err->msg),
                 SW_STR("kind", sw_err_kind_name(err->kind)));
    return 1;
}

static int succeed(const struct importer *im, bool is_blank)
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(SW_TERMINATION_MAX);
    struct sw_err err = { 0 };

    if (sw_claim_volume_sync(&im->volume, &err) < 0)
        return fail_silently(&err);
    sw_termination_success(&text, is_blank, im->env.preallocation, im->labels.at, im->labels.n);
    if (write_message(im, &text) < 0)
        return 1;
    sw_log_info("importer.done", SW_U64("fetched", im->result.fetched),
                SW_U64("written", im->result.written), SW_MS("ms", im->result.elapsed_ns),
                SW_STR("bottleneck", im->result.bottleneck));
    return 0;
}

/* --- A blank disk ---------------------------------------------------------------------------- */

static int run_blank(struct importer *im)
{
    struct sw_err err = { 0 };

    if (im->env.is_archive) {
        sw_err_set(&err, SW_ERR_UNSUPPORTED, "Cannot create empty disk with content type archive");
        return fail(im, "", &err);
    }
    if (im->volume.is_block && !im->env.preallocation) {
        sw_log_info("importer.blank_untouched", SW_STR("target", im->volume.target));
        return sw_claim_volume_sync(&im->volume, &err) < 0 ? fail_silently(&err) : 0;
    }
    if (!im->volume.is_block && !im->volume.disk_size)
        im->options.size = sw_usable_size(im->volume.available, im->env.overhead);
    if (sw_claim_volume_clear(&im->volume, &err) < 0 ||
        sw_import_blank(im->volume.target, &im->options, &im->result, &err) < 0)
        return fail(im, "Unable to create blank image: ", &err);
    return succeed(im, true);
}

/* --- http ------------------------------------------------------------------------------------ */

static int gather_certificates(struct importer *im, struct sw_err *err)
{
    sw_autofree char *certs = sw_importer_path(&im->env, "/certs");
    sw_autofree char *proxy_certs = sw_importer_path(&im->env, "/proxycerts");

    if (!certs || !proxy_certs)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (sw_pem_add_dir(&im->pem, proxy_certs, false, err) < 0 ||
        (im->env.has_cert_dir && sw_pem_add_dir(&im->pem, certs, true, err) < 0))
        return -1;
    return sw_pem_finish(&im->pem, &im->http.ca_file, err);
}

static int fill_http(struct importer *im, struct sw_err *err)
{
    if (!*im->env.endpoint)
        return sw_err_set(err, SW_ERR_USAGE, "endpoint \"IMPORTER_ENDPOINT\" is missing or blank");
    if (sw_importer_env_read_headers(&im->env, err) < 0 || gather_certificates(im, err) < 0)
        return -1;
    im->http.user = im->env.user;
    im->http.password = im->env.password;
    im->http.headers = (const char *const *)im->env.headers;
    im->http.n_headers = im->env.n_headers;
    im->http.insecure = im->env.insecure;
    im->http.user_agent = USER_AGENT;
    im->http.cancel = &cancel;
    return 0;
}

static bool is_node_pull(const struct importer *im)
{
    return strcmp(im->env.pull_method, "node") == 0;
}

/* A signature over the image itself is checked as the bytes come, and decides at the end. */
static void check_signature(struct importer *im)
{
    im->options.tee = sw_digest_plan_tee;
    im->options.approve = sw_digest_plan_approve;
    im->options.tee_ctx = &im->digests;
    im->options.no_resume = true; /* the verifier's state cannot be saved */
}

/* Which digests the bytes must have, and whose signature. A node pull ignores IMPORTER_CHECKSUM
 * (contract 1.9). */
static int plan_digests(struct importer *im, const struct sw_source *source, struct sw_err *err)
{
    const char *const others[] = { im->env.checksum_url, im->env.signature };
    sw_autofree char *keyring = im->env.keyring ? sw_importer_path(&im->env, im->env.keyring)
                                                : NULL;
    struct sw_digest_value parsed;
    struct sw_http_options http;
    const struct sw_digest_options o = {
        .checksums = &im->env.checksum,
        .n_checksums = *im->env.checksum && !is_node_pull(im),
        .checksum_url = im->env.checksum_url,
        .signature = im->env.signature,
        .keyring = keyring,
        .source_name = source->name,
        .http = &http,
    };

    if (im->env.keyring && !keyring)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    sw_http_options_for(&im->http, im->env.endpoint, others, SW_COUNT(others), &http);
    if (o.n_checksums && sw_digest_parse(im->env.checksum, &parsed, err) < 0)
        return sw_err_wrap(err, "invalid checksum");
    if (sw_digest_plan_make(&o, &im->digests, err) < 0)
        return -1;
    memcpy(im->options.want, im->digests.want, sizeof(im->options.want));
    im->options.n_want = im->digests.n_want;
    if (im->digests.image)
        check_signature(im);
    return 0;
}

/* Look at the server: what fails here failed to connect. */
static int connect_http(struct importer *im, struct sw_source **ret, struct sw_err *err)
{
    const char *url = im->url ? im->url : im->env.endpoint;

    if (fill_http(im, err) < 0 || sw_source_open_http(url, &im->http, ret, err) < 0)
        return -1;
    return plan_digests(im, *ret, err);
}

/* The controller tells a failed pull from other failures by this phrase (contract 1.7). */
static const char *transfer_prefix(const struct sw_err *err)
{
    return err->kind == SW_ERR_TRANSIENT ? "Unable to process data: failed to pull image: "
                                         : "Unable to process data: ";
}

static void finish_node_pull(struct importer *im)
{
    struct sw_err err = { 0 };

    if (sw_node_pull_labels(im->url ? im->url : im->env.endpoint, &im->http, &im->labels, &err) < 0)
        sw_log_warn("importer.no_labels", SW_ERR(&err));
    if (*im->env.done_file && sw_node_pull_done(&im->env, &err) < 0)
        sw_log_warn("importer.no_done_file", SW_ERR(&err));
}

/* What has to be so for the content that is asked for. */
static int check_content(const struct importer *im, struct sw_err *err)
{
    if (!im->env.is_archive && strcmp(im->env.content_type, "kubevirt") != 0)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "content type '%.32s' is neither kubevirt nor archive",
                          im->env.content_type);
    if (im->env.is_archive && im->volume.is_block)
        return sw_err_set(err, SW_ERR_USAGE,
                          "content type archive needs a volume with a file system, not a device");
    if (im->env.is_archive && im->env.expect_arch)
        return sw_err_set(err, SW_ERR_USAGE,
                          "an archive has no architecture: SLIPWAY_EXPECT_ARCH needs content type "
                          "kubevirt");
    return 0;
}

static int transfer(struct importer *im, struct sw_source *source, struct sw_err *err)
{
    if (im->env.is_archive)
        return sw_import_archive(source, im->volume.target, &im->options, &im->result, err);
    if (sw_claim_volume_clear(&im->volume, err) < 0)
        return -1;
    return sw_import_run(source, im->volume.target, &im->options, &im->result, err);
}

static int run_http(struct importer *im)
{
    struct sw_source *source = NULL;
    struct sw_err err = { 0 };

    if (check_content(im, &err) < 0)
        return fail(im, "Unable to process data: ", &err);
    if (*im->env.ready_file && sw_node_pull_wait(&im->env, &cancel, &im->url, &err) < 0)
        return fail(im, "", &err);
    if (connect_http(im, &source, &err) < 0) {
        sw_source_close(source);
        return fail(im, "Unable to connect to http data source: ", &err);
    }
    im->options.expect_arch = im->env.expect_arch;
    int done = transfer(im, source, &err);
    sw_source_close(source);
    if (done < 0)
        return fail(im, transfer_prefix(&err), &err);
    if (is_node_pull(im))
        finish_node_pull(im);
    return succeed(im, false);
}

/* --- Start ----------------------------------------------------------------------------------- */

static int unknown_source(const struct importer *im)
{
    struct sw_err err = { 0 };

    sw_err_set(&err, SW_ERR_UNSUPPORTED, "Unknown data source: %.64s", im->env.source);
    return fail(im, "", &err);
}

static int run_source(struct importer *im)
{
    const char *source = im->env.source;
    struct sw_err err = { 0 };
    bool is_whole_disk = strcmp(source, "registry") == 0 || strcmp(source, "imageio") == 0;

    if (is_whole_disk && strcmp(im->env.content_type, "kubevirt") != 0) {
        sw_err_set(&err, SW_ERR_UNSUPPORTED, "source %s with content type %.32s", source,
                   im->env.content_type);
        return fail_silently(&err);
    }
    if (sw_claim_volume_open(&im->env, &im->volume, &err) < 0)
        return fail_silently(&err);
    sw_claim_volume_options(&im->volume, &im->env, &im->options);
    im->options.cancel = &cancel;
    im->options.progress = &im->progress;
    if (strcmp(source, "none") == 0)
        return run_blank(im);
    return strcmp(source, "http") == 0 ? run_http(im) : unknown_source(im);
}

/* A pod without progress still does its work. */
static void start_metrics(struct importer *im, struct sw_metrics *m)
{
    struct sw_err err = { 0 };

    m->owner_uid = im->env.owner_uid;
    m->progress = &im->progress;
    if (sw_metrics_start(m, im->env.metrics_port, &err) < 0)
        sw_log_warn("importer.no_metrics", SW_ERR(&err));
    else
        sw_log_info("importer.metrics", SW_U64("port", sw_http_server_port(m->server)));
}

static void on_stop(int signal SW_UNUSED)
{
    if (atomic_exchange(&was_signalled, true))
        _exit(EXIT_SIGTERM);
    sw_cancel_set(&cancel);
}

/* PID 1 has no default handlers: without one of ours SIGTERM would be ignored there. */
static void install_signals(void)
{
    struct sigaction stop = { .sa_handler = on_stop, .sa_flags = SA_RESTART };

    sigemptyset(&stop.sa_mask);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int run(void)
{
    struct importer im = { .pem = SW_PEM_INIT, .progress.source_total = SW_SIZE_UNKNOWN };
    struct sw_metrics metrics = { 0 };
    struct sw_err err = { 0 };
    int code = 1;

    if (sw_cancel_init(&cancel, &err) < 0 || sw_importer_env_read(environ, &im.env, &err) < 0) {
        fail_silently(&err);
    } else {
        install_signals();
        start_metrics(&im, &metrics);
        code = run_source(&im);
        sw_metrics_stop(&metrics);
    }
    free(im.url);
    sw_labels_done(&im.labels);
    sw_digest_plan_done(&im.digests);
    sw_pem_done(&im.pem);
    sw_claim_volume_done(&im.volume);
    sw_importer_env_done(&im.env);
    return code;
}

/* The pod passes -v=N and -alsologtostderr, klog's flags: N of 4 and more means debug. */
int main(int argc, char **argv)
{
    enum sw_log_level level = SW_LOG_INFO;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0) {
            puts("slipway-importer " SW_VERSION);
            return 0;
        }
        if (strcmp(argv[i], "--help") == 0) {
            puts("slipway-importer: fills a volume as its environment says; see "
                 "slipway-importer(1)\n\nOptions: -v=N (4 and more: debug), --version, --help");
            return 0;
        }
        if (strncmp(argv[i], "-v=", 3) == 0 && argv[i][3] >= '4')
            level = SW_LOG_DEBUG;
    }
    sw_log_setup(STDERR_FILENO, SW_LOG_AUTO, level);
    return run();
}
