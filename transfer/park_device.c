/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/park_device.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MAX (UINT32_C(1) << 22)
#define SLOT_MIN UINT64_C(512)
#define SLOT_MAX (64 * SW_KIB) /* but for SLOTS_MAX */
#define RUN_MAX 128            /* slots moved at once: SLOT_MAX of the smallest */

/* Slots of zeroes take no room, but 4 bytes each: the log may be this much longer than the room. */
#define LOG_MORE (UINT32_C(1) << 20)

/* When the device is full to the last slot, what is dropped and what is claimed for it differ by
 * the slots that the two only touch. Kept back until the log is drained. */
#define RESERVE SW_MIB

/* Where a slot of the log is, besides the number of a slot. */
#define AT_ZERO (UINT32_MAX - 1) /* nowhere: it is all zero */
#define AT_NONE UINT32_MAX       /* dropped */

struct sw_park_device {
    struct sw_park_room room;
    uint64_t slot;      /* bytes; 0: nothing was claimed or appended yet */
    uint32_t n, n_all;  /* slots of the device; with those in memory */
    uint32_t n_reserve; /* the first of those in memory, busy until the log is drained; then 0 */
    uint64_t *busy;     /* a bit per slot */
    uint32_t top;       /* no slot from here on is free */
    uint32_t *owner;    /* by slot: the slot of the log that is there + 1, or 0 */
    uint32_t *where;    /* by slot of the log */
    uint32_t n_log, cap;
    uint32_t dropped;          /* slots of the log */
    uint32_t n_parked;         /* slots in use for the log, in memory and on the device */
    uint32_t n_final;          /* slots of the device, with those withheld */
    uint8_t *memory;           /* (n_all - n) slots, touched when they are used */
    uint8_t *stage, *move;     /* run_max slots each */
    uint32_t run_max, n_bytes; /* bytes in the stage: the log behind n_log whole slots */
};

int sw_park_device_open(const struct sw_park_room *room, struct sw_park_device **ret,
                        struct sw_err *err)
{
    struct sw_park_device *d = calloc(1, sizeof(*d));

    if (!d)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    d->room = *room;
    *ret = d;
    return 0;
}

void sw_park_device_close(struct sw_park_device *d)
{
    if (!d)
        return;
    free(d->busy);
    free(d->owner);
    free(d->where);
    free(d->memory);
    free(d->stage);
    free(d->move);
    free(d);
}

/* ---- slots ---------------------------------------------------------------------------------- */

static bool is_busy(const struct sw_park_device *d, uint32_t slot)
{
    return d->busy[slot / 64] >> (slot % 64) & 1;
}

static void set_busy(struct sw_park_device *d, uint32_t slot)
{
    d->busy[slot / 64] |= UINT64_C(1) << (slot % 64);
}

static void set_free(struct sw_park_device *d, uint32_t slot)
{
    d->busy[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    if (slot >= d->top)
        d->top = slot + 1;
}

static void choose_slot(struct sw_park_device *d)
{
    uint64_t size = d->room.sink ? d->room.sink->size : 0;
    uint64_t granule = size && d->room.reader ? d->room.reader->granule : 0;

    d->slot = SLOT_MAX;
    while (granule && d->slot > granule && d->slot > SLOT_MIN)
        d->slot /= 2;
    while (size / d->slot > SLOTS_MAX)
        d->slot *= 2;
    d->n = (uint32_t)(size / d->slot);
    d->n_reserve = d->n ? (uint32_t)sw_max_u64(RESERVE / d->slot, 4) : 0;
    d->n_all = d->n + d->n_reserve + (uint32_t)(d->room.memory / d->slot);
    d->run_max = (uint32_t)sw_max_u64(SLOT_MAX / d->slot, 1);
}

/* The reader's clusters are known by the time it has something to say. calloc() of large blocks
 * takes address space, and memory only where it is written. */
static int begin(struct sw_park_device *d, struct sw_err *err)
{
    if (d->slot)
        return 0;
    choose_slot(d);
    d->busy = calloc(d->n_all / 64 + 1, sizeof(*d->busy));
    d->owner = calloc((size_t)d->n_all + 1, sizeof(*d->owner));
    d->memory = calloc((size_t)(d->n_all - d->n) + 1, d->slot);
    d->stage = aligned_alloc(4096, sw_align_up(d->run_max * d->slot, 4096));
    d->move = aligned_alloc(4096, sw_align_up(d->run_max * d->slot, 4096));
    if (!d->busy || !d->owner || !d->memory || !d->stage || !d->move)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory to park in '%s'",
                          d->room.sink ? d->room.sink->path : "memory");
    d->top = d->n_all;
    while (d->n_final < d->n && d->n_final * d->slot < d->room.withheld)
        set_busy(d, d->n_final++);
    for (uint32_t i = 0; i < d->n_reserve; i++)
        set_busy(d, d->n + i);
    return 0;
}

