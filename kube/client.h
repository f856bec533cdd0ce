/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the API server: asynchronous, many at once over one HTTP/2 connection, each answered
 * by exactly one callback on the loop's thread. No rate limit, but at most max_in_flight requests
 * run at once; the others wait in the order in which they came.
 *
 * What is tried again, by itself, with exponential back-off and jitter, until the deadline:
 *   401                            once, with the token read anew; any verb
 *   429, 503 with Retry-After      after that time; GET, LIST, REPLACE, DELETE with a uid, APPLY, and
 *                                  any verb when 429 says that the request was not performed
 *   no connection, nothing sent    any verb
 *   connection cut, 500, 502-504   GET, LIST, APPLY, REPLACE and MERGE_PATCH with a resourceVersion,
 *                                  DELETE with a uid: the ones that do no harm twice
 * All other answers are the caller's. A 409 never is tried again: the caller has to look first.
 *
 * Ownership: requests are copied; answers are borrowed for the time of the callback. */
#ifndef SW_KUBE_CLIENT_H
#define SW_KUBE_CLIENT_H

#include "common/json.h"
#include "kube/config.h"
#include "kube/resource.h"
#include "kube/status.h"
#include "net/http_async.h"

struct sw_kube_client; /* opaque */
struct sw_kube_call;   /* one request under way; opaque */

struct sw_kube_client_options {
    const char *user_agent; /* NULL: SW_USER_AGENT                                          */
    unsigned max_in_flight; /* 0: 64. Over HTTP/1.1 never more than 8, a connection each    */
    size_t max_answer;      /* bytes of one answer; 0: 32 MiB (a page of a list is larger than
                               * an object, which etcd limits to 1.5 MiB)                      */
    int64_t retry_first_ns; /* first back-off; 0: 100 ms (doubles up to 5 s, +-20 %)        */
};

/* loop and config are borrowed. options may be NULL. -1: SW_ERR_INTERNAL, or what reading the
 * config's files gives. */
SW_MUST_CHECK
int sw_kube_client_open(struct sw_loop *loop, struct sw_kube_config *config,
                        const struct sw_kube_client_options *options, struct sw_kube_client **ret,
                        struct sw_err *err);

/* Calls that are not answered are dropped without a callback. Watches are closed before. NULL is
 * fine. */
void sw_kube_client_close(struct sw_kube_client *client);

static inline void sw_cleanup_kube_client(struct sw_kube_client **client)
{
    sw_kube_client_close(*client);
}
#define sw_auto_kube_client __attribute__((cleanup(sw_cleanup_kube_client)))

struct sw_loop *sw_kube_client_loop(const struct sw_kube_client *client);

/* For other requests on the same loop, e.g. sw_http_fetch_start(). */
struct sw_http_pool *sw_kube_client_pool(const struct sw_kube_client *client);

/* The namespace of the context or the pod. */
const char *sw_kube_client_namespace(const struct sw_kube_client *client);

enum sw_kube_verb {
    SW_KUBE_GET,         /* one object, or with `path` any other page                          */
    SW_KUBE_LIST,        /* one page of a collection                                           */
    SW_KUBE_CREATE,      /* POST; where.name only together with a subresource                   */
    SW_KUBE_REPLACE,     /* PUT                                                                */
    SW_KUBE_MERGE_PATCH, /* application/merge-patch+json                                       */
    SW_KUBE_JSON_PATCH,  /* application/json-patch+json                                        */
    SW_KUBE_APPLY,       /* server-side apply; needs field_manager                             */
    SW_KUBE_DELETE,
    SW_KUBE_VERB_COUNT_,
};

/* "get", "list", "create", ... as RBAC calls them. */
const char *sw_kube_verb_name(enum sw_kube_verb verb);

struct sw_kube_answer {
    unsigned status;              /* HTTP; 0: there was no answer                               */
    const struct sw_json *object; /* the parsed body of a 2xx answer; NULL: empty, not JSON, or
                                  * failed. DELETE may give a Status of success, see its "kind" */
    const char *text;             /* the body, NUL-terminated; "" when there is none            */
    size_t n;
    const struct sw_kube_status *failure; /* of a status that is not 2xx; NULL on success and when
                                           * there was no answer                                */
    const struct sw_err *err; /* NULL on success (2xx). Otherwise its kind is the decision (see
                                  * sw_kube_status_err()), and SW_ERR_TRANSIENT without answer.
                                  * The message has verb, path, status, reason and message.     */
    unsigned attempts;        /* how often it was sent                                      */
    int64_t took_ns;          /* from sw_kube_call_start() to now                           */
};

