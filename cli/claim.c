/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/fileio.h"

/* --- Time ------------------------------------------------------------------------------------ */

void cli_put_time(time_t when, char text[CLI_RFC3339_MAX])
{
    struct tm tm = { 0 };

    gmtime_r(&when, &tm);
    strftime(text, CLI_RFC3339_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

time_t cli_parse_time(const char *text)
{
    struct tm tm = { 0 };
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);

    return end && !*end ? timegm(&tm) : -1;
}

/* --- Conditions ------------------------------------------------------------------------------ */

/* The rules of both times are the contract's (datavolume-controller 4.2). */
static void set_condition(struct cli_claim *c, int which, bool is_true, const char *reason,
                          const char *message)
{
    struct cli_condition *k = &c->conditions[which];
    char now[CLI_RFC3339_MAX];

    cli_put_time(time(NULL), now);
    if (!k->transition[0] || k->is_true != is_true)
        memcpy(k->transition, now, sizeof(now));
    if (!k->heartbeat[0] || k->is_true != is_true || strcmp(k->reason, reason) != 0 ||
        strcmp(k->message, message) != 0)
        memcpy(k->heartbeat, now, sizeof(now));
    k->is_true = is_true;
    k->reason = reason;
    snprintf(k->message, sizeof(k->message), "%s", message);
}

static void init_conditions(struct cli_claim *c)
{
    static const char *const types[] = { "Bound", "Running", "Ready" };

    for (int i = 0; i < CLI_CONDITION_COUNT_; i++)
        c->conditions[i] = (struct cli_condition){ .type = types[i], .reason = "" };
}

/* --- Writing datavolume.json ----------------------------------------------------------------- */

static void put_metadata(const struct cli_claim *c, struct sw_json_writer *w)
{
    static const char *const kept[] = { "labels", "annotations" };
    const struct sw_json *meta = sw_json_find(c->dv->doc, "metadata");

    sw_json_begin_object(w, "metadata");
    sw_json_put_str(w, "namespace", c->dv->ns);
    sw_json_put_str(w, "name", c->dv->name);
    sw_json_put_str(w, "creationTimestamp", c->created);
    for (size_t i = 0; i < SW_COUNT(kept); i++) {
        const struct sw_json *member = sw_json_member(meta, kept[i]);

        if (member)
            sw_json_put_value(w, kept[i], member);
    }
    sw_json_end(w);
}

static void put_status(const struct cli_claim *c, struct sw_json_writer *w)
{
    sw_json_begin_object(w, "status");
    sw_json_put_str(w, "claimName", c->dv->name);
    sw_json_put_str(w, "phase", c->phase);
    sw_json_put_str(w, "progress", c->progress);
    sw_json_put_u64(w, "restartCount", c->restarts);
    sw_json_begin_array(w, "conditions");
    for (int i = 0; i < CLI_CONDITION_COUNT_; i++) {
        const struct cli_condition *k = &c->conditions[i];

        sw_json_begin_object(w, NULL);
        sw_json_put_str(w, "type", k->type);
        sw_json_put_str(w, "status", k->is_true ? "True" : "False");
        sw_json_put_str(w, "reason", k->reason);
        sw_json_put_str(w, "message", k->message);
        sw_json_put_str(w, "lastHeartbeatTime", k->heartbeat);
        sw_json_put_str(w, "lastTransitionTime", k->transition);
        sw_json_end(w);
    }
    sw_json_end(w);
    sw_json_end(w);
}

static int write_status(const struct cli_claim *c, struct sw_err *err)
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(CLI_CLAIM_JSON_MAX);
    struct sw_json_writer w;

    sw_json_writer_init(&w, &text);
    sw_json_begin_object(&w, NULL);
    sw_json_put_str(&w, "apiVersion", "cdi.kubevirt.io/v1beta1");
    sw_json_put_str(&w, "kind", "DataVolume");
    put_metadata(c, &w);
    sw_json_put_value(&w, "spec", sw_json_find(c->dv->doc, "spec"));
    put_status(c, &w);
    sw_json_end(&w);
    sw_buf_puts(&text, "\n");
    if (sw_buf_check(&text, "the status", err) < 0)
        return -1;
    return sw_file_replace(c->status_path, text.p, text.n, 0644, err);
}

int cli_claim_scheduled(struct cli_claim *c, struct sw_err *err)
{
    sw_autobuf struct sw_buf bound = SW_BUF_INIT(512);
    SW_LOCK_SCOPE(&c->mutex);

    sw_buf_printf(&bound, "PVC %s Bound", c->dv->name);
    c->phase = "ImportScheduled";
    set_condition(c, CLI_BOUND, true, "Bound", sw_buf_str(&bound));
    set_condition(c, CLI_RUNNING, false, "", "");
    set_condition(c, CLI_READY, false, "", "");
    return write_status(c, err);
}

int cli_claim_running(struct cli_claim *c, double percent, struct sw_err *err)
{
    SW_LOCK_SCOPE(&c->mutex);

    c->phase = "ImportInProgress";
    if (percent >= 0)
        snprintf(c->progress, sizeof(c->progress), "%.2f%%", percent < 99.99 ? percent : 99.99);
    set_condition(c, CLI_RUNNING, true, "Pod is running", "");
    set_condition(c, CLI_READY, false, "TransferRunning", "");
    return write_status(c, err);
}

