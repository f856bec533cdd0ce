/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/decode-harness.h"

#include "formats/xz_blocks.h"

struct pair {
    uint64_t unpadded, uncompressed;
};

/* One stream of a file, walked as the header's example says. */
struct walk {
    struct sw_span at; /* not walked yet */
    struct sw_xz_stream stream;
    struct sw_xz_tail *tail;
    struct sw_xz_block_decoder *d;
    struct pair pairs[16];
    unsigned n_blocks, n_sized;
};

static const struct sw_limits limits = SW_LIMITS_DEFAULT;

static int decode_block(struct walk *w, size_t room, struct bytes *out, struct sw_err *err)
{
    struct pair *pair = &w->pairs[w->n_blocks];
    size_t header = 0;
    bool ended = false;

    if (sw_xz_block_start(w->d, &w->stream, w->at, &header, err) < 0)
        return -1;
    w->at.p += header;
    w->at.n -= header;
    while (!ended) {
        sw_autofree uint8_t *block = malloc(room);
        struct sw_decode_io io = { w->at, block, room, 0 };

        if (sw_xz_block_step(w->d, &io, &ended, err) < 0)
            return -1;
        bytes_append(out, block, io.out_len);
        w->at = io.in;
        if (!ended && !io.in.n && !io.out_len)
            return sw_err_set(err, SW_ERR_BAD_DATA, "xz: truncated in a block");
    }
    sw_xz_block_sizes(w->d, &pair->unpadded, &pair->uncompressed);
    return 0;
}

static int walk_block(struct walk *w, const struct sw_xz_look *look, size_t room, struct bytes *out,
                      struct sw_err *err)
{
    const uint8_t *start = w->at.p;

    if (decode_block(w, room, out, err) < 0)
        return -1;
    if (look->total_size) {
        assert_int_equal(w->at.p - start, look->total_size);
        assert_int_equal(w->pairs[w->n_blocks].unpadded, look->unpadded_size);
        w->n_sized++;
    }
    if (look->has_uncompressed_size)
        assert_int_equal(w->pairs[w->n_blocks].uncompressed, look->uncompressed_size);
    if (sw_xz_tail_append(w->tail, w->pairs[w->n_blocks].unpadded,
                          w->pairs[w->n_blocks].uncompressed, err) < 0)
        return -1;
    assert_true(++w->n_blocks < SW_COUNT(w->pairs));
    return 0;
}

static int walk_tail(struct walk *w, size_t piece, enum sw_xz_tail_state *ret_state,
                     struct sw_err *err)
{
    *ret_state = SW_XZ_TAIL_INDEX;
    while (w->at.n && *ret_state != SW_XZ_TAIL_NEXT) {
        struct sw_span in = { w->at.p, piece && piece < w->at.n ? piece : w->at.n };

        if (sw_xz_tail_feed(w->tail, &in, ret_state, err) < 0)
            return -1;
        w->at.n -= (size_t)(in.p - w->at.p);
        w->at.p = in.p;
    }
    return *ret_state == SW_XZ_TAIL_NEXT ? 0 : sw_xz_tail_finish(w->tail, err);
}

static int walk_stream(struct walk *w, size_t piece, struct bytes *out,
                       enum sw_xz_tail_state *ret_state, struct sw_err *err)
{
    struct sw_xz_look look = { 0 };

    w->n_blocks = 0;
    if (sw_xz_stream_header(w->at, &w->stream, err) < 0 ||
        sw_xz_tail_reset(w->tail, &w->stream, err) < 0)
        return -1;
    w->at.p += SW_XZ_HEADER_SIZE;
    w->at.n -= SW_XZ_HEADER_SIZE;
    while (look.what != SW_XZ_INDEX) {
        if (sw_xz_look(&w->stream, w->at, &look, err) < 0)
            return -1;
        if (look.what == SW_XZ_MORE)
            return sw_err_set(err, SW_ERR_BAD_DATA, "xz: truncated at a block header");
        if (look.what == SW_XZ_BLOCK && walk_block(w, &look, piece ? piece : 65536, out, err) < 0)
            return -1;
    }
    return walk_tail(w, piece, ret_state, err);
}

/* The whole file. Returns 0 or -1; *ret_sized counts the blocks whose header had a size. */
static int walk_file(struct sw_span in, size_t piece, struct bytes *out, unsigned *ret_sized,
                     struct sw_err *err)
{
    struct sw_xz_stream none = { 0 };
    struct walk w = { .at = in };
    enum sw_xz_tail_state state = SW_XZ_TAIL_NEXT;
    int ret = 0;

    assert_int_equal(sw_xz_block_open(&limits, &w.d, err), 0);
    assert_int_equal(sw_xz_tail_open(&none, &w.tail, err), 0);
    while (ret == 0 && state == SW_XZ_TAIL_NEXT)
        ret = walk_stream(&w, piece, out, &state, err);
    *ret_sized = w.n_sized;
    sw_xz_tail_close(w.tail);
    sw_xz_block_close(w.d);
    return ret;
}

