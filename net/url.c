/* SPDX-License-Identifier: Apache-2.0 */
#include "net/url.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"
#include "common/parse.h"

static void free_curlu(CURLU **u)
{
    curl_url_cleanup(*u);
}

#define autocurlu __attribute__((cleanup(free_curlu)))

static void wipe(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

void sw_url_done(struct sw_url *url)
{
    free(url->text);
    free(url->host);
    free(url->path);
    url->text = url->host = url->path = NULL;
    wipe(&url->user);
    wipe(&url->password);
}

static bool copy_text(const char *from, char **ret)
{
    if (!from)
        return true;
    *ret = strdup(from);
    return *ret != NULL;
}

int sw_url_copy(const struct sw_url *url, struct sw_url *ret, struct sw_err *err)
{
    sw_autourl struct sw_url u = { .port = url->port, .is_https = url->is_https };

    if (!copy_text(url->text, &u.text) || !copy_text(url->host, &u.host) ||
        !copy_text(url->path, &u.path) || !copy_text(url->user, &u.user) ||
        !copy_text(url->password, &u.password))
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    *ret = u;
    u = (struct sw_url){ 0 };
    return 0;
}

/* One part as our own allocation; a part that is not there leaves NULL and is no error. */
static bool take_part(CURLU *u, CURLUPart part, unsigned flags, char **ret)
{
    char *text = NULL;
    CURLUcode rc = curl_url_get(u, part, &text, flags);

    if ((part == CURLUPART_USER && rc == CURLUE_NO_USER) ||
        (part == CURLUPART_PASSWORD && rc == CURLUE_NO_PASSWORD))
        return true;
    if (rc != CURLUE_OK)
        return false;
    *ret = strdup(text);
    if (part == CURLUPART_PASSWORD)
        explicit_bzero(text, strlen(text));
    curl_free(text);
    return *ret != NULL;
}

/* "[FD00::1]" to "fd00::1", in place; a zone ("%eth0") stays. */
static void plain_host(char *host)
{
    size_t n = strlen(host);

    if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
        memmove(host, host + 1, n - 2);
        host[n - 2] = '\0';
    }
    for (char *p = host; *p; p++)
        *p = (char)tolower((unsigned char)*p);
}

/* libcurl decodes %XX in a host and connects to what comes out: "h%7f". Only what host names and
 * addresses are made of may be in it: letters (of IDN names, too), digits, and a zone. */
static bool is_plain_host(const char *host)
{
    bool is_v6 = strchr(host, ':') != NULL;

    for (const char *p = host; *p; p++) {
        if (!isalnum((unsigned char)*p) && !strchr("-._", *p) && (unsigned char)*p < 0x80 &&
            !(is_v6 && strchr(":%", *p)))
            return false;
    }
    return *host != '\0';
}

/* libcurl takes nearly anything for the zone of an IPv6 address ("[fd00::1%eth0]"), a second '@'
 * included, and reads its own text differently the next time. */
static bool has_plain_zone(CURLU *u)
{
    char *zone = NULL;
    bool plain = true;

    if (curl_url_get(u, CURLUPART_ZONEID, &zone, 0) != CURLUE_OK)
        return true; /* none */
    for (const char *p = zone; *p; p++)
        plain = plain && (isalnum((unsigned char)*p) || strchr("-._", *p));
    curl_free(zone);
    return plain;
}

/* What will be sent must name the same host again: libcurl decodes "1%34" to "14", which read once
 * more is the address 0.0.0.14. */
static bool reads_the_same(const struct sw_url *url)
{
    sw_autofree char *host = NULL;
    CURLU *u = curl_url();
    bool same = u && curl_url_set(u, CURLUPART_URL, url->text, 0) == CURLUE_OK &&
                take_part(u, CURLUPART_HOST, 0, &host);

    if (same) {
        plain_host(host);
        same = strcmp(host, url->host) == 0;
    }
    curl_url_cleanup(u);
    return same;
}

/* Everything but the text is read first: taking the credentials and the fragment out of `u` is what
 * makes its text fit to be sent. */
static bool fill_parts(CURLU *u, struct sw_url *url)
{
    sw_autofree char *port = NULL;
    sw_autofree char *scheme = NULL;
    struct sw_err ignored;
    uint64_t number = 0;

    if (!has_plain_zone(u) || !take_part(u, CURLUPART_SCHEME, 0, &scheme) ||
        !take_part(u, CURLUPART_HOST, 0, &url->host) ||
        !take_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, &port) ||
        !take_part(u, CURLUPART_PATH, 0, &url->path) ||
        !take_part(u, CURLUPART_USER, CURLU_URLDECODE, &url->user) ||
        !take_part(u, CURLUPART_PASSWORD, CURLU_URLDECODE, &url->password))
        return false;
    if (sw_parse_u64(port, 1, 65535, &number, &ignored) < 0)
        return false;
    url->port = (uint16_t)number;
    url->is_https = strcasecmp(scheme, "https") == 0;
    plain_host(url->host);

    if (curl_url_set(u, CURLUPART_USER, NULL, 0) || curl_url_set(u, CURLUPART_PASSWORD, NULL, 0) ||
        curl_url_set(u, CURLUPART_OPTIONS, NULL, 0) || curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0))
        return false;
    return take_part(u, CURLUPART_URL, 0, &url->text) && is_plain_host(url->host) &&
           reads_the_same(url) && (url->is_https || strcasecmp(scheme, "http") == 0);
}

