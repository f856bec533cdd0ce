/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "cli/claim.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/manifest.h"
#include "cli/result.h"
#include "cli/signals.h"
#include "common/clock.h"
#include "common/fileio.h"

#define OUTPUT_MAX ((size_t)64 << 20)
#define ROWS_MAX 4096
#define WATCH_PERIOD SW_NS_PER_SEC

/* One claim as it is shown. Phase and progress of a claim whose process is gone are the last ones
 * it wrote. */
struct row {
    char *ns, *name, *phase, *progress;
    uint64_t restarts;
    time_t created;  /* -1: not known                                   */
    bool is_stopped; /* in progress, says the file, but nobody is at it */
    struct sw_json *doc;
};

struct rows {
    struct row *at; /* n of them, sorted by namespace and name */
    size_t n;
};

static void row_done(struct row *r)
{
    free(r->ns);
    free(r->name);
    free(r->phase);
    free(r->progress);
    sw_json_free(r->doc);
    *r = (struct row){ 0 };
}

static void rows_done(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        row_done(&rows->at[i]);
    free(rows->at);
    *rows = (struct rows){ 0 };
}

#define AUTO_ROWS __attribute__((cleanup(rows_done)))

/* --- Reading --------------------------------------------------------------------------------- */

static bool is_over(const char *phase)
{
    return strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
}

static int parse_row(const char *dir, struct row *r, struct sw_err *err)
{
    sw_autofree char *created = NULL;

    if (sw_json_get_str(r->doc, "status.phase", 64, &r->phase, err) < 0 ||
        sw_json_get_str(r->doc, "status.progress", 64, &r->progress, err) < 0 ||
        sw_json_get_u64(r->doc, "status.restartCount", &r->restarts, err) < 0 ||
        sw_json_get_str(r->doc, "metadata.creationTimestamp", CLI_RFC3339_MAX, &created, err) < 0)
        return -1;
    r->created = created ? cli_parse_time(created) : -1;
    r->is_stopped = r->phase && !is_over(r->phase) && !cli_claim_is_busy(dir);
    return 0;
}

/* 1 and *ret; 0 when there is no such claim. */
static int read_row(const char *volumes, const char *ns, const char *name, struct row *ret,
                    struct sw_err *err)
{
    sw_autofree char *dir = cli_claim_dir(volumes, ns, name);
    sw_autobuf struct sw_buf path = SW_BUF_INIT(8192);
    sw_autofree char *text = NULL;
    size_t n = 0;

    sw_buf_printf(&path, "%s/datavolume.json", dir ? dir : "");
    if (!dir || sw_buf_check(&path, "the path", err) < 0)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (sw_file_slurp(path.p, CLI_CLAIM_JSON_MAX, &text, &n, err) < 0)
        return err->sys == ENOENT || err->sys == ENOTDIR ? 0 : -1;
    *ret = (struct row){ .ns = strdup(ns), .name = strdup(name) };
    if (sw_json_parse(text, n, CLI_CLAIM_JSON_MAX, &ret->doc, err) < 0 ||
        parse_row(dir, ret, err) < 0) {
        row_done(ret);
        return sw_err_wrap(err, "'%s'", path.p);
    }
    return 1;
}

static int add_row(const char *volumes, const char *ns, const char *name, struct rows *rows,
                   struct sw_err *err)
{
    struct row r = { 0 };
    int found = read_row(volumes, ns, name, &r, err);

    if (found <= 0)
        return found;
    if (!rows->at)
        rows->at = calloc(ROWS_MAX, sizeof(*rows->at));
    if (!rows->at || rows->n == ROWS_MAX || !r.ns || !r.name) {
        row_done(&r);
        return sw_err_set(err, SW_ERR_INTERNAL, "more than %d claims, or out of memory", ROWS_MAX);
    }
    rows->at[rows->n++] = r;
    return 0;
}

/* The claims that the manifest names. */
static int list_named(const struct cli_args *args, struct rows *rows, struct sw_err *err)
{
    sw_autoyaml struct sw_yaml all = { 0 };

    if (cli_manifest_read(args->file, &all, err) < 0)
        return -1;
    for (size_t i = 0; i < all.n; i++) {
        sw_autofree char *ns = NULL;
        sw_autofree char *name = NULL;

        if (!cli_datavolume_is(all.docs[i]))
            continue;
        if (cli_datavolume_names(all.docs[i], &ns, &name, err) < 0 ||
            add_row(args->volumes, ns, name, rows, err) < 0)
            return -1;
    }
    return 0;
}