struct sw_kube_request {
    enum sw_kube_verb verb;
    struct sw_kube_where where;
    const char *path;  /* instead of where: "/version"; GET only                                */
    const char *query; /* as sw_kube_query() makes it, with its '?'; NULL: none                  */
    const char *body;  /* JSON, body_n bytes; NULL: none. Not for DELETE                         */
    size_t body_n;

    /* Preconditions; NULL: none. REPLACE, APPLY and MERGE_PATCH: put into metadata of the body; DELETE:
     * into its options. When one does not hold the answer is 409, reason Conflict. The uid of a
     * MERGE_PATCH of a subresource may not be looked at by the server: use the version there. */
    const char *uid;
    const char *resource_version;

    const char *field_manager; /* NULL: none (the server then takes the user agent)              */
    bool is_forced;            /* APPLY: take over fields of other managers                      */
    bool is_dry_run;
    const char *propagation; /* DELETE: "Background", "Foreground", "Orphan"; NULL: the default */
    bool has_grace;          /* DELETE: grace_s is meant                                        */
    uint64_t grace_s;

    int64_t deadline_ns; /* for all attempts together, waiting in the queue included; 0: 30 s    */

    void *ctx;
    void (*on_done)(void *ctx, const struct sw_kube_answer *answer);
};

/* Start (or queue) a request; on_done comes later, never from inside. ret may be NULL. -1: SW_ERR_USAGE
 * (path, or a body that is not a JSON object and should get preconditions), SW_ERR_INTERNAL; on_done is
 * not called then. */
SW_MUST_CHECK
int sw_kube_call_start(struct sw_kube_client *client, const struct sw_kube_request *request,
                       struct sw_kube_call **ret, struct sw_err *err);

/* Forget it: on_done is not called. Whether the server performed it stays unknown. NULL is fine; not
 * for one that was answered. */
void sw_kube_call_cancel(struct sw_kube_call *call);

/* Calls that wait for an answer, and those among them that wait for their turn. */
size_t sw_kube_client_pending(const struct sw_kube_client *client);
size_t sw_kube_client_queued(const struct sw_kube_client *client);

/* --- What it counts --------------------------------------------------------------------------- */

#define SW_KUBE_LATENCY_BUCKETS 14

struct sw_kube_stats {
    /* Answers by verb and class of status; [0]: no answer. Index status / 100. */
    uint64_t answers[SW_KUBE_VERB_COUNT_][6];
    uint64_t conflicts;       /* 409 */
    uint64_t throttled;       /* 429 */
    uint64_t retries;         /* attempts beyond the first */
    uint64_t in_flight;       /* now */
    uint64_t queued;          /* now */
    uint64_t connections_cut; /* requests that ended without an answer */

    /* One attempt, from sent to answered; latency[i] counts those of at most
     * sw_kube_latency_bounds_ns[i], not cumulative; the last bucket has no bound. */
    uint64_t latency[SW_KUBE_LATENCY_BUCKETS];
    uint64_t latency_count;
    int64_t latency_sum_ns;

    /* All watches of this client together. */
    uint64_t lists;          /* complete ones, of all pages        */
    uint64_t relists;        /* those among them after the first   */
    uint64_t watches;        /* streams opened                     */
    uint64_t watch_failures; /* streams and lists that failed     */
    uint64_t watch_events;
    uint64_t bookmarks;
    uint64_t expired; /* 410, either way */
};

/* 1 ms, 2, 5, 10, 20, 50, 100, 200, 500 ms, 1 s, 2, 5, 10 s. */
extern const int64_t sw_kube_latency_bounds_ns[SW_KUBE_LATENCY_BUCKETS - 1];

const struct sw_kube_stats *sw_kube_client_stats(const struct sw_kube_client *client);

#endif
