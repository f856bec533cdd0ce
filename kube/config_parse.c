/* SPDX-License-Identifier: Apache-2.0 */
/* A kubeconfig's text. Source: kubernetes.io/docs/reference/config-api/kubeconfig.v1. */
#include <string.h>
#include <strings.h>

#include "common/base64.h"
#include "common/json_tree.h"
#include "common/yaml_tree.h"
#include "kube/config_int.h"
#include "net/url.h"

#define TEXT_MAX ((size_t)1 << 20)

/* What one secret is called: `inline_key` is the text itself, base64 when it ends with -data, and wins
 * over `file_key`. Tokens are the other way round, as in client-go. */
struct source {
    enum sw_kube_secret which;
    const char *inline_key, *file_key;
    bool file_wins;
};

static const struct source of_cluster[] = {
    { SW_KUBE_CA, "certificate-authority-data", "certificate-authority", false },
};
static const struct source of_user[] = {
    { SW_KUBE_TOKEN, "token", "tokenFile", true },
    { SW_KUBE_CERT, "client-certificate-data", "client-certificate", false },
    { SW_KUBE_KEY, "client-key-data", "client-key", false },
};

static int no_memory(struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for the configuration");
}

/* A text member, copied; absent and "" are NULL. */
static int get_text(const struct sw_json *object, const char *key, char **ret, struct sw_err *err)
{
    sw_autofree char *text = NULL;

    if (sw_json_get_str(sw_json_member(object, key), "", TEXT_MAX, &text, err) < 0) {
        err->kind = SW_ERR_USAGE;
        return sw_err_wrap(err, "%s", key);
    }
    if (text && *text)
        *ret = sw_steal(text);
    return 0;
}

static int decode(const char *key, char **text, struct sw_err *err)
{
    size_t n = strlen(*text), m = 0;
    char *plain = malloc(n + 1);

    if (!plain)
        return no_memory(err);
    if (!sw_base64_decode((struct sw_span){ (const uint8_t *)*text, n }, (uint8_t *)plain, n, &m) ||
        memchr(plain, '\0', m)) {
        explicit_bzero(plain, n);
        free(plain);
        return sw_err_set(err, SW_ERR_USAGE, "%s is not base64 of a text", key);
    }
    plain[m] = '\0';
    explicit_bzero(*text, n);
    free(*text);
    *text = plain;
    return 0;
}

/* Relative names count from the directory of the kubeconfig, which ends with a slash. */
static int resolve(const char *dir, char **path, struct sw_err *err)
{
    sw_autobuf struct sw_buf full = SW_BUF_INIT(TEXT_MAX);

    if (**path == '/')
        return 0;
    sw_buf_printf(&full, "%s%s", dir, *path);
    if (sw_buf_check(&full, "the name of a file", err) < 0)
        return -1;
    free(*path);
    *path = sw_steal(full.p);
    return 0;
}

static int take_secret(struct sw_kube_config *c, const struct source *s, const char *dir,
                       const struct sw_json *object, struct sw_err *err)
{
    char **text = &c->secrets[s->which], **file = &c->files[s->which];

    if (get_text(object, s->inline_key, text, err) < 0 ||
        get_text(object, s->file_key, file, err) < 0)
        return -1;
    if (*text && *file) {
        /* A file that wins replaces the text when it is read. */
        if (s->file_wins) {
            explicit_bzero(*text, strlen(*text));
            free(sw_steal(*text));
        } else {
            free(sw_steal(*file));
        }
    }
    if (*text && strcmp(s->inline_key, "token") != 0 && decode(s->inline_key, text, err) < 0)
        return -1;
    if (*text && s->which == SW_KUBE_TOKEN && strpbrk(*text, " \t\r\n"))
        return sw_err_set(err, SW_ERR_USAGE, "token: there is a blank in it");
    return *file ? resolve(dir, file, err) : 0;
}

/* The member `what` of the element of `list` that has this name. */
static int find_named(const struct sw_json *doc, const char *list, const char *what,
                      const char *name, const struct sw_json **ret, struct sw_err *err)
{
    const struct sw_json *all = sw_json_member(doc, list);

    for (size_t i = 0; i < sw_json_length(all); i++) {
        const char *its_name = sw_json_member_text(sw_json_at(all, i), "name");

        if (its_name && strcmp(its_name, name) == 0) {
            *ret = sw_json_member(sw_json_at(all, i), what);
            return 0;
        }
    }
    return sw_err_set(err, SW_ERR_USAGE, "there is no %s '%s'", what, name);
}

