/* SPDX-License-Identifier: Apache-2.0 */
/* A zip archive as a decoder: what comes out is the one member that is a disk image.
 *
 * DESIGN. The archive is read front to back, by its local headers. Where a deflated member ends, its
 * deflate stream says; a stored one has to say its length in front. The directory at the end has to
 * list as many members as came, and nothing may follow it: so neither a cut nor an archive that
 * shows other members to those who begin at its end passes.
 *
 *   SIGNATURE -> LOCAL -> NAME -> BODY -> [DESCRIPTOR -> [CRC] -> SIZES] -> SIGNATURE
 *   SIGNATURE -> CENTRAL -> TEXTS -> SIGNATURE
 *   SIGNATURE -> [END64 -> TEXTS -> SIGNATURE -> LOCATOR -> SIGNATURE] -> END -> TEXTS -> DONE
 *
 * Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5; RFC 1951 by zlib. */
#include <inttypes.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <zlib.h>

#include "formats/decode_io.h"
#include "formats/member_pick.h"

enum zip_state {
    ZIP_SIGNATURE,
    ZIP_LOCAL,
    ZIP_NAME,
    ZIP_BODY,
    ZIP_DESCRIPTOR,
    ZIP_CRC,
    ZIP_SIZES,
    ZIP_CENTRAL,
    ZIP_END64,
    ZIP_LOCATOR,
    ZIP_END,
    ZIP_TEXTS,
    ZIP_DONE,
    ZIP_STATE_COUNT_,
};

/* Signatures, and bytes of the fixed parts behind them (4.3.7, 4.3.9, 4.3.12, 4.3.14 to 4.3.16). */
enum {
    SIG_LOCAL = 0x04034b50,
    SIG_DESCRIPTOR = 0x08074b50,
    SIG_CENTRAL = 0x02014b50,
    SIG_END64 = 0x06064b50,
    SIG_LOCATOR = 0x07064b50,
    SIG_END = 0x06054b50,
    LOCAL_LEN = 26,
    CENTRAL_LEN = 42,
    END64_LEN = 52,
    LOCATOR_LEN = 16,
    END_LEN = 18,
};

enum { FLAG_ENCRYPTED = 1, FLAG_DESCRIPTOR = 8, FLAG_MASKED = 1 << 13 };
enum { STORED = 0, DEFLATED = 8 };
#define SIZE_IN_EXTRA 0xffffffffu
#define EXTRA_ZIP64 1
#define SCRATCH ((size_t)16 << 10)

struct sw_decoder {
    enum zip_state state;
    struct sw_pick pick;
    uint64_t at; /* archive offset of the next byte                      */
    uint8_t field[64];
    size_t have;
    uint8_t *texts; /* name and extra field of a local header; owned        */
    size_t name_n, extra_n;
    char name[SW_MEMBER_PATH_MAX];
    uint64_t skip;            /* ZIP_TEXTS: bytes without a meaning for us        */
    enum zip_state then;      /* ... and what follows them                        */
    uint64_t entries;         /* of the directory                                 */
    bool has_end64, may_skip; /* may_skip: the member's end is known from its header */

    /* The member. */
    unsigned flags, method;
    uint32_t crc;          /* as its header says it */
    uint64_t packed, size; /* likewise              */
    bool is_zip64, decided, taken;
    uint32_t made_crc;
    uint64_t used, made;
    z_stream z;
    uint8_t first[SW_PICK_BYTES];
    size_t first_n, first_at;
    uint8_t *scratch; /* where a member that nobody wants is inflated to; owned */
};

static int bad(const struct sw_decoder *d, const char *what, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_BAD_DATA, "zip: at %" PRIu64 ": %s", d->at, what);
}

static int go_to(struct sw_decoder *d, enum zip_state state)
{
    d->state = state;
    return SW_IO_GO;
}

static bool gather(struct sw_decoder *d, struct sw_decode_io *io, uint8_t *field, size_t want)
{
    size_t before = io->in.n;
    bool whole = sw_io_gather(io, field, &d->have, want);

    d->at += before - io->in.n;
    return whole;
}

/* ---- between members ------------------------------------------------------------------------- */

