/* SPDX-License-Identifier: Apache-2.0 */
/* A block device or an NBD export as target.
 *
 * DESIGN. The first MiB is withheld in memory until publish(). Meanwhile its place on the device is
 * ours:
 *
 *     0 KiB  zeroes: no boot sector, no partition table
 *    64 KiB  journal slot 0        80 KiB  journal slot 1
 *   128 KiB  withheld head, deflated, even generations
 *   568 KiB  the same, odd generations
 *
 * so that a restarted process finds both what it had and where it stood. A head that does not
 * compress to 440 KiB (an encrypted or random disk) cannot be kept: such an import starts over. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/bytes.h"
#include "transfer/target_impl.h"

#define SLOT_AT (64 * SW_KIB)
#define HEAD_AT (128 * SW_KIB)
#define HEAD_ROOM (440 * SW_KIB)
#define ZERO_STEP SW_GIB
#define VISIBLE (4 * SW_KIB) /* boot sector and the start of every partition table */

#define ENGINE_LANE (SW_TARGET_LANES - 1)

struct device_target {
    struct sw_target base;
    pthread_mutex_t lock; /* guards head, head_dirty */
    uint8_t *head;        /* withheld bytes */
    uint64_t withheld;    /* how many: a MiB, or the whole of a smaller device */
    bool head_dirty;
    bool prepared; /* the old content is ours to destroy */
    unsigned generation;
    uint64_t head_off, head_len; /* where the newest kept head is */
    uint32_t head_crc;
    uint8_t *packed; /* HEAD_ROOM bytes, aligned */
};

static struct device_target *self(struct sw_target *t)
{
    return (struct device_target *)t;
}

static int sink_write(struct sw_target *t, unsigned lane, const void *buf, size_t len, uint64_t off,
                      struct sw_err *err)
{
    return t->sink->ops->pwrite(t->sink, sw_target_lane(t, lane), buf, len, off, err);
}

static int sink_read(struct sw_target *t, void *buf, size_t len, uint64_t off, struct sw_err *err)
{
    return t->sink->ops->pread(t->sink, sw_target_lane(t, ENGINE_LANE), buf, len, off, err);
}

static int device_capacity(struct sw_target *t, uint64_t *ret, struct sw_err *err)
{
    (void)err;
    *ret = t->sink->size;
    return 0;
}

static int device_read_slot(struct sw_target *t, unsigned slot, char *text, size_t *ret_n,
                            struct sw_err *err)
{
    if (!t->can_resume)
        return sw_err_set(err, SW_ERR_NOT_FOUND, "no journal on so small a device");
    *ret_n = SW_JOURNAL_MAX;
    return sink_read(t, text, SW_JOURNAL_MAX, SLOT_AT + slot * SW_JOURNAL_MAX, err);
}

/* Keep the head on the device if it changed. Returns 1 when the device now holds it, 0 when it does
 * not compress, -1 on error. */
static int keep_head(struct device_target *d, struct sw_err *err)
{
    uLongf n = HEAD_ROOM;
    sw_autofree uint8_t *copy = NULL;

    {
        SW_LOCK_SCOPE(&d->lock);
        if (!d->head_dirty)
            return 1;
        copy = malloc(d->withheld);
        if (!copy)
            return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
        memcpy(copy, d->head, d->withheld);
        d->head_dirty = false;
    }
    memset(d->packed, 0, HEAD_ROOM);
    if (compress2(d->packed, &n, copy, d->withheld, 1) != Z_OK)
        return 0;

    uint64_t at = HEAD_AT + (d->generation++ % 2) * HEAD_ROOM;
    if (sink_write(&d->base, ENGINE_LANE, d->packed, sw_align_up(n, 4096), at, err) < 0)
        return -1;
    d->head_off = at;
    d->head_len = n;
    d->head_crc = (uint32_t)crc32(0, d->packed, (uInt)n);
    return 1;
}

