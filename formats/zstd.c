/* SPDX-License-Identifier: Apache-2.0 */
/* DESIGN: frame headers are read here first, for two reasons: the memory a frame will take must be
 * known, and named, before libzstd takes it; and libzstd's own reader would skip skippable frames
 * and legacy formats silently. The bytes of the header are then handed on to libzstd.
 *
 *   NEXT -> MAGIC -> HEADER -> REPLAY -> BODY -> NEXT
 *           MAGIC -> SKIP_SIZE -> SKIP -> NEXT
 *
 * Source: RFC 8878 section 3.1. */
#include <inttypes.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "formats/decode_io.h"

enum zs_state {
    ZS_NEXT,
    ZS_MAGIC,
    ZS_HEADER,
    ZS_REPLAY,
    ZS_BODY,
    ZS_SKIP_SIZE,
    ZS_SKIP,
    ZS_STATE_COUNT_,
};

enum { MAGIC_SIZE = 4, HEADER_MAX = 18 };
#define MAGIC_FRAME 0xfd2fb528u
#define MAGIC_SKIPPABLE 0x184d2a50u /* the lowest four bits are free */

struct sw_decoder {
    ZSTD_DCtx *ctx;
    uint64_t limit; /* bytes                        */
    uint64_t base;  /* bytes of ctx without buffers */
    enum zs_state state;
    uint64_t frames;          /* complete ones, skippable included            */
    uint8_t head[HEADER_MAX]; /* magic and frame header of this frame         */
    size_t have;              /* bytes in head (or in the skippable's size)   */
    size_t replayed;          /* bytes of head that libzstd has seen          */
    uint64_t skip;            /* bytes of a skippable frame still to come     */
    bool holds_back;          /* the output was full: there may be more in it */
};

static int bad(const struct sw_decoder *d, const char *what, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_BAD_DATA, "zstd: frame %" PRIu64 ": %s", d->frames + 1, what);
}

static int go_to(struct sw_decoder *d, enum zs_state state)
{
    d->state = state;
    return SW_IO_GO;
}

/* --- the frame header ------------------------------------------------------------------------- */

struct frame_header {
    size_t size;           /* bytes, magic included                                    */
    uint64_t window;       /* bytes                                                    */
    uint64_t content_size; /* bytes; UINT64_MAX: not said                              */
    uint32_t dict_id;      /* 0: none                                                  */
};

/* Little-endian, n of 0, 1, 2, 4 or 8 bytes. */
static uint64_t load_le(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 8 | p[n];
    return v;
}

/* head holds magic and descriptor, and the rest of the header when size says it is there. */
static size_t header_size(const uint8_t *head)
{
    static const uint8_t dict_bytes[4] = { 0, 1, 2, 4 };
    static const uint8_t size_bytes[4] = { 0, 2, 4, 8 };
    uint8_t fhd = head[MAGIC_SIZE];
    bool single = fhd & 0x20;

    return MAGIC_SIZE + 1u + (single ? 0 : 1) + dict_bytes[fhd & 3] +
           (single && !(fhd >> 6) ? 1u : size_bytes[fhd >> 6]);
}

static struct frame_header parse_header(const uint8_t *head)
{
    static const uint8_t dict_bytes[4] = { 0, 1, 2, 4 };
    struct frame_header h = { .size = header_size(head), .content_size = UINT64_MAX };
    uint8_t fhd = head[MAGIC_SIZE];
    const uint8_t *p = head + MAGIC_SIZE + 1;
    size_t content_bytes;

    if (!(fhd & 0x20)) {
        uint64_t base = UINT64_C(1) << (10 + (*p >> 3));

        h.window = base + base / 8 * (*p & 7);
        p++;
    }
    h.dict_id = (uint32_t)load_le(p, dict_bytes[fhd & 3]);
    p += dict_bytes[fhd & 3];
    content_bytes = (size_t)(head + h.size - p);
    if (content_bytes)
        h.content_size = load_le(p, content_bytes) + (content_bytes == 2 ? 256 : 0);
    if (fhd & 0x20)
        h.window = h.content_size;
    return h;
}

