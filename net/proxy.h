/* SPDX-License-Identifier: Apache-2.0 */
/* Which proxy a URL is to be fetched through. We decide ourselves and tell libcurl the result,
 * because libcurl 7.88 knows no CIDR, no port and no "*.domain" in NO_PROXY, and nobody could say
 * in an error message which route was taken.
 *
 * The variables are read in both cases, lower case first. Rules of NO_PROXY, which are those of
 * Go's httpproxy package and hence of the clusters whose settings reach us:
 *
 *   *                     nothing goes through a proxy
 *   example.com           that host and everything below it
 *   .example.com          everything below it, not the host itself; "*.example.com" is the same
 *   10.1.2.3, fd00::1     that address; brackets are allowed
 *   10.0.0.0/8, fd00::/8  every address in it (only when the URL names an address: no name is
 *                         looked up for this)
 *   any but the last two, ":port" added
 *                         only on that port; an IPv6 address then needs its brackets
 *
 * Entries are separated by commas or blanks; letter case does not count. "localhost" and loopback
 * addresses never go through a proxy that the environment names.
 *
 * Pure apart from sw_proxy_env_load(), which reads the environment. */
#ifndef SW_NET_PROXY_H
#define SW_NET_PROXY_H

#include "net/url.h"

/* Borrowed from the environment; NULL: not set. */
struct sw_proxy_env {
    const char *http_proxy, *https_proxy, *all_proxy, *no_proxy;
};

void sw_proxy_env_load(struct sw_proxy_env *ret);

/* Whether `list` exempts host (lower case, no brackets) on port. list may be NULL. */
bool sw_no_proxy_match(const char *list, const char *host, uint16_t port);

/* The proxy for `url`: *ret_proxy is a proxy URL (with the credentials it came with: not for
 * display), or NULL for a direct connection; the caller frees.
 *
 * `forced` is a proxy that somebody named explicitly: it beats the environment and NO_PROXY; ""
 * means none; NULL asks the environment. A proxy without scheme is an http one. -1 with
 * SW_ERR_USAGE: not http, https, socks4, socks4a, socks5 or socks5h, or no host in it. */
SW_MUST_CHECK
int sw_proxy_choose(const struct sw_url *url, const char *forced, const struct sw_proxy_env *env,
                    char **ret_proxy, struct sw_err *err);

#endif
