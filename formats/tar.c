/* SPDX-License-Identifier: Apache-2.0 */
/* A tar archive as a decoder: what comes out is the one member that is a disk image.
 *
 * DESIGN. One state for each thing that can come next:
 *
 *   HEADER -> META -> PAD -> HEADER              long name, pax records: for the next member
 *   HEADER -> [GNU_MAP | PAX_MAP] -> HEAD        a file; maps say where a sparse one has its data
 *             HEAD -> EMIT | SKIP -> PAD -> HEADER
 *   HEADER -> SKIP -> PAD -> HEADER              what is no file
 *   HEADER -> END                                a block of zeroes; only zeroes may follow
 *
 * A file's first bytes are collected in HEAD until member_pick.h can say whether it is the disk.
 * Holes of a sparse member come out as zeroes, which the engine finds again.
 *
 * Sources: see tar_header.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "formats/decode_io.h"
#include "formats/member_pick.h"
#include "formats/tar_header.h"

enum tar_state {
    TAR_HEADER,
    TAR_META,
    TAR_GNU_MAP,
    TAR_PAX_MAP,
    TAR_HEAD,
    TAR_EMIT,
    TAR_SKIP,
    TAR_PAD,
    TAR_END,
    TAR_STATE_COUNT_,
};

struct sw_decoder {
    enum tar_state state;
    struct sw_pick pick;
    uint64_t head_max; /* limits->member_head                             */
    uint64_t at;       /* archive offset of the block being gathered      */
    uint8_t block[SW_TAR_BLOCK];
    size_t have; /* bytes of block, or of meta                      */

    /* In front of a member. */
    uint64_t head_bytes; /* of everything that stands there                 */
    uint8_t *meta;       /* a long name or pax records, meta_n bytes; owned */
    size_t meta_n;
    struct sw_tar_header header;
    struct sw_tar_extra extra;

    /* pax 1.0: numbers of the map, each behind the other. */
    uint64_t map_number, map_left; /* being read; how many are to come        */
    uint64_t map_offset;
    bool map_has_count, map_has_digit;

    /* The member's data. */
    uint64_t stored; /* bytes that are still to come from the archive  */
    unsigned pad;    /* ... and then these                              */
    uint64_t pos, size;
    size_t extent; /* of extra.map: the first that ends behind pos     */
    uint8_t first[SW_PICK_BYTES];
    size_t first_n, first_at;
};

static int go_to(struct sw_decoder *d, enum tar_state state)
{
    d->state = state;
    return SW_IO_GO;
}

/* Everything that the archive makes us keep or read before a member's data. */
static int charge(struct sw_decoder *d, uint64_t bytes, struct sw_err *err)
{
    d->head_bytes += sw_min_u64(bytes, UINT64_MAX - d->head_bytes);
    if (d->head_bytes <= d->head_max)
        return 0;
    return sw_err_set(err, SW_ERR_UNSUPPORTED,
                      "tar: more than %" PRIu64 " bytes of names and tables in front of a member",
                      d->head_max);
}

static bool gather_block(struct sw_decoder *d, struct sw_decode_io *io)
{
    if (!sw_io_gather(io, d->block, &d->have, SW_TAR_BLOCK))
        return false;
    d->at += SW_TAR_BLOCK;
    return true;
}

/* ---- the data of a member -------------------------------------------------------------------- */

/* What comes next in the file, and for how long; 0 at its end. */
static uint64_t next_run(const struct sw_decoder *d, bool *ret_hole)
{
    const struct sw_tar_map *map = &d->extra.map;
    uint64_t data = d->extent < map->n ? map->at[d->extent].off : d->size;

    *ret_hole = d->pos < data;
    if (*ret_hole)
        return data - d->pos;
    return d->extent < map->n ? data + map->at[d->extent].len - d->pos : 0;
}

