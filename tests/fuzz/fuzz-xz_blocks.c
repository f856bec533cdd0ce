/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the input block by block as a parallel caller does. The verdict and the bytes must be those
 * of sw_xz_decoder, which is liblzma's own stream decoder. */
#include "tests/fuzz/fuzz-decoder.h"

#include "formats/xz_blocks.h"

struct walk {
    struct sw_span at;
    struct sw_xz_stream stream;
    struct sw_xz_tail *tail;
    struct sw_xz_block_decoder *d;
    struct fuzz_run *r;
};

static bool walk_block(struct walk *w)
{
    static uint8_t room[4096];
    struct sw_err err = { 0 };
    uint64_t unpadded, uncompressed;
    size_t header = 0;
    bool ended = false;

    if (sw_xz_block_start(w->d, &w->stream, w->at, &header, &err) < 0)
        return false;
    w->at.p += header;
    w->at.n -= header;
    while (!ended) {
        struct sw_decode_io io = { w->at, room, sizeof(room), 0 };

        if (sw_xz_block_step(w->d, &io, &ended, &err) < 0)
            return false;
        w->at = io.in;
        w->r->full = w->r->n + io.out_len > FUZZ_OUT_MAX;
        if (w->r->full || (!ended && !io.in.n && !io.out_len))
            return false;
        memcpy(w->r->out + w->r->n, room, io.out_len);
        w->r->n += io.out_len;
    }
    sw_xz_block_sizes(w->d, &unpadded, &uncompressed);
    return sw_xz_tail_append(w->tail, unpadded, uncompressed, &err) == 0;
}

/* One stream; *ret_more says that another begins at w->at. */
static bool walk_stream(struct walk *w, bool *ret_more)
{
    struct sw_err err = { 0 };
    struct sw_xz_look look = { 0 };
    enum sw_xz_tail_state state = SW_XZ_TAIL_INDEX;

    if (sw_xz_stream_header(w->at, &w->stream, &err) < 0 ||
        sw_xz_tail_reset(w->tail, &w->stream, &err) < 0)
        return false;
    w->at.p += SW_XZ_HEADER_SIZE;
    w->at.n -= SW_XZ_HEADER_SIZE;
    while (look.what != SW_XZ_INDEX) {
        const uint8_t *start = w->at.p;

        if (sw_xz_look(&w->stream, w->at, &look, &err) < 0 || look.what == SW_XZ_MORE)
            return false;
        if (look.what == SW_XZ_BLOCK && !walk_block(w))
            return false;
        if (look.total_size)
            FUZZ_CHECK((uint64_t)(w->at.p - start) == look.total_size);
    }
    if (sw_xz_tail_feed(w->tail, &w->at, &state, &err) < 0)
        return false;
    *ret_more = state == SW_XZ_TAIL_NEXT;
    return *ret_more || sw_xz_tail_finish(w->tail, &err) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_run whole = fuzz_decode(&sw_xz_decoder, data, size, 0);
    struct fuzz_run blocks = { .out = malloc(FUZZ_OUT_MAX), .ok = true };
    struct sw_xz_stream none = { 0 };
    struct walk w = { .at = { data, size }, .r = &blocks };
    struct sw_err err = { 0 };
    bool more = true;

    FUZZ_CHECK(blocks.out && sw_xz_block_open(&fuzz_limits, &w.d, &err) == 0 &&
               sw_xz_tail_open(&none, &w.tail, &err) == 0);
    while (more && blocks.ok)
        blocks.ok = walk_stream(&w, &more);
    fuzz_compare(&whole, &blocks);
    sw_xz_tail_close(w.tail);
    sw_xz_block_close(w.d);
    free(whole.out);
    free(blocks.out);
    return 0;
}
