/* SPDX-License-Identifier: Apache-2.0 */
/* What a watch needs of the client and nobody else: requests whose answer is read while it arrives.
 * Inside kube/ only. */
#ifndef SW_KUBE_CLIENT_INT_H
#define SW_KUBE_CLIENT_INT_H

#include "kube/backoff.h"
#include "kube/client.h"

/* Start `request` (ctx, callbacks and times are the caller's) as a GET of path with its query, with
 * what the config says of server and credentials. Not counted as in flight, never tried again. */
SW_MUST_CHECK
int sw_kube_client_stream(struct sw_kube_client *client, const char *path,
                          const struct sw_http_async_request *request, struct sw_http_async **ret,
                          struct sw_err *err);

/* A stream ended: learn what the server speaks; after a 401 the credentials are read anew. */
void sw_kube_client_stream_ended(struct sw_kube_client *client,
                                 const struct sw_http_async_end *end);

struct sw_kube_stats *sw_kube_client_counters(struct sw_kube_client *client);
struct sw_kube_dice *sw_kube_client_dice(struct sw_kube_client *client);

/* --- Making requests (kube/client_request.c) ------------------------------------------------------ */

/* What goes onto the wire. */
struct sw_kube_wire {
    const char *method;
    const char *content_type; /* NULL: no body */
    char *path;               /* owned, with its query */
    char *body;               /* owned; NULL: none */
    size_t body_n;
    bool is_harmless; /* may be performed twice */
};

/* -1 as sw_kube_call_start(). */
SW_MUST_CHECK
int sw_kube_wire_make(const struct sw_kube_request *request, struct sw_kube_wire *ret,
                      struct sw_err *err);
void sw_kube_wire_done(struct sw_kube_wire *wire);

#endif
