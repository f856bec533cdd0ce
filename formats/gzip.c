/* SPDX-License-Identifier: Apache-2.0 */
/* DESIGN: member headers are parsed here, byte by byte, for both engines; an engine decodes the
 * deflate stream behind a header.
 *
 *   NEXT -> FIXED -> EXTRA_LEN -> EXTRA -> NAME -> COMMENT -> HCRC -> BODY -> TRAILER -> NEXT
 *   NEXT -> PADDING (zero bytes up to the end, as tapes and block devices leave them)
 *
 * ISA-L checks the trailer itself and skips the TRAILER state. It has to: its bit buffer may hold
 * bytes of the trailer that came with an earlier call, and the only other way it offers is to move
 * the input pointer back in front of the bytes of this call. */
#include "formats/gzip.h"

#include <inttypes.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <zlib.h>
#ifdef HAVE_ISAL
#include <isa-l/igzip_lib.h>
#endif

#include "formats/decode_io.h"

enum gz_state {
    GZ_NEXT,
    GZ_FIXED,
    GZ_EXTRA_LEN,
    GZ_EXTRA,
    GZ_NAME,
    GZ_COMMENT,
    GZ_HCRC,
    GZ_BODY,
    GZ_TRAILER,
    GZ_PADDING,
    GZ_STATE_COUNT_,
};

enum { FHCRC = 0x02, FEXTRA = 0x04, FNAME = 0x08, FCOMMENT = 0x10, FRESERVED = 0xe0 };

struct gz_engine {
    /* Both return 0, or -1 and err. reset: before each member. */
    int (*reset)(struct sw_decoder *d, struct sw_err *err);
    /* Decode as far as input and room allow. At the end of the deflate stream set d->state. */
    int (*inflate)(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err);
};

struct sw_decoder {
    const struct gz_engine *engine;
    enum gz_state state;
    uint64_t members;  /* complete ones                                         */
    uint8_t flags;     /* of this member                                        */
    uint8_t field[10]; /* a header field or the trailer, while it is incomplete */
    size_t have;       /* bytes in field                                        */
    size_t extra;      /* bytes of FEXTRA still to come                         */
    uint32_t crc;      /* header: of its bytes; portable body: of the output    */
    uint32_t size;     /* portable body: length of the output modulo 2^32       */
    z_stream z;
#ifdef HAVE_ISAL
    struct inflate_state *isal; /* ISA-L engine only: 90 KiB */
#endif
};

static int bad(const struct sw_decoder *d, const char *what, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_BAD_DATA, "gzip: member %" PRIu64 ": %s", d->members + 1, what);
}

/* libdeflate takes NULL, which an empty span may be, as a request for the initial value. */
static uint32_t add_crc(uint32_t crc, const uint8_t *p, size_t n)
{
    return n ? libdeflate_crc32(crc, p, n) : crc;
}

/* --- the portable engine ---------------------------------------------------------------------- */

static int z_reset(struct sw_decoder *d, struct sw_err *err)
{
    d->crc = 0;
    d->size = 0;
    if (inflateReset(&d->z) != Z_OK)
        return sw_err_set(err, SW_ERR_INTERNAL, "gzip: zlib cannot be reset");
    return 0;
}

static int z_inflate(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    uint8_t *out = sw_io_tail(io);
    uInt in_n = (uInt)sw_min_u64(io->in.n, SW_IO_CALL_MAX);
    uInt out_n = (uInt)sw_min_u64(sw_io_room(io), SW_IO_CALL_MAX);
    int ret;

    d->z.next_in = (Bytef *)io->in.p;
    d->z.avail_in = in_n;
    d->z.next_out = out;
    d->z.avail_out = out_n;
    ret = inflate(&d->z, Z_NO_FLUSH);

    size_t got = out_n - d->z.avail_out;

    sw_io_eat(io, in_n - d->z.avail_in);
    io->out_len += got;
    d->crc = add_crc(d->crc, out, got);
    d->size += (uint32_t)got;
    if (ret == Z_STREAM_END)
        d->state = GZ_TRAILER;
    else if (ret == Z_MEM_ERROR)
        return sw_err_set(err, SW_ERR_INTERNAL, "gzip: out of memory");
    else if (ret != Z_OK && ret != Z_BUF_ERROR)
        return bad(d, "corrupt deflate data", err);
    return 0;
}

static const struct gz_engine z_engine = { z_reset, z_inflate };

/* --- the ISA-L engine ------------------------------------------------------------------------- */

#ifdef HAVE_ISAL
static int isal_engine_reset(struct sw_decoder *d, struct sw_err *err)
{
    isal_inflate_reset(d->isal);
    d->isal->crc_flag = ISAL_GZIP_NO_HDR_VER; /* the reset clears it */
    return 0;
}