/* An https URL, or http for tests and proxies on the same host; the path is a prefix. */
static int take_server(struct sw_kube_config *c, const struct sw_json *cluster, struct sw_err *err)
{
    sw_autofree char *text = NULL;
    sw_autourl struct sw_url url = { 0 };
    size_t n;

    if (get_text(cluster, "server", &text, err) < 0)
        return -1;
    if (!text)
        return sw_err_set(err, SW_ERR_USAGE, "the cluster has no server");
    if (sw_url_parse(text, &url, err) < 0)
        return sw_err_wrap(err, "server");
    if (url.user)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "server: a password is not taken");
    if (strpbrk(url.text, "?#"))
        return sw_err_set(err, SW_ERR_USAGE, "server: a query makes no sense here");
    n = strlen(url.text);
    while (n && url.text[n - 1] == '/')
        n--;
    c->server = strndup(url.text, n);
    return c->server ? 0 : no_memory(err);
}

static int take_cluster(struct sw_kube_config *c, const struct sw_json *cluster, const char *dir,
                        struct sw_err *err)
{
    bool insecure = false;

    if (take_server(c, cluster, err) < 0 ||
        get_text(cluster, "tls-server-name", &c->server_name, err) < 0 ||
        get_text(cluster, "proxy-url", &c->proxy, err) < 0)
        return -1;
    if (sw_json_get_bool(sw_json_member(cluster, "insecure-skip-tls-verify"), "", &insecure, err) <
        0) {
        err->kind = SW_ERR_USAGE;
        return sw_err_wrap(err, "insecure-skip-tls-verify");
    }
    c->access.is_insecure = insecure;
    return take_secret(c, &of_cluster[0], dir, cluster, err);
}

static int take_user(struct sw_kube_config *c, const struct sw_json *user, const char *dir,
                     struct sw_err *err)
{
    static const char *const refused[] = { "exec", "auth-provider", "username", "password",
                                           "as",   "as-groups" };

    for (size_t i = 0; i < SW_COUNT(refused); i++) {
        if (sw_json_member(user, refused[i]))
            return sw_err_set(err, SW_ERR_UNSUPPORTED, "the user has '%s', which is not supported",
                              refused[i]);
    }
    for (size_t i = 0; i < SW_COUNT(of_user); i++) {
        if (take_secret(c, &of_user[i], dir, user, err) < 0)
            return -1;
    }
    bool has_cert = c->secrets[SW_KUBE_CERT] || c->files[SW_KUBE_CERT];
    bool has_key = c->secrets[SW_KUBE_KEY] || c->files[SW_KUBE_KEY];
    if (has_cert != has_key)
        return sw_err_set(err, SW_ERR_USAGE, "a client certificate and its key go together");
    return 0;
}

/* All that the context names. */
static int take_context(struct sw_kube_config *c, const struct sw_json *doc, const char *name,
                        const char *dir, struct sw_err *err)
{
    const struct sw_json *context = NULL, *cluster = NULL, *user = NULL;
    sw_autofree char *cluster_name = NULL;
    sw_autofree char *user_name = NULL;

    if (find_named(doc, "contexts", "context", name, &context, err) < 0 ||
        get_text(context, "namespace", &c->ns, err) < 0 ||
        get_text(context, "cluster", &cluster_name, err) < 0 ||
        get_text(context, "user", &user_name, err) < 0)
        return -1;
    if (!cluster_name)
        return sw_err_set(err, SW_ERR_USAGE, "context '%s' names no cluster", name);
    if (find_named(doc, "clusters", "cluster", cluster_name, &cluster, err) < 0)
        return -1;
    if (take_cluster(c, cluster, dir, err) < 0)
        return sw_err_wrap(err, "cluster '%s'", cluster_name);
    if (!user_name)
        return 0;
    if (find_named(doc, "users", "user", user_name, &user, err) < 0)
        return -1;
    if (take_user(c, user, dir, err) < 0)
        return sw_err_wrap(err, "user '%s'", user_name);
    return 0;
}

int sw_kube_config_parse(const char *text, size_t n, const char *dir, const char *context,
                         struct sw_kube_config **ret, struct sw_err *err)
{
    sw_auto_kube_config struct sw_kube_config *c = calloc(1, sizeof(*c));
    sw_autoyaml struct sw_yaml yaml = { 0 };
    const char *kind;

    if (!c)
        return no_memory(err);
    if (sw_yaml_parse(text, n, &yaml, err) < 0)
        return -1;
    if (yaml.n != 1)
        return sw_err_set(err, SW_ERR_USAGE, "%zu documents instead of one", yaml.n);
    kind = sw_json_member_text(yaml.docs[0], "kind");
    if (kind && strcmp(kind, "Config") != 0)
        return sw_err_set(err, SW_ERR_USAGE, "kind is '%.64s' and not Config", kind);
    if (!context)
        context = sw_json_member_text(yaml.docs[0], "current-context");
    if (!context || !*context)
        return sw_err_set(err, SW_ERR_USAGE, "no context is named, and there is no current one");
    if (take_context(c, yaml.docs[0], context, dir, err) < 0)
        return -1;
    sw_kube_config_publish(c);
    *ret = sw_steal(c);
    return 0;
}
