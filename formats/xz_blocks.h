/* SPDX-License-Identifier: Apache-2.0 */
/* What a block-parallel xz decoder is made of. An .xz stream is
 *
 *     stream header (12) | block | block | ... | index | footer (12) | padding (4 n)
 *
 * and each block is `header | compressed data | padding to 4 | check`. `xz -T` and pixz write the
 * compressed size into the block header: then the next block can be found without decoding this
 * one, and several are decoded at once. Threads and buffers are the caller's:
 *
 *     sw_xz_stream_header(12 bytes at pos, &stream, err);             pos += SW_XZ_HEADER_SIZE;
 *     sw_xz_tail_open(&stream, &tail, err);
 *     for (;;) {
 *         sw_xz_look(&stream, bytes at pos, &look, err);
 *         if (look.what == SW_XZ_MORE)  { get look.need bytes at pos; continue; }
 *         if (look.what == SW_XZ_INDEX) break;
 *         if (!look.total_size)         { no sizes: use sw_xz_decoder for this file }
 *         give [pos, pos + look.total_size) to a worker;              pos += look.total_size;
 *         sw_xz_tail_append(tail, look.unpadded_size, look.uncompressed_size, err);
 *     }
 *     while (state is not SW_XZ_TAIL_NEXT and there is input)
 *         sw_xz_tail_feed(tail, &bytes at pos, &state, err);          advances the span
 *     SW_XZ_TAIL_NEXT: begin again with a stream header; end of input: sw_xz_tail_finish(tail, err)
 *
 *     worker:  sw_xz_block_start(d, &stream, the whole block, &header_size, err);
 *              sw_xz_block_step(d, &io, &ended, err) from header_size on until ended
 *
 * A block decoder holds the block to the sizes of its header, so what was appended from a look is
 * proven once the block has been decoded. A caller that resumes appends the pairs of the blocks it
 * need not decode again, in order.
 *
 * A block without sizes works too: start it on its header bytes, step it, and append what
 * sw_xz_block_sizes() says.
 *
 * Pure; every object belongs to one thread at a time. Error messages begin with "xz: ".
 * Source: The .xz File Format 1.2.0. Fuzzed by tests/fuzz/fuzz-xz_blocks.c. */
#ifndef SW_FORMATS_XZ_BLOCKS_H
#define SW_FORMATS_XZ_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"
#include "formats/decoder.h"
#include "formats/limits.h"

#define SW_XZ_HEADER_SIZE 12
#define SW_XZ_BLOCK_HEADER_MAX 1024

struct sw_xz_stream {
    unsigned check; /* Check ID of its blocks: 0 none, 1 CRC32, 4 CRC64, 10 SHA-256 */
};

/* Parse a stream header; head holds SW_XZ_HEADER_SIZE bytes or more. -1 with SW_ERR_BAD_DATA (not
 * one, checksum wrong, fewer bytes) or SW_ERR_UNSUPPORTED (flags or check that liblzma does not
 * know). */
SW_MUST_CHECK
int sw_xz_stream_header(struct sw_span head, struct sw_xz_stream *ret, struct sw_err *err);

enum sw_xz_what {
    SW_XZ_MORE,  /* look again with `need` bytes          */
    SW_XZ_BLOCK, /* a block header, parsed below          */
    SW_XZ_INDEX, /* the index begins here: no block follows */
};

struct sw_xz_look {
    enum sw_xz_what what;
    size_t need;                /* SW_XZ_MORE: at most SW_XZ_BLOCK_HEADER_MAX                  */
    uint32_t header_size;       /* bytes                                                       */
    bool has_uncompressed_size; /* the header says it                                          */
    uint64_t uncompressed_size; /* bytes; 0 when the header does not say                       */
    uint64_t unpadded_size;     /* header, data and check as the index counts them; 0: not said */
    uint64_t total_size;        /* unpadded_size rounded up to 4: to the next block; 0: not said */
    uint64_t memory;            /* bytes that decoding this block takes                        */
};

/* What stands at the place where a block may begin. `at` holds the bytes from there on, 0 or more.
 * -1 with SW_ERR_BAD_DATA (header corrupt) or SW_ERR_UNSUPPORTED (filter unknown). */
SW_MUST_CHECK
int sw_xz_look(const struct sw_xz_stream *stream, struct sw_span at, struct sw_xz_look *ret,
               struct sw_err *err);