static int on_signature(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    if (!gather(d, io, d->field, 4))
        return SW_IO_STOP;
    switch (sw_le32(d->field)) {
    case SIG_LOCAL:
        return d->entries ? bad(d, "a member behind the directory", err) : go_to(d, ZIP_LOCAL);
    case SIG_CENTRAL:
        return go_to(d, ZIP_CENTRAL);
    case SIG_END64:
        return go_to(d, ZIP_END64);
    case SIG_LOCATOR:
        return go_to(d, ZIP_LOCATOR);
    case SIG_END:
        return go_to(d, ZIP_END);
    default:
        return bad(d, "neither a member nor the directory", err);
    }
}

static int skip_texts(struct sw_decoder *d, uint64_t n, enum zip_state then)
{
    d->skip = n;
    d->then = then;
    return go_to(d, ZIP_TEXTS);
}

static int on_texts(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    size_t n = (size_t)sw_min_u64(d->skip, io->in.n);

    sw_io_eat(io, n);
    d->skip -= n;
    d->at += n;
    return d->skip ? SW_IO_STOP : go_to(d, d->then);
}

static int on_central(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    if (!gather(d, io, d->field, CENTRAL_LEN))
        return SW_IO_STOP;
    if (++d->entries > d->pick.members)
        return bad(d, "the directory lists more members than there are", err);
    return skip_texts(
        d, (uint64_t)sw_le16(d->field + 24) + sw_le16(d->field + 26) + sw_le16(d->field + 28),
        ZIP_SIGNATURE);
}

static int on_end64(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    uint64_t len;

    if (!gather(d, io, d->field, END64_LEN))
        return SW_IO_STOP;
    len = sw_le64(d->field); /* of what follows it */
    if (len < END64_LEN - 8 || len > SW_MIB)
        return bad(d, "the end record has an impossible length", err);
    if (sw_le64(d->field + 28) != d->pick.members)
        return bad(d, "the end record counts other members than there are", err);
    d->has_end64 = true;
    return skip_texts(d, len - (END64_LEN - 8), ZIP_SIGNATURE);
}

static int on_locator(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    if (!gather(d, io, d->field, LOCATOR_LEN))
        return SW_IO_STOP;
    return d->has_end64 ? go_to(d, ZIP_SIGNATURE) : bad(d, "a locator of nothing", err);
}

static int on_end(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    unsigned total;

    if (!gather(d, io, d->field, END_LEN))
        return SW_IO_STOP;
    if (sw_le16(d->field) && sw_le16(d->field) != 0xffff)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "zip: the archive is split over several files: join them first");
    total = sw_le16(d->field + 6);
    if (d->entries != d->pick.members ||
        (total != d->entries && !(total == 0xffff && d->has_end64)))
        return bad(d, "the directory lists other members than there are", err);
    return skip_texts(d, sw_le16(d->field + 16), ZIP_DONE);
}

static int on_done(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    return io->in.n ? bad(d, "garbage behind the end of the archive", err) : SW_IO_STOP;
}

/* ---- the start of a member ------------------------------------------------------------------- */

static int on_local(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    const uint8_t *p = d->field;

    if (!gather(d, io, d->field, LOCAL_LEN))
        return SW_IO_STOP;
    if (sw_pick_count(&d->pick, err) < 0)
        return -1;
    d->flags = sw_le16(p + 2);
    d->method = sw_le16(p + 4);
    d->crc = sw_le32(p + 10);
    d->packed = sw_le32(p + 14);
    d->size = sw_le32(p + 18);
    d->name_n = sw_le16(p + 22);
    d->extra_n = sw_le16(p + 24);
    free(d->texts);
    d->texts = malloc(d->name_n + d->extra_n + 1);
    if (!d->texts)
        return sw_err_set(err, SW_ERR_INTERNAL, "zip: out of memory");
    return go_to(d, ZIP_NAME);
}

/* 4.5.3: the sizes that do not fit the header, in this order. */
static int read_zip64(struct sw_decoder *d, struct sw_span field, struct sw_err *err)
{
    uint64_t *const sizes[] = { &d->size, &d->packed };

    d->is_zip64 = true;
    for (size_t i = 0; i < SW_COUNT(sizes); i++) {
        if (*sizes[i] != SIZE_IN_EXTRA)
            continue;
        if (field.n < 8)
            return bad(d, "the extra field with the member's size is too short", err);
        *sizes[i] = sw_le64(field.p);
        field.p += 8;
        field.n -= 8;
    }
    return 0;
}

