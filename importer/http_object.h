/* SPDX-License-Identifier: Apache-2.0 */
/* One remote object: where it really is, what identifies its content, who may see our secrets.
 *
 * Finding out takes one `GET` with `Range: bytes=0-0` per redirect hop, and no HEAD: object stores
 * refuse HEAD on a URL signed for GET, other servers answer it with another length or with ranges
 * that their GET does not have, and a real one-byte answer is needed anyway to believe in ranges.
 *
 * Secrets (Basic credentials, extra headers, the client certificate) go to the origin of the URL
 * that the user gave (same scheme, host and port) and nowhere else. When there are any, a redirect
 * from https to http is refused altogether.
 *
 * Redirects are followed once, then the final URL is pinned. A signed final URL can expire during a
 * long import: whoever sees that calls sw_http_object_renew(), and the identity must be the same.
 *
 * After open everything but the pinned URL is immutable; that one is guarded by a lock. Any thread,
 * each with its own client. */
#ifndef SW_IMPORTER_HTTP_OBJECT_H
#define SW_IMPORTER_HTTP_OBJECT_H

#include "importer/http_retry.h"
#include "importer/sources.h"
#include "net/http_client.h"

struct sw_http_object {
    const struct sw_http_options *options;
    struct sw_http_config config;
    struct sw_http_secrets secrets;
    bool has_secrets;
    struct sw_tls_roots *roots;
    struct sw_url original;

    char *name;                   /* last path segment, decoded; never NULL after open         */
    uint64_t size;                /* bytes, or SW_SIZE_UNKNOWN                                 */
    bool ranges;                  /* seen to work, and the size is known                       */
    bool resumable;               /* a range was answered, if only with an unknown total       */
    char etag[SW_HTTP_VALUE_MAX]; /* strong, or ""                                             */
    char
        modified[SW_HTTP_VALUE_MAX]; /* or ""                                                     */

    pthread_mutex_t lock; /* guards the two below                                      */
    struct sw_url pinned;
    unsigned generation; /* counts the changes of pinned; 0 before the first          */
};

/* A user of the object: a lane, or the stream. Zeroed to begin with. */
struct sw_http_seat {
    struct sw_http_client *client;
    struct sw_url url; /* its own copy of the pinned one                            */
    unsigned generation;
};

/* options is borrowed. On failure there is nothing to close. Errors: SW_ERR_USAGE, those of the CA
 * files, SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_http_object_init(struct sw_http_object *o, const char *url,
                        const struct sw_http_options *options, struct sw_err *err);
void sw_http_object_done(struct sw_http_object *o);

/* Follow the redirects, learn the identity, pin. Retries. Errors: all kinds of a source's open. */
SW_MUST_CHECK
int sw_http_object_resolve(struct sw_http_object *o, struct sw_http_seat *seat, struct sw_err *err);

/* The pinned URL that `seat` used is no longer good: follow the redirects again, unless another
 * seat already has. Another content behind it is SW_ERR_BAD_DATA. One try, no waiting. */
SW_MUST_CHECK
int sw_http_object_renew(struct sw_http_object *o, struct sw_http_seat *seat, struct sw_err *err);

/* Make the seat ready for a request: a client, the current URL. */
SW_MUST_CHECK
int sw_http_object_sit(struct sw_http_object *o, struct sw_http_seat *seat, struct sw_err *err);
void sw_http_seat_done(struct sw_http_seat *seat);

/* Fill url and secrets of a request from the seat. */
void sw_http_object_address(const struct sw_http_object *o, const struct sw_http_seat *seat,
                            struct sw_http_request *req);

/* Whether an answer with this status to a request of `seat` means that the URL should be looked up
 * again: it has become a redirect, or the end of one refuses (an expired signature). */
bool sw_http_object_is_stale(const struct sw_http_object *o, const struct sw_http_seat *seat,
                             unsigned status);

/* Whether a 206 or 200 head is still the object that was opened, unencoded. -1 with SW_ERR_BAD_DATA
 * ("changed while it was read") or SW_ERR_UNSUPPORTED (a Content-Encoding). */
SW_MUST_CHECK
int sw_http_object_check(const struct sw_http_object *o, const struct sw_http_head *head,
                         struct sw_err *err);

/* Whether a later whole answer could be proven to be the same object. */
bool sw_http_object_has_identity(const struct sw_http_object *o);

/* What identifies the content, for the journal: "etag:<ETag>" or "modified:<date>;length:<bytes>".
 * *ret is NULL when there is nothing; the caller frees. -1 with SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_http_object_validator(const struct sw_http_object *o, char **ret, struct sw_err *err);

#endif
