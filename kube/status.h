/* SPDX-License-Identifier: Apache-2.0 */
/* The Status object with which the API server says no.
 *
 * Untrusted text: texts are cut to SW_KUBE_STATUS_TEXT bytes. Pure; any thread. Fuzzed by
 * tests/fuzz/fuzz-kube_status.c.
 * Source: kubernetes.io/docs/reference/kubernetes-api/common-definitions/status. */
#ifndef SW_KUBE_STATUS_H
#define SW_KUBE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/json.h"

#define SW_KUBE_STATUS_TEXT 2048

/* Embedded texts, so that one can be copied and kept. Always NUL-terminated, "" when not given. */
struct sw_kube_status {
    unsigned code;   /* HTTP                                                              */
    char reason[64]; /* "NotFound", "AlreadyExists", "Conflict", "Forbidden", "Invalid",
                             * "Expired", "TooManyRequests", ...                                 */
    char message[SW_KUBE_STATUS_TEXT];
    char details_group[256], details_kind[64], details_name[256], details_uid[64];
    uint64_t retry_after_s; /* details.retryAfterSeconds; 0: none                                */
    bool is_not_performed;  /* 429 and 503 with retryAfterSeconds: the server did not begin       */
};

/* From the body of an answer (n bytes, any text) and its HTTP status. What is no Status object (a
 * proxy's HTML) gives the code, the reason that belongs to it and the beginning of the text, made
 * printable, as message. Never fails. */
void sw_kube_status_parse(const char *text, size_t n, unsigned http, struct sw_kube_status *ret);

/* The same from a tree, e.g. the object of a watch's ERROR event. */
void sw_kube_status_from(const struct sw_json *object, unsigned http, struct sw_kube_status *ret);

/* The error that it is: 401, 403 SW_ERR_DENIED; 404, 410 SW_ERR_NOT_FOUND; 409, 408, 429, 5xx
 * SW_ERR_TRANSIENT (AlreadyExists, too: somebody was faster, look again), 501 and 505, 405, 406, 415
 * SW_ERR_UNSUPPORTED; the rest (400, 413, 422) SW_ERR_USAGE. Message: "404 NotFound: ...". Always
 * returns -1. */
int sw_kube_status_err(const struct sw_kube_status *status, struct sw_err *err);

void sw_kube_status_set_reason(struct sw_kube_status *status, const char *reason);

static inline bool sw_kube_status_is(const struct sw_kube_status *status, const char *reason)
{
    return status && __builtin_strcmp(status->reason, reason) == 0;
}

#endif