int cli_claim_succeeded(struct cli_claim *c, struct sw_err *err)
{
    SW_LOCK_SCOPE(&c->mutex);

    c->phase = "Succeeded";
    snprintf(c->progress, sizeof(c->progress), "100.0%%");
    set_condition(c, CLI_RUNNING, false, "Completed", "Import Complete");
    set_condition(c, CLI_READY, true, "", "");
    return write_status(c, err);
}

int cli_claim_failed(struct cli_claim *c, const struct sw_err *why, struct sw_err *err)
{
    bool may_go_on = why->kind == SW_ERR_TRANSIENT || why->kind == SW_ERR_CANCELLED;
    bool is_digest = strstr(why->msg, "checksum mismatch") != NULL;
    SW_LOCK_SCOPE(&c->mutex);

    c->phase = may_go_on ? "ImportScheduled" : "Failed";
    set_condition(c, CLI_RUNNING, false, is_digest ? "ChecksumError" : "Error", why->msg);
    set_condition(c, CLI_READY, false, is_digest ? "ChecksumError" : "Error", "");
    return write_status(c, err);
}

/* --- Opening --------------------------------------------------------------------------------- */

char *cli_claim_dir(const char *volumes, const char *ns, const char *name)
{
    char *dir = NULL;

    return asprintf(&dir, "%s/%s/%s", volumes, ns, name) < 0 ? NULL : dir;
}

static int make_dir(const char *path, struct sw_err *err)
{
    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        return 0;
    return sw_err_sys(err, errno, "make directory '%s'", path);
}

/* The directories from `volumes` down; parents of `volumes` are the user's. */
static int make_dirs(const char *volumes, const struct cli_claim *c, struct sw_err *err)
{
    sw_autobuf struct sw_buf ns = SW_BUF_INIT(8192);

    sw_buf_printf(&ns, "%s/%s", volumes, c->dv->ns);
    if (sw_buf_check(&ns, "the path", err) < 0 || make_dir(volumes, err) < 0 ||
        make_dir(ns.p, err) < 0)
        return -1;
    return make_dir(c->dir, err);
}

static int open_lock(const char *dir, int flags)
{
    sw_autobuf struct sw_buf path = SW_BUF_INIT(8192);

    sw_buf_printf(&path, "%s/.lock", dir);
    return open(sw_buf_str(&path), flags | O_CLOEXEC | O_NOFOLLOW, 0644);
}

static int take_lock(struct cli_claim *c, struct sw_err *err)
{
    c->lock = open_lock(c->dir, O_RDWR | O_CREAT);
    if (c->lock < 0)
        return sw_err_sys(err, errno, "open '%s/.lock'", c->dir);
    if (flock(c->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return sw_err_set(err, SW_ERR_TRANSIENT, "another process is filling '%s'", c->dir);
    return sw_err_sys(err, errno, "lock '%s/.lock'", c->dir);
}

bool cli_claim_is_busy(const char *dir)
{
    sw_autoclose int fd = open_lock(dir, O_RDONLY);

    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static void read_created(struct cli_claim *c, const struct sw_json *before)
{
    sw_autofree char *text = NULL;
    struct sw_err ignored = { 0 };

    if (sw_json_get_str(before, "metadata.creationTimestamp", CLI_RFC3339_MAX - 1, &text,
                        &ignored) > 0 &&
        cli_parse_time(text) != -1)
        snprintf(c->created, sizeof(c->created), "%s", text);
}

static int read_before(struct cli_claim *c, struct sw_err *err)
{
    sw_autofree char *text = NULL;
    sw_autofree char *phase = NULL;
    sw_auto_json struct sw_json *before = NULL;
    size_t n = 0;

    if (sw_file_slurp(c->status_path, CLI_CLAIM_JSON_MAX, &text, &n, err) < 0)
        return err->sys == ENOENT ? 0 : -1;
    if (sw_json_parse(text, n, CLI_CLAIM_JSON_MAX, &before, err) < 0 ||
        sw_json_get_str(before, "status.phase", 64, &phase, err) < 0 ||
        sw_json_get_u64(before, "status.restartCount", &c->restarts, err) < 0)
        return sw_err_wrap(err, "'%s'", c->status_path);
    read_created(c, before);
    c->was_seen = true;
    c->was_done = phase && strcmp(phase, "Succeeded") == 0 && access(c->disk, F_OK) == 0;
    c->is_same_spec = sw_json_equal(sw_json_find(before, "spec"), sw_json_find(c->dv->doc, "spec"));
    return 0;
}

int cli_claim_open(const char *volumes, const struct cli_datavolume *dv, struct cli_claim *ret,
                   struct sw_err *err)
{
    *ret = (struct cli_claim){ .lock = -1, .dv = dv, .phase = "", .progress = "N/A" };
    pthread_mutex_init(&ret->mutex, NULL);
    init_conditions(ret);
    cli_put_time(time(NULL), ret->created);
    ret->dir = cli_claim_dir(volumes, dv->ns, dv->name);
    if (!ret->dir ||
        asprintf(&ret->disk, "%s/%s", ret->dir, dv->is_archive ? "files" : "disk.img") < 0 ||
        asprintf(&ret->status_path, "%s/datavolume.json", ret->dir) < 0)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (make_dirs(volumes, ret, err) < 0 || take_lock(ret, err) < 0)
        return -1;
    return read_before(ret, err);
}

void cli_claim_close(struct cli_claim *c)
{
    if (!c->dv) /* never opened */
        return;
    if (c->lock >= 0)
        close(c->lock); /* drops the lock */
    pthread_mutex_destroy(&c->mutex);
    free(c->dir);
    free(c->disk);
    free(c->status_path);
    *c = (struct cli_claim){ .lock = -1 };
}
