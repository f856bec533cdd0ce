/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/parse.h"
#include "importer/sources.h"
#include "net/url.h"

/* Bytes before "://" when text begins with a URL scheme (RFC 3986, 3.1), else 0. */
static size_t scheme_length(const char *text)
{
    size_t n = 0;

    if (!isalpha((unsigned char)text[0]))
        return 0;
    while (isalnum((unsigned char)text[n]) || (text[n] && strchr("+-.", text[n])))
        n++;
    return strncmp(text + n, "://", 3) == 0 ? n : 0;
}

/* file:///path and file://localhost/path, percent-decoded. */
static int open_file_url(const char *url, struct sw_cancel *cancel, struct sw_source **ret,
                         struct sw_err *err)
{
    sw_autobuf struct sw_buf path = SW_BUF_INIT(SW_URL_MAX);
    const char *p = url + strlen("file://");

    if (strncasecmp(p, "localhost/", 10) == 0)
        p += strlen("localhost");
    if (*p != '/')
        return sw_err_set(err, SW_ERR_USAGE, "'%s' names another host: use file:///path", url);
    for (; *p; p++) {
        uint8_t byte = (uint8_t)*p;

        if (byte == '%' && p[1] && p[2]) {
            char hex[3] = { p[1], p[2], '\0' };

            if (!sw_hex_decode(hex, &byte, 1) || byte == 0)
                return sw_err_set(err, SW_ERR_USAGE, "'%s' has a bad percent escape", url);
            p += 2;
        }
        sw_buf_append(&path, &byte, 1);
    }
    if (sw_buf_check(&path, "path", err) < 0)
        return -1;
    return sw_source_open_file(path.p, cancel, ret, err);
}

int sw_source_open(const char *spec, const struct sw_http_options *http, struct sw_source **ret,
                   struct sw_err *err)
{
    static const char *const nbd[] = { "nbd", "nbds", "nbd+unix", "nbds+unix" };
    size_t n = scheme_length(spec);

    if (n == 0)
        return sw_source_open_file(spec, http->cancel, ret, err);
    if ((n == 4 && strncasecmp(spec, "http", n) == 0) ||
        (n == 5 && strncasecmp(spec, "https", n) == 0))
        return sw_source_open_http(spec, http, ret, err);
    if (n == 4 && strncasecmp(spec, "file", n) == 0)
        return open_file_url(spec, http->cancel, ret, err);
    for (size_t i = 0; i < SW_COUNT(nbd); i++) {
        if (strlen(nbd[i]) == n && strncasecmp(spec, nbd[i], n) == 0)
            return sw_source_open_nbd(spec, http, ret, err);
    }
    return sw_err_set(err, SW_ERR_USAGE,
                      "no source for '%.*s://': use http, https, nbd, nbds, nbd+unix, file, a path"
                      " or - (a file of that name: './...')",
                      (int)n, spec);
}

/* Read a stream to its end; one byte more than max is asked for, to notice a longer one. */
static int slurp_stream(struct sw_source *s, char *text, size_t max, size_t *ret_len,
                        struct sw_err *err)
{
    size_t used = 0;

    while (used <= max) {
        ssize_t n = s->ops->read(s, text + used, max + 1 - used, err);

        if (n < 0)
            return -1;
        if (n == 0) {
            *ret_len = used;
            return 0;
        }
        used += (size_t)n;
    }
    return sw_err_set(err, SW_ERR_BAD_DATA, "'%s' is longer than %zu bytes", s->url, max);
}

static int slurp_source(struct sw_source *s, size_t max, char **ret_text, size_t *ret_len,
                        struct sw_err *err)
{
    if (s->size != SW_SIZE_UNKNOWN && s->size > max)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "'%s' has %llu bytes, more than the %zu allowed here", s->url,
                          (unsigned long long)s->size, max);

    sw_autofree char *text = malloc(max + 2); /* + 1 to notice a longer one, + 1 for the NUL */
    size_t n = (size_t)s->size;
    if (!text)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (!s->seekable) {
        if (slurp_stream(s, text, max, &n, err) < 0)
            return -1;
    } else if (n > 0 && s->ops->read_at(s, 0, text, n, 0, err) < 0) {
        return -1;
    }
    text[n] = '\0';
    *ret_text = sw_steal(text);
    *ret_len = n;
    return 0;
}

int sw_source_slurp(const char *spec, const struct sw_http_options *http, size_t max,
                    char **ret_text, size_t *ret_len, struct sw_err *err)
{
    struct sw_source *s = NULL;

    if (sw_source_open(spec, http, &s, err) < 0)
        return -1;
    int rc = slurp_source(s, max, ret_text, ret_len, err);
    sw_source_close(s);
    return rc;
}