static int read_extra(struct sw_decoder *d, struct sw_err *err)
{
    struct sw_span rest = { d->texts + d->name_n, d->extra_n };

    d->is_zip64 = false;
    while (rest.n >= 4) {
        size_t n = sw_le16(rest.p + 2);

        if (n > rest.n - 4)
            break; /* some writers align data with what is no field: not ours to judge */
        if (sw_le16(rest.p) == EXTRA_ZIP64 &&
            read_zip64(d, (struct sw_span){ rest.p + 4, n }, err) < 0)
            return -1;
        rest.p += 4 + n;
        rest.n -= 4 + n;
    }
    return 0;
}

static int refuse(const struct sw_decoder *d, const char *why, struct sw_err *err)
{
    char shown[SW_MEMBER_SHOWN_MAX];

    return sw_err_set(err, SW_ERR_UNSUPPORTED, "zip: member '%s' %s",
                      sw_member_shown(d->name, shown), why);
}

static int check_method(struct sw_decoder *d, struct sw_err *err)
{
    size_t n = strlen(d->name);

    if (d->flags & (FLAG_ENCRYPTED | FLAG_MASKED))
        return refuse(d, "is encrypted: decrypt it first", err);
    if (d->method != STORED && d->method != DEFLATED)
        return refuse(d, "is neither stored nor deflated: repack it so", err);
    if (d->method == STORED && (d->flags & FLAG_DESCRIPTOR) && n && d->name[n - 1] != '/')
        return refuse(d, "is stored, with its length behind it: no one can tell where it ends",
                      err);
    return 0;
}

static void start_body(struct sw_decoder *d)
{
    d->decided = d->taken = false;
    d->used = d->made = 0;
    d->made_crc = 0;
    d->first_n = d->first_at = 0;
    d->may_skip = !(d->flags & FLAG_DESCRIPTOR);
    d->state = ZIP_BODY;
}

static int on_name(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    size_t n;

    if (!gather(d, io, d->texts, d->name_n + d->extra_n))
        return SW_IO_STOP;
    n = d->name_n < SW_MEMBER_PATH_MAX - 1 ? d->name_n : SW_MEMBER_PATH_MAX - 1;
    memcpy(d->name, d->texts, n);
    d->name[n] = '\0';
    if (read_extra(d, err) < 0 || check_method(d, err) < 0)
        return -1;
    if (inflateReset(&d->z) != Z_OK)
        return sw_err_set(err, SW_ERR_INTERNAL, "zip: zlib cannot be reset");
    start_body(d);
    return SW_IO_GO;
}

/* ---- its data -------------------------------------------------------------------------------- */

/* Decode to `to`: the number of bytes, *ret_end when the data is complete. */
static ssize_t copy_stored(struct sw_decoder *d, struct sw_decode_io *io, uint8_t *to, size_t room,
                           bool *ret_end)
{
    size_t n = (size_t)sw_min_u64(sw_min_u64(d->packed - d->used, io->in.n), room);

    if (n)
        memcpy(to, io->in.p, n);
    sw_io_eat(io, n);
    d->used += n;
    d->at += n;
    *ret_end = d->used == d->packed;
    return (ssize_t)n;
}

static ssize_t inflate_some(struct sw_decoder *d, struct sw_decode_io *io, uint8_t *to, size_t room,
                            bool *ret_end, struct sw_err *err)
{
    uint64_t most = d->may_skip ? d->packed - d->used : SW_IO_CALL_MAX;
    uInt in_n = (uInt)sw_min_u64(sw_min_u64(io->in.n, SW_IO_CALL_MAX), most);
    uInt out_n = (uInt)sw_min_u64(room, SW_IO_CALL_MAX);
    int ret;

    d->z.next_in = (Bytef *)io->in.p;
    d->z.avail_in = in_n;
    d->z.next_out = to;
    d->z.avail_out = out_n;
    ret = inflate(&d->z, Z_NO_FLUSH);
    if (ret == Z_MEM_ERROR)
        return sw_err_set(err, SW_ERR_INTERNAL, "zip: out of memory");
    if (ret != Z_STREAM_END && ret != Z_OK && ret != Z_BUF_ERROR)
        return bad(d, "corrupt deflate data", err);

    size_t eaten = in_n - d->z.avail_in;
    sw_io_eat(io, eaten);
    d->used += eaten;
    d->at += eaten;
    *ret_end = ret == Z_STREAM_END;
    if (!*ret_end && d->may_skip && d->used == d->packed && d->z.avail_out)
        return bad(d, "the deflate data is longer than the member", err);
    return (ssize_t)(out_n - d->z.avail_out);
}