/* Blanks and 8-bit bytes occur in hand-written links and in Location lines: encode, not refuse. */
#define LENIENT (CURLU_URLENCODE | CURLU_ALLOW_SPACE)

int sw_url_parse(const char *text, struct sw_url *ret, struct sw_err *err)
{
    autocurlu CURLU *u = curl_url();
    sw_autourl struct sw_url url = { 0 };
    sw_autofree char *shown = sw_url_redact(text);

    if (!u || !shown)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (strlen(text) > SW_URL_MAX)
        return sw_err_set(err, SW_ERR_USAGE, "URL '%.64s...' is longer than %d bytes", shown,
                          SW_URL_MAX);
    CURLUcode rc = curl_url_set(u, CURLUPART_URL, text, LENIENT);
    if (rc != CURLUE_OK)
        return sw_err_set(err, SW_ERR_USAGE, "'%s' is not an http or https URL: %s", shown,
                          curl_url_strerror(rc));
    if (!fill_parts(u, &url))
        return sw_err_set(err, SW_ERR_USAGE, "'%s' is not an http or https URL", shown);
    *ret = url;
    url = (struct sw_url){ 0 };
    return 0;
}

int sw_url_resolve(const struct sw_url *base, const char *location, struct sw_url *ret,
                   struct sw_err *err)
{
    autocurlu CURLU *u = curl_url();
    sw_autourl struct sw_url url = { 0 };
    sw_autofree char *shown = sw_url_redact(location);

    if (!u || !shown)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (strlen(location) > SW_URL_MAX)
        return sw_err_set(err, SW_ERR_BAD_DATA, "redirect to a URL longer than %d bytes",
                          SW_URL_MAX);
    if (curl_url_set(u, CURLUPART_URL, base->text, 0) ||
        curl_url_set(u, CURLUPART_URL, location, LENIENT) || !fill_parts(u, &url))
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "redirect to '%s', which is not an http or https URL", shown);
    wipe(&url.user);
    wipe(&url.password);
    *ret = url;
    url = (struct sw_url){ 0 };
    return 0;
}

bool sw_url_same_origin(const struct sw_url *a, const struct sw_url *b)
{
    return a->is_https == b->is_https && a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* Decode n bytes into ret (n + 1 bytes of room). False when the result could not be a file name. */
static bool decode_segment(const char *text, size_t n, char *ret)
{
    size_t used = 0;

    for (size_t i = 0; i < n; i++) {
        uint8_t byte = (uint8_t)text[i];

        if (byte == '%' && i + 2 < n && isxdigit((unsigned char)text[i + 1]) &&
            isxdigit((unsigned char)text[i + 2])) {
            char hex[3] = { text[i + 1], text[i + 2], '\0' };

            (void)sw_hex_decode(hex, &byte, 1);
            i += 2;
        }
        if (byte < 0x20 || byte == 0x7f || byte == '/')
            return false;
        ret[used++] = (char)byte;
    }
    ret[used] = '\0';
    return true;
}

char *sw_url_last_segment(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *segment = slash ? slash + 1 : path;
    size_t n = strcspn(segment, "?#");
    char *name = malloc(n + 1);

    if (name && !decode_segment(segment, n, name)) {
        memcpy(name, segment, n);
        name[n] = '\0';
    }
    return name;
}

/* The end of "scheme://", or NULL when text does not begin with one. */
static const char *after_scheme(const char *text)
{
    const char *p = text;

    if (!isalpha((unsigned char)*p))
        return NULL;
    while (isalnum((unsigned char)*p) || *p == '+' || *p == '-' || *p == '.')
        p++;
    return strncmp(p, "://", 3) == 0 ? p + 3 : NULL;
}

/* The '@' behind the credentials of what follows "scheme://", or NULL. The last one before the path
 * counts, however many '@' the password holds. Somebody who forgot to encode a '/' in a password
 * gets an error that quotes the URL: "u:p/w@host" must not be taken for a host "u" then. */
static const char *credentials_end(const char *start)
{
    size_t authority = strcspn(start, "/?#");
    const char *at = memrchr(start, '@', authority);

    if (at)
        return at;
    const char *colon = memrchr(start, ':', authority);
    if (!colon || *start == '[')
        return NULL;
    size_t digits = strspn(colon + 1, "0123456789");
    return colon + 1 + digits == start + authority ? NULL : strrchr(start, '@');
}

char *sw_url_redact(const char *text)
{
    const char *start = after_scheme(text);
    size_t room = strlen(text) + sizeof("?...");
    char *shown = malloc(room);

    if (!shown)
        return NULL;
    if (!start) /* "user:password@host" and "path?query" are possible here as well */
        start = text;

    const char *at = credentials_end(start);
    const char *host = at && start != text ? at + 1 : start;
    size_t scheme_len = (size_t)(start - text);
    bool keep_query = strncasecmp(text, "nbd", 3) == 0;
    size_t n = strcspn(host, keep_query ? "#" : "?#");

    memcpy(shown, text, scheme_len);
    memcpy(shown + scheme_len, host, n);
    memcpy(shown + scheme_len + n, host[n] == '?' ? "?..." : "", host[n] == '?' ? 5 : 1);
    return shown;
}
