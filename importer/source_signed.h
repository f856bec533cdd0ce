/* SPDX-License-Identifier: Apache-2.0 */
/* A source whose end is only reached when an OpenPGP signature over all its bytes is good: bytes
 * pass through in order, go to the verifier on the way, and instead of the end of the stream the
 * reader gets the verifier's refusal. As the engine publishes nothing before the end, an image that
 * was not signed never becomes visible.
 *
 * The price: one stream, no ranges, no resuming (the verifier's state cannot be saved). */
#ifndef SW_IMPORTER_SOURCE_SIGNED_H
#define SW_IMPORTER_SOURCE_SIGNED_H

#include "importer/digest_source.h"
#include "transfer/source.h"

/* Takes `inner`, on failure too; borrows plan, which was made and is not finished. *ret is a
 * stream. -1 with SW_ERR_INTERNAL (memory). read() adds SW_ERR_DENIED to the errors of inner. */
SW_MUST_CHECK
int sw_source_open_signed(struct sw_source *inner, struct sw_digest_plan *plan,
                          struct sw_source **ret, struct sw_err *err);

#endif
