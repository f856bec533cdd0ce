/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/xz_blocks.h"

#include <inttypes.h>
#include <lzma.h>
#include <stdlib.h>

#include "formats/decode_io.h"

int sw_xz_error(int lzma_ret, const char *what, struct sw_err *err)
{
    switch (lzma_ret) {
    case LZMA_MEM_ERROR:
        return sw_err_set(err, SW_ERR_INTERNAL, "xz: out of memory");
    case LZMA_OPTIONS_ERROR:
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "xz: %s uses a filter or option that liblzma %s does not know", what,
                          lzma_version_string());
    case LZMA_UNSUPPORTED_CHECK:
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "xz: %s uses an integrity check that liblzma %s cannot verify", what,
                          lzma_version_string());
    case LZMA_FORMAT_ERROR:
        return sw_err_set(err, SW_ERR_BAD_DATA, "xz: %s: not an xz stream header", what);
    case LZMA_DATA_ERROR:
        return sw_err_set(err, SW_ERR_BAD_DATA, "xz: %s is corrupt", what);
    default:
        return sw_err_set(err, SW_ERR_INTERNAL, "xz: %s: liblzma error %d", what, lzma_ret);
    }
}

int sw_xz_memory_error(uint64_t need, uint64_t limit, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_UNSUPPORTED,
                      "xz: decoding needs %" PRIu64 " KiB of memory, more than the %" PRIu64
                      " KiB allowed: raise --memory",
                      (need + 1023) >> 10, limit >> 10);
}

int sw_xz_stream_header(struct sw_span head, struct sw_xz_stream *ret, struct sw_err *err)
{
    lzma_stream_flags flags;
    lzma_ret r;

    if (head.n < SW_XZ_HEADER_SIZE)
        return sw_err_set(err, SW_ERR_BAD_DATA, "xz: truncated in a stream header");
    r = lzma_stream_header_decode(&flags, head.p);
    if (r != LZMA_OK)
        return sw_xz_error((int)r, "the stream header", err);
    if (!lzma_check_is_supported(flags.check))
        return sw_xz_error(LZMA_UNSUPPORTED_CHECK, "the stream", err);
    ret->check = (unsigned)flags.check;
    return 0;
}

/* Decode the block header in `head`, all of which is there. filters[] is the caller's to free with
 * lzma_filters_free() on success. */
static int decode_header(const struct sw_xz_stream *stream, struct sw_span head, lzma_block *ret,
                         lzma_filter *filters, struct sw_err *err)
{
    lzma_ret r;

    *ret = (lzma_block){
        .version = 1,
        .header_size = lzma_block_header_size_decode(head.p[0]),
        .check = (lzma_check)stream->check,
        .filters = filters,
    };
    r = lzma_block_header_decode(ret, NULL, head.p);
    return r == LZMA_OK ? 0 : sw_xz_error((int)r, "a block header", err);
}

int sw_xz_look(const struct sw_xz_stream *stream, struct sw_span at, struct sw_xz_look *ret,
               struct sw_err *err)
{
    lzma_filter filters[LZMA_FILTERS_MAX + 1];
    lzma_block block;

    *ret = (struct sw_xz_look){ .what = SW_XZ_MORE, .need = 1 };
    if (!at.n)
        return 0;
    if (at.p[0] == 0) {
        ret->what = SW_XZ_INDEX;
        return 0;
    }
    ret->need = lzma_block_header_size_decode(at.p[0]);
    if (at.n < ret->need)
        return 0;

    if (decode_header(stream, at, &block, filters, err) < 0)
        return -1;
    ret->what = SW_XZ_BLOCK;
    ret->header_size = block.header_size;
    ret->memory = lzma_raw_decoder_memusage(filters);
    lzma_filters_free(filters, NULL);
    ret->has_uncompressed_size = block.uncompressed_size != LZMA_VLI_UNKNOWN;
    if (ret->has_uncompressed_size)
        ret->uncompressed_size = block.uncompressed_size;
    if (block.compressed_size != LZMA_VLI_UNKNOWN) {
        ret->unpadded_size = lzma_block_unpadded_size(&block);
        ret->total_size = lzma_block_total_size(&block);
    }
    return 0;
}

/* --- decoding one block -------------------------------------------------------------------------- */

struct sw_xz_block_decoder {
    lzma_stream strm;
    lzma_block block; /* liblzma writes the sizes here at the end */
    uint64_t limit;   /* bytes                                    */
};

