/* SPDX-License-Identifier: Apache-2.0 */
/* Take up an .xz stream in its middle: what its own index says of the blocks before a border.
 * Pure. Source: The .xz File Format 1.2.0, section 4 (Index) and 2.1.2 (Stream Footer). */
#ifndef SW_FORMATS_XZ_INDEX_H
#define SW_FORMATS_XZ_INDEX_H

#include "formats/xz_blocks.h"

#define SW_XZ_FOOTER_SIZE 12
#define SW_XZ_INDEX_MAX (8u << 20) /* bytes: about a million blocks */

/* How many bytes before this 12-byte footer the index takes; 0 when it is not a footer, or the index
 * is larger than SW_XZ_INDEX_MAX. */
size_t sw_xz_index_size(const uint8_t footer[SW_XZ_FOOTER_SIZE]);

/* Append to a fresh tail every block that lies before the border at in_off of the file (bytes, with
 * the stream header) and out_off of the content. Returns 1, 0 when the index has no border there,
 * -1 with SW_ERR_BAD_DATA (corrupt index) or SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_xz_index_prefix(struct sw_span index, uint64_t in_off, uint64_t out_off,
                       struct sw_xz_tail *tail, struct sw_err *err);

#endif
