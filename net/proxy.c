/* SPDX-License-Identifier: Apache-2.0 */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/parse.h"

#define HOST_MAX 255 /* bytes of a DNS name; longer entries match nothing */

static const char *either(const char *lower, const char *upper)
{
    const char *v = getenv(lower);

    if (!v || !*v)
        v = getenv(upper);
    return v && *v ? v : NULL;
}

void sw_proxy_env_load(struct sw_proxy_env *ret)
{
    /* In a CGI program HTTP_PROXY is the client's "Proxy:" header (CVE-2016-5385). */
    bool is_cgi = getenv("REQUEST_METHOD") != NULL;

    ret->http_proxy = either("http_proxy", is_cgi ? "http_proxy" : "HTTP_PROXY");
    ret->https_proxy = either("https_proxy", "HTTPS_PROXY");
    ret->all_proxy = either("all_proxy", "ALL_PROXY");
    ret->no_proxy = either("no_proxy", "NO_PROXY");
}

/* An address as 16 bytes; IPv4 as its mapped form, so that one comparison serves all. */
struct address {
    uint8_t bytes[16];
    bool is_v4;
};

static bool parse_address(const char *text, struct address *ret)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    struct in6_addr six;
    struct in_addr four;

    if (inet_pton(AF_INET, text, &four) == 1) {
        memcpy(ret->bytes, mapped, sizeof(mapped));
        memcpy(ret->bytes + 12, &four, 4);
        ret->is_v4 = true;
        return true;
    }
    if (inet_pton(AF_INET6, text, &six) != 1)
        return false;
    memcpy(ret->bytes, &six, 16);
    ret->is_v4 = memcmp(ret->bytes, mapped, sizeof(mapped)) == 0;
    return true;
}

static bool same_prefix(const struct address *a, const struct address *b, unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned rest = bits % 8;

    if (memcmp(a->bytes, b->bytes, whole) != 0)
        return false;
    return rest == 0 || ((a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest)) == 0;
}

/* "net/bits"; `slash` points into entry, which is ours to write. */
static bool match_cidr(char *entry, char *slash, const struct address *host)
{
    struct address net;
    struct sw_err ignored;
    uint64_t bits;

    *slash = '\0';
    if (!parse_address(entry, &net) || net.is_v4 != host->is_v4)
        return false;
    bool short_form = net.is_v4 && !strchr(entry, ':');
    if (sw_parse_u64(slash + 1, 0, short_form ? 32 : 128, &bits, &ignored) < 0)
        return false;
    return same_prefix(&net, host, (unsigned)bits + (short_form ? 96 : 0));
}

/* Cut ":port" (and brackets) off the entry. False: a port that is not `port`. */
static bool split_port(char **entry, uint16_t port)
{
    char *text = *entry;
    char *colon = strrchr(text, ':');
    char *close = *text == '[' ? strchr(text, ']') : NULL;
    struct sw_err ignored;
    uint64_t number;

    if (close) {
        *entry = text + 1;
        *close = '\0';
        if (close[1] != ':')
            return close[1] == '\0';
        colon = close + 1;
    } else if (!colon || strchr(text, ':') != colon) {
        return true; /* no port, or a bare IPv6 address */
    }
    *colon = '\0';
    return sw_parse_u64(colon + 1, 1, 65535, &number, &ignored) == 0 && number == port;
}

static bool match_domain(const char *entry, const char *host)
{
    bool below_only = *entry == '.';
    size_t n = strlen(entry += below_only);
    size_t h = strlen(host);

    if (n > 0 && entry[n - 1] == '.') /* a fully qualified name is the same name */
        n--;
    if (h > 0 && host[h - 1] == '.')
        h--;
    if (n == 0 || h < n || strncasecmp(host + h - n, entry, n) != 0)
        return false;
    return h == n ? !below_only : host[h - n - 1] == '.';
}

static bool match_entry(char *entry, const char *host, uint16_t port)
{
    struct address address, wanted;
    bool is_address = parse_address(host, &address);
    char *slash = strchr(entry, '/');

    if (slash)
        return is_address && match_cidr(entry, slash, &address);
    if (!split_port(&entry, port))
        return false;
    if (strcmp(entry, "*") == 0)
        return true;
    if (is_address)
        return parse_address(entry, &wanted) && same_prefix(&wanted, &address, 128);
    if (strncmp(entry, "*.", 2) == 0)
        entry++;
    return match_domain(entry, host);
}

bool sw_no_proxy_match(const char *list, const char *host, uint16_t port)
{
    static const char separators[] = ", \t\r\n";
    char entry[HOST_MAX + 8];

    while (list && *list) {
        size_t n = strcspn(list, separators);

        if (n > 0 && n < sizeof(entry)) {
            memcpy(entry, list, n);
            entry[n] = '\0';
            if (match_entry(entry, host, port))
                return true;
        }
        list += n;
        list += strspn(list, separators);
    }
    return false;
}

static bool is_loopback(const char *host)
{
    static const struct address loopback6 = { .bytes = { [15] = 1 } };
    struct address a;

    if (!parse_address(host, &a))
        return strcmp(host, "localhost") == 0;
    return a.is_v4 ? a.bytes[12] == 127 : same_prefix(&a, &loopback6, 128);
}

/* Check the proxy's form and complete it. */
static int take_proxy(const char *proxy, char **ret, struct sw_err *err)
{
    static const char *const schemes[] = { "http://",    "https://",  "socks4://",
                                           "socks4a://", "socks5://", "socks5h://" };
    sw_autobuf struct sw_buf text = SW_BUF_INIT(SW_URL_MAX);
    sw_autofree char *shown = sw_url_redact(proxy);
    const char *rest = strstr(proxy, "://");
    bool known = !rest;

    for (size_t i = 0; rest && i < SW_COUNT(schemes); i++)
        known |= strncasecmp(proxy, schemes[i], strlen(schemes[i])) == 0;
    rest = rest ? rest + 3 : proxy;
    const char *at = memrchr(rest, '@', strcspn(rest, "/?#"));
    if (at)
        rest = at + 1;
    /* Without a scheme there is nothing that redaction could hold on to. */
    if (!known || *rest == '\0' || *rest == '/' || *rest == ':')
        return sw_err_set(err, SW_ERR_USAGE,
                          "'%s' is not a proxy: use http://[user:password@]host:port",
                          strstr(proxy, "://") && shown ? shown : "(proxy)");
    if (rest == proxy || !strstr(proxy, "://"))
        sw_buf_puts(&text, "http://");
    sw_buf_puts(&text, proxy);
    if (sw_buf_check(&text, "proxy URL", err) < 0)
        return -1;
    *ret = sw_steal(text.p);
    return 0;
}

int sw_proxy_choose(const struct sw_url *url, const char *forced, const struct sw_proxy_env *env,
                    char **ret_proxy, struct sw_err *err)
{
    const char *proxy = forced;

    if (!proxy) {
        proxy = url->is_https ? env->https_proxy : env->http_proxy;
        if (!proxy)
            proxy = env->all_proxy;
        if (is_loopback(url->host) || sw_no_proxy_match(env->no_proxy, url->host, url->port))
            proxy = NULL;
    }
    *ret_proxy = NULL;
    if (!proxy || !*proxy)
        return 0;
    return take_proxy(proxy, ret_proxy, err);
}
