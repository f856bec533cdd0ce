/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/tar_header.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Offsets and lengths of the fields of a header block. */
enum {
    NAME_AT = 0,
    NAME_LEN = 100,
    SIZE_AT = 124,
    NUMBER_LEN = 12,
    CHECKSUM_AT = 148,
    CHECKSUM_LEN = 8,
    KIND_AT = 156,
    MAGIC_AT = 257,
    PREFIX_AT = 345,
    PREFIX_LEN = 155,
    GNU_SPARSE_AT = 386, /* old GNU: 4 pairs, then "more", then the real size */
    GNU_MORE_AT = 482,
    GNU_REAL_SIZE_AT = 483,
    GNU_EXT_MORE_AT = 504, /* in a block that continues: 21 pairs, then "more" */
};

static int bad(struct sw_err *err, const char *what)
{
    return sw_err_set(err, SW_ERR_BAD_DATA, "tar: %s", what);
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* Base-256: the bits behind the first, big-endian. Only what fits 63 bits and is not negative. */
static bool base256(const uint8_t *p, size_t n, uint64_t *ret)
{
    uint64_t v = p[0] & 0x7f;

    for (size_t i = 1; i < n; i++) {
        if (v >> 55)
            return false;
        v = v << 8 | p[i];
    }
    *ret = v;
    return true;
}

/* Octal digits between blanks or NULs; none at all is zero. */
static bool number(const uint8_t *p, size_t n, uint64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;

    if (p[0] & 0x80)
        return base256(p, n, ret);
    while (i < n && (p[i] == ' ' || p[i] == 0))
        i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(p[i] - '0');
    for (; i < n; i++) {
        if (p[i] != ' ' && p[i] != 0)
            return false;
    }
    *ret = v;
    return true;
}

/* Decimal digits up to `end`; at least one, at most 63 bits. */
static bool decimal(const uint8_t *p, const uint8_t *end, uint64_t *ret)
{
    uint64_t v = 0;

    if (p == end)
        return false;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9' || v > (INT64_MAX - 9) / 10)
            return false;
        v = v * 10 + (uint64_t)(*p - '0');
    }
    *ret = v;
    return true;
}

/* ---- header blocks --------------------------------------------------------------------------- */

/* The sum of all bytes, the checksum's own counted as blanks. Some old writers added signed ones. */
static bool checksum_is_right(const uint8_t *block)
{
    uint64_t want, sum = 0;
    int64_t signed_sum = 0;

    if (!number(block + CHECKSUM_AT, CHECKSUM_LEN, &want))
        return false;
    for (size_t i = 0; i < SW_TAR_BLOCK; i++) {
        uint8_t c = i >= CHECKSUM_AT && i < CHECKSUM_AT + CHECKSUM_LEN ? ' ' : block[i];

        sum += c;
        signed_sum += (int8_t)c;
    }
    return want == sum || (signed_sum >= 0 && want == (uint64_t)signed_sum);
}

bool sw_tar_is_header(struct sw_span block)
{
    return block.n >= SW_TAR_BLOCK && memcmp(block.p + MAGIC_AT, "ustar", 5) == 0 &&
           checksum_is_right(block.p);
}

static size_t text_length(const uint8_t *field, size_t n)
{
    const uint8_t *end = memchr(field, 0, n);

    return end ? (size_t)(end - field) : n;
}

/* ustar has a prefix; in GNU archives ("ustar  ") other fields are in its place. */
static void join_name(const uint8_t *block, char *ret)
{
    size_t name = text_length(block + NAME_AT, NAME_LEN), at = 0;

    if (memcmp(block + MAGIC_AT, "ustar\0", 6) == 0 && block[PREFIX_AT]) {
        at = text_length(block + PREFIX_AT, PREFIX_LEN);
        memcpy(ret, block + PREFIX_AT, at);
        ret[at++] = '/';
    }
    memcpy(ret + at, block + NAME_AT, name);
    ret[at + name] = '\0';
}

