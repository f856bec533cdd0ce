/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/node_pull.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/fileio.h"
#include "common/json.h"

#define NAME_FILE_MAX ((size_t)4096)
#define INFO_MAX ((size_t)1 << 20)
#define MARK "KUBEVIRT_IO_"
#define DISK "disk.img"

/* --- Ready and done -------------------------------------------------------------------------- */

static int join_name(const char *endpoint, const char *name, char **ret, struct sw_err *err)
{
    size_t n = strlen(endpoint);
    size_t tail = strlen(DISK);

    if (n >= tail && strcmp(endpoint + n - tail, DISK) == 0)
        n -= tail;
    if (strchr(name, '/') || !*name)
        return sw_err_set(err, SW_ERR_BAD_DATA, "the ready file does not name a disk");
    if (asprintf(ret, "%.*s%s", (int)n, endpoint, name) >= 0)
        return 0;
    *ret = NULL;
    return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
}

int sw_node_pull_wait(const struct sw_importer_env *env, struct sw_cancel *cancel, char **ret_url,
                      struct sw_err *err)
{
    sw_autofree char *path = sw_importer_path(env, env->ready_file);
    sw_autofree char *name = NULL;

    if (!path)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    for (int i = 0; access(path, F_OK) < 0; i++) {
        if (i == SW_READY_TRIES)
            return sw_err_set(err, SW_ERR_TRANSIENT, "Timeout waiting for file %s",
                              env->ready_file);
        if (sw_cancel_sleep(cancel, SW_READY_PERIOD_NS, err) < 0)
            return -1;
    }
    if (sw_file_slurp(path, NAME_FILE_MAX, &name, NULL, err) < 0)
        return -1;
    name[strcspn(name, "\r\n")] = '\0';
    return join_name(env->endpoint, name, ret_url, err);
}

int sw_node_pull_done(const struct sw_importer_env *env, struct sw_err *err)
{
    sw_autofree char *path = sw_importer_path(env, env->done_file);
    sw_autoclose int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;

    return fd >= 0 ? 0 : sw_err_sys(err, errno, "create '%s'", env->done_file);
}

/* --- Labels ---------------------------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Append n bytes in lower case with '_' replaced. */
static void put_lower(struct sw_buf *out, const char *text, size_t n, char underscore)
{
    for (size_t i = 0; i < n; i++) {
        char c = text[i] == '_' ? underscore : lower(text[i]);

        sw_buf_append(out, &c, 1);
    }
}

/* The key of the label that variable NAME (n bytes, MARK at `mark`) stands for. */
static void put_label_key(struct sw_buf *out, const char *name, size_t n, const char *mark)
{
    size_t before = (size_t)(mark - name);
    const char *rest = mark + strlen(MARK);

    if (before && name[before - 1] == '_')
        before--;
    put_lower(out, name, before, '.');
    sw_buf_puts(out, before ? ".kubevirt.io/" : "kubevirt.io/");
    put_lower(out, rest, n - (size_t)(rest - name), '-');
}

bool sw_labels_add_variable(struct sw_labels *labels, const char *variable)
{
    sw_autobuf struct sw_buf key = SW_BUF_INIT(512);
    const char *equals = strchr(variable, '=');
    const char *mark = strstr(variable, MARK);

    if (!equals || !mark || mark > equals || labels->n == SW_LABELS_MAX)
        return false;
    put_label_key(&key, variable, (size_t)(equals - variable), mark);
    if (key.failed)
        return false;

    struct sw_termination_label l = { strdup(sw_buf_str(&key)), strdup(equals + 1) };
    if (!l.key || !l.value) {
        free((void *)l.key);
        free((void *)l.value);
        return false;
    }
    labels->at[labels->n++] = l;
    return true;
}

void sw_labels_done(struct sw_labels *labels)
{
    for (size_t i = 0; i < labels->n; i++) {
        free((void *)labels->at[i].key);
        free((void *)labels->at[i].value);
    }
    labels->n = 0;
}

/* "http://localhost:8100/disk.qcow2" to "http://localhost:8100/info". */
static char *info_url(const char *url)
{
    const char *host = strstr(url, "://");
    size_t n = host ? (size_t)(host - url) + 3 + strcspn(host + 3, "/") : 0;
    char *out = NULL;

    return asprintf(&out, "%.*s/info", (int)n, url) < 0 ? NULL : out;
}

int sw_node_pull_labels(const char *url, const struct sw_http_options *http, struct sw_labels *ret,
                        struct sw_err *err)
{
    sw_autofree char *where = info_url(url);
    sw_auto_json struct sw_json *info = NULL;
    sw_autofree char *text = NULL;
    size_t n = 0;

    if (!where)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (sw_source_slurp(where, http, INFO_MAX, &text, &n, err) < 0 ||
        sw_json_parse(text, n, INFO_MAX, &info, err) < 0)
        return sw_err_wrap(err, "labels of the container image");

    const struct sw_json *env = sw_json_find(info, "env");
    for (size_t i = 0; i < sw_json_length(env); i++) {
        sw_autofree char *variable = NULL;

        if (sw_json_get_str(sw_json_at(env, i), "", INFO_MAX, &variable, err) > 0)
            sw_labels_add_variable(ret, variable);
    }
    return 0;
}