/* --- decoding one block -------------------------------------------------------------------------- */

struct sw_xz_block_decoder;

/* One per worker. Small until the first start. -1 with SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_xz_block_open(const struct sw_limits *limits, struct sw_xz_block_decoder **ret,
                     struct sw_err *err);

/* Begin a block, whatever state the decoder is in; the dictionary of the block before is used again
 * when it has the right size. `head` holds the whole block header (more may follow it) and
 * *ret_header_size says how much of it that was: step() takes the bytes from there on.
 * -1 with SW_ERR_BAD_DATA, SW_ERR_UNSUPPORTED (filter unknown; the memory it needs is more than
 * limits->decoder_memory, with both numbers) or SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_xz_block_start(struct sw_xz_block_decoder *d, const struct sw_xz_stream *stream,
                      struct sw_span head, size_t *ret_header_size, struct sw_err *err);

/* As step() of struct sw_decoder_ops, but it stops at the end of the block (its padding and check
 * consumed, check and sizes verified) and then sets *ret_ended. Must not be called after that.
 * -1 with SW_ERR_BAD_DATA or SW_ERR_INTERNAL. A block that is cut is seen by the caller: the input
 * is used up and it has not ended. */
SW_MUST_CHECK
int sw_xz_block_step(struct sw_xz_block_decoder *d, struct sw_decode_io *io, bool *ret_ended,
                     struct sw_err *err);

/* After the end: the pair that the index has for this block. */
void sw_xz_block_sizes(const struct sw_xz_block_decoder *d, uint64_t *ret_unpadded,
                       uint64_t *ret_uncompressed);

void sw_xz_block_close(struct sw_xz_block_decoder *d); /* accepts NULL */

/* --- the end of a stream: index, footer, padding ------------------------------------------------- */

struct sw_xz_tail;

enum sw_xz_tail_state {
    SW_XZ_TAIL_INDEX,   /* inside the index                                                 */
    SW_XZ_TAIL_FOOTER,  /* inside the footer                                                */
    SW_XZ_TAIL_PADDING, /* the stream is verified; padding may come, or the end of the file */
    SW_XZ_TAIL_NEXT,    /* another stream header begins at the next byte                    */
};

/* A few hundred bytes, however many blocks there are. -1 with SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_xz_tail_open(const struct sw_xz_stream *stream, struct sw_xz_tail **ret, struct sw_err *err);

/* Start over for the next stream of the file. */
SW_MUST_CHECK
int sw_xz_tail_reset(struct sw_xz_tail *t, const struct sw_xz_stream *stream, struct sw_err *err);

/* One block of the stream, in order; not after the first feed. Sizes in bytes.
 * -1 with SW_ERR_BAD_DATA when they cannot be (the stream would grow past 2^63). */
SW_MUST_CHECK
int sw_xz_tail_append(struct sw_xz_tail *t, uint64_t unpadded_size, uint64_t uncompressed_size,
                      struct sw_err *err);

/* Take bytes from where sw_xz_look() said SW_XZ_INDEX, in pieces of any size; in->p and in->n
 * advance over what was used, which is all of it except in state SW_XZ_TAIL_NEXT.
 * -1 with SW_ERR_BAD_DATA: the index does not list the blocks appended, or the footer does not fit,
 * or padding is not a multiple of four bytes. */
SW_MUST_CHECK
int sw_xz_tail_feed(struct sw_xz_tail *t, struct sw_span *in, enum sw_xz_tail_state *ret_state,
                    struct sw_err *err);

/* The file has ended: 0 when the stream was complete, else -1 with SW_ERR_BAD_DATA. */
SW_MUST_CHECK
int sw_xz_tail_finish(const struct sw_xz_tail *t, struct sw_err *err);

void sw_xz_tail_close(struct sw_xz_tail *t); /* accepts NULL */

/* Shared with formats/xz.c: turn an lzma_ret other than OK and STREAM_END into an error. `what` says
 * which part of the file it was. Returns -1. */
int sw_xz_error(int lzma_ret, const char *what, struct sw_err *err);

/* "needs ... of memory, more than ..., raise --memory". Returns -1. */
int sw_xz_memory_error(uint64_t need, uint64_t limit, struct sw_err *err);

#endif
