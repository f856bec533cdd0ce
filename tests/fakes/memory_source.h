/* SPDX-License-Identifier: Apache-2.0 */
/* A source that is a piece of memory, as a stream or with ranges. */
#ifndef SW_TESTS_MEMORY_SOURCE_H
#define SW_TESTS_MEMORY_SOURCE_H

#include "common/bytes.h"
#include "transfer/source.h"

/* bytes are borrowed. step: at most so many bytes come at once from a stream; 0: any number.
 * sw_source_close() frees it. */
struct sw_source *memory_source(struct sw_span bytes, bool seekable, size_t step);

#endif