static bool find_free(struct sw_park_device *d, uint32_t *ret)
{
    while (d->top) {
        uint32_t word = (d->top - 1) / 64;
        uint64_t vacant = ~d->busy[word] & UINT64_MAX >> (63 - (d->top - 1) % 64);

        if (vacant) {
            *ret = word * 64 + 63 - (uint32_t)__builtin_clzll(vacant);
            return true;
        }
        d->top = word * 64;
    }
    return false;
}

/* Take up to max free slots that are neighbours, memory or device. Returns how many, 0: full. */
static uint32_t take_run(struct sw_park_device *d, uint32_t max, uint32_t *ret_first)
{
    uint32_t last, count = 1;

    if (!find_free(d, &last))
        return 0;
    uint32_t first = last, border = last >= d->n ? d->n : 0;
    while (first > border && count < max && !is_busy(d, first - 1)) {
        first--;
        count++;
    }
    for (uint32_t i = first; i <= last; i++)
        set_busy(d, i);
    d->top = first;
    *ret_first = first;
    return count;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static uint8_t *in_memory(struct sw_park_device *d, uint32_t slot)
{
    return d->memory + (slot - d->n) * d->slot;
}

static int write_slots(struct sw_park_device *d, uint32_t first, uint32_t count, const uint8_t *buf,
                       struct sw_err *err)
{
    struct sw_sink *s = d->room.sink;

    if (first >= d->n) {
        memcpy(in_memory(d, first), buf, count * d->slot);
        return 0;
    }
    return s->ops->pwrite(s, d->room.lane, buf, count * d->slot, first * d->slot, err);
}

static int read_slots(struct sw_park_device *d, uint32_t first, size_t skip, uint8_t *buf,
                      size_t len, struct sw_err *err)
{
    struct sw_sink *s = d->room.sink;

    if (first >= d->n) {
        memcpy(buf, in_memory(d, first) + skip, len);
        return 0;
    }
    return s->ops->pread(s, d->room.lane, buf, len, first * d->slot + skip, err);
}

static int zero_slots(struct sw_park_device *d, uint32_t first, uint32_t count, struct sw_err *err)
{
    struct sw_sink *s = d->room.sink;

    if (first >= d->n)
        return 0;
    return s->ops->zero(s, d->room.lane, first * d->slot, count * d->slot, err);
}

static int no_room(const struct sw_park_device *d, struct sw_err *err)
{
    const struct sw_sink *s = d->room.sink;

    if (!s)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "the image's tables come after more than %llu MiB of its data, which a "
                          "stream that is not written anywhere cannot hold back: give it as a file "
                          "or from a server with ranges, or raise --memory",
                          (unsigned long long)(d->room.memory >> 20));
    return sw_err_set(
        err, SW_ERR_NO_SPACE,
        "the image's tables come after too much of its data for '%s': of its %llu bytes, %llu are "
        "taken by the disk, and %llu of the image are parked in the rest and in memory. Give the "
        "image as a file or from a server with ranges, or import to a file or a larger device",
        s->path, (unsigned long long)s->size, (unsigned long long)(d->n_final * d->slot),
        (unsigned long long)(d->n_parked * d->slot));
}

