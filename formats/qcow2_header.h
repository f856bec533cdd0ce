/* SPDX-License-Identifier: Apache-2.0 */
/* The qcow2 header and the entries of its tables, decoded and checked. Pure: no allocation, no I/O,
 * callable from any thread.
 *
 * Source of every fact: QEMU docs/interop/qcow2 (versions 2 and 3, extended L2 entries). */
#ifndef SW_FORMATS_QCOW2_HEADER_H
#define SW_FORMATS_QCOW2_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"
#include "formats/limits.h"
#include "formats/reader.h"

/* Bytes of the file's start that sw_qcow2_parse_header() looks at: the version 3 header with its
 * compression type, padded to 8. A version 2 image may be shorter as a file only if it is broken. */
#define SW_QCOW2_HEADER_BYTES 112

struct sw_qcow2_header {
    uint32_t version;      /* 2 or 3                                                        */
    uint32_t cluster_bits; /* [9, 21]                                                       */
    uint64_t size;         /* virtual disk, bytes, at most limits->guest_size               */
    uint64_t l1_off;       /* bytes from the start of the file, cluster aligned              */
    uint32_t l1_entries;   /* how many cover the disk; the file holds at least that many      */
    uint64_t backing_off;  /* 0: none                                                         */
    uint32_t backing_len;  /* bytes, at most 1023                                             */
    bool extended_l2;      /* 16-byte entries, 32 subclusters                                */
    enum sw_codec codec;   /* of compressed clusters                                          */
};

static inline uint64_t sw_qcow2_cluster_size(const struct sw_qcow2_header *h)
{
    return UINT64_C(1) << h->cluster_bits;
}

/* Entries of one L2 table, which fills one cluster. */
static inline uint32_t sw_qcow2_l2_entries(const struct sw_qcow2_header *h)
{
    return (uint32_t)(sw_qcow2_cluster_size(h) / (h->extended_l2 ? 16 : 8));
}

/* head: the first SW_QCOW2_HEADER_BYTES bytes, or the whole file if it is shorter.
 * -1 with SW_ERR_BAD_DATA (contradicts the specification) or SW_ERR_UNSUPPORTED (encryption,
 * external data file, corrupt bit, unknown incompatible feature, larger than the limit). A backing
 * file is not refused here: the caller wants to name it. */
SW_MUST_CHECK
int sw_qcow2_parse_header(struct sw_span head, const struct sw_limits *limits,
                          struct sw_qcow2_header *ret, struct sw_err *err);

/* An L1 entry, host byte order, to the file offset of its L2 table: 0 when there is none. -1 with
 * SW_ERR_BAD_DATA (reserved bits, not cluster aligned). */
SW_MUST_CHECK
int sw_qcow2_decode_l1(const struct sw_qcow2_header *h, uint64_t entry, uint64_t *ret_off,
                       struct sw_err *err);

enum sw_qcow2_kind {
    SW_QCOW2_HOLE,       /* unallocated or zero: reads as zero    */
    SW_QCOW2_DATA,       /* file_off holds the whole cluster       */
    SW_QCOW2_COMPRESSED, /* file_off, file_len; up to 511 bytes past the stream */
    SW_QCOW2_PARTIAL,    /* file_off; only the subclusters of `present` */
};

struct sw_qcow2_cluster {
    enum sw_qcow2_kind kind;
    uint64_t file_off;
    uint32_t file_len; /* COMPRESSED only */
    uint32_t
        present; /* PARTIAL only: bit i set: subcluster i has data at file_off + i/32 cluster */
};

/* An L2 entry (and its subcluster bitmap, 0 without extended L2), host byte order. -1 with
 * SW_ERR_BAD_DATA (reserved bits, not aligned, contradictory bitmap). */
SW_MUST_CHECK
int sw_qcow2_decode_l2(const struct sw_qcow2_header *h, uint64_t entry, uint64_t bitmap,
                       struct sw_qcow2_cluster *ret, struct sw_err *err);

#endif