static ssize_t decode_some(struct sw_decoder *d, struct sw_decode_io *io, uint8_t *to, size_t room,
                           bool *ret_end, struct sw_err *err)
{
    ssize_t n = d->method == STORED ? copy_stored(d, io, to, room, ret_end)
                                    : inflate_some(d, io, to, room, ret_end, err);

    if (n <= 0)
        return n;
    d->made_crc = libdeflate_crc32(d->made_crc, to, (size_t)n);
    d->made += (uint64_t)n;
    return n;
}

static int check_sizes(const struct sw_decoder *d, struct sw_err *err)
{
    char shown[SW_MEMBER_SHOWN_MAX];

    if (d->used == d->packed && d->made == d->size && d->made_crc == d->crc)
        return 0;
    return sw_err_set(err, SW_ERR_BAD_DATA,
                      "zip: member '%s': its checksum or one of its lengths is wrong",
                      sw_member_shown(d->name, shown));
}

static int end_member(struct sw_decoder *d, struct sw_err *err)
{
    if (d->flags & FLAG_DESCRIPTOR)
        return go_to(d, ZIP_DESCRIPTOR);
    return check_sizes(d, err) < 0 ? -1 : go_to(d, ZIP_SIGNATURE);
}

static int decide(struct sw_decoder *d, struct sw_err *err)
{
    int taken = sw_pick_file(&d->pick, d->name, (struct sw_span){ d->first, d->first_n }, err);

    if (taken < 0)
        return -1;
    d->decided = true;
    d->taken = taken;
    return 0;
}

/* Collect the member's first bytes, until it can be decided about. *ret_end as decode_some(). */
static int collect_first(struct sw_decoder *d, struct sw_decode_io *io, bool *ret_end,
                         struct sw_err *err)
{
    while (!*ret_end && d->first_n < sizeof(d->first)) {
        size_t before = io->in.n;
        ssize_t n = decode_some(d, io, d->first + d->first_n, sizeof(d->first) - d->first_n,
                                ret_end, err);

        if (n < 0)
            return -1;
        d->first_n += (size_t)n;
        if (!n && io->in.n == before && !*ret_end)
            return SW_IO_STOP;
    }
    return decide(d, err) < 0 ? -1 : SW_IO_GO;
}

/* What nobody wants: jumped over when its length is known, inflated for its end when it is not. */
static int pass_over(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    bool end = false;

    if (d->may_skip)
        return skip_texts(d, d->packed - d->used, ZIP_SIGNATURE);
    if (!d->scratch)
        d->scratch = malloc(SCRATCH);
    if (!d->scratch)
        return sw_err_set(err, SW_ERR_INTERNAL, "zip: out of memory");
    while (!end) {
        size_t before = io->in.n;
        ssize_t n = decode_some(d, io, d->scratch, SCRATCH, &end, err);

        if (n < 0)
            return -1;
        if (!n && io->in.n == before && !end)
            return SW_IO_STOP;
    }
    return end_member(d, err);
}

static int emit(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    size_t n = (size_t)sw_min_u64(d->first_n - d->first_at, sw_io_room(io));
    bool end = false;

    if (n)
        memcpy(sw_io_tail(io), d->first + d->first_at, n);
    d->first_at += n;
    io->out_len += n;
    while (!end) {
        size_t before = io->in.n;
        ssize_t got;

        if (d->first_at < d->first_n || !sw_io_room(io))
            return SW_IO_STOP;
        got = decode_some(d, io, sw_io_tail(io), sw_io_room(io), &end, err);
        if (got < 0)
            return -1;
        io->out_len += (size_t)got;
        if (!got && io->in.n == before && !end)
            return SW_IO_STOP;
    }
    return end_member(d, err);
}