int sw_xz_block_open(const struct sw_limits *limits, struct sw_xz_block_decoder **ret,
                     struct sw_err *err)
{
    struct sw_xz_block_decoder *d = calloc(1, sizeof(*d));

    if (!d)
        return sw_err_set(err, SW_ERR_INTERNAL, "xz: out of memory");
    d->strm = (lzma_stream)LZMA_STREAM_INIT;
    d->limit = limits->decoder_memory;
    *ret = d;
    return 0;
}

/* liblzma copies what it needs of the filters; they are freed here. Only the sizes of d->block are
 * used later. */
static int start_decoder(struct sw_xz_block_decoder *d, lzma_filter *filters, struct sw_err *err)
{
    uint64_t need = lzma_raw_decoder_memusage(filters);
    lzma_ret r = LZMA_OK;

    if (need <= d->limit)
        r = lzma_block_decoder(&d->strm, &d->block);
    lzma_filters_free(filters, NULL);
    d->block.filters = NULL;
    if (need == UINT64_MAX)
        return sw_xz_error(LZMA_OPTIONS_ERROR, "a block", err);
    if (need > d->limit)
        return sw_xz_memory_error(need, d->limit, err);
    return r == LZMA_OK ? 0 : sw_xz_error((int)r, "a block", err);
}

int sw_xz_block_start(struct sw_xz_block_decoder *d, const struct sw_xz_stream *stream,
                      struct sw_span head, size_t *ret_header_size, struct sw_err *err)
{
    lzma_filter filters[LZMA_FILTERS_MAX + 1];

    if (!head.n || head.p[0] == 0 || head.n < lzma_block_header_size_decode(head.p[0]))
        return sw_err_set(err, SW_ERR_BAD_DATA, "xz: truncated in a block header");
    if (decode_header(stream, head, &d->block, filters, err) < 0)
        return -1;
    if (start_decoder(d, filters, err) < 0)
        return -1;
    *ret_header_size = d->block.header_size;
    return 0;
}

int sw_xz_block_step(struct sw_xz_block_decoder *d, struct sw_decode_io *io, bool *ret_ended,
                     struct sw_err *err)
{
    lzma_ret r;

    *ret_ended = false;
    d->strm.next_in = io->in.p;
    d->strm.avail_in = io->in.n;
    d->strm.next_out = sw_io_tail(io);
    d->strm.avail_out = sw_io_room(io);
    r = lzma_code(&d->strm, LZMA_RUN);
    sw_io_eat(io, io->in.n - d->strm.avail_in);
    io->out_len = io->out_cap - d->strm.avail_out;

    if (r == LZMA_STREAM_END)
        *ret_ended = true;
    else if (r != LZMA_OK && r != LZMA_BUF_ERROR) /* BUF_ERROR: a second call without progress */
        return sw_xz_error((int)r, "a block", err);
    return 0;
}

void sw_xz_block_sizes(const struct sw_xz_block_decoder *d, uint64_t *ret_unpadded,
                       uint64_t *ret_uncompressed)
{
    *ret_unpadded = lzma_block_unpadded_size(&d->block);
    *ret_uncompressed = d->block.uncompressed_size;
}

void sw_xz_block_close(struct sw_xz_block_decoder *d)
{
    if (!d)
        return;
    lzma_end(&d->strm);
    free(d);
}

/* --- the end of a stream ------------------------------------------------------------------------- */

struct sw_xz_tail {
    struct sw_xz_stream stream;
    lzma_index_hash *hash; /* constant size: it keeps sums and a SHA-256, not the records */
    enum sw_xz_tail_state state;
    uint8_t footer[LZMA_STREAM_HEADER_SIZE];
    size_t have;      /* bytes in footer                      */
    unsigned padding; /* bytes of stream padding, modulo four */
};

int sw_xz_tail_open(const struct sw_xz_stream *stream, struct sw_xz_tail **ret, struct sw_err *err)
{
    struct sw_xz_tail *t = calloc(1, sizeof(*t));

    if (!t)
        return sw_err_set(err, SW_ERR_INTERNAL, "xz: out of memory");
    if (sw_xz_tail_reset(t, stream, err) < 0) {
        sw_xz_tail_close(t);
        return -1;
    }
    *ret = t;
    return 0;
}

