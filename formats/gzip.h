/* SPDX-License-Identifier: Apache-2.0 */
/* The two implementations behind sw_gzip_decoder, for tests, fuzzing and the benchmark: everybody
 * else uses sw_gzip_decoder, which is the faster one that was built. They accept and refuse the
 * same streams. Source: RFC 1952. */
#ifndef SW_FORMATS_GZIP_H
#define SW_FORMATS_GZIP_H

#include "formats/decoder.h"

/* zlib for deflate, libdeflate for the CRC: always built. */
extern const struct sw_decoder_ops sw_gzip_decoder_portable;

/* ISA-L; NULL when built without it. */
const struct sw_decoder_ops *sw_gzip_decoder_isal(void);

#endif
