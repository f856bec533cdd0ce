/* SPDX-License-Identifier: Apache-2.0 */
/* DESIGN. The log is a ring of entries; which of them are to be replayed is for the reader to find out.
 * An entry is valid by signature, checksum and GUID. From each valid one, the entries that follow it
 * with the next sequence number make a sequence; the last of them says where the first is that still
 * counts (its tail). The sequence with the highest number whose tail lies in it is the one. */
#include "formats/vhdx_log.h"

#include <stdlib.h>

#include "formats/crc32c.h"

#define ENTRY_HEADER 64u
#define DESCRIPTOR 32u
#define SIGNATURE_ENTRY 0x65676f6cu /* "loge" */
#define SIGNATURE_DESC 0x63736564u  /* "desc" */
#define SIGNATURE_ZERO 0x6f72657au  /* "zero" */
#define SIGNATURE_DATA 0x61746164u  /* "data" */

struct entry {
    uint32_t off, len, tail, descriptors;
    uint64_t sequence;
};

struct ring {
    const uint8_t *p;
    uint32_t n; /* a multiple of SW_VHDX_PAGE */
    const uint8_t *guid;
    uint64_t budget; /* bytes that may still be checksummed: broken entries may claim any length */
};

/* Each entry of a log that was used is looked at a few times. */
#define LOOKS 8

/* The page of the ring at offset off, which may be past its end once. */
static const uint8_t *page_at(const struct ring *r, uint32_t off)
{
    return r->p + off % r->n;
}

static uint32_t checksum(const struct ring *r, uint32_t off, uint32_t len)
{
    static const uint8_t none[4];
    uint32_t crc = 0;

    for (uint32_t at = 0; at < len; at += SW_VHDX_PAGE) {
        const uint8_t *p = page_at(r, off + at);

        if (at) {
            crc = sw_crc32c(crc, p, SW_VHDX_PAGE);
            continue;
        }
        crc = sw_crc32c(crc, p, 4);
        crc = sw_crc32c(crc, none, 4);
        crc = sw_crc32c(crc, p + 8, SW_VHDX_PAGE - 8);
    }
    return crc;
}

/* Pages of descriptors at the beginning of an entry: the header is in the first. */
static uint32_t descriptor_pages(uint32_t descriptors)
{
    return (uint32_t)((ENTRY_HEADER + (uint64_t)descriptors * DESCRIPTOR + SW_VHDX_PAGE - 1) /
                      SW_VHDX_PAGE);
}

/* Whether a valid entry begins at off. Anything else there is what is left of older ones. */
static bool parse_entry(struct ring *r, uint32_t off, struct entry *ret)
{
    const uint8_t *p = page_at(r, off);

    *ret = (struct entry){ .off = off,
                           .len = sw_le32(p + 8),
                           .tail = sw_le32(p + 12),
                           .sequence = sw_le64(p + 16),
                           .descriptors = sw_le32(p + 24) };
    if (sw_le32(p) != SIGNATURE_ENTRY || memcmp(p + 32, r->guid, 16) != 0 || ret->sequence == 0)
        return false;
    if (ret->len == 0 || ret->len % SW_VHDX_PAGE || ret->len > r->n || ret->tail % SW_VHDX_PAGE ||
        ret->tail >= r->n)
        return false;
    if (descriptor_pages(ret->descriptors) > ret->len / SW_VHDX_PAGE)
        return false;
    if (ret->len > r->budget) {
        r->budget = 0;
        return false;
    }
    r->budget -= ret->len;
    return checksum(r, off, ret->len) == sw_le32(p + 4);
}

/* Follow the entries from the one at `from`. Returns how many bytes of the ring they take and the last
 * of them; *ret_tail_seen: the last one's tail is among them. */
static uint32_t follow(struct ring *r, uint32_t from, struct entry *ret_last, bool *ret_tail_seen)
{
    struct entry e;
    uint32_t used = 0;

    *ret_last = (struct entry){ 0 };
    while (used < r->n && parse_entry(r, (from + used) % r->n, &e) && e.len <= r->n - used &&
           (used == 0 || e.sequence == ret_last->sequence + 1)) {
        *ret_last = e;
        used += e.len;
    }
    /* Bounded by the ring: each entry takes a page. */
    *ret_tail_seen = false;
    for (uint32_t at = 0; at < used && !*ret_tail_seen; at += e.len) {
        if (!parse_entry(r, (from + at) % r->n, &e))
            break;
        *ret_tail_seen = e.off == ret_last->tail;
    }
    return used;
}

