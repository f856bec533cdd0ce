/* SPDX-License-Identifier: Apache-2.0 */
/* One bzip2 stream after the other, as bzip2 -d and pbzip2 concatenate them. The header of each is
 * collected here first: its level says how much memory libbz2 will take. */
#include <bzlib.h>
#include <inttypes.h>
#include <stdlib.h>

#include "formats/decode_io.h"

enum bz_state { BZ_NEXT, BZ_HEADER, BZ_REPLAY, BZ_BODY, BZ_STATE_COUNT_ };

enum { HEADER_SIZE = 4 }; /* "BZh" and the level, '1' to '9' */

struct sw_decoder {
    bz_stream strm;
    bool active;    /* strm is initialised */
    uint64_t limit; /* bytes               */
    enum bz_state state;
    uint64_t streams; /* complete ones       */
    uint8_t head[HEADER_SIZE];
    size_t have; /* bytes in head       */
};

static int bad(const struct sw_decoder *d, const char *what, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_BAD_DATA, "bzip2: stream %" PRIu64 ": %s", d->streams + 1, what);
}

static int go_to(struct sw_decoder *d, enum bz_state state)
{
    d->state = state;
    return SW_IO_GO;
}

/* The figures of bzip2's manual, "Memory management": 100 KB and four bytes per byte of block. */
static uint64_t memory_need(char level)
{
    return 100000 + UINT64_C(400000) * (uint64_t)(level - '0');
}

static int begin_stream(struct sw_decoder *d, struct sw_err *err)
{
    int ret;

    if (d->active)
        BZ2_bzDecompressEnd(&d->strm);
    d->active = false;
    d->strm = (bz_stream){ 0 };
    ret = BZ2_bzDecompressInit(&d->strm, /* verbosity= */ 0, /* small= */ 0);
    if (ret != BZ_OK)
        return sw_err_set(err, SW_ERR_INTERNAL, "bzip2: out of memory");
    d->active = true;
    return 0;
}

/* One call of libbz2 over `in`. */
static int decompress(struct sw_decoder *d, struct sw_span *in, struct sw_decode_io *io,
                      bool *ret_ended, struct sw_err *err)
{
    unsigned in_n = (unsigned)sw_min_u64(in->n, SW_IO_CALL_MAX);
    unsigned out_n = (unsigned)sw_min_u64(sw_io_room(io), SW_IO_CALL_MAX);
    size_t used;
    int ret;

    d->strm.next_in = (char *)in->p;
    d->strm.avail_in = in_n;
    d->strm.next_out = (char *)sw_io_tail(io);
    d->strm.avail_out = out_n;
    ret = BZ2_bzDecompress(&d->strm);

    used = in_n - d->strm.avail_in;
    if (used) {
        in->p += used;
        in->n -= used;
    }
    io->out_len += out_n - d->strm.avail_out;
    *ret_ended = ret == BZ_STREAM_END;
    if (ret == BZ_MEM_ERROR)
        return sw_err_set(err, SW_ERR_INTERNAL, "bzip2: out of memory");
    if (ret != BZ_OK && ret != BZ_STREAM_END)
        return bad(d, "corrupt data or wrong checksum", err);
    return 0;
}

static int on_next(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    return io->in.n ? go_to(d, BZ_HEADER) : SW_IO_STOP;
}

static int on_header(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    char level;

    if (!sw_io_gather(io, d->head, &d->have, HEADER_SIZE))
        return SW_IO_STOP;
    level = (char)d->head[3];
    if (memcmp(d->head, "BZh", 3) != 0 || level < '1' || level > '9')
        return bad(d, d->streams ? "garbage behind the last stream" : "not a bzip2 header", err);
    if (memory_need(level) > d->limit)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "bzip2: decoding needs %" PRIu64 " KiB of memory, more than the %" PRIu64
                          " KiB allowed: raise --memory",
                          (memory_need(level) + 1023) >> 10, d->limit >> 10);
    if (begin_stream(d, err) < 0)
        return -1;
    return go_to(d, BZ_REPLAY);
}

static int on_replay(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    struct sw_span in = { d->head, HEADER_SIZE };
    bool ended = false;

    if (decompress(d, &in, io, &ended, err) < 0)
        return -1;
    return in.n ? bad(d, "corrupt header", err) : go_to(d, BZ_BODY);
}

static int on_body(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    bool ended = false;

    if (!sw_io_room(io))
        return SW_IO_STOP;
    if (decompress(d, &io->in, io, &ended, err) < 0)
        return -1;
    if (!ended)
        return io->in.n && sw_io_room(io) ? SW_IO_GO : SW_IO_STOP;
    d->streams++;
    return go_to(d, BZ_NEXT);
}

static int (*const states[BZ_STATE_COUNT_])(struct sw_decoder *d, struct sw_decode_io *io,
                                            struct sw_err *err) = {
    [BZ_NEXT] = on_next,
    [BZ_HEADER] = on_header,
    [BZ_REPLAY] = on_replay,
    [BZ_BODY] = on_body,
};

static int bz_open(const struct sw_limits *limits, struct sw_decoder **ret, struct sw_err *err)
{
    struct sw_decoder *d = calloc(1, sizeof(*d));

    if (!d)
        return sw_err_set(err, SW_ERR_INTERNAL, "bzip2: out of memory");
    d->limit = limits->decoder_memory;
    *ret = d;
    return 0;
}

static bool bz_at_boundary(const struct sw_decoder *d)
{
    return d->state == BZ_NEXT && d->streams;
}

static int bz_step(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    int verdict;

    do {
        verdict = states[d->state](d, io, err);
    } while (verdict == SW_IO_GO && !bz_at_boundary(d));
    return verdict < 0 ? -1 : 0;
}

static int bz_finish(struct sw_decoder *d, struct sw_err *err)
{
    if (bz_at_boundary(d))
        return 0;
    return sw_err_set(err, SW_ERR_BAD_DATA, "bzip2: truncated in stream %" PRIu64, d->streams + 1);
}

static void bz_set_resumed(struct sw_decoder *d)
{
    d->streams++;
}

static void bz_close(struct sw_decoder *d)
{
    if (!d)
        return;
    if (d->active)
        BZ2_bzDecompressEnd(&d->strm);
    free(d);
}

const struct sw_decoder_ops sw_bzip2_decoder = {
    .name = "bzip2",
    .open = bz_open,
    .step = bz_step,
    .finish = bz_finish,
    .at_boundary = bz_at_boundary,
    .set_resumed = bz_set_resumed,
    .close = bz_close,
};