int sw_xz_tail_reset(struct sw_xz_tail *t, const struct sw_xz_stream *stream, struct sw_err *err)
{
    lzma_index_hash *hash = lzma_index_hash_init(t->hash, NULL);

    if (!hash)
        return sw_err_set(err, SW_ERR_INTERNAL, "xz: out of memory");
    *t = (struct sw_xz_tail){ .stream = *stream, .hash = hash, .state = SW_XZ_TAIL_INDEX };
    return 0;
}

int sw_xz_tail_append(struct sw_xz_tail *t, uint64_t unpadded_size, uint64_t uncompressed_size,
                      struct sw_err *err)
{
    lzma_ret r = lzma_index_hash_append(t->hash, unpadded_size, uncompressed_size);

    if (r == LZMA_OK)
        return 0;
    return sw_err_set(err, SW_ERR_BAD_DATA,
                      "xz: a block of %" PRIu64 " bytes for %" PRIu64 " does not fit its stream",
                      unpadded_size, uncompressed_size);
}

static int feed_index(struct sw_xz_tail *t, struct sw_span *in, struct sw_err *err)
{
    size_t pos = 0;
    lzma_ret r = lzma_index_hash_decode(t->hash, in->p, &pos, in->n);

    in->p += pos;
    in->n -= pos;
    if (r == LZMA_STREAM_END)
        t->state = SW_XZ_TAIL_FOOTER;
    else if (r == LZMA_DATA_ERROR)
        return sw_err_set(err, SW_ERR_BAD_DATA, "xz: the index does not match the blocks");
    else if (r != LZMA_OK)
        return sw_xz_error((int)r, "the index", err);
    return 0;
}

static int check_footer(const struct sw_xz_tail *t, struct sw_err *err)
{
    lzma_stream_flags flags;
    lzma_ret r = lzma_stream_footer_decode(&flags, t->footer);

    if (r == LZMA_OPTIONS_ERROR)
        return sw_xz_error((int)r, "the stream footer", err);
    if (r != LZMA_OK || (unsigned)flags.check != t->stream.check ||
        flags.backward_size != lzma_index_hash_size(t->hash))
        return sw_err_set(err, SW_ERR_BAD_DATA, "xz: the stream footer is corrupt");
    return 0;
}

static int feed_footer(struct sw_xz_tail *t, struct sw_span *in, struct sw_err *err)
{
    size_t n = (size_t)sw_min_u64(in->n, sizeof(t->footer) - t->have);

    memcpy(t->footer + t->have, in->p, n);
    t->have += n;
    in->p += n;
    in->n -= n;
    if (t->have < sizeof(t->footer))
        return 0;
    if (check_footer(t, err) < 0)
        return -1;
    t->state = SW_XZ_TAIL_PADDING;
    return 0;
}

static int feed_padding(struct sw_xz_tail *t, struct sw_span *in, struct sw_err *err)
{
    while (in->n && in->p[0] == 0) {
        in->p++;
        in->n--;
        t->padding = (t->padding + 1) & 3;
    }
    if (!in->n)
        return 0;
    if (t->padding)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "xz: the padding behind a stream is not a multiple of four bytes");
    t->state = SW_XZ_TAIL_NEXT;
    return 0;
}

int sw_xz_tail_feed(struct sw_xz_tail *t, struct sw_span *in, enum sw_xz_tail_state *ret_state,
                    struct sw_err *err)
{
    static int (*const feeds[])(struct sw_xz_tail * t, struct sw_span * in, struct sw_err * err) = {
        [SW_XZ_TAIL_INDEX] = feed_index,
        [SW_XZ_TAIL_FOOTER] = feed_footer,
        [SW_XZ_TAIL_PADDING] = feed_padding,
    };

    while (in->n && t->state != SW_XZ_TAIL_NEXT) {
        if (feeds[t->state](t, in, err) < 0)
            return -1;
    }
    *ret_state = t->state;
    return 0;
}

int sw_xz_tail_finish(const struct sw_xz_tail *t, struct sw_err *err)
{
    if (t->state == SW_XZ_TAIL_PADDING && t->padding == 0)
        return 0;
    return sw_err_set(err, SW_ERR_BAD_DATA, "xz: truncated behind the last block");
}

void sw_xz_tail_close(struct sw_xz_tail *t)
{
    if (!t)
        return;
    lzma_index_hash_end(t->hash, NULL);
    free(t);
}