/* Find a place for `count` slots of the log, which need not be neighbours there. */
static int store(struct sw_park_device *d, const uint8_t *buf, const uint32_t *log, uint32_t count,
                 struct sw_err *err)
{
    while (count) {
        uint32_t first, taken = take_run(d, count, &first);

        if (!taken)
            return no_room(d, err);
        assert(taken <= count);
        if (write_slots(d, first, taken, buf, err) < 0)
            return sw_err_wrap(err, "park");
        for (uint32_t i = 0; i < taken; i++) {
            d->where[log[i]] = first + i;
            d->owner[first + i] = log[i] + 1;
        }
        d->n_parked += taken;
        buf += taken * d->slot;
        log += taken;
        count -= taken;
    }
    return 0;
}

/* ---- the log -------------------------------------------------------------------------------- */

static int grow_log(struct sw_park_device *d, uint32_t more, struct sw_err *err)
{
    const uint32_t max = d->n_all + LOG_MORE;

    if (more > max - d->n_log)
        return no_room(d, err);
    if (d->n_log + more <= d->cap)
        return 0;

    uint32_t cap = (uint32_t)sw_min_u64(max, d->n_log + (uint64_t)d->n_log / 2 + more);
    uint32_t *where = realloc(d->where, cap * sizeof(*where));

    if (!where)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for parked bytes");
    d->where = where;
    d->cap = cap;
    return 0;
}

/* The stage is full: runs of slots that are not zero find a place. */
static int flush_stage(struct sw_park_device *d, struct sw_err *err)
{
    uint32_t log[RUN_MAX], run = 0;

    if (grow_log(d, d->run_max, err) < 0)
        return -1;
    for (uint32_t i = 0; i <= d->run_max; i++) {
        const uint8_t *p = d->stage + i * d->slot;

        if (i < d->run_max && !sw_is_zero(p, d->slot)) {
            log[run++] = d->n_log + i;
            continue;
        }
        if (i < d->run_max)
            d->where[d->n_log + i] = AT_ZERO;
        if (run && store(d, p - run * d->slot, log, run, err) < 0)
            return -1;
        run = 0;
    }
    d->n_log += d->run_max;
    d->n_bytes = 0;
    return 0;
}

int sw_park_device_append(struct sw_park_device *d, struct sw_span bytes, struct sw_err *err)
{
    if (begin(d, err) < 0)
        return -1;

    const size_t room = d->run_max * d->slot;
    while (bytes.n) {
        size_t part = (size_t)sw_min_u64(bytes.n, room - d->n_bytes);

        memcpy(d->stage + d->n_bytes, bytes.p, part);
        d->n_bytes += (uint32_t)part;
        bytes.p += part;
        bytes.n -= part;
        if (d->n_bytes == room && flush_stage(d, err) < 0)
            return -1;
    }
    return 0;
}

/* How many slots of the log from k on, before end, lie one behind the other. */
static uint32_t run_at(const struct sw_park_device *d, uint32_t k, uint32_t end)
{
    uint32_t first = d->where[k], count = 1;

    while (k + count < end && count < SLOTS_MAX &&
           d->where[k + count] == (first < AT_ZERO ? first + count : first) &&
           (first < d->n) == (d->where[k + count] < d->n))
        count++;
    return count;
}

/* As much as lies in one place. Returns the bytes, or -1. */
static ssize_t read_run(struct sw_park_device *d, uint64_t at, uint8_t *buf, size_t len,
                        struct sw_err *err)
{
    uint32_t k = (uint32_t)(at / d->slot);
    size_t skip = (size_t)(at % d->slot);

    if (k >= d->n_log) {
        memcpy(buf, d->stage + (at - d->n_log * d->slot), len);
        return (ssize_t)len;
    }