static void decodes_files_of_every_tool_block_by_block(void **state)
{
    static const struct {
        const char *name;
        unsigned sized; /* blocks whose header says how long they are */
    } files[] = {
        { "xz.xz", 0 },          { "threads.xz", 3 },  { "flushed.xz", 0 },  { "pixz.xz", 1 },
        { "crc32.xz", 0 },       { "sha256.xz", 0 },   { "no-check.xz", 0 }, { "filters.xz", 0 },
        { "two-streams.xz", 4 }, { "empty-xz.xz", 0 }, { "padded.xz", 0 },
    };

    for (size_t i = 0; i < SW_COUNT(files); i++) {
        for (size_t piece = 0; piece < 30; piece++) {
            auto_bytes in = load_seed("xz_blocks", files[i].name);
            auto_bytes out = { 0 };
            struct sw_err err = { 0 };
            unsigned sized;

            if (walk_file(span_of(&in), piece, &out, &sized, &err) < 0)
                fail_msg("%s: %s", files[i].name, err.msg);
            assert_is_plain(&out, copies_in(files[i].name), files[i].name);
            assert_int_equal(sized, files[i].sized);
        }
    }
}

/* What a parallel caller does: find all blocks first, decode them in another order with one
 * decoder, each from its own bytes only. */
static void decodes_blocks_in_any_order(void **state)
{
    struct {
        size_t pos, len, out_pos, out_len;
    } blocks[8];
    auto_bytes in = load_seed("xz_blocks", "threads.xz");
    auto_bytes plain = load_seed("gzip", "plain");
    struct sw_xz_stream stream;
    struct sw_xz_block_decoder *d = NULL;
    struct sw_err err = { 0 };
    size_t pos = SW_XZ_HEADER_SIZE, out_pos = 0, n = 0, header;

    assert_int_equal(sw_xz_stream_header(span_of(&in), &stream, &err), 0);
    for (;; n++) {
        struct sw_xz_look look;

        assert_int_equal(
            sw_xz_look(&stream, (struct sw_span){ in.p + pos, in.n - pos }, &look, &err), 0);
        if (look.what == SW_XZ_INDEX)
            break;
        assert_true(look.total_size && look.has_uncompressed_size);
        blocks[n].pos = pos;
        blocks[n].len = look.total_size;
        blocks[n].out_pos = out_pos;
        blocks[n].out_len = look.uncompressed_size;
        pos += look.total_size;
        out_pos += look.uncompressed_size;
    }
    assert_int_equal(n, 3);
    assert_int_equal(sw_xz_block_open(&limits, &d, &err), 0);
    while (n--) {
        sw_autofree uint8_t *out = malloc(blocks[n].out_len);
        struct sw_span block = { in.p + blocks[n].pos, blocks[n].len };
        bool ended = false;

        assert_int_equal(sw_xz_block_start(d, &stream, block, &header, &err), 0);
        struct sw_decode_io io = {
            { block.p + header, block.n - header }, out, blocks[n].out_len, 0
        };
        assert_int_equal(sw_xz_block_step(d, &io, &ended, &err), 0);
        assert_true(ended);
        assert_int_equal(io.in.n, 0);
        assert_memory_equal(out, plain.p + blocks[n].out_pos, blocks[n].out_len);
    }
    sw_xz_block_close(d);
}

static void asks_for_the_bytes_of_a_header(void **state)
{
    auto_bytes in = load_seed("xz_blocks", "threads.xz");
    struct sw_xz_stream stream;
    struct sw_xz_look look;
    struct sw_err err = { 0 };

    assert_int_equal(sw_xz_stream_header(span_of(&in), &stream, &err), 0);
    assert_int_equal(stream.check, 4);
    assert_int_equal(sw_xz_look(&stream, (struct sw_span){ NULL, 0 }, &look, &err), 0);
    assert_int_equal(look.what, SW_XZ_MORE);
    assert_int_equal(look.need, 1);
    assert_int_equal(sw_xz_look(&stream, (struct sw_span){ in.p + 12, 1 }, &look, &err), 0);
    assert_int_equal(look.what, SW_XZ_MORE);
    size_t need = look.need;
    assert_int_equal(sw_xz_look(&stream, (struct sw_span){ in.p + 12, need - 1 }, &look, &err), 0);
    assert_int_equal(look.what, SW_XZ_MORE);
    assert_int_equal(sw_xz_look(&stream, (struct sw_span){ in.p + 12, need }, &look, &err), 0);
    assert_int_equal(look.what, SW_XZ_BLOCK);
    assert_int_equal(look.header_size, need);
    assert_in_range(look.memory, 256 << 10, 512 << 10); /* the dictionary of xz -0 */
}

