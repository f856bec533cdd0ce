/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/inflate.h"

#include <assert.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

/* zlib's windowBits: a deflate stream alone, and one in a zlib wrapper. */
#define BARE (-15)
#define WRAPPED 15

/* In front of a VMDK grain: the sector of the disk (8 bytes), the length of the data (4). */
#define VMDK_MARKER 12

struct sw_inflater {
    struct libdeflate_decompressor *fast; /* NULL on the portable path */
    z_stream z;
    bool has_z; /* z is initialised */
    ZSTD_DCtx *zstd;
};

int sw_inflater_open(enum sw_inflate_path path, struct sw_inflater **ret, struct sw_err *err)
{
    struct sw_inflater *f = calloc(1, sizeof(*f));

    if (!f)
        return sw_err_set(err, SW_ERR_INTERNAL, "inflate: out of memory");
    if (path == SW_INFLATE_FAST)
        f->fast = libdeflate_alloc_decompressor();
    f->has_z = inflateInit2(&f->z, BARE) == Z_OK;
    f->zstd = ZSTD_createDCtx();
    if ((path == SW_INFLATE_FAST && !f->fast) || !f->has_z || !f->zstd) {
        sw_inflater_close(f);
        return sw_err_set(err, SW_ERR_INTERNAL, "inflate: out of memory");
    }
    *ret = f;
    return 0;
}

void sw_inflater_close(struct sw_inflater *f)
{
    if (!f)
        return;
    if (f->fast)
        libdeflate_free_decompressor(f->fast);
    if (f->has_z)
        inflateEnd(&f->z);
    ZSTD_freeDCtx(f->zstd);
    free(f);
}

static int short_output(const char *codec, size_t got, size_t want, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_BAD_DATA,
                      "the %s data of a cluster gives only %zu of its %zu bytes", codec, got, want);
}

/* A window of 32 KiB where QEMU asks for 4 KiB: in a single call into one buffer zlib finds every
 * distance in the output itself, so the window size decides nothing. */
static int inflate_zlib(z_stream *z, int window_bits, struct sw_span in, uint8_t *out,
                        size_t out_len, struct sw_err *err)
{
    int ret;

    if (inflateReset2(z, window_bits) != Z_OK)
        return sw_err_set(err, SW_ERR_INTERNAL, "inflate: zlib cannot be reset");
    z->next_in = (Bytef *)in.p;
    z->avail_in = (uInt)sw_min_u64(in.n, SW_GIB);
    z->next_out = out;
    z->avail_out = (uInt)out_len;
    ret = inflate(z, Z_FINISH);

    if (ret == Z_MEM_ERROR)
        return sw_err_set(err, SW_ERR_INTERNAL, "inflate: out of memory");
    if (ret != Z_STREAM_END && ret != Z_BUF_ERROR)
        return sw_err_set(err, SW_ERR_BAD_DATA, "the deflate data of a cluster is corrupt: %s",
                          z->msg ? z->msg : "no reason known");
    if (z->avail_out)
        return short_output("deflate", out_len - z->avail_out, out_len, err);
    return 0;
}

/* libdeflate wants the end marker to be there; QEMU does not. So a failure is not final. */
static int inflate_deflate(struct sw_inflater *f, struct sw_span in, uint8_t *out, size_t out_len,
                           struct sw_err *err)
{
    if (f->fast && libdeflate_deflate_decompress(f->fast, in.p, in.n, out, out_len, NULL) ==
                       LIBDEFLATE_SUCCESS)
        return 0;
    return inflate_zlib(&f->z, BARE, in, out, out_len, err);
}

/* A stream that gives more than is wanted is told apart from a corrupt one by zlib: the last grain of a
 * disk may be a whole one. */
static int inflate_grain(struct sw_inflater *f, struct sw_span in, uint8_t *out, size_t out_len,
                         struct sw_err *err)
{
    uint32_t size = in.n >= VMDK_MARKER ? sw_le32(in.p + 8) : 0;

    if (!size || size > in.n - VMDK_MARKER)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "the marker of a grain says that it has %u bytes; it has room for %zu",
                          size, in.n < VMDK_MARKER ? 0 : in.n - VMDK_MARKER);
    in = (struct sw_span){ in.p + VMDK_MARKER, size };
    if (f->fast &&
        libdeflate_zlib_decompress(f->fast, in.p, in.n, out, out_len, NULL) == LIBDEFLATE_SUCCESS)
        return 0;
    return inflate_zlib(&f->z, WRAPPED, in, out, out_len, err);
}

static int zstd_error(size_t code, struct sw_err *err)
{
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_memory_allocation:
        return sw_err_set(err, SW_ERR_INTERNAL, "inflate: out of memory");
    case ZSTD_error_dictionary_wrong:
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "the zstd data of a cluster needs a dictionary, which qcow2 has not");
    case ZSTD_error_dstSize_tooSmall:
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "the zstd data of a cluster gives more bytes than the cluster has");
    default:
        return sw_err_set(err, SW_ERR_BAD_DATA, "the zstd data of a cluster is corrupt: %s",
                          ZSTD_getErrorName(code));
    }
}

/* Frame by frame in one shot: the output is the window, so nothing is allocated and nothing copied.
 * Finding the end of a frame costs a walk over its block headers. */
static int inflate_zstd(ZSTD_DCtx *ctx, struct sw_span in, uint8_t *out, size_t out_len,
                        struct sw_err *err)
{
    size_t done = 0;

    while (done < out_len) {
        size_t frame, got;

        if (!in.n)
            return short_output("zstd", done, out_len, err);
        frame = ZSTD_findFrameCompressedSize(in.p, in.n);
        if (ZSTD_isError(frame))
            return zstd_error(frame, err);
        got = ZSTD_decompressDCtx(ctx, out + done, out_len - done, in.p, frame);
        if (ZSTD_isError(got))
            return zstd_error(got, err);
        done += got;
        in.p += frame;
        in.n -= frame;
    }
    return 0;
}

int sw_inflate(struct sw_inflater *f, enum sw_codec codec, struct sw_span in, uint8_t *out,
               size_t out_len, struct sw_err *err)
{
    assert(out_len > 0 && out_len <= SW_GIB);
    assert(codec != SW_CODEC_NONE);

    if (!in.n)
        return short_output(codec == SW_CODEC_ZSTD ? "zstd" : "deflate", 0, out_len, err);
    if (codec == SW_CODEC_ZSTD)
        return inflate_zstd(f->zstd, in, out, out_len, err);
    if (codec == SW_CODEC_VMDK)
        return inflate_grain(f, in, out, out_len, err);
    return inflate_deflate(f, in, out, out_len, err);
}