    uint32_t last = (uint32_t)sw_min_u64((at + len - 1) / d->slot + 1, d->n_log);
    len = (size_t)sw_min_u64(len, run_at(d, k, last) * d->slot - skip);
    if (d->where[k] == AT_NONE)
        return sw_err_set(err, SW_ERR_INTERNAL, "parked bytes were dropped too early");
    if (d->where[k] == AT_ZERO)
        memset(buf, 0, len);
    else if (read_slots(d, d->where[k], skip, buf, len, err) < 0)
        return sw_err_wrap(err, "read parked bytes");
    return (ssize_t)len;
}

int sw_park_device_read(struct sw_park_device *d, uint64_t at, void *buf, size_t len,
                        struct sw_err *err)
{
    uint8_t *to = buf;

    assert(!len || at + len <= d->n_log * d->slot + d->n_bytes);
    while (len) {
        ssize_t got = read_run(d, at, to, len, err);

        if (got < 0)
            return -1;
        at += (size_t)got;
        to += got;
        len -= (size_t)got;
    }
    return 0;
}

int sw_park_device_drop(struct sw_park_device *d, uint64_t upto, struct sw_err *err)
{
    uint32_t end = d->slot ? (uint32_t)sw_min_u64(upto / d->slot, d->n_log) : 0;

    while (d->n_reserve)
        set_free(d, d->n + --d->n_reserve);
    while (d->dropped < end) {
        uint32_t count = run_at(d, d->dropped, end), first = d->where[d->dropped];

        if (first < AT_ZERO && zero_slots(d, first, count, err) < 0)
            return sw_err_wrap(err, "clear what was parked");
        for (uint32_t i = 0; i < count; i++) {
            if (first < AT_ZERO) {
                d->owner[first + i] = 0;
                set_free(d, first + i);
                d->n_parked--;
            }
            d->where[d->dropped++] = AT_NONE;
        }
    }
    return 0;
}

int sw_park_device_clear(struct sw_park_device *d, struct sw_err *err)
{
    d->n_bytes = 0;
    return sw_park_device_drop(d, UINT64_MAX, err);
}

/* ---- the disk's own data -------------------------------------------------------------------- */

/* Move what is parked in the slots [from, from + count), which stay busy. */
static int evict(struct sw_park_device *d, uint32_t from, uint32_t count, struct sw_err *err)
{
    uint32_t log[RUN_MAX];

    for (uint32_t i = 0; i < count; i++) {
        log[i] = d->owner[from + i] - 1;
        d->owner[from + i] = 0;
    }
    if (read_slots(d, from, 0, d->move, count * d->slot, err) < 0)
        return sw_err_wrap(err, "move parked bytes");
    d->n_parked -= count;
    d->n_final += count;
    if (store(d, d->move, log, count, err) < 0)
        return -1;
    if (zero_slots(d, from, count, err) < 0)
        return sw_err_wrap(err, "clear what was parked");
    return 0;
}

int sw_park_device_claim(struct sw_park_device *d, uint64_t off, uint64_t len, struct sw_err *err)
{
    if (begin(d, err) < 0)
        return -1;

    uint64_t size = d->n * d->slot, to = off < size ? off + sw_min_u64(len, size - off) : off;
    uint32_t from = (uint32_t)sw_min_u64(off / d->slot, d->n);
    uint32_t end = to > off ? (uint32_t)(sw_align_up(to, d->slot) / d->slot) : from;

    /* All of it first, so that nothing moves into it. */
    for (uint32_t i = from; i < end; i++) {
        if (!is_busy(d, i)) {
            set_busy(d, i);
            d->n_final++;
        }
    }
    for (uint32_t i = from; i < end; i++) {
        uint32_t count = 0;

        while (count < d->run_max && i + count < end && d->owner[i + count])
            count++;
        if (count && evict(d, i, count, err) < 0)
            return -1;
        i += count ? count - 1 : 0;
    }
    return 0;
}