static int on_body(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    bool end = false;

    if (!d->decided) {
        int verdict = collect_first(d, io, &end, err);

        if (verdict != SW_IO_GO)
            return verdict;
        if (end && !d->taken)
            return end_member(d, err);
    }
    return d->taken ? emit(d, io, err) : pass_over(d, io, err);
}

/* ---- what may follow it ---------------------------------------------------------------------- */

static int take_crc(struct sw_decoder *d)
{
    d->crc = sw_le32(d->field);
    return go_to(d, ZIP_SIZES);
}

static int on_crc(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    (void)err;
    return gather(d, io, d->field, 4) ? take_crc(d) : SW_IO_STOP;
}

/* 4.3.9: the signature in front of the checksum is optional. */
static int on_descriptor(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    (void)err;
    if (!gather(d, io, d->field, 4))
        return SW_IO_STOP;
    return sw_le32(d->field) == SIG_DESCRIPTOR ? go_to(d, ZIP_CRC) : take_crc(d);
}

/* Two lengths of 4 bytes each, or of 8: writers of the latter do not always say so in front. So what
 * comes is compared with what was there. */
static int on_sizes(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    bool is_long = d->is_zip64 || d->used > UINT32_MAX || d->made > UINT32_MAX;

    if (!gather(d, io, d->field, is_long ? 16 : 8))
        return SW_IO_STOP;
    d->packed = is_long ? sw_le64(d->field) : sw_le32(d->field);
    d->size = is_long ? sw_le64(d->field + 8) : sw_le32(d->field + 4);
    return check_sizes(d, err) < 0 ? -1 : go_to(d, ZIP_SIGNATURE);
}

/* ---- operations ------------------------------------------------------------------------------ */

static int (*const states[ZIP_STATE_COUNT_])(struct sw_decoder *d, struct sw_decode_io *io,
                                             struct sw_err *err) = {
    [ZIP_SIGNATURE] = on_signature,
    [ZIP_LOCAL] = on_local,
    [ZIP_NAME] = on_name,
    [ZIP_BODY] = on_body,
    [ZIP_DESCRIPTOR] = on_descriptor,
    [ZIP_CRC] = on_crc,
    [ZIP_SIZES] = on_sizes,
    [ZIP_CENTRAL] = on_central,
    [ZIP_END64] = on_end64,
    [ZIP_LOCATOR] = on_locator,
    [ZIP_END] = on_end,
    [ZIP_TEXTS] = on_texts,
    [ZIP_DONE] = on_done,
};

static int zip_open(const struct sw_limits *limits, struct sw_decoder **ret, struct sw_err *err)
{
    struct sw_decoder *d = calloc(1, sizeof(*d));

    if (!d || inflateInit2(&d->z, -15) != Z_OK) {
        free(d);
        return sw_err_set(err, SW_ERR_INTERNAL, "zip: out of memory");
    }
    d->pick = (struct sw_pick){ .format = "zip", .max_members = limits->members };
    *ret = d;
    return 0;
}

static int zip_step(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err)
{
    int verdict;

    do {
        verdict = states[d->state](d, io, err);
    } while (verdict == SW_IO_GO);
    return verdict < 0 ? -1 : 0;
}

static int zip_finish(struct sw_decoder *d, struct sw_err *err)
{
    if (d->state != ZIP_DONE)
        return sw_err_set(err, SW_ERR_BAD_DATA, "zip: truncated after %" PRIu64 " bytes", d->at);
    return sw_pick_finish(&d->pick, err);
}

/* A place to go on from would have to remember the member. */
static bool zip_at_boundary(const struct sw_decoder *d)
{
    (void)d;
    return false;
}

static void zip_set_resumed(struct sw_decoder *d)
{
    (void)d;
}

static void zip_close(struct sw_decoder *d)
{
    if (!d)
        return;
    inflateEnd(&d->z);
    free(d->texts);
    free(d->scratch);
    free(d);
}

const struct sw_decoder_ops sw_zip_decoder = {
    .name = "zip",
    .open = zip_open,
    .step = zip_step,
    .finish = zip_finish,
    .at_boundary = zip_at_boundary,
    .set_resumed = zip_set_resumed,
    .close = zip_close,
};
