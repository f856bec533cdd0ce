/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as values. A fallible function returns -1 and fills the struct sw_err its caller passed as
 * the last argument; on success it leaves it alone. The struct lives on the caller's stack: nothing
 * is allocated on the failure path and nothing has to be freed.
 *
 * A kind is a decision, not a cause: it alone drives retries, the exit code, the termination
 * message of a pod and the reason of a condition.
 *
 * Messages read from the outermost context to the root: "import 'https://...': qcow2: L1 table ...".
 * No secret may enter a message: pass URLs through sw_url_redact() first.
 *
 * Thread rule: a struct sw_err belongs to one thread at a time. */
#ifndef SW_COMMON_ERROR_H
#define SW_COMMON_ERROR_H

#include "common/macros.h"

enum sw_err_kind {
    SW_ERR_NONE,        /* no error: what a zeroed struct says                                  */
    SW_ERR_INTERNAL,    /* our own fault or a resource of the machine (memory, threads)         */
    SW_ERR_USAGE,       /* the request itself is wrong: option, manifest, environment           */
    SW_ERR_TRANSIENT,   /* may work later, unchanged: network, server overload                  */
    SW_ERR_DENIED,      /* credentials, permissions, certificates                               */
    SW_ERR_NOT_FOUND,   /* the named thing is not there                                         */
    SW_ERR_BAD_DATA,    /* bytes that contradict their format or their digest                   */
    SW_ERR_UNSUPPORTED, /* legal, but not something we do                                       */
    SW_ERR_NO_SPACE,    /* the target cannot hold it                                            */
    SW_ERR_CANCELLED,   /* someone asked us to stop                                             */
    SW_ERR_KIND_COUNT_,
};

struct sw_err {
    enum sw_err_kind kind;
    int sys; /* errno behind it, or 0 */
    char msg[512];
};

/* Set kind and message; an earlier content is overwritten. Always returns -1, so that
 * `return sw_err_set(...)` reads well. */
int sw_err_set(struct sw_err *err, enum sw_err_kind kind, const char *fmt, ...) SW_PRINTF(3, 4);

/* Set from an errno value: the message gets ": <strerror> " appended, the kind follows from the
 * number (ENOENT not found, EACCES denied, ENOSPC/EDQUOT/EFBIG no space, ECANCELED cancelled, ...; every other
 * one is SW_ERR_INTERNAL). Always returns -1. */
int sw_err_sys(struct sw_err *err, int sys, const char *fmt, ...) SW_PRINTF(3, 4);

/* Put "<context>: " in front of the message. When the 512 bytes run out the context is cut, never
 * the root. Always returns -1. */
int sw_err_wrap(struct sw_err *err, const char *fmt, ...) SW_PRINTF(2, 3);

/* The analyzer sees one file at a time: tell it that these never return anything else. */
#ifdef __clang_analyzer__
#define sw_err_set(...)                                                                            \
    __extension__({                                                                                \
        (void)(sw_err_set)(__VA_ARGS__);                                                           \
        -1;                                                                                        \
    })
#define sw_err_sys(...)                                                                            \
    __extension__({                                                                                \
        (void)(sw_err_sys)(__VA_ARGS__);                                                           \
        -1;                                                                                        \
    })
#define sw_err_wrap(...)                                                                           \
    __extension__({                                                                                \
        (void)(sw_err_wrap)(__VA_ARGS__);                                                          \
        -1;                                                                                        \
    })
#endif

/* The stable lower-case name of a kind ("bad_data"), used in JSON output and logs. Never NULL. */
const char *sw_err_kind_name(enum sw_err_kind kind);

/* The process exit code of a kind (0 for SW_ERR_NONE), as listed in the man pages. */
int sw_err_exit_code(enum sw_err_kind kind);

/* Whether the same request may succeed when it is simply tried again. */
int sw_err_is_transient(const struct sw_err *err);

#endif
