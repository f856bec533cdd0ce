/* SPDX-License-Identifier: Apache-2.0 */
/* What a Lease object says, and what follows from that: the pure part of kube/lease.h. */
#ifndef SW_KUBE_LEASE_RECORD_H
#define SW_KUBE_LEASE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/json.h"

#define SW_LEASE_TEXT 256

/* The record as it was seen last. Zeroed: none was seen. Texts that are longer are cut. */
struct sw_lease_record {
    char holder[SW_LEASE_TEXT]; /* "": nobody */
    char renewed[64];           /* renewTime as the holder wrote it */
    char acquired[64];
    char resource_version[64];
    uint64_t duration_s; /* 0: not given */
    uint64_t transitions;
    int64_t changed_ns; /* when this process first saw it like this */
    bool is_seen;
};

enum sw_lease_step {
    SW_LEASE_CREATE, /* there is none                                          */
    SW_LEASE_TAKE,   /* nobody holds it, or the holder has not renewed in time */
    SW_LEASE_RENEW,  /* it is ours                                             */
    SW_LEASE_WAIT,   /* somebody else leads                                    */
};

/* Take in the object as it is now (NULL: there is none) and decide. now_ns is monotonic. The
 * holder's own duration counts, default_s where it gives none. */
enum sw_lease_step sw_lease_look(struct sw_lease_record *r, const struct sw_json *lease,
                                 const char *identity, uint64_t default_s, int64_t now_ns);

/* The Lease object that makes `holder` hold it from wall_ns (since 1970) on, in place of the record
 * r; holder "" gives it back. */
struct sw_lease_claim {
    const char *ns, *name, *holder;
    uint64_t duration_s;
    int64_t wall_ns;
};

void sw_lease_write(struct sw_buf *out, const struct sw_lease_record *r,
                    const struct sw_lease_claim *claim);

#endif
