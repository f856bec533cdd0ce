/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/secrets.h"

#include <string.h>

#include "common/base64.h"

#define NAME_MAX_BYTES 253

void cli_wipe(char *text)
{
    if (!text)
        return;
    explicit_bzero(text, strlen(text));
    free(text);
}

static bool text_is(const struct sw_json *doc, const char *path, const char *wanted)
{
    sw_autofree char *text = NULL;
    struct sw_err ignored = { 0 };

    return sw_json_get_str(doc, path, NAME_MAX_BYTES, &text, &ignored) > 0 &&
           strcmp(text, wanted) == 0;
}

static bool is_in_namespace(const struct sw_json *doc, const char *ns)
{
    if (!sw_json_find(doc, "metadata.namespace"))
        return strcmp(ns, "default") == 0;
    return text_is(doc, "metadata.namespace", ns);
}

int cli_object_find(const struct sw_yaml *all, const char *kind, const char *ns, const char *name,
                    const struct sw_json **ret, struct sw_err *err)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct sw_json *doc = all->docs[i];

        if (text_is(doc, "kind", kind) && text_is(doc, "metadata.name", name) &&
            is_in_namespace(doc, ns)) {
            *ret = doc;
            return 0;
        }
    }
    return sw_err_set(err, SW_ERR_NOT_FOUND,
                      "%s '%s' of namespace '%s' is not in the manifest; local mode takes it from "
                      "the same file",
                      kind, name, ns);
}

static int decode(const char *base64, const char *key, char **ret, struct sw_err *err)
{
    size_t n = strlen(base64);
    sw_autofree char *text = malloc(n + 1);
    size_t len = 0;

    if (!text)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (!sw_base64_decode((struct sw_span){ (const uint8_t *)base64, n }, (uint8_t *)text, n,
                          &len) ||
        memchr(text, '\0', len))
        return sw_err_set(err, SW_ERR_USAGE, "data.%.64s: not base64 of a text", key);
    text[len] = '\0';
    *ret = sw_steal(text);
    return 0;
}

/* One member of `data` or `stringData` as text. */
static int value_text(const struct sw_json *value, const char *key, bool is_base64, char **ret,
                      struct sw_err *err)
{
    sw_autofree char *text = NULL;

    if (sw_json_get_str(value, "", CLI_SECRET_MAX, &text, err) < 1)
        return sw_err_set(err, SW_ERR_USAGE, "data.%.64s: not a text of at most %zu bytes", key,
                          CLI_SECRET_MAX);
    if (is_base64) {
        int done = decode(text, key, ret, err);

        explicit_bzero(text, strlen(text));
        return done;
    }
    *ret = sw_steal(text);
    return 0;
}

static bool has_base64(const struct sw_json *object)
{
    return text_is(object, "kind", "Secret");
}

int cli_object_value(const struct sw_json *object, const char *key, char **ret, struct sw_err *err)
{
    const struct sw_json *plain = sw_json_member(sw_json_member(object, "stringData"), key);
    const struct sw_json *data = sw_json_member(sw_json_member(object, "data"), key);

    if (plain)
        return value_text(plain, key, false, ret, err) < 0 ? -1 : 1;
    if (data)
        return value_text(data, key, has_base64(object), ret, err) < 0 ? -1 : 1;
    return 0;
}

struct each_call {
    int (*each)(void *ctx, const char *key, const char *text, struct sw_err *err);
    void *ctx;
    bool is_base64;
    struct sw_err *err;
};

static int call_each(void *ctx, const char *key, const struct sw_json *value)
{
    struct each_call *c = ctx;
    char *text = NULL;

    if (value_text(value, key, c->is_base64, &text, c->err) < 0)
        return -1;
    int done = c->each(c->ctx, key, text, c->err);
    cli_wipe(text);
    return done;
}

int cli_object_each(const struct sw_json *object,
                    int (*each)(void *ctx, const char *key, const char *text, struct sw_err *err),
                    void *ctx, struct sw_err *err)
{
    struct each_call c = { each, ctx, false, err };

    if (sw_json_each(sw_json_member(object, "stringData"), call_each, &c) < 0)
        return -1;
    c.is_base64 = has_base64(object);
    return sw_json_each(sw_json_member(object, "data"), call_each, &c);
}