int sw_tar_header_parse(const uint8_t block[SW_TAR_BLOCK], uint64_t at, struct sw_tar_header *ret,
                        struct sw_err *err)
{
    if (!checksum_is_right(block))
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "tar: the header at %" PRIu64 " has a wrong checksum", at);
    if (!number(block + SIZE_AT, NUMBER_LEN, &ret->size))
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "tar: the header at %" PRIu64 " has an impossible size", at);
    ret->kind = (char)block[KIND_AT];
    join_name(block, ret->name);
    if (ret->kind == '\0' || ret->kind == '7') /* 7: contiguous, which nobody is */
        ret->kind = '0';
    size_t n = strlen(ret->name);
    if (ret->kind == '0' && n && ret->name[n - 1] == '/') /* as archives from before ustar say it */
        ret->kind = '5';
    return 0;
}

/* ---- sparse maps ----------------------------------------------------------------------------- */

int sw_tar_map_add(struct sw_tar_map *map, uint64_t off, uint64_t len, struct sw_err *err)
{
    if (!len)
        return 0;
    if (map->n == map->cap) {
        size_t cap = map->cap ? 2 * map->cap : 16;
        struct sw_tar_extent *more = realloc(map->at, cap * sizeof(*more));

        if (!more)
            return sw_err_set(err, SW_ERR_INTERNAL, "tar: out of memory");
        map->at = more;
        map->cap = cap;
    }
    map->at[map->n++] = (struct sw_tar_extent){ off, len };
    return 0;
}

int sw_tar_map_check(const struct sw_tar_map *map, uint64_t size, uint64_t stored,
                     struct sw_err *err)
{
    uint64_t end = 0, sum = 0;

    for (size_t i = 0; i < map->n; i++) {
        const struct sw_tar_extent *e = &map->at[i];

        if (e->off < end || sw_add_overflows(e->off, e->len, &end) || end > size)
            return sw_err_set(err, SW_ERR_BAD_DATA,
                              "tar: extent %zu of a sparse member, %" PRIu64 " bytes at %" PRIu64
                              ", lies over another or outside of its %" PRIu64 " bytes",
                              i, e->len, e->off, size);
        sum += e->len; /* not more than end */
    }
    if (sum != stored)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "tar: the extents of a sparse member have %" PRIu64
                          " bytes, the archive has %" PRIu64,
                          sum, stored);
    return 0;
}

int sw_tar_gnu_extents(const uint8_t block[SW_TAR_BLOCK], bool is_header, struct sw_tar_map *map,
                       bool *ret_more, struct sw_err *err)
{
    const uint8_t *p = block + (is_header ? GNU_SPARSE_AT : 0);
    unsigned n = is_header ? 4 : 21;

    *ret_more = block[is_header ? GNU_MORE_AT : GNU_EXT_MORE_AT] != 0;
    for (; n && p[0]; n--, p += 2 * NUMBER_LEN) {
        uint64_t off, len;

        if (!number(p, NUMBER_LEN, &off) || !number(p + NUMBER_LEN, NUMBER_LEN, &len))
            return bad(err, "a sparse table has an impossible number");
        if (sw_tar_map_add(map, off, len, err) < 0)
            return -1;
    }
    return 0;
}

int sw_tar_gnu_real_size(const uint8_t block[SW_TAR_BLOCK], uint64_t *ret, struct sw_err *err)
{
    return number(block + GNU_REAL_SIZE_AT, NUMBER_LEN, ret)
               ? 0
               : bad(err, "a sparse member has an impossible size");
}

/* ---- pax records ----------------------------------------------------------------------------- */

struct pax {
    struct sw_tar_extra *extra;
    struct sw_span value;
};

static int pax_number(const struct pax *r, uint64_t *ret, struct sw_err *err)
{
    return decimal(r->value.p, r->value.p + r->value.n, ret) ? 0
                                                             : bad(err, "a pax record has an "
                                                                        "impossible number");
}

static int pax_name(const struct pax *r, struct sw_err *err)
{
    size_t n = r->value.n < SW_MEMBER_PATH_MAX - 1 ? r->value.n : SW_MEMBER_PATH_MAX - 1;

    memcpy(r->extra->name, r->value.p, n);
    r->extra->name[n] = '\0';
    return 0;
}

static int pax_size(const struct pax *r, struct sw_err *err)
{
    r->extra->has_size = true;
    return pax_number(r, &r->extra->size, err);
}