static int isal_engine_inflate(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    static uint8_t nothing[1];
    uint32_t in_n = (uint32_t)sw_min_u64(io->in.n, SW_IO_CALL_MAX);
    uint32_t out_n = (uint32_t)sw_min_u64(sw_io_room(io), SW_IO_CALL_MAX);
    int ret;

    d->isal->next_in = in_n ? (uint8_t *)io->in.p : nothing;
    d->isal->avail_in = in_n;
    d->isal->next_out = sw_io_tail(io);
    d->isal->avail_out = out_n;
    ret = isal_inflate(d->isal);

    if (ret == ISAL_INCORRECT_CHECKSUM)
        return bad(d, "the checksum or the length in the trailer is wrong", err);
    if (ret != ISAL_DECOMP_OK)
        return bad(d, "corrupt deflate data", err);
    sw_io_eat(io, in_n - d->isal->avail_in);
    io->out_len += out_n - d->isal->avail_out;
    if (d->isal->block_state == ISAL_BLOCK_FINISH) {
        d->members++;
        d->state = GZ_NEXT;
    }
    return 0;
}

static const struct gz_engine isal_engine = { isal_engine_reset, isal_engine_inflate };
#endif

/* --- states: each returns SW_IO_STOP, SW_IO_GO or -1 -------------------------------------------- */

static int go_to(struct sw_decoder *d, enum gz_state state)
{
    d->state = state;
    return SW_IO_GO;
}

/* sw_io_gather() into d->field, adding to the CRC of the header. */
static bool gather_header(struct sw_decoder *d, struct sw_decode_io *io, size_t want)
{
    const uint8_t *from = io->in.p;
    size_t before = io->in.n;
    bool complete = sw_io_gather(io, d->field, &d->have, want);

    d->crc = add_crc(d->crc, from, before - io->in.n);
    return complete;
}

static int on_next(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    if (!io->in.n)
        return SW_IO_STOP;
    if (d->members && io->in.p[0] == 0)
        return go_to(d, GZ_PADDING);
    if (io->in.p[0] != 0x1f)
        return bad(d, d->members ? "garbage behind the last member" : "not a gzip header", err);
    d->crc = 0;
    return go_to(d, GZ_FIXED);
}

static int on_fixed(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    if (!gather_header(d, io, 10))
        return SW_IO_STOP;
    if (sw_be16(d->field) != 0x1f8b)
        return bad(d, d->members ? "garbage behind the last member" : "not a gzip header", err);
    if (d->field[2] != 8)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "gzip: member %" PRIu64
                          ": compression method %u, only 8 (deflate) exists",
                          d->members + 1, d->field[2]);
    if (d->field[3] & FRESERVED)
        return bad(d, "reserved header flags are set", err);
    d->flags = d->field[3];
    return go_to(d, GZ_EXTRA_LEN);
}

static int on_extra_len(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    if (!(d->flags & FEXTRA))
        return go_to(d, GZ_NAME);
    if (!gather_header(d, io, 2))
        return SW_IO_STOP;
    d->extra = sw_le16(d->field);
    return go_to(d, GZ_EXTRA);
}

static int on_extra(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    size_t n = (size_t)sw_min_u64(d->extra, io->in.n);

    d->crc = add_crc(d->crc, io->in.p, n);
    sw_io_eat(io, n);
    d->extra -= n;
    return d->extra ? SW_IO_STOP : go_to(d, GZ_NAME);
}

/* Skip a zero-terminated text of the header; its length has no bound in RFC 1952, and none here. */
static int skip_text(struct sw_decoder *d, struct sw_decode_io *io, uint8_t flag,
                     enum gz_state then)
{
    const uint8_t *end;
    size_t n;

    if (!(d->flags & flag))
        return go_to(d, then);
    if (!io->in.n)
        return SW_IO_STOP;
    end = memchr(io->in.p, 0, io->in.n);
    n = end ? (size_t)(end - io->in.p) + 1 : io->in.n;
    d->crc = add_crc(d->crc, io->in.p, n);
    sw_io_eat(io, n);
    return end ? go_to(d, then) : SW_IO_STOP;
}

static int on_name(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    return skip_text(d, io, FNAME, GZ_COMMENT);
}

static int on_comment(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    return skip_text(d, io, FCOMMENT, GZ_HCRC);
}

static int on_hcrc(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    if (d->flags & FHCRC) {
        if (!sw_io_gather(io, d->field, &d->have, 2))
            return SW_IO_STOP;
        if (sw_le16(d->field) != (d->crc & 0xffff))
            return bad(d, "the checksum of the header is wrong", err);
    }
    if (d->engine->reset(d, err) < 0)
        return -1;
    return go_to(d, GZ_BODY);
}

