/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_head.h"

#include <string.h>
#include <strings.h>

#include "common/macros.h"
#include "common/parse.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Digits only, at most 63 bits, so that sums of two never wrap. */
static bool parse_number(const char *text, size_t n, uint64_t *ret)
{
    char digits[24];
    struct sw_err ignored;

    if (n == 0 || n >= sizeof(digits))
        return false;
    memcpy(digits, text, n);
    digits[n] = '\0';
    return sw_parse_u64(digits, 0, INT64_MAX, ret, &ignored) == 0;
}

/* Keep a value of n bytes. Longer than room, or with control bytes: absent. */
static void keep(char *to, size_t room, const char *value, size_t n)
{
    to[0] = '\0';
    if (n >= room)
        return;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
            return;
    }
    memcpy(to, value, n);
    to[n] = '\0';
}

static void keep_lower(char *to, size_t room, const char *value, size_t n)
{
    keep(to, room, value, n);
    for (; *to; to++)
        *to = lower(*to);
}

/* A validator that is sent twice with two values validates nothing. */
static void keep_validator(char *to, const char *value, size_t n)
{
    if (*to && (strlen(to) != n || memcmp(to, value, n) != 0))
        n = SW_HTTP_VALUE_MAX;
    keep(to, SW_HTTP_VALUE_MAX, value, n);
}

static void on_etag(struct sw_http_head *h, const char *value, size_t n)
{
    keep_validator(h->etag, value, n);
}

static void on_modified(struct sw_http_head *h, const char *value, size_t n)
{
    keep_validator(h->modified, value, n);
}

static void on_length(struct sw_http_head *h, const char *value, size_t n)
{
    if (!parse_number(value, n, &h->length))
        h->length = SW_HTTP_UNKNOWN;
}

static void on_transfer_encoding(struct sw_http_head *h, const char *value, size_t n)
{
    h->chunked = true;
}

static void on_location(struct sw_http_head *h, const char *value, size_t n)
{
    keep(h->location, sizeof(h->location), value, n);
}

static void on_encoding(struct sw_http_head *h, const char *value, size_t n)
{
    keep_lower(h->encoding, sizeof(h->encoding), value, n);
    if (n > 0 && !*h->encoding) /* unreadable is not the same as absent */
        keep(h->encoding, sizeof(h->encoding), "?", 1);
}

static void on_type(struct sw_http_head *h, const char *value, size_t n)
{
    const char *end = memchr(value, ';', n);

    if (end)
        n = (size_t)(end - value);
    while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
        n--;
    keep_lower(h->type, sizeof(h->type), value, n);
}

static void on_retry_after(struct sw_http_head *h, const char *value, size_t n)
{
    if (!parse_number(value, n, &h->retry_after_sec))
        h->retry_after_sec = 0;
}

/* "bytes 0-99/1000", "bytes 0-99/" and a star, or "bytes", a star, and "/1000" (RFC 9110, 14.4). */
static bool parse_range(struct sw_http_head *h, const char *value, size_t n)
{
    const char *slash = memchr(value, '/', n);

    if (n < 6 || strncasecmp(value, "bytes ", 6) != 0 || !slash)
        return false;
    const char *span = value + 6;
    size_t span_len = (size_t)(slash - span);
    size_t total_len = n - (size_t)(slash + 1 - value);

    h->total = SW_HTTP_UNKNOWN;
    if (!(total_len == 1 && slash[1] == '*') && !parse_number(slash + 1, total_len, &h->total))
        return false;
    if (span_len == 1 && *span == '*') {
        h->range = SW_HTTP_RANGE_UNSAT;
        return true;
    }
    const char *dash = memchr(span, '-', span_len);
    if (!dash || !parse_number(span, (size_t)(dash - span), &h->first) ||
        !parse_number(dash + 1, (size_t)(slash - dash - 1), &h->last))
        return false;
    h->range = SW_HTTP_RANGE_OK;
    return h->first <= h->last && (h->total == SW_HTTP_UNKNOWN || h->last < h->total);
}

static void on_range(struct sw_http_head *h, const char *value, size_t n)
{
    if (h->range != SW_HTTP_RANGE_NONE || !parse_range(h, value, n))
        h->range = SW_HTTP_RANGE_BAD;
}

static const struct {
    const char *name;
    void (*take)(struct sw_http_head *h, const char *value, size_t n);
} fields[] = {
    { "content-encoding", on_encoding },
    { "content-length", on_length },
    { "content-range", on_range },
    { "content-type", on_type },
    { "etag", on_etag },
    { "last-modified", on_modified },
    { "location", on_location },
    { "retry-after", on_retry_after },
    { "transfer-encoding", on_transfer_encoding },
};

/* "HTTP/1.1 206 Partial Content"; the reason may be missing. */
static void on_status_line(struct sw_http_head *head, const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n);
    uint64_t status = 0;

    *head = (struct sw_http_head){ .length = SW_HTTP_UNKNOWN, .total = SW_HTTP_UNKNOWN };
    if (!space || (size_t)(space - line) + 4 > n || !parse_number(space + 1, 3, &status))
        return;
    if (status < 100 || status > 599)
        return;
    head->status = (unsigned)status;

    size_t used = 0;
    for (const char *p = space + 5; p < line + n && used + 1 < sizeof(head->reason); p++)
        head->reason[used++] = *p >= 0x20 && *p < 0x7f ? *p : '?';
    head->reason[used] = '\0';
}

void sw_http_head_line(struct sw_http_head *head, const char *line, size_t n)
{
    while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == '\n' || line[n - 1] == ' ' ||
                     line[n - 1] == '\t'))
        n--;
    if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        on_status_line(head, line, n);
        return;
    }
    const char *colon = memchr(line, ':', n);
    if (!colon)
        return;

    size_t name_len = (size_t)(colon - line);
    const char *value = colon + 1;
    while (value < line + n && (*value == ' ' || *value == '\t'))
        value++;
    for (size_t i = 0; i < SW_COUNT(fields); i++) {
        if (strlen(fields[i].name) == name_len && strncasecmp(line, fields[i].name, name_len) == 0)
            fields[i].take(head, value, (size_t)(line + n - value));
    }
}

bool sw_http_etag_is_strong(const char *etag)
{
    size_t n = strlen(etag);

    if (n < 2 || etag[0] != '"' || etag[n - 1] != '"')
        return false;
    for (size_t i = 1; i + 1 < n; i++) {
        if ((unsigned char)etag[i] <= 0x20 || etag[i] == '"')
            return false;
    }
    return true;
}