static int device_write_slot(struct sw_target *t, unsigned slot, struct sw_journal *j,
                             struct sw_err *err)
{
    struct device_target *d = self(t);
    sw_autofree char *text = calloc(1, SW_JOURNAL_MAX);
    int kept = text ? keep_head(d, err) : sw_err_set(err, SW_ERR_INTERNAL, "out of memory");

    if (kept < 0)
        return -1;
    if (kept == 0) {
        t->can_resume = false;
        return 0;
    }
    j->head_off = d->head_off;
    j->head_len = d->head_len;
    j->head_crc = d->head_crc;
    sw_journal_format(j, text);
    if (sink_write(t, ENGINE_LANE, text, SW_JOURNAL_MAX, SLOT_AT + slot * SW_JOURNAL_MAX, err) < 0)
        return -1;
    return j->durable ? t->sink->ops->flush(t->sink, err) : 0;
}

/* The record is only good together with the head that it names. */
static bool device_accept(struct sw_target *t, const struct sw_journal *j)
{
    struct device_target *d = self(t);
    struct sw_err err = { 0 };
    uLongf n = d->withheld;

    if (!j->head_len) /* nothing had been written to the head yet */
        return true;
    if (j->head_len > HEAD_ROOM || (j->head_off != HEAD_AT && j->head_off != HEAD_AT + HEAD_ROOM) ||
        sink_read(t, d->packed, sw_align_up(j->head_len, 4096), j->head_off, &err) < 0 ||
        (uint32_t)crc32(0, d->packed, (uInt)j->head_len) != j->head_crc ||
        uncompress(d->head, &n, d->packed, j->head_len) != Z_OK || n != d->withheld) {
        memset(d->head, 0, d->withheld);
        return false;
    }
    d->head_off = j->head_off;
    d->head_len = j->head_len;
    d->head_crc = j->head_crc;
    d->generation = j->head_off == HEAD_AT ? 1 : 0;
    return true;
}

static int zero_rest(struct sw_target *t, struct sw_err *err)
{
    uint64_t size = t->sink->size;

    for (uint64_t off = self(t)->withheld; off < size; off += ZERO_STEP) {
        if (sw_cancelled(t->o->cancel))
            return sw_err_set(err, SW_ERR_CANCELLED, "cancelled while '%s' was cleared", t->name);
        if (t->sink->ops->zero(t->sink, sw_target_lane(t, ENGINE_LANE), off,
                               sw_min_u64(ZERO_STEP, size - off), err) < 0)
            return -1;
    }
    return 0;
}

static int device_prepare(struct sw_target *t, uint64_t size, const struct sw_journal *from,
                          struct sw_err *err)
{
    struct device_target *d = self(t);

    (void)size;
    d->prepared = true;
    if (from)
        return 0;
    /* The old disk goes first and for good: half of it must never boot beside half of the new. */
    memset(d->head, 0, d->withheld);
    d->head_len = 0;
    if (sink_write(t, ENGINE_LANE, d->head, d->withheld, 0, err) < 0 ||
        t->sink->ops->flush(t->sink, err) < 0)
        return sw_err_wrap(err, "clear the start of '%s'", t->name);
    if (!t->sink->reads_zero && zero_rest(t, err) < 0)
        return sw_err_wrap(err, "clear '%s'", t->name);
    return 0;
}

static int device_grow(struct sw_target *t, uint64_t size, struct sw_err *err)
{
    if (size <= t->sink->size)
        return 0;
    return sw_err_set(err, SW_ERR_NO_SPACE,
                      "the image needs at least %llu bytes, '%s' holds %llu: use a larger target",
                      (unsigned long long)size, t->name, (unsigned long long)t->sink->size);
}

static int device_write(struct sw_target *t, unsigned lane, const void *buf, size_t len,
                        uint64_t off, struct sw_err *err)
{
    struct device_target *d = self(t);
    size_t in_head = off < d->withheld ? (size_t)sw_min_u64(len, d->withheld - off) : 0;

    if (in_head) {
        SW_LOCK_SCOPE(&d->lock);
        memcpy(d->head + off, buf, in_head);
        d->head_dirty = true;
    }
    if (in_head == len)
        return 0;
    return sink_write(t, lane, (const uint8_t *)buf + in_head, len - in_head, off + in_head, err);
}

