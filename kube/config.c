/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config.h"

#include <errno.h>
#include <string.h>

#include "common/buf.h"
#include "common/fileio.h"
#include "common/parse.h"
#include "kube/config_int.h"

#define POD_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
#define SECRET_MAX ((size_t)1 << 20)
#define KUBECONFIG_MAX ((size_t)1 << 20)

static int no_memory(struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for the configuration");
}

void sw_kube_config_publish(struct sw_kube_config *c)
{
    struct sw_kube_access *a = &c->access;

    a->server = c->server;
    a->ns = c->ns ? c->ns : "default";
    a->server_name = c->server_name;
    a->proxy = c->proxy;
    a->token = c->secrets[SW_KUBE_TOKEN];
    a->ca = c->secrets[SW_KUBE_CA];
    a->cert = c->secrets[SW_KUBE_CERT];
    a->key = c->secrets[SW_KUBE_KEY];
}

static void wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void sw_kube_config_free(struct sw_kube_config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < SW_KUBE_SECRET_COUNT_; i++) {
        wipe(c->secrets[i]);
        free(c->files[i]);
    }
    free(c->server);
    free(c->ns);
    free(c->server_name);
    free(c->proxy);
    free(c);
}

const struct sw_kube_access *sw_kube_config_access(const struct sw_kube_config *c)
{
    return &c->access;
}

/* --- Files that rotate --------------------------------------------------------------------------- */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A token goes into a header line: what is around it does not, and nothing else may break the line. */
static int check_secret(enum sw_kube_secret which, const char *path, char *text, struct sw_err *err)
{
    size_t n = strlen(text);

    if (which != SW_KUBE_TOKEN)
        return 0;
    while (n && strchr(" \t\r\n", text[n - 1]))
        text[--n] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (text[i] <= ' ' || text[i] == 0x7f)
            return sw_err_set(err, SW_ERR_BAD_DATA, "'%s' is no token", path);
    }
    return n ? 0 : sw_err_set(err, SW_ERR_BAD_DATA, "'%s' is empty", path);
}

/* 1 when the secret is another one now, 0 when not, -1. */
static int refresh_one(struct sw_kube_config *c, enum sw_kube_secret which, bool force,
                       struct sw_err *err)
{
    const char *path = c->files[which];
    sw_autofree char *text = NULL;
    struct stat now;

    /* Taken before reading: what changes in between is seen the next time. */
    if (stat(path, &now) < 0)
        return sw_err_sys(err, errno, "'%s'", path);
    if (!force && c->secrets[which] && is_same_file(&now, &c->seen[which]))
        return 0;
    if (sw_file_slurp(path, SECRET_MAX, &text, NULL, err) < 0 ||
        check_secret(which, path, text, err) < 0)
        return -1;
    c->seen[which] = now;
    if (c->secrets[which] && strcmp(c->secrets[which], text) == 0)
        return 0;
    wipe(c->secrets[which]);
    c->secrets[which] = sw_steal(text);
    return 1;
}

int sw_kube_config_refresh(struct sw_kube_config *c, bool force, struct sw_err *err)
{
    struct sw_err later; /* the first failure is the one that is told */
    int changed = 0;

    for (int i = 0; i < SW_KUBE_SECRET_COUNT_; i++) {
        int now = c->files[i] ? refresh_one(c, i, force, changed < 0 ? &later : err) : 0;

        changed = now < 0 || changed < 0 ? -1 : changed | now;
    }
    sw_kube_config_publish(c);
    return changed;
}

/* --- In a pod ------------------------------------------------------------------------------------ */

static char *join(const char *dir, const char *name)
{
    sw_autobuf struct sw_buf path = SW_BUF_INIT(4096);

    sw_buf_printf(&path, "%s/%s", dir, name);
    return path.failed ? NULL : sw_steal(path.p);
}