/* What libzstd allocates for a frame: its context (base bytes), an input block, and the window (or the content
 * when that is smaller) with one block behind it, or two since 1.5.6: two are counted. */
static uint64_t memory_need(const struct frame_header *h, uint64_t base)
{
    uint64_t block = sw_min_u64(h->window, 128 * SW_KIB);
    uint64_t out;

    if (sw_add_overflows(h->window, 2 * block + 64, &out))
        out = UINT64_MAX;
    out = sw_min_u64(out, h->content_size);
    if (sw_add_overflows(out, block + base, &out))
        out = UINT64_MAX;
    return out;
}

static int check_header(const struct sw_decoder *d, struct sw_err *err)
{
    struct frame_header h;
    uint64_t need;

    if (d->head[MAGIC_SIZE] & 0x08)
        return bad(d, "the reserved bit of the frame header is set", err);
    h = parse_header(d->head);
    if (h.dict_id)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "zstd: frame %" PRIu64 " was made with dictionary %" PRIu32
                          ": compress the image without one",
                          d->frames + 1, h.dict_id);
    need = memory_need(&h, d->base);
    if (need > d->limit)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "zstd: decoding needs %" PRIu64 " KiB of memory (window %" PRIu64
                          " KiB), more than the %" PRIu64 " KiB allowed: raise --memory",
                          (need >> 10) + 1, h.window >> 10, d->limit >> 10);
    return 0;
}

/* --- states ----------------------------------------------------------------------------------- */

static int on_next(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    return io->in.n ? go_to(d, ZS_MAGIC) : SW_IO_STOP;
}

static int on_magic(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    uint32_t magic;

    if (!sw_io_gather(io, d->head, &d->have, MAGIC_SIZE))
        return SW_IO_STOP;
    magic = sw_le32(d->head);
    if (magic == MAGIC_FRAME) {
        d->have = MAGIC_SIZE;
        return go_to(d, ZS_HEADER);
    }
    if ((magic & 0xfffffff0u) == MAGIC_SKIPPABLE)
        return go_to(d, ZS_SKIP_SIZE);
    return bad(d, d->frames ? "garbage behind the last frame" : "not a zstd frame", err);
}

static int on_header(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    size_t want = MAGIC_SIZE + 1;

    if (d->have > MAGIC_SIZE)
        want = header_size(d->head);
    if (!sw_io_gather(io, d->head, &d->have, want))
        return SW_IO_STOP;
    d->have = want;
    if (want < header_size(d->head))
        return SW_IO_GO;
    if (check_header(d, err) < 0)
        return -1;
    ZSTD_DCtx_reset(d->ctx, ZSTD_reset_session_only);
    d->replayed = 0;
    return go_to(d, ZS_REPLAY);
}

/* One call of libzstd over [*p, *p + *n). Returns its hint, 0 at the end of the frame, or -1. */
static int decompress(struct sw_decoder *d, struct sw_span *in, struct sw_decode_io *io,
                      bool *ret_ended, struct sw_err *err)
{
    ZSTD_inBuffer zin = { in->p, in->n, 0 };
    ZSTD_outBuffer zout = { io->out, io->out_cap, io->out_len };
    size_t ret = ZSTD_decompressStream(d->ctx, &zout, &zin);

    if (ZSTD_isError(ret)) {
        if (ZSTD_getErrorCode(ret) == ZSTD_error_memory_allocation)
            return sw_err_set(err, SW_ERR_INTERNAL, "zstd: out of memory");
        return bad(d, ZSTD_getErrorName(ret), err);
    }
    if (zin.pos) {
        in->p += zin.pos;
        in->n -= zin.pos;
    }
    io->out_len = zout.pos;
    *ret_ended = ret == 0;
    d->holds_back = zout.pos == zout.size;
    return 0;
}