/* Up to `room` bytes of the file to `to`; 0 when it takes more input, or at the end. */
static size_t pull(struct sw_decoder *d, struct sw_decode_io *io, uint8_t *to, size_t room)
{
    bool hole;
    uint64_t run = next_run(d, &hole);
    size_t n = (size_t)sw_min_u64(run, room);

    if (!hole && n > io->in.n)
        n = io->in.n;
    if (!n)
        return 0;
    if (hole) {
        memset(to, 0, n);
    } else {
        memcpy(to, io->in.p, n);
        sw_io_eat(io, n);
        d->stored -= n;
        d->at += n;
    }
    d->pos += n;
    if (!hole && n == run)
        d->extent++;
    return n;
}

static int start_file(struct sw_decoder *d, uint64_t size, struct sw_err *err)
{
    if (sw_tar_map_check(&d->extra.map, size, d->stored, err) < 0)
        return -1;
    d->pos = 0;
    d->size = size;
    d->extent = 0;
    d->first_n = d->first_at = 0;
    return go_to(d, TAR_HEAD);
}

static int on_head(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    size_t want = (size_t)sw_min_u64(d->size, sizeof(d->first));
    const char *name = d->extra.name[0] ? d->extra.name : d->header.name;

    while (d->first_n < want) {
        size_t n = pull(d, io, d->first + d->first_n, want - d->first_n);

        if (!n)
            return SW_IO_STOP;
        d->first_n += n;
    }
    int taken = sw_pick_file(&d->pick, name, (struct sw_span){ d->first, d->first_n }, err);
    return taken < 0 ? -1 : go_to(d, taken ? TAR_EMIT : TAR_SKIP);
}

static int on_emit(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    size_t n = (size_t)sw_min_u64(d->first_n - d->first_at, sw_io_room(io));

    if (n)
        memcpy(sw_io_tail(io), d->first + d->first_at, n);
    d->first_at += n;
    io->out_len += n;
    if (d->first_at < d->first_n)
        return SW_IO_STOP;
    while (d->pos < d->size) {
        n = sw_io_room(io) ? pull(d, io, sw_io_tail(io), sw_io_room(io)) : 0;
        if (!n)
            return SW_IO_STOP;
        io->out_len += n;
    }
    return go_to(d, TAR_PAD);
}

static int on_skip(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    size_t n = (size_t)sw_min_u64(d->stored, io->in.n);

    sw_io_eat(io, n);
    d->stored -= n;
    d->at += n;
    return d->stored ? SW_IO_STOP : go_to(d, TAR_PAD);
}

static int on_pad(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    unsigned n = d->pad < io->in.n ? d->pad : (unsigned)io->in.n;

    sw_io_eat(io, n);
    d->pad -= n;
    d->at += n;
    return d->pad ? SW_IO_STOP : go_to(d, TAR_HEADER);
}

/* ---- maps ------------------------------------------------------------------------------------ */

static int start_gnu_sparse(struct sw_decoder *d, struct sw_err *err)
{
    bool more;

    if (d->extra.map.n)
        return sw_err_set(err, SW_ERR_BAD_DATA, "tar: a sparse member with two tables");
    if (sw_tar_gnu_real_size(d->block, &d->extra.real_size, err) < 0 ||
        sw_tar_gnu_extents(d->block, true, &d->extra.map, &more, err) < 0)
        return -1;
    return more ? go_to(d, TAR_GNU_MAP) : start_file(d, d->extra.real_size, err);
}

static int on_gnu_map(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    bool more;

    if (!gather_block(d, io))
        return SW_IO_STOP;
    if (charge(d, SW_TAR_BLOCK, err) < 0 ||
        sw_tar_gnu_extents(d->block, false, &d->extra.map, &more, err) < 0)
        return -1;
    return more ? SW_IO_GO : start_file(d, d->extra.real_size, err);
}