static void close_dir(DIR **d)
{
    if (*d)
        closedir(*d);
}

#define AUTO_DIR __attribute__((cleanup(close_dir)))

static int list_namespace(const char *volumes, const char *ns, struct rows *rows,
                          struct sw_err *err)
{
    sw_autobuf struct sw_buf path = SW_BUF_INIT(8192);
    const struct dirent *e;

    sw_buf_printf(&path, "%s/%s", volumes, ns);
    if (sw_buf_check(&path, "the path", err) < 0)
        return -1;
    AUTO_DIR DIR *d = opendir(path.p);
    while (d && (e = readdir(d))) {
        if (cli_is_dns_subdomain(e->d_name) && add_row(volumes, ns, e->d_name, rows, err) < 0)
            return -1;
    }
    return 0; /* a plain file beside the namespaces is nobody's */
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;
    int by_ns = strcmp(x->ns, y->ns);

    return by_ns ? by_ns : strcmp(x->name, y->name);
}

static int list_all(const struct cli_args *args, struct rows *rows, struct sw_err *err)
{
    AUTO_DIR DIR *d = args->volumes ? opendir(args->volumes) : NULL;
    const struct dirent *e;

    if (!d)
        return sw_err_sys(err, errno, "open '%s'", args->volumes);
    while ((e = readdir(d))) {
        if (cli_is_dns_label(e->d_name) && list_namespace(args->volumes, e->d_name, rows, err) < 0)
            return -1;
    }
    if (rows->n)
        qsort(rows->at, rows->n, sizeof(*rows->at), compare_rows);
    return 0;
}

static int list(const struct cli_args *args, struct rows *rows, struct sw_err *err)
{
    return args->file ? list_named(args, rows, err) : list_all(args, rows, err);
}

/* --- Printing -------------------------------------------------------------------------------- */

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* "ImportInProgress (stopped)": the cluster has no such phase, so no program can mistake it. */
static void put_phase(const struct row *r, struct sw_buf *out)
{
    sw_buf_printf(out, "%s%s", or_empty(r->phase), r->is_stopped ? " (stopped)" : "");
}

struct widths {
    int ns, name, phase, progress;
};

static void widen(int *width, size_t n)
{
    if (n > (size_t)*width)
        *width = (int)n;
}

static struct widths measure(const struct rows *rows)
{
    struct widths w = { (int)strlen("NAMESPACE"), (int)strlen("NAME"), (int)strlen("PHASE"),
                        (int)strlen("PROGRESS") };

    for (size_t i = 0; i < rows->n; i++) {
        const struct row *r = &rows->at[i];

        widen(&w.ns, strlen(r->ns));
        widen(&w.name, strlen(r->name));
        widen(&w.phase, strlen(or_empty(r->phase)) + (r->is_stopped ? strlen(" (stopped)") : 0));
        widen(&w.progress, strlen(or_empty(r->progress)));
    }
    return w;
}

static void put_row(const struct row *r, const struct widths *w, struct sw_buf *out)
{
    sw_autobuf struct sw_buf phase = SW_BUF_INIT(128);

    put_phase(r, &phase);
    sw_buf_printf(out, "%-*s   %-*s   %-*s   %-*s   %-8llu   ", w->ns, r->ns, w->name, r->name,
                  w->phase, sw_buf_str(&phase), w->progress, or_empty(r->progress),
                  (unsigned long long)r->restarts);
    if (r->created == -1)
        sw_buf_puts(out, "<unknown>");
    else
        cli_put_age(out, (int64_t)(time(NULL) - r->created));
    sw_buf_puts(out, "\n");
}

static void put_heading(const struct widths *w, struct sw_buf *out)
{
    sw_buf_printf(out, "%-*s   %-*s   %-*s   %-*s   RESTARTS   AGE\n", w->ns, "NAMESPACE", w->name,
                  "NAME", w->phase, "PHASE", w->progress, "PROGRESS");
}