/* The active sequence: where it begins, and its last entry. A page that was part of a sequence tried
 * before begins no better one. */
static bool find_active(struct ring *r, uint32_t *ret_from, struct entry *ret_last)
{
    uint64_t best = 0;

    for (uint32_t at = 0; at < r->n;) {
        struct entry last;
        bool tail_seen;
        uint32_t used = follow(r, at, &last, &tail_seen);

        if (used && tail_seen && last.sequence > best) {
            best = last.sequence;
            *ret_last = last;
            *ret_from = last.tail;
        }
        at += used ? used : SW_VHDX_PAGE;
    }
    return best > 0;
}

/* ---- pages ------------------------------------------------------------------------------------- */

static int reserve_page(struct sw_vhdx_overlay *o, struct sw_err *err)
{
    if (o->n == o->cap) {
        size_t cap = o->cap ? o->cap * 2 : 64;
        struct sw_vhdx_page *pages;

        if (cap * sizeof(*pages) > o->max_bytes)
            return sw_err_set(err, SW_ERR_UNSUPPORTED,
                              "log: it writes more pages than the limit of %llu bytes: raise "
                              "--memory, or let its owner open and close the image",
                              (unsigned long long)o->max_bytes);
        pages = realloc(o->pages, cap * sizeof(*pages));
        if (!pages)
            return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for the log");
        o->pages = pages;
        o->cap = cap;
    }
    return 0;
}

static int add_page(struct sw_vhdx_overlay *o, uint64_t off, const uint8_t *bytes,
                    struct sw_err *err)
{
    if (reserve_page(o, err) < 0)
        return -1;
    o->pages[o->n] = (struct sw_vhdx_page){ .off = off, .order = (uint32_t)o->n, .bytes = bytes };
    o->n++;
    return 0;
}

static int bad_descriptor(const struct entry *e, uint32_t index, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_BAD_DATA,
                      "log: entry %llu at offset %u: descriptor %u of %u is not legal",
                      (unsigned long long)e->sequence, e->off, index, e->descriptors);
}

static int add_zeroes(struct sw_vhdx_overlay *o, const struct entry *e, uint32_t index,
                      const uint8_t *d, struct sw_err *err)
{
    uint64_t len = sw_le64(d + 8), off = sw_le64(d + 16);

    if (len == 0 || len % SW_VHDX_PAGE || off % SW_VHDX_PAGE || off > INT64_MAX ||
        len > INT64_MAX - off)
        return bad_descriptor(e, index, err);
    for (; len; len -= SW_VHDX_PAGE, off += SW_VHDX_PAGE) {
        if (add_page(o, off, NULL, err) < 0)
            return -1;
    }
    return 0;
}

/* The page is put together from the descriptor and a data sector, whose both ends carry the sequence
 * number instead of the page's first 8 and last 4 bytes. */
static int add_data(struct sw_vhdx_overlay *o, const struct entry *e, uint32_t index,
                    const uint8_t *d, const uint8_t *sector, struct sw_err *err)
{
    uint64_t off = sw_le64(d + 16);
    uint8_t *page = o->store + o->stored;

    if (off % SW_VHDX_PAGE || off > INT64_MAX || o->stored + SW_VHDX_PAGE > o->store_cap ||
        sw_le32(sector) != SIGNATURE_DATA || sw_le32(sector + 4) != (uint32_t)(e->sequence >> 32) ||
        sw_le32(sector + SW_VHDX_PAGE - 4) != (uint32_t)e->sequence)
        return bad_descriptor(e, index, err);
    memcpy(page, d + 8, 8);
    memcpy(page + 8, sector + 8, SW_VHDX_PAGE - 12);
    memcpy(page + SW_VHDX_PAGE - 4, d + 4, 4);
    o->stored += SW_VHDX_PAGE;
    return add_page(o, off, page, err);
}

