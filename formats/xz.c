/* SPDX-License-Identifier: Apache-2.0 */
/* One thread, all streams of the file. Streams and the padding between them are walked here rather
 * than by liblzma's LZMA_CONCATENATED, which does not tell when it stands between two of them. */
#include <inttypes.h>
#include <lzma.h>
#include <stdlib.h>

#include "formats/decode_io.h"
#include "formats/xz_blocks.h"

struct sw_decoder {
    lzma_stream strm;
    uint64_t limit;   /* bytes                               */
    uint64_t streams; /* complete ones                       */
    bool in_stream;
    unsigned padding; /* bytes behind the last stream, mod 4 */
};

static int xz_open(const struct sw_limits *limits, struct sw_decoder **ret, struct sw_err *err)
{
    struct sw_decoder *d = calloc(1, sizeof(*d));

    if (!d)
        return sw_err_set(err, SW_ERR_INTERNAL, "xz: out of memory");
    d->strm = (lzma_stream)LZMA_STREAM_INIT;
    d->limit = limits->decoder_memory;
    *ret = d;
    return 0;
}

/* Skip padding; at another byte begin a stream. */
static int between(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    lzma_ret r;

    while (d->streams && io->in.n && io->in.p[0] == 0) {
        sw_io_eat(io, 1);
        d->padding = (d->padding + 1) & 3;
    }
    if (!io->in.n)
        return SW_IO_STOP;
    if (d->padding)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "xz: the padding behind stream %" PRIu64 " is not a multiple of four "
                          "bytes",
                          d->streams);
    /* On the same lzma_stream: memory of the stream before is used again. */
    r = lzma_stream_decoder(&d->strm, sw_max_u64(d->limit, 1), LZMA_TELL_UNSUPPORTED_CHECK);
    if (r != LZMA_OK)
        return sw_xz_error((int)r, "the stream", err);
    d->in_stream = true;
    return SW_IO_GO;
}

static int refuse(const struct sw_decoder *d, lzma_ret r, struct sw_err *err)
{
    char what[40];

    if (r == LZMA_MEMLIMIT_ERROR)
        return sw_xz_memory_error(lzma_memusage(&d->strm), d->limit, err);
    if (r == LZMA_FORMAT_ERROR && d->streams)
        return sw_err_set(err, SW_ERR_BAD_DATA, "xz: garbage behind stream %" PRIu64, d->streams);
    snprintf(what, sizeof(what), "stream %" PRIu64, d->streams + 1);
    return sw_xz_error((int)r, what, err);
}

static int in_stream(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    lzma_ret r;

    d->strm.next_in = io->in.p;
    d->strm.avail_in = io->in.n;
    d->strm.next_out = sw_io_tail(io);
    d->strm.avail_out = sw_io_room(io);
    r = lzma_code(&d->strm, LZMA_RUN);
    sw_io_eat(io, io->in.n - d->strm.avail_in);
    io->out_len = io->out_cap - d->strm.avail_out;

    if (r == LZMA_STREAM_END) {
        d->streams++;
        d->in_stream = false;
        return SW_IO_GO;
    }
    if (r != LZMA_OK && r != LZMA_BUF_ERROR) /* BUF_ERROR: a second call without progress */
        return refuse(d, r, err);
    return SW_IO_STOP;
}

static bool xz_at_boundary(const struct sw_decoder *d)
{
    return !d->in_stream && d->streams && d->padding == 0;
}

static int xz_step(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    int verdict;

    do {
        verdict = d->in_stream ? in_stream(d, io, err) : between(d, io, err);
    } while (verdict == SW_IO_GO && !xz_at_boundary(d));
    return verdict < 0 ? -1 : 0;
}

static int xz_finish(struct sw_decoder *d, struct sw_err *err)
{
    if (xz_at_boundary(d))
        return 0;
    if (d->padding)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "xz: truncated in the padding behind stream %" PRIu64, d->streams);
    return sw_err_set(err, SW_ERR_BAD_DATA, "xz: truncated in stream %" PRIu64, d->streams + 1);
}

static void xz_set_resumed(struct sw_decoder *d)
{
    d->streams++;
}

static void xz_close(struct sw_decoder *d)
{
    if (!d)
        return;
    lzma_end(&d->strm);
    free(d);
}

const struct sw_decoder_ops sw_xz_decoder = {
    .name = "xz",
    .open = xz_open,
    .step = xz_step,
    .finish = xz_finish,
    .at_boundary = xz_at_boundary,
    .set_resumed = xz_set_resumed,
    .close = xz_close,
};