static int device_read(struct sw_target *t, void *buf, size_t len, uint64_t off, struct sw_err *err)
{
    struct device_target *d = self(t);
    size_t in_head = off < d->withheld ? (size_t)sw_min_u64(len, d->withheld - off) : 0;

    if (in_head) {
        SW_LOCK_SCOPE(&d->lock);
        memcpy(buf, d->head + off, in_head);
    }
    if (in_head == len)
        return 0;
    return sink_read(t, (uint8_t *)buf + in_head, len - in_head, off + in_head, err);
}

static int device_publish(struct sw_target *t, uint64_t size, struct sw_err *err)
{
    struct device_target *d = self(t);
    uint64_t visible = sw_min_u64(VISIBLE, d->withheld);

    (void)size;
    /* What makes the disk visible comes last, as one small write: whoever is killed before it leaves
     * no partition table, and the first piece has removed the journal. */
    if (t->sink->ops->flush(t->sink, err) < 0 ||
        (d->withheld > visible &&
         (sink_write(t, ENGINE_LANE, d->head + visible, d->withheld - visible, visible, err) < 0 ||
          t->sink->ops->flush(t->sink, err) < 0)) ||
        sink_write(t, ENGINE_LANE, d->head, visible, 0, err) < 0 ||
        t->sink->ops->flush(t->sink, err) < 0)
        return -1;
    return 0;
}

static void device_abandon(struct sw_target *t, bool keep)
{
    struct device_target *d = self(t);
    struct sw_err err = { 0 };

    if (keep || !d->prepared)
        return;
    /* The journal goes; the start stays zero. */
    memset(d->head, 0, d->withheld);
    if (sink_write(t, ENGINE_LANE, d->head, d->withheld, 0, &err) == 0)
        (void)!t->sink->ops->flush(t->sink, &err);
}

static void device_close(struct sw_target *t)
{
    struct device_target *d = self(t);

    sw_sink_close(t->sink);
    pthread_mutex_destroy(&d->lock);
    free(t->name);
    free(d->head);
    free(d->packed);
    free(d);
}

static const struct sw_target_ops device_ops = {
    .capacity = device_capacity,
    .read_slot = device_read_slot,
    .write_slot = device_write_slot,
    .accept = device_accept,
    .prepare = device_prepare,
    .grow = device_grow,
    .write = device_write,
    .read = device_read,
    .publish = device_publish,
    .abandon = device_abandon,
    .close = device_close,
};

static int open_parts(struct device_target *d, const char *spec, bool is_nbd, struct sw_err *err)
{
    const struct sw_import_options *o = d->base.o;

    d->base.name = strdup(spec);
    if (!d->base.name)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (is_nbd ? sw_sink_open_nbd(spec, SW_TARGET_LANES, &d->base.sink, err) < 0
               : sw_sink_open_block(spec, SW_TARGET_LANES, !o->no_direct, &d->base.sink, err) < 0)
        return -1;

    d->withheld = sw_min_u64(SW_WITHHELD, d->base.sink->size);
    d->base.can_resume = d->withheld == SW_WITHHELD;
    d->head = aligned_alloc(4096, SW_WITHHELD);
    d->packed = aligned_alloc(4096, HEAD_ROOM);
    if (!d->head || !d->packed)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    memset(d->head, 0, SW_WITHHELD);
    return 0;
}

int sw_target_open_device(const char *spec, bool is_nbd, const struct sw_import_options *o,
                          struct sw_target **ret, struct sw_err *err)
{
    struct device_target *d = calloc(1, sizeof(*d));

    if (!d)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    pthread_mutex_init(&d->lock, NULL);
    d->base.ops = &device_ops;
    d->base.o = o;
    if (open_parts(d, spec, is_nbd, err) < 0) {
        device_close(&d->base);
        return -1;
    }
    *ret = &d->base;
    return 0;
}
