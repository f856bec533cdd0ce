/* SPDX-License-Identifier: Apache-2.0 */
/* http and https URLs: parse, resolve a redirect, compare origins, and show to people.
 *
 * The parser is libcurl's own, on purpose: the decision "is this the host that may see the
 * credentials" must never rest on another reading of the text than the one that connects.
 *
 * Pure functions over their arguments; any thread. A struct sw_url is immutable once filled and
 * may then be read by many threads. */
#ifndef SW_NET_URL_H
#define SW_NET_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* Longest URL that we take, bytes: eight times what common servers accept as a request line. */
#define SW_URL_MAX 65536

struct sw_url {
    char *text; /* what to request: no credentials, no fragment, blanks and 8-bit bytes encoded */
    char *host; /* lower case, without the brackets of an IPv6 address                          */
    char *path; /* begins with '/', still percent-encoded                                       */
    char *user; /* percent-decoded; NULL when the URL has none                                  */
    char *
        password; /* percent-decoded; NULL when the URL has none                                  */
    uint16_t
        port; /* the scheme's default when the text has none                                  */
    bool is_https;
};

/* Parse an absolute http or https URL. -1 with SW_ERR_USAGE: no such URL (the message quotes the
 * redacted text), another scheme. On success the caller owes sw_url_done(). */
SW_MUST_CHECK
int sw_url_parse(const char *text, struct sw_url *ret, struct sw_err *err);

/* Where a `Location: location` answer of `base` leads (RFC 9110, 10.2.2; relative references as RFC
 * 3986). Credentials inside `location` are dropped: a server does not tell us whom to be. -1 with
 * SW_ERR_BAD_DATA: not a URL, or not http(s). `ret` may not be `base`. */
SW_MUST_CHECK
int sw_url_resolve(const struct sw_url *base, const char *location, struct sw_url *ret,
                   struct sw_err *err);

SW_MUST_CHECK
int sw_url_copy(const struct sw_url *url, struct sw_url *ret, struct sw_err *err);

/* Free the content (the password is wiped first); a zeroed struct is fine. */
void sw_url_done(struct sw_url *url);

#define sw_autourl __attribute__((cleanup(sw_url_done)))

/* Same scheme, host and port: the only case in which a secret for one may be sent to the other. */
bool sw_url_same_origin(const struct sw_url *a, const struct sw_url *b);

/* The last segment of `path`, percent-decoded: "/a/disk%2B1.img" gives "disk+1.img", "/a/" gives
 * "". A segment whose decoded form holds a '/', a control byte or NUL is returned as it stands. The
 * caller frees; NULL when out of memory. */
char *sw_url_last_segment(const char *path);

/* Any URL (or path) as it may be shown: user and password are left out, the fragment too, and what
 * follows a '?' becomes "...", for signed URLs carry their secret there. Only nbd URIs keep their
 * query, which names a socket. Takes any text. The caller frees; NULL when out of memory. */
char *sw_url_redact(const char *text);

#endif