static int set_pod_server(struct sw_kube_config *c, struct sw_err *err)
{
    sw_autobuf struct sw_buf server = SW_BUF_INIT(512);
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    const char *port = getenv("KUBERNETES_SERVICE_PORT");
    uint64_t number;

    if (!host || !*host || !port)
        return sw_err_set(err, SW_ERR_USAGE,
                          "this is no pod: KUBERNETES_SERVICE_HOST and _PORT are not set");
    if (sw_parse_u64(port, 1, 65535, &number, err) < 0)
        return sw_err_wrap(err, "KUBERNETES_SERVICE_PORT");
    sw_buf_printf(&server, strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
    if (sw_buf_check(&server, "the server's name", err) < 0)
        return -1;
    c->server = sw_steal(server.p);
    return 0;
}

static void read_pod_namespace(struct sw_kube_config *c, const char *dir)
{
    sw_autofree char *path = join(dir, "namespace");
    sw_autofree char *text = NULL;
    struct sw_err ignored;

    /* Without it everything still works that names a namespace. */
    if (!path || sw_file_slurp(path, 1024, &text, NULL, &ignored) < 0)
        return;
    text[strcspn(text, " \t\r\n")] = '\0';
    if (*text)
        c->ns = sw_steal(text);
}

int sw_kube_config_in_cluster(const char *dir, struct sw_kube_config **ret, struct sw_err *err)
{
    sw_auto_kube_config struct sw_kube_config *c = calloc(1, sizeof(*c));

    if (!c)
        return no_memory(err);
    dir = dir ? dir : POD_DIR;
    if (set_pod_server(c, err) < 0)
        return -1;
    c->files[SW_KUBE_TOKEN] = join(dir, "token");
    c->files[SW_KUBE_CA] = join(dir, "ca.crt");
    if (!c->files[SW_KUBE_TOKEN] || !c->files[SW_KUBE_CA])
        return no_memory(err);
    if (sw_kube_config_refresh(c, true, err) < 0) {
        err->kind = err->kind == SW_ERR_NOT_FOUND ? SW_ERR_USAGE : err->kind;
        return sw_err_wrap(err, "the pod's service account");
    }
    read_pod_namespace(c, dir);
    sw_kube_config_publish(c);
    *ret = sw_steal(c);
    return 0;
}

/* --- Files --------------------------------------------------------------------------------------- */

static int find_file(char **ret, struct sw_err *err)
{
    const char *path = getenv("KUBECONFIG"), *home = getenv("HOME");

    if (path && *path && strchr(path, ':'))
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "KUBECONFIG names several files");
    if (path && *path)
        *ret = strdup(path);
    else if (home && *home)
        *ret = join(home, ".kube/config");
    else
        return sw_err_set(err, SW_ERR_USAGE, "neither KUBECONFIG nor HOME is set");
    return *ret ? 0 : no_memory(err);
}

int sw_kube_config_file(const char *path, const char *context, struct sw_kube_config **ret,
                        struct sw_err *err)
{
    sw_auto_kube_config struct sw_kube_config *c = NULL;
    sw_autofree char *text = NULL;
    sw_autofree char *found = path ? strdup(path) : NULL;
    size_t n;

    if (!path && find_file(&found, err) < 0)
        return -1;
    if (!found)
        return no_memory(err);
    if (sw_file_slurp(found, KUBECONFIG_MAX, &text, &n, err) < 0)
        return sw_err_wrap(err, "kubeconfig");

    char *slash = strrchr(found, '/');
    sw_autofree char *dir = slash ? strndup(found, (size_t)(slash - found) + 1) : strdup("./");
    int done = dir ? sw_kube_config_parse(text, n, dir, context, &c, err) : no_memory(err);
    explicit_bzero(text, n);
    if (done < 0 || sw_kube_config_refresh(c, true, err) < 0)
        return sw_err_wrap(err, "kubeconfig '%s'", found);
    *ret = sw_steal(c);
    return 0;
}

int sw_kube_config_default(struct sw_kube_config **ret, struct sw_err *err)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *file = getenv("KUBECONFIG");

    if (host && *host && !(file && *file))
        return sw_kube_config_in_cluster(NULL, ret, err);
    return sw_kube_config_file(NULL, NULL, ret, err);
}
