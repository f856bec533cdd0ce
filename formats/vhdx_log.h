/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a VHDX: what was written to its tables last, and may not be in them yet. It is replayed in
 * memory: the 4 KiB pages that it writes are laid over the tables as they are read. The image itself
 * is never changed.
 *
 * Source of every fact: Microsoft, [MS-VHDX] v20180912, 2.3 "Log". Pure but for its allocations. */
#ifndef SW_FORMATS_VHDX_LOG_H
#define SW_FORMATS_VHDX_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"

#define SW_VHDX_PAGE 4096u

/* One page of the file as the log writes it. */
struct sw_vhdx_page {
    uint64_t off;         /* in the file, a multiple of SW_VHDX_PAGE */
    uint32_t order;       /* of the write                            */
    const uint8_t *bytes; /* SW_VHDX_PAGE, or NULL: zeroes           */
};

struct sw_vhdx_overlay {
    struct sw_vhdx_page *pages; /* ascending by off, each once */
    size_t n, cap;
    uint8_t *store; /* what the pages point into */
    size_t stored, store_cap;
    uint64_t max_bytes;
};

/* Replay the log, all its bytes, whose entries carry this GUID (16 bytes). *ret is zeroed; its memory
 * is bounded by max_bytes. An empty log is legal. -1 with SW_ERR_BAD_DATA (no valid sequence of
 * entries, an entry that contradicts itself), SW_ERR_UNSUPPORTED (more than max_bytes). */
SW_MUST_CHECK
int sw_vhdx_replay(struct sw_span log, const uint8_t *guid, uint64_t max_bytes,
                   struct sw_vhdx_overlay *ret, struct sw_err *err);

/* Lay what the log writes over [off, off + n), the content of a table. */
void sw_vhdx_overlay_apply(const struct sw_vhdx_overlay *o, uint64_t off, uint8_t *bytes, size_t n);

/* Whether the log writes anything in [off, off + n). */
bool sw_vhdx_overlay_touches(const struct sw_vhdx_overlay *o, uint64_t off, uint64_t n);

void sw_vhdx_overlay_done(struct sw_vhdx_overlay *o);

#endif