static void verifies_the_index_of_a_resumed_stream(void **state)
{
    auto_bytes in = load_seed("xz_blocks", "threads.xz");
    auto_bytes out = { 0 };
    struct sw_err err = { 0 };
    struct walk w = { .at = span_of(&in) };
    struct sw_xz_stream none = { 0 };
    enum sw_xz_tail_state tail_state = SW_XZ_TAIL_INDEX;

    assert_int_equal(sw_xz_block_open(&limits, &w.d, &err), 0);
    assert_int_equal(sw_xz_tail_open(&none, &w.tail, &err), 0);
    assert_int_equal(walk_stream(&w, 0, &out, &tail_state, &err), 0);

    /* Only pairs, as they come out of a journal; then the end of the file. Once right, once with
     * two blocks exchanged, once with one missing. */
    size_t tail_at = SW_XZ_HEADER_SIZE;
    for (unsigned i = 0; i < w.n_blocks; i++)
        tail_at += sw_align_up(w.pairs[i].unpadded, 4);
    for (unsigned way = 0; way < 3; way++) {
        static const unsigned order[3][3] = { { 0, 1, 2 }, { 1, 0, 2 }, { 0, 1, 9 } };
        struct sw_span tail = { in.p + tail_at, in.n - tail_at };

        assert_int_equal(sw_xz_tail_reset(w.tail, &w.stream, &err), 0);
        for (unsigned i = 0; i < 3 && order[way][i] < 9; i++)
            assert_int_equal(sw_xz_tail_append(w.tail, w.pairs[order[way][i]].unpadded,
                                               w.pairs[order[way][i]].uncompressed, &err),
                             0);
        assert_int_equal(sw_xz_tail_feed(w.tail, &tail, &tail_state, &err), way ? -1 : 0);
        if (way)
            assert_refused(&sw_xz_decoder, -1, &err, SW_ERR_BAD_DATA, "the index does not match");
        else
            assert_int_equal(sw_xz_tail_finish(w.tail, &err), 0);
    }
    sw_xz_tail_close(w.tail);
    sw_xz_block_close(w.d);
}

static void refuses_every_truncation_and_bit_flip(void **state)
{
    static const char *const names[] = { "threads.xz", "xz.xz" };

    for (size_t k = 0; k < SW_COUNT(names); k++) {
        auto_bytes in = load_seed("xz_blocks", names[k]);
        unsigned sized;

        for (size_t cut = 0; cut < in.n; cut++) {
            auto_bytes out = { 0 };
            struct sw_err err = { 0 };
            int ret = walk_file((struct sw_span){ in.p, cut }, 0, &out, &sized, &err);

            assert_refused(&sw_xz_decoder, ret, &err, SW_ERR_BAD_DATA, "truncated");
        }
        for (size_t bit = 0; bit < in.n * 8; bit++) {
            auto_bytes out = { 0 };
            struct sw_err err = { 0 };

            in.p[bit / 8] ^= (uint8_t)(1 << (bit % 8));
            assert_int_equal(walk_file(span_of(&in), 0, &out, &sized, &err), -1);
            assert_true(err.kind == SW_ERR_BAD_DATA || err.kind == SW_ERR_UNSUPPORTED);
            in.p[bit / 8] ^= (uint8_t)(1 << (bit % 8));
        }
    }
}

static void keeps_to_the_memory_limit(void **state)
{
    struct sw_limits small = { .decoder_memory = 200 << 10 };
    auto_bytes in = load_seed("xz_blocks", "threads.xz");
    struct sw_xz_block_decoder *d = NULL;
    struct sw_xz_stream stream;
    struct sw_err err = { 0 };
    size_t header;

    assert_int_equal(sw_xz_stream_header(span_of(&in), &stream, &err), 0);
    assert_int_equal(sw_xz_block_open(&small, &d, &err), 0);
    assert_refused(
        &sw_xz_decoder,
        sw_xz_block_start(d, &stream, (struct sw_span){ in.p + 12, in.n - 12 }, &header, &err),
        &err, SW_ERR_UNSUPPORTED, "more than the 200 KiB allowed: raise --memory");
    sw_xz_block_close(d);
}

static void wants_padding_in_fours(void **state)
{
    static const char *const bad[] = { "\0", "\0\0\0x", "\0\0\0\0\0" };
    static const size_t bad_n[] = { 1, 4, 5 };

    for (size_t i = 0; i < SW_COUNT(bad); i++) {
        auto_bytes in = load_seed("xz_blocks", "threads.xz");
        auto_bytes out = { 0 };
        struct sw_err err = { 0 };
        unsigned sized;

        bytes_append(&in, bad[i], bad_n[i]);
        assert_int_equal(walk_file(span_of(&in), 0, &out, &sized, &err), -1);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    }
}

static void closes_nothing(void **state)
{
    sw_xz_block_close(NULL);
    sw_xz_tail_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_files_of_every_tool_block_by_block),
        cmocka_unit_test(decodes_blocks_in_any_order),
        cmocka_unit_test(asks_for_the_bytes_of_a_header),
        cmocka_unit_test(verifies_the_index_of_a_resumed_stream),
        cmocka_unit_test(refuses_every_truncation_and_bit_flip),
        cmocka_unit_test(keeps_to_the_memory_limit),
        cmocka_unit_test(wants_padding_in_fours),
        cmocka_unit_test(closes_nothing),
    };

    return cmocka_run_group_tests_name("formats/xz_blocks", tests, NULL, NULL);
}
