/* SPDX-License-Identifier: Apache-2.0 */
/* URLs from users and servers: the first line is a URL, the second a Location that it answers with,
 * the third a NO_PROXY list. */
#include <assert.h>
#include <string.h>

#include "net/proxy.h"
#include "net/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next line as a string of its own, so that a sanitizer sees every byte past its end. */
static char *next_line(const uint8_t **data, size_t *size)
{
    const uint8_t *end = memchr(*data, '\n', *size);
    size_t n = end ? (size_t)(end - *data) : *size;
    char *line = malloc(n + 1);

    assert(line);
    memcpy(line, *data, n);
    line[n] = '\0';
    n += end != NULL;
    *data += n;
    *size -= n;
    return line;
}

/* What is requested parses to itself again and holds no credentials. */
static void check(const struct sw_url *u)
{
    sw_autourl struct sw_url again = { 0 };
    sw_autofree char *name = sw_url_last_segment(u->path);
    struct sw_err err;

    assert(u->port > 0 && *u->host && name && !strchr(name, '/'));
    assert(sw_url_parse(u->text, &again, &err) == 0);
    assert(sw_url_same_origin(u, &again));
    assert(!again.user && !again.password);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sw_autofree char *text = next_line(&data, &size);
    sw_autofree char *location = next_line(&data, &size);
    sw_autofree char *list = next_line(&data, &size);
    sw_autofree char *shown = sw_url_redact(text);
    sw_autourl struct sw_url url = { 0 };
    sw_autourl struct sw_url next = { 0 };
    struct sw_err err;

    assert(shown && strlen(shown) <= strlen(text) + 4);
    if (sw_url_parse(text, &url, &err) < 0)
        return 0;
    check(&url);
    (void)sw_no_proxy_match(list, url.host, url.port);
    if (sw_url_resolve(&url, location, &next, &err) == 0) {
        check(&next);
        assert(!next.user && !next.password);
    }
    return 0;
}
