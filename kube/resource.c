/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/resource.h"

#include <string.h>

/* RFC 3986, 2.3: what needs no escape anywhere. */
static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~", c));
}

static void put_escaped(struct sw_buf *out, const char *text)
{
    for (; *text; text++) {
        if (is_unreserved(*text))
            sw_buf_append(out, text, 1);
        else
            sw_buf_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
    }
}

/* 253 bytes is what the longest names (DNS subdomains) have. "." and ".." would be taken for a step
 * in the path, however they are escaped. */
static int put_part(struct sw_buf *out, const char *part, const char *what, struct sw_err *err)
{
    size_t n = strlen(part);

    if (n == 0 || n > 253 || strcmp(part, ".") == 0 || strcmp(part, "..") == 0)
        return sw_err_set(err, SW_ERR_USAGE, "'%.300s' is no %s", part, what);
    sw_buf_puts(out, "/");
    put_escaped(out, part);
    return 0;
}

static int check_where(const struct sw_kube_where *w, struct sw_err *err)
{
    const char *plural = w->resource->plural;

    if (w->ns && w->resource->is_cluster)
        return sw_err_set(err, SW_ERR_USAGE, "%s are in no namespace", plural);
    if (w->name && !w->ns && !w->resource->is_cluster)
        return sw_err_set(err, SW_ERR_USAGE, "%s '%.300s': no namespace is given", plural, w->name);
    if (w->subresource && !w->name)
        return sw_err_set(err, SW_ERR_USAGE, "'%s' of %s: no name is given", w->subresource,
                          plural);
    return 0;
}

int sw_kube_path(struct sw_buf *out, const struct sw_kube_where *w, struct sw_err *err)
{
    const struct sw_kube_resource *r = w->resource;

    if (check_where(w, err) < 0)
        return -1;
    sw_buf_puts(out, *r->group ? "/apis" : "/api");
    if (*r->group && put_part(out, r->group, "group", err) < 0)
        return -1;
    if (put_part(out, r->version, "version", err) < 0)
        return -1;
    if (w->ns) {
        sw_buf_puts(out, "/namespaces");
        if (put_part(out, w->ns, "namespace", err) < 0)
            return -1;
    }
    if (put_part(out, r->plural, "resource", err) < 0)
        return -1;
    if (w->name && put_part(out, w->name, "name", err) < 0)
        return -1;
    if (w->subresource && put_part(out, w->subresource, "subresource", err) < 0)
        return -1;
    return sw_buf_check(out, "the path", err);
}

void sw_kube_query(struct sw_buf *out, const char *key, const char *value)
{
    if (!value)
        return;
    sw_buf_puts(out, out->n && strchr(sw_buf_str(out), '?') ? "&" : "?");
    put_escaped(out, key);
    sw_buf_puts(out, "=");
    put_escaped(out, value);
}