static int replay_entry(const struct ring *r, const struct entry *e, struct sw_vhdx_overlay *o,
                        struct sw_err *err)
{
    uint32_t next_data = descriptor_pages(e->descriptors) * SW_VHDX_PAGE;

    for (uint32_t i = 0; i < e->descriptors; i++) {
        uint32_t at = ENTRY_HEADER + i * DESCRIPTOR;
        const uint8_t *d = page_at(r, e->off + at / SW_VHDX_PAGE * SW_VHDX_PAGE) +
                           at % SW_VHDX_PAGE;
        uint32_t signature = sw_le32(d);
        int rc;

        if (sw_le64(d + 24) != e->sequence)
            return bad_descriptor(e, i, err);
        if (signature == SIGNATURE_ZERO) {
            rc = add_zeroes(o, e, i, d, err);
        } else if (signature == SIGNATURE_DESC && next_data < e->len) {
            rc = add_data(o, e, i, d, page_at(r, e->off + next_data), err);
            next_data += SW_VHDX_PAGE;
        } else {
            rc = bad_descriptor(e, i, err);
        }
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int by_off(const void *pa, const void *pb)
{
    const struct sw_vhdx_page *a = pa, *b = pb;

    if (a->off != b->off)
        return a->off < b->off ? -1 : 1;
    return a->order < b->order ? 1 : -1; /* the last write comes first */
}

/* Of several writes to a page the last one counts. */
static void keep_last(struct sw_vhdx_overlay *o)
{
    size_t n = 0;

    if (o->n)
        qsort(o->pages, o->n, sizeof(*o->pages), by_off);
    for (size_t i = 0; i < o->n; i++) {
        if (n == 0 || o->pages[n - 1].off != o->pages[i].off)
            o->pages[n++] = o->pages[i];
    }
    o->n = n;
}

int sw_vhdx_replay(struct sw_span log, const uint8_t *guid, uint64_t max_bytes,
                   struct sw_vhdx_overlay *ret, struct sw_err *err)
{
    struct ring r = {
        .p = log.p, .n = (uint32_t)log.n, .guid = guid, .budget = LOOKS * (uint64_t)log.n
    };
    struct entry last, e;
    uint32_t from = 0;

    ret->max_bytes = max_bytes;
    if (!find_active(&r, &from, &last))
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "log: it has to be replayed, but no valid sequence of entries is in it");
    ret->store_cap = log.n; /* data sectors are pages of the ring, each at most once */
    ret->store = malloc(ret->store_cap);
    if (!ret->store)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for the log");
    for (uint32_t used = 0; used < r.n; used += e.len) {
        if (!parse_entry(&r, (from + used) % r.n, &e))
            return sw_err_set(err, SW_ERR_BAD_DATA, "log: no valid entry at offset %u",
                              (from + used) % r.n);
        if (replay_entry(&r, &e, ret, err) < 0)
            return -1;
        if (e.sequence == last.sequence)
            break;
    }
    keep_last(ret);
    return 0;
}

/* The first page that ends after off. */
static size_t seek(const struct sw_vhdx_overlay *o, uint64_t off)
{
    size_t low = 0, high = o->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (o->pages[mid].off + SW_VHDX_PAGE <= off)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void sw_vhdx_overlay_apply(const struct sw_vhdx_overlay *o, uint64_t off, uint8_t *bytes, size_t n)
{
    for (size_t i = seek(o, off); i < o->n && o->pages[i].off < off + n; i++) {
        const struct sw_vhdx_page *page = &o->pages[i];
        uint64_t a = sw_max_u64(off, page->off);
        uint64_t b = sw_min_u64(off + n, page->off + SW_VHDX_PAGE);

        if (page->bytes)
            memcpy(bytes + (a - off), page->bytes + (a - page->off), b - a);
        else
            memset(bytes + (a - off), 0, b - a);
    }
}

bool sw_vhdx_overlay_touches(const struct sw_vhdx_overlay *o, uint64_t off, uint64_t n)
{
    size_t i = seek(o, off);

    return i < o->n && o->pages[i].off < off + n;
}

void sw_vhdx_overlay_done(struct sw_vhdx_overlay *o)
{
    free(o->pages);
    free(o->store);
    *o = (struct sw_vhdx_overlay){ 0 };
}