static int on_body(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    /* An engine that has neither used input nor made output has nothing left to do with them. */
    while (sw_io_room(io)) {
        size_t in = io->in.n, out = io->out_len;

        if (d->engine->inflate(d, io, err) < 0)
            return -1;
        if (d->state != GZ_BODY)
            return SW_IO_GO;
        if (io->in.n == in && io->out_len == out)
            return in ? bad(d, "corrupt deflate data (the decoder makes no progress)", err)
                      : SW_IO_STOP;
        if (!io->in.n && sw_io_room(io))
            return SW_IO_STOP;
    }
    return SW_IO_STOP;
}

static int on_trailer(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    if (!sw_io_gather(io, d->field, &d->have, 8))
        return SW_IO_STOP;
    if (sw_le32(d->field) != d->crc || sw_le32(d->field + 4) != d->size)
        return bad(d, "the checksum or the length in the trailer is wrong", err);
    d->members++;
    return go_to(d, GZ_NEXT);
}

static int on_padding(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    if (!sw_is_zero(io->in.p, io->in.n))
        return bad(d, "garbage behind the last member", err);
    sw_io_eat(io, io->in.n);
    return SW_IO_STOP;
}

static int (*const states[GZ_STATE_COUNT_])(struct sw_decoder *d, struct sw_decode_io *io,
                                            struct sw_err *err) = {
    [GZ_NEXT] = on_next,       [GZ_FIXED] = on_fixed, [GZ_EXTRA_LEN] = on_extra_len,
    [GZ_EXTRA] = on_extra,     [GZ_NAME] = on_name,   [GZ_COMMENT] = on_comment,
    [GZ_HCRC] = on_hcrc,       [GZ_BODY] = on_body,   [GZ_TRAILER] = on_trailer,
    [GZ_PADDING] = on_padding,
};

/* --- operations ------------------------------------------------------------------------------- */

static bool gz_at_boundary(const struct sw_decoder *d)
{
    return d->state == GZ_NEXT && d->members;
}

static int gz_step(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    int verdict;

    do {
        verdict = states[d->state](d, io, err);
    } while (verdict == SW_IO_GO && !gz_at_boundary(d));
    return verdict < 0 ? -1 : 0;
}

static int gz_finish(struct sw_decoder *d, struct sw_err *err)
{
    if (d->state == GZ_PADDING || (d->state == GZ_NEXT && d->members))
        return 0;
    return sw_err_set(err, SW_ERR_BAD_DATA, "gzip: truncated in member %" PRIu64, d->members + 1);
}

static void gz_set_resumed(struct sw_decoder *d)
{
    d->members++;
}

static int gz_open(const struct sw_limits *limits, struct sw_decoder **ret, struct sw_err *err)
{
    struct sw_decoder *d = calloc(1, sizeof(*d));

    if (!d || inflateInit2(&d->z, -15) != Z_OK) {
        free(d);
        return sw_err_set(err, SW_ERR_INTERNAL, "gzip: out of memory");
    }
    d->engine = &z_engine;
    *ret = d;
    return 0;
}

static void gz_close(struct sw_decoder *d)
{
    if (!d)
        return;
    inflateEnd(&d->z); /* refuses, harmlessly, one that ISA-L left unused */
#ifdef HAVE_ISAL
    free(d->isal);
#endif
    free(d);
}

#define GZ_OPS(open_function)                                                                      \
    {                                                                                              \
        .name = "gzip", .open = (open_function), .step = gz_step, .finish = gz_finish,             \
        .at_boundary = gz_at_boundary, .set_resumed = gz_set_resumed, .close = gz_close,           \
    }

const struct sw_decoder_ops sw_gzip_decoder_portable = GZ_OPS(gz_open);

#ifdef HAVE_ISAL
static int gz_isal_open(const struct sw_limits *limits, struct sw_decoder **ret, struct sw_err *err)
{
    struct sw_decoder *d = calloc(1, sizeof(*d));

    if (d)
        d->isal = malloc(sizeof(*d->isal));
    if (!d || !d->isal) {
        free(d);
        return sw_err_set(err, SW_ERR_INTERNAL, "gzip: out of memory");
    }
    isal_inflate_init(d->isal);
    d->engine = &isal_engine;
    *ret = d;
    return 0;
}

const struct sw_decoder_ops sw_gzip_decoder = GZ_OPS(gz_isal_open);

const struct sw_decoder_ops *sw_gzip_decoder_isal(void)
{
    return &sw_gzip_decoder;
}
#else
const struct sw_decoder_ops sw_gzip_decoder = GZ_OPS(gz_open);

const struct sw_decoder_ops *sw_gzip_decoder_isal(void)
{
    return NULL;
}
#endif