static int on_replay(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    struct sw_span in = { d->head + d->replayed, d->have - d->replayed };
    bool ended = false;

    if (decompress(d, &in, io, &ended, err) < 0)
        return -1;
    d->replayed = d->have - in.n;
    if (in.n)
        return bad(d, "corrupt frame header", err);
    d->have = 0;
    d->holds_back = false;
    return go_to(d, ZS_BODY);
}

static int on_body(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    /* Called often enough without anything to do, libzstd reports an error of its own. */
    while (sw_io_room(io) && (io->in.n || d->holds_back)) {
        bool ended = false;

        if (decompress(d, &io->in, io, &ended, err) < 0)
            return -1;
        if (ended) {
            d->frames++;
            return go_to(d, ZS_NEXT);
        }
    }
    return SW_IO_STOP;
}

static int on_skip_size(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    if (!sw_io_gather(io, d->head, &d->have, 4))
        return SW_IO_STOP;
    d->skip = sw_le32(d->head);
    return go_to(d, ZS_SKIP);
}

static int on_skip(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    size_t n = (size_t)sw_min_u64(d->skip, io->in.n);

    sw_io_eat(io, n);
    d->skip -= n;
    if (d->skip)
        return SW_IO_STOP;
    d->frames++;
    return go_to(d, ZS_NEXT);
}

static int (*const states[ZS_STATE_COUNT_])(struct sw_decoder *d, struct sw_decode_io *io,
                                            struct sw_err *err) = {
    [ZS_NEXT] = on_next,     [ZS_MAGIC] = on_magic, [ZS_HEADER] = on_header,
    [ZS_REPLAY] = on_replay, [ZS_BODY] = on_body,   [ZS_SKIP_SIZE] = on_skip_size,
    [ZS_SKIP] = on_skip,
};

/* --- operations ------------------------------------------------------------------------------- */

static int zs_open(const struct sw_limits *limits, struct sw_decoder **ret, struct sw_err *err)
{
    struct sw_decoder *d = calloc(1, sizeof(*d));

    if (!d)
        return sw_err_set(err, SW_ERR_INTERNAL, "zstd: out of memory");
    d->limit = limits->decoder_memory;
    d->ctx = ZSTD_createDCtx();
    /* As far as libzstd goes: check_header() is the limit. */
    if (!d->ctx ||
        ZSTD_isError(ZSTD_DCtx_setParameter(
            d->ctx, ZSTD_d_windowLogMax, ZSTD_dParam_getBounds(ZSTD_d_windowLogMax).upperBound))) {
        ZSTD_freeDCtx(d->ctx);
        free(d);
        return sw_err_set(err, SW_ERR_INTERNAL, "zstd: out of memory");
    }
    d->base = ZSTD_sizeof_DCtx(d->ctx);
    *ret = d;
    return 0;
}

static bool zs_at_boundary(const struct sw_decoder *d)
{
    return d->state == ZS_NEXT && d->frames;
}

static int zs_step(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    int verdict;

    do {
        verdict = states[d->state](d, io, err);
    } while (verdict == SW_IO_GO && !zs_at_boundary(d));
    return verdict < 0 ? -1 : 0;
}

static int zs_finish(struct sw_decoder *d, struct sw_err *err)
{
    if (zs_at_boundary(d))
        return 0;
    return sw_err_set(err, SW_ERR_BAD_DATA, "zstd: truncated in frame %" PRIu64, d->frames + 1);
}

static void zs_set_resumed(struct sw_decoder *d)
{
    d->frames++;
}

static void zs_close(struct sw_decoder *d)
{
    if (!d)
        return;
    ZSTD_freeDCtx(d->ctx);
    free(d);
}

const struct sw_decoder_ops sw_zstd_decoder = {
    .name = "zstd",
    .open = zs_open,
    .step = zs_step,
    .finish = zs_finish,
    .at_boundary = zs_at_boundary,
    .set_resumed = zs_set_resumed,
    .close = zs_close,
};