/* A number of a pax 1.0 map is whole: first comes how many extents there are, then each of them. */
static int take_map_number(struct sw_decoder *d, struct sw_err *err)
{
    uint64_t v = d->map_number;

    d->map_number = 0;
    d->map_has_digit = false;
    if (!d->map_has_count) {
        d->map_has_count = true;
        if (sw_mul_overflows(v, 2, &d->map_left))
            return sw_err_set(err, SW_ERR_BAD_DATA, "tar: a sparse map of %" PRIu64 " extents", v);
        return 0;
    }
    d->map_left--;
    if (d->map_left & 1) {
        d->map_offset = v;
        return 0;
    }
    return sw_tar_map_add(&d->extra.map, d->map_offset, v, err);
}

static bool map_is_whole(const struct sw_decoder *d)
{
    return d->map_has_count && !d->map_left;
}

/* The rest of the block in which the map ends is nothing. */
static int read_map_block(struct sw_decoder *d, struct sw_err *err)
{
    for (size_t i = 0; i < SW_TAR_BLOCK && !map_is_whole(d); i++) {
        uint8_t c = d->block[i];

        if (c >= '0' && c <= '9' && d->map_number <= (INT64_MAX - 9) / 10) {
            d->map_number = d->map_number * 10 + (uint64_t)(c - '0');
            d->map_has_digit = true;
        } else if (c != '\n' || !d->map_has_digit) {
            return sw_err_set(err, SW_ERR_BAD_DATA, "tar: the map of a sparse member is damaged");
        } else if (take_map_number(d, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int on_pax_map(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    if (d->stored < SW_TAR_BLOCK)
        return sw_err_set(err, SW_ERR_BAD_DATA, "tar: a sparse member is smaller than its map");
    if (!gather_block(d, io))
        return SW_IO_STOP;
    d->stored -= SW_TAR_BLOCK;
    if (charge(d, SW_TAR_BLOCK, err) < 0 || read_map_block(d, err) < 0)
        return -1;
    return map_is_whole(d) ? start_file(d, d->extra.real_size, err) : SW_IO_GO;
}

static int start_pax_map(struct sw_decoder *d, struct sw_err *err)
{
    if (!d->extra.has_real_size || d->extra.map.n)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "tar: a sparse member without its real size, or with two maps");
    d->map_number = d->map_left = 0;
    d->map_has_count = d->map_has_digit = false;
    return go_to(d, TAR_PAX_MAP);
}

/* ---- headers --------------------------------------------------------------------------------- */

static int start_meta(struct sw_decoder *d, struct sw_err *err)
{
    if (charge(d, d->header.size, err) < 0)
        return -1;
    d->meta_n = (size_t)d->header.size;
    d->have = 0;
    free(d->meta);
    d->meta = malloc(d->meta_n ? d->meta_n : 1);
    if (!d->meta)
        return sw_err_set(err, SW_ERR_INTERNAL, "tar: out of memory");
    return go_to(d, TAR_META);
}

static int on_meta(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    size_t before = io->in.n;
    bool whole = sw_io_gather(io, d->meta, &d->have, d->meta_n);

    d->at += before - io->in.n;
    if (!whole)
        return SW_IO_STOP;
    if (d->header.kind == 'x' &&
        sw_tar_pax_parse((struct sw_span){ d->meta, d->meta_n }, &d->extra, err) < 0)
        return -1;
    if (d->header.kind == 'L') {
        size_t n = d->meta_n < SW_MEMBER_PATH_MAX - 1 ? d->meta_n : SW_MEMBER_PATH_MAX - 1;

        memcpy(d->extra.name, d->meta, n);
        d->extra.name[n] = '\0';
    }
    return go_to(d, TAR_PAD);
}

static int start_plain_file(struct sw_decoder *d, struct sw_err *err)
{
    if (d->extra.map_in_data)
        return start_pax_map(d, err);
    if (d->extra.is_sparse)
        return start_file(d, d->extra.has_real_size ? d->extra.real_size : d->stored, err);
    if (sw_tar_map_add(&d->extra.map, 0, d->stored, err) < 0)
        return -1;
    return start_file(d, d->stored, err);
}

/* Its header is whole. */
static int start_member(struct sw_decoder *d, struct sw_err *err)
{
    d->stored = d->extra.has_size ? d->extra.size : d->header.size;
    d->pad = (unsigned)(-d->stored % SW_TAR_BLOCK);
    if (sw_pick_count(&d->pick, err) < 0)
        return -1;
    switch (d->header.kind) {
    case '0':
        return start_plain_file(d, err);
    case 'S':
        return start_gnu_sparse(d, err);
    case 'M':
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "tar: the archive goes on in another volume: join them first");
    case '1': /* their size is that of what they name, or nothing */
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
        d->stored = d->pad = 0;
        return go_to(d, TAR_SKIP);
    default: /* "treated as a regular file" by those who do not know it, so with data */
        return go_to(d, TAR_SKIP);
    }
}

static int on_header(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    if (!gather_block(d, io))
        return SW_IO_STOP;
    if (sw_is_zero(d->block, SW_TAR_BLOCK))
        return go_to(d, TAR_END);

    bool follows_meta = d->header.kind && strchr("xgLK", d->header.kind);
    if (!follows_meta) {
        sw_tar_extra_reset(&d->extra);
        d->head_bytes = 0;
    }
    if (sw_tar_header_parse(d->block, d->at - SW_TAR_BLOCK, &d->header, err) < 0)
        return -1;
    if (!d->header.kind || !strchr("xgLK", d->header.kind))
        return start_member(d, err);
    d->pad = (unsigned)(-d->header.size % SW_TAR_BLOCK);
    return charge(d, SW_TAR_BLOCK, err) < 0 ? -1 : start_meta(d, err);
}

static int on_end(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    if (!sw_is_zero(io->in.p, io->in.n))
        return sw_err_set(err, SW_ERR_BAD_DATA, "tar: garbage behind the end of the archive");
    sw_io_eat(io, io->in.n);
    return SW_IO_STOP;
}

/* ---- operations ------------------------------------------------------------------------------ */

static int (*const states[TAR_STATE_COUNT_])(struct sw_decoder *d, struct sw_decode_io *io,
                                             struct sw_err *err) = {
    [TAR_HEADER] = on_header,   [TAR_META] = on_meta, [TAR_GNU_MAP] = on_gnu_map,
    [TAR_PAX_MAP] = on_pax_map, [TAR_HEAD] = on_head, [TAR_EMIT] = on_emit,
    [TAR_SKIP] = on_skip,       [TAR_PAD] = on_pad,   [TAR_END] = on_end,
};

static int tar_open(const struct sw_limits *limits, struct sw_decoder **ret, struct sw_err *err)
{
    struct sw_decoder *d = calloc(1, sizeof(*d));

    if (!d)
        return sw_err_set(err, SW_ERR_INTERNAL, "tar: out of memory");
    d->pick = (struct sw_pick){ .format = "tar", .max_members = limits->members };
    d->head_max = limits->member_head;
    *ret = d;
    return 0;
}

static int tar_step(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    int verdict;

    do {
        verdict = states[d->state](d, io, err);
    } while (verdict == SW_IO_GO);
    return verdict < 0 ? -1 : 0;
}

static int tar_finish(struct sw_decoder *d, struct sw_err *err)
{
    if (d->state != TAR_END)
        return sw_err_set(err, SW_ERR_BAD_DATA, "tar: truncated after %" PRIu64 " bytes",
                          d->at + d->have);
    return sw_pick_finish(&d->pick, err);
}

/* A place to go on from would have to remember the member. */
static bool tar_at_boundary(const struct sw_decoder *d)
{
    (void)d;
    return false;
}

static void tar_set_resumed(struct sw_decoder *d)
{
    (void)d;
}

static void tar_close(struct sw_decoder *d)
{
    if (!d)
        return;
    sw_tar_extra_reset(&d->extra);
    free(d->meta);
    free(d);
}

const struct sw_decoder_ops sw_tar_decoder = {
    .name = "tar",
    .open = tar_open,
    .step = tar_step,
    .finish = tar_finish,
    .at_boundary = tar_at_boundary,
    .set_resumed = tar_set_resumed,
    .close = tar_close,
};