static int pax_real_size(const struct pax *r, struct sw_err *err)
{
    r->extra->has_real_size = r->extra->is_sparse = true;
    return pax_number(r, &r->extra->real_size, err);
}

/* Version 1.0; 0.0 and 0.1 do not say. */
static int pax_major(const struct pax *r, struct sw_err *err)
{
    uint64_t v;

    if (pax_number(r, &v, err) < 0)
        return -1;
    if (v > 1)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "tar: sparse members of version %" PRIu64 " are not known", v);
    r->extra->is_sparse = true;
    r->extra->map_in_data = v == 1;
    return 0;
}

/* 0.0: two records for each extent. */
static int pax_offset(const struct pax *r, struct sw_err *err)
{
    r->extra->is_sparse = true;
    return pax_number(r, &r->extra->next_offset, err);
}

static int pax_num_bytes(const struct pax *r, struct sw_err *err)
{
    uint64_t len;

    if (pax_number(r, &len, err) < 0)
        return -1;
    return sw_tar_map_add(&r->extra->map, r->extra->next_offset, len, err);
}

/* 0.1: "offset,length,offset,length..." */
static int pax_map(const struct pax *r, struct sw_err *err)
{
    const uint8_t *p = r->value.p, *end = p + r->value.n;
    uint64_t pair[2];
    unsigned i = 0;

    r->extra->is_sparse = true;
    while (p < end) {
        const uint8_t *comma = memchr(p, ',', (size_t)(end - p));
        const uint8_t *stop = comma ? comma : end;

        if (!decimal(p, stop, &pair[i]))
            return bad(err, "a pax record has an impossible sparse map");
        if (i == 1 && sw_tar_map_add(&r->extra->map, pair[0], pair[1], err) < 0)
            return -1;
        i = !i;
        p = comma ? comma + 1 : end;
    }
    return i ? bad(err, "a pax record has half an extent") : 0;
}

static const struct {
    const char *key;
    int (*take)(const struct pax *r, struct sw_err *err);
} pax_keys[] = {
    { "path", pax_name },
    { "size", pax_size },
    { "GNU.sparse.name", pax_name },
    { "GNU.sparse.major", pax_major },
    { "GNU.sparse.realsize", pax_real_size },
    { "GNU.sparse.size", pax_real_size },
    { "GNU.sparse.offset", pax_offset },
    { "GNU.sparse.numbytes", pax_num_bytes },
    { "GNU.sparse.map", pax_map },
};

static int take_record(struct sw_span body, struct sw_tar_extra *extra, struct sw_err *err)
{
    const uint8_t *equals = memchr(body.p, '=', body.n);
    size_t key = equals ? (size_t)(equals - body.p) : 0;
    const struct pax r = { extra, { body.p + key + 1, body.n - key - 1 } };

    if (!equals)
        return bad(err, "a pax record without '='");
    for (size_t i = 0; i < SW_COUNT(pax_keys); i++) {
        if (strlen(pax_keys[i].key) == key && memcmp(pax_keys[i].key, body.p, key) == 0)
            return pax_keys[i].take(&r, err);
    }
    return 0;
}

/* "<length of the record> <key>=<value>\n" */
int sw_tar_pax_parse(struct sw_span records, struct sw_tar_extra *extra, struct sw_err *err)
{
    while (records.n) {
        const uint8_t *blank = memchr(records.p, ' ', records.n);
        uint64_t len;

        if (records.p[0] == 0) /* padding that some writers count in */
            return sw_is_zero(records.p, records.n) ? 0 : bad(err, "garbage in a pax header");
        if (!blank || !decimal(records.p, blank, &len) || len > records.n ||
            len < (uint64_t)(blank - records.p) + 2 || records.p[len - 1] != '\n')
            return bad(err, "a pax record has a wrong length");
        if (take_record((struct sw_span){ blank + 1, (size_t)(records.p + len - 1 - (blank + 1)) },
                        extra, err) < 0)
            return -1;
        records.p += len;
        records.n -= (size_t)len;
    }
    return 0;
}

void sw_tar_extra_reset(struct sw_tar_extra *extra)
{
    free(extra->map.at);
    *extra = (struct sw_tar_extra){ 0 };
}
