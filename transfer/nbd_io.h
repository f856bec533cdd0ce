/* SPDX-License-Identifier: Apache-2.0 */
/* One NBD connection with many requests in flight. A transfer of any length is cut into pieces that
 * the server allows; up to `depth` of them are on the wire at once. Waiting ends when the caller
 * cancels or when the server has not moved a byte for the stall time, and then the connection is
 * closed before the call returns: libnbd never touches a buffer that its owner has taken back.
 *
 * Shared by sink_nbd.c and importer/source_nbd.c. Facts of the protocol: the NetworkBlockDevice
 * project's doc/proto.md ("Block size constraints", "Transmission flags", "Error values").
 *
 * Thread rule: a struct sw_nbd_conn belongs to one thread at a time; callers that share one lock it.
 */
#ifndef SW_TRANSFER_NBD_IO_H
#define SW_TRANSFER_NBD_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cancel.h"
#include "common/error.h"

struct nbd_handle;

/* How to reach an export. Strings are borrowed and outlive the connections. */
struct sw_nbd_dial {
    const char *uri;          /* nbd://, nbds://, nbd+unix://, nbds+unix:// */
    const char *where;        /* sw_nbd_redact(uri), for messages */
    const char *tls_dir;      /* ca-cert.pem, client-cert.pem, client-key.pem; NULL: as the URI
                                 says (tls-certificates=DIR), else libnbd's own places and the
                                 system's roots */
    bool insecure;            /* do not check the server's certificate */
    bool block_status;        /* ask for base:allocation */
    int64_t stall_ns;         /* no progress for this long is a dead connection; 0: 60 s */
    struct sw_cancel *cancel; /* may be NULL */
};

/* What the server said during the handshake. */
struct sw_nbd_facts {
    uint64_t size;
    uint32_t min_block, max_block; /* bytes; 1 and 32 MiB when the server does not say */
    bool read_only, multi_conn, zero, fast_zero, flush, block_status;
};

struct sw_nbd_conn {
    struct nbd_handle *h; /* NULL: not connected */
    struct sw_nbd_facts facts;
};

enum sw_nbd_op { SW_NBD_READ, SW_NBD_WRITE, SW_NBD_ZERO };

#define SW_NBD_DEPTH_MAX 16

struct sw_nbd_job {
    enum sw_nbd_op op;
    bool fast;         /* SW_NBD_ZERO: refuse (EOPNOTSUPP) rather than be slow */
    unsigned depth;    /* requests in flight, 1..SW_NBD_DEPTH_MAX */
    uint32_t piece;    /* bytes per request, at most; a multiple of facts.min_block */
    uint8_t *buf;      /* NULL for SW_NBD_ZERO; not written to for SW_NBD_WRITE */
    uint64_t off, len; /* multiples of facts.min_block */
    uint64_t done;     /* out: the first `done` bytes are transferred, also on failure */
};

/* The URI without a password: what may stand in messages and journals. NULL: out of memory. The
 * caller frees it. */
char *sw_nbd_redact(const char *uri);

/* Whether the text starts like an NBD URI. */
bool sw_is_nbd_uri(const char *text);

/* Connect and shake hands. conn->h must be NULL. -1: SW_ERR_USAGE (not an NBD URI),
 * SW_ERR_NOT_FOUND (socket, host or export), SW_ERR_DENIED (certificate, policy),
 * SW_ERR_TRANSIENT (refused, timed out, cut), SW_ERR_CANCELLED. */
SW_MUST_CHECK
int sw_nbd_connect(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d, struct sw_err *err);

/* Do the whole job. -1 with err->sys holding the server's errno when the server refused (the
 * connection stays usable), or with SW_ERR_TRANSIENT and conn->h NULL when the connection is lost,
 * or with SW_ERR_CANCELLED and conn->h NULL. */
SW_MUST_CHECK
int sw_nbd_run(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d, struct sw_nbd_job *job,
               struct sw_err *err);

/* Ask the server to put everything on stable storage. Errors as sw_nbd_run(). */
SW_MUST_CHECK
int sw_nbd_flush(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d, struct sw_err *err);

/* One run of equal state. */
struct sw_nbd_extent {
    uint64_t off, end;
    bool is_zero;
};

/* base:allocation of [off, off + len), as many extents as the server cares to tell and `max` allows,
 * in order, from off on, neighbours merged. *ret_n is at least 1 on success. off and len are
 * multiples of facts.min_block, len at most 2^32 - 1. Errors as sw_nbd_run(). */
struct sw_nbd_status {
    uint64_t off, len;
    struct sw_nbd_extent *extent;
    size_t max, n;
};
SW_MUST_CHECK
int sw_nbd_block_status(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d,
                        struct sw_nbd_status *st, struct sw_err *err);

/* Say good-bye if that does not take time, and close. Idempotent. */
void sw_nbd_disconnect(struct sw_nbd_conn *conn);

#endif