static void put_table(const struct rows *rows, struct sw_buf *out)
{
    struct widths w = measure(rows);

    put_heading(&w, out);
    for (size_t i = 0; i < rows->n; i++)
        put_row(&rows->at[i], &w, out);
}

/* A Kubernetes List; an item of which nobody is in charge any more says so in a member of ours. */
static void put_list(const struct rows *rows, struct sw_buf *out)
{
    static const char *const members[] = { "apiVersion", "kind", "metadata", "spec", "status" };
    struct sw_json_writer w;

    sw_json_writer_init(&w, out);
    sw_json_begin_object(&w, NULL);
    sw_json_put_str(&w, "apiVersion", "v1");
    sw_json_put_str(&w, "kind", "List");
    sw_json_begin_array(&w, "items");
    for (size_t i = 0; i < rows->n; i++) {
        sw_json_begin_object(&w, NULL);
        for (size_t m = 0; m < SW_COUNT(members); m++)
            sw_json_put_value(&w, members[m], sw_json_member(rows->at[i].doc, members[m]));
        if (rows->at[i].is_stopped)
            sw_json_put_bool(&w, "slipway.io/stopped", true);
        sw_json_end(&w);
    }
    sw_json_end(&w);
    sw_json_end(&w);
    sw_buf_puts(out, "\n");
}

/* --- Watching -------------------------------------------------------------------------------- */

static bool is_same(const struct row *a, const struct row *b)
{
    return strcmp(a->ns, b->ns) == 0 && strcmp(a->name, b->name) == 0 &&
           strcmp(or_empty(a->phase), or_empty(b->phase)) == 0 &&
           strcmp(or_empty(a->progress), or_empty(b->progress)) == 0 &&
           a->is_stopped == b->is_stopped && a->restarts == b->restarts;
}

static bool was_shown(const struct rows *before, const struct row *r)
{
    for (size_t i = 0; i < before->n; i++) {
        if (is_same(&before->at[i], r))
            return true;
    }
    return false;
}

/* The rows that differ from `before`, which then becomes `now`. */
static int print_changes(const struct cli_args *args, struct rows *before, struct rows *now)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(OUTPUT_MAX);
    struct widths w = measure(now);

    for (size_t i = 0; i < now->n; i++) {
        if (!was_shown(before, &now->at[i]))
            put_row(&now->at[i], &w, &out);
    }
    rows_done(before);
    *before = *now;
    *now = (struct rows){ 0 };
    return out.n ? cli_print(args, &out) : 0;
}

/* Until interrupted, which is the ordinary end. */
static int watch(const struct cli_args *args, struct rows *before)
{
    struct sw_cancel cancel;
    struct sw_err err = { 0 };
    int code = 0;

    if (sw_cancel_init(&cancel, &err) < 0)
        return cli_fail(args, &err);
    cli_signals_install(&cancel);
    while (code == 0 && sw_cancel_sleep(&cancel, WATCH_PERIOD, &err) == 0) {
        AUTO_ROWS struct rows now = { 0 };

        code = list(args, &now, &err) < 0 ? cli_fail(args, &err)
                                          : print_changes(args, before, &now);
    }
    cli_signals_install(NULL);
    sw_cancel_done(&cancel);
    return code;
}

static int check(const struct cli_args *args, struct sw_err *err)
{
    if (!args->volumes)
        return sw_err_set(err, SW_ERR_USAGE, "get needs --volumes DIR");
    if (args->watch && args->output != CLI_OUTPUT_TEXT)
        return sw_err_set(err, SW_ERR_USAGE, "--watch prints lines of text; leave out --output");
    return 0;
}

static int show(const struct cli_args *args, const struct rows *rows)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(OUTPUT_MAX);

    if (args->output != CLI_OUTPUT_TEXT)
        put_list(rows, &out);
    else
        put_table(rows, &out);
    return cli_print(args, &out);
}

int cli_get(const struct cli_args *args)
{
    AUTO_ROWS struct rows rows = { 0 };
    struct sw_err err = { 0 };

    if (check(args, &err) < 0 || list(args, &rows, &err) < 0)
        return cli_fail(args, &err);
    int code = show(args, &rows);
    return code == 0 && args->watch ? watch(args, &rows) : code;
}
