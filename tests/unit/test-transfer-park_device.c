/* SPDX-License-Identifier: Apache-2.0 */
/* A log parked on a device in memory that is written at the same time. After every step the device
 * must read as the disk's data, as the log, or as zero. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "transfer/park_device.h"

#define LANE 3
#define WITHHELD SW_MIB

/* A device in memory; operation fail_at of it fails. */
struct fake {
    struct sw_sink base;
    uint8_t *bytes;
    unsigned ops, fail_at;
    uint64_t parked; /* bytes written by the park */
};

static int step(struct fake *f, unsigned lane, uint64_t off, uint64_t len, struct sw_err *err)
{
    assert_int_equal(lane, LANE);
    assert_true(off >= WITHHELD && off + len <= f->base.size && len > 0);
    if (f->ops++ == f->fail_at)
        return sw_err_set(err, SW_ERR_TRANSIENT, "operation %u fails", f->fail_at);
    return 0;
}

static int fake_pwrite(struct sw_sink *s, unsigned lane, const void *buf, size_t len, uint64_t off,
                       struct sw_err *err)
{
    struct fake *f = (struct fake *)s;

    if (step(f, lane, off, len, err) < 0)
        return -1;
    /* Free slots are zero: nothing of the disk is overwritten. */
    assert_true(sw_is_zero(f->bytes + off, len));
    memcpy(f->bytes + off, buf, len);
    f->parked += len;
    return 0;
}

static int fake_zero(struct sw_sink *s, unsigned lane, uint64_t off, uint64_t len,
                     struct sw_err *err)
{
    struct fake *f = (struct fake *)s;

    if (step(f, lane, off, len, err) < 0)
        return -1;
    memset(f->bytes + off, 0, len);
    return 0;
}

static int fake_pread(struct sw_sink *s, unsigned lane, void *buf, size_t len, uint64_t off,
                      struct sw_err *err)
{
    struct fake *f = (struct fake *)s;

    if (step(f, lane, off, len, err) < 0)
        return -1;
    memcpy(buf, f->bytes + off, len);
    return 0;
}

static const struct sw_sink_ops fake_ops = {
    .name = "fake", .pwrite = fake_pwrite, .zero = fake_zero, .pread = fake_pread
};

/* An image of n clusters in the order of the file, and the disk they belong on. */
struct world {
    struct fake device;
    struct sw_reader reader;
    struct sw_park_device *park;
    uint8_t *image, *disk;
    size_t n, cluster;
    uint32_t *guest; /* by cluster of the image: its place on the disk, a permutation */
    uint64_t random;
};

static uint64_t next(struct world *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

static void shuffle(struct world *w)
{
    w->guest = calloc(w->n, sizeof(*w->guest));
    for (uint32_t i = 0; i < w->n; i++)
        w->guest[i] = i;
    for (size_t i = w->n - 1; i > 0; i--) {
        size_t j = next(w) % (i + 1);
        uint32_t t = w->guest[i];

        w->guest[i] = w->guest[j];
        w->guest[j] = t;
    }
}

/* Every 16th cluster is zero, so that slots of zeroes occur. */
static struct world world_open(uint64_t device, uint64_t disk, size_t cluster)
{
    struct world w = { .n = disk / cluster, .cluster = cluster, .random = device ^ cluster };

    w.device = (struct fake){ .base = { .ops = &fake_ops, .path = (char *)"fake", .size = device },
                              .bytes = calloc(1, device),
                              .fail_at = UINT32_MAX };
    w.reader.granule = (uint32_t)cluster;
    w.image = calloc(1, disk);
    w.disk = calloc(1, device);
    shuffle(&w);
    for (size_t i = 0; i < w.n; i++) {
        uint8_t *p = w.image + i * cluster;

        for (size_t k = 0; i % 16 && k < cluster; k += 8)
            sw_put_le64(p + k, next(&w));
        memcpy(w.disk + w.guest[i] * cluster, p, cluster);
    }
    return w;
}

static void park_open(struct world *w, uint64_t memory)
{
    struct sw_err err = { 0 };
    const struct sw_park_room room = { .sink = &w->device.base,
                                       .lane = LANE,
                                       .withheld = WITHHELD,
                                       .memory = memory,
                                       .reader = &w->reader };

    assert_int_equal(sw_park_device_open(&room, &w->park, &err), 0);
}

static void world_close(struct world *w)
{
    sw_park_device_close(w->park);
    free(w->device.bytes);
    free(w->image);
    free(w->disk);
    free(w->guest);
}

/* What the map stage and a writer do with one cluster. The withheld start is not the device's. */
static int write_cluster(struct world *w, const uint8_t *bytes, uint32_t guest, struct sw_err *err)
{
    uint64_t off = (uint64_t)guest * w->cluster;

    if (sw_park_device_claim(w->park, off, w->cluster, err) < 0)
        return -1;
    if (off >= WITHHELD) {
        assert_true(sw_is_zero(w->device.bytes + off, w->cluster));
        memcpy(w->device.bytes + off, bytes, w->cluster);
    }
    return 0;
}

/* Place the clusters of the log, in its order. */
static int drain(struct world *w, const uint32_t *parked, size_t n, struct sw_err *err)
{
    sw_autofree uint8_t *buf = malloc(w->cluster);

    for (size_t i = 0; i < n; i++) {
        if (sw_park_device_read(w->park, i * w->cluster, buf, w->cluster, err) < 0)
            return -1;
        assert_memory_equal(buf, w->image + parked[i] * w->cluster, w->cluster);
        if (sw_park_device_drop(w->park, (i + 1) * w->cluster, err) < 0 ||
            write_cluster(w, buf, w->guest[parked[i]], err) < 0)
            return -1;
    }
    return sw_park_device_clear(w->park, err);
}

/* Clusters in the order of the file: one in `every` is known when it passes by, the others are
 * parked, in pieces of odd sizes; in between some are read back. Returns as the park does. */
static int run(struct world *w, unsigned every, struct sw_err *err)
{
    sw_autofree uint32_t *parked = calloc(w->n, sizeof(*parked));
    sw_autofree uint8_t *buf = malloc(w->cluster);
    size_t n = 0;

    for (uint32_t i = 0; i < w->n; i++) {
        const uint8_t *p = w->image + i * w->cluster;
        size_t cut = next(w) % w->cluster;

        if (every && next(w) % every == 0) {
            if (write_cluster(w, p, w->guest[i], err) < 0)
                return -1;
            continue;
        }
        if (sw_park_device_append(w->park, (struct sw_span){ p, cut }, err) < 0 ||
            sw_park_device_append(w->park, (struct sw_span){ p + cut, w->cluster - cut }, err) < 0)
            return -1;
        parked[n++] = i;
        size_t back = next(w) % n;
        if (sw_park_device_read(w->park, back * w->cluster + cut, buf, w->cluster - cut, err) < 0)
            return -1;
        assert_memory_equal(buf, w->image + parked[back] * w->cluster + cut, w->cluster - cut);
    }
    return drain(w, parked, n, err);
}

static void check(struct world *w)
{
    uint64_t size = w->device.base.size;

    assert_memory_equal(w->device.bytes + WITHHELD, w->disk + WITHHELD, size - WITHHELD);
}

static void places_a_shuffled_disk_as_large_as_the_device(void **state)
{
    static const size_t clusters[] = { 512, 1024, 4096, 65536, 262144 };

    (void)state;
    for (size_t i = 0; i < sizeof(clusters) / sizeof(clusters[0]); i++) {
        for (unsigned every = 0; every <= 4; every += 2) {
            struct world w = world_open(24 * SW_MIB, 24 * SW_MIB, clusters[i]);
            struct sw_err err = { 0 };

            park_open(&w, 2 * SW_MIB);
            if (run(&w, every, &err) < 0)
                fail_msg("%zu-byte clusters, one in %u known: %s", clusters[i], every, err.msg);
            assert_true(w.device.parked > 0);
            check(&w);
            world_close(&w);
        }
    }
}

/* Every slot of device and memory is taken, none is zero, and what a cluster leaves behind is smaller
 * than what it needs (it was compressed, by 8 bytes): so it goes only with the reserve. */
static void drains_a_log_that_leaves_no_slot_free(void **state)
{
    static const size_t clusters[] = { 4096, 65536, 262144 };

    (void)state;
    for (size_t i = 0; i < sizeof(clusters) / sizeof(clusters[0]); i++) {
        struct world w = world_open(24 * SW_MIB, 24 * SW_MIB, clusters[i]);
        sw_autofree uint8_t *buf = calloc(1, w.cluster);
        const size_t piece = w.cluster - 8;
        struct sw_err err = { 0 };

        memset(w.disk, 0, 24 * SW_MIB);
        for (uint64_t at = 0; at < 24 * SW_MIB; at += 256)
            w.image[at] = 1;
        park_open(&w, WITHHELD);
        assert_int_equal(
            sw_park_device_append(w.park, (struct sw_span){ w.image, 24 * SW_MIB }, &err), 0);
        for (size_t k = 0; k < w.n; k++) {
            assert_int_equal(sw_park_device_read(w.park, k * piece, buf, piece, &err), 0);
            assert_memory_equal(buf, w.image + k * piece, piece);
            assert_int_equal(sw_park_device_drop(w.park, (k + 1) * piece, &err), 0);
            if (write_cluster(&w, buf, w.guest[k], &err) < 0)
                fail_msg("%zu-byte clusters, number %zu: %s", clusters[i], k, err.msg);
            memcpy(w.disk + w.guest[k] * w.cluster, buf, w.cluster);
        }
        assert_int_equal(sw_park_device_clear(w.park, &err), 0);
        check(&w);
        world_close(&w);
    }
}

/* The last slot of the device and the first in memory have neighbouring numbers and nothing else. */
static void keeps_the_end_of_the_device_and_memory_apart(void **state)
{
    static const size_t clusters[] = { 4096, 65536 };

    (void)state;
    for (size_t i = 0; i < sizeof(clusters) / sizeof(clusters[0]); i++) {
        struct world w = world_open(4 * SW_MIB, 4 * SW_MIB, clusters[i]);
        const uint64_t room = 3 * SW_MIB + 3 * w.cluster, gone = 20 * 65536, live = room - gone;
        sw_autofree uint8_t *buf = malloc(live);
        struct sw_err err = { 0 };

        for (uint64_t at = 0; at < 4 * SW_MIB; at += 256)
            w.image[at] = 1;
        park_open(&w, 3 * w.cluster);
        assert_int_equal(sw_park_device_append(w.park, (struct sw_span){ w.image, room }, &err), 0);
        assert_int_equal(sw_park_device_drop(w.park, gone, &err), 0);
        assert_int_equal(sw_park_device_claim(w.park, WITHHELD, live - 3 * w.cluster, &err), 0);
        assert_int_equal(sw_park_device_read(w.park, gone, buf, live, &err), 0);
        assert_memory_equal(buf, w.image + gone, live);
        assert_int_equal(sw_park_device_clear(w.park, &err), 0);
        assert_true(sw_is_zero(w.device.bytes, 4 * SW_MIB));
        world_close(&w);
    }
}

static void leaves_nothing_on_a_device_that_is_larger_than_the_disk(void **state)
{
    struct world w = world_open(24 * SW_MIB + 512, 9 * SW_MIB, 4096);
    struct sw_err err = { 0 };

    (void)state;
    park_open(&w, 0);
    assert_int_equal(run(&w, 3, &err), 0);
    assert_true(w.device.parked > 0);
    check(&w);
    world_close(&w);
}

/* Memory comes first: what fits there never touches the device. */
static void does_not_touch_the_device_for_little(void **state)
{
    struct world w = world_open(24 * SW_MIB, 3 * SW_MIB, 65536);
    struct sw_err err = { 0 };

    (void)state;
    park_open(&w, 4 * SW_MIB);
    assert_int_equal(run(&w, 0, &err), 0);
    assert_int_equal(w.device.ops, 0);
    world_close(&w);
}

/* Bytes that nothing refers to: one slot more than there is room for is refused, with numbers. */
static void refuses_more_than_there_is_room_for(void **state)
{
    const uint64_t room = 8 * SW_MIB - WITHHELD + 1 * SW_MIB;
    struct world w = world_open(8 * SW_MIB, 8 * SW_MIB, 65536);
    struct sw_err err = { 0 };
    uint8_t junk[65536];

    (void)state;
    memset(junk, 7, sizeof(junk));
    park_open(&w, SW_MIB);
    for (uint64_t at = 0; at < room; at += sizeof(junk))
        assert_int_equal(
            sw_park_device_append(w.park, (struct sw_span){ junk, sizeof(junk) }, &err), 0);
    assert_int_equal(sw_park_device_append(w.park, (struct sw_span){ junk, sizeof(junk) }, &err),
                     -1);
    assert_int_equal(err.kind, SW_ERR_NO_SPACE);
    assert_non_null(strstr(err.msg, "of its 8388608 bytes, 1048576 are taken"));
    assert_non_null(strstr(err.msg, "8388608 of the image are parked"));

    assert_int_equal(sw_park_device_clear(w.park, &err), 0);
    assert_true(sw_is_zero(w.device.bytes, 8 * SW_MIB));
    world_close(&w);
}

/* A long run of zeroes is remembered, not stored, and not for ever. */
static void bounds_what_it_remembers_of_zeroes(void **state)
{
    struct world w = world_open(2 * SW_MIB, 2 * SW_MIB, 512);
    struct sw_err err = { 0 };
    sw_autofree uint8_t *zeroes = calloc(1, SW_MIB);
    uint64_t taken = 0;

    (void)state;
    park_open(&w, 0);
    while (taken < 4 * SW_GIB &&
           sw_park_device_append(w.park, (struct sw_span){ zeroes, SW_MIB }, &err) == 0)
        taken += SW_MIB;
    assert_int_equal(err.kind, SW_ERR_NO_SPACE);
    assert_true(taken > 512 * SW_MIB && taken < 520 * SW_MIB);
    assert_int_equal(w.device.ops, 0);
    world_close(&w);
}

static void keeps_in_memory_what_is_written_nowhere(void **state)
{
    const struct sw_park_room room = { .memory = SW_MIB };
    struct sw_park_device *d;
    struct sw_err err = { 0 };
    uint8_t in[65536], out[65536];

    (void)state;
    memset(in, 9, sizeof(in));
    assert_int_equal(sw_park_device_open(&room, &d, &err), 0);
    for (int i = 0; i < 16; i++)
        assert_int_equal(sw_park_device_append(d, (struct sw_span){ in, sizeof(in) }, &err), 0);
    assert_int_equal(sw_park_device_claim(d, 0, SW_GIB, &err), 0);
    assert_int_equal(sw_park_device_read(d, SW_MIB - sizeof(out), out, sizeof(out), &err), 0);
    assert_memory_equal(in, out, sizeof(in));
    assert_int_equal(sw_park_device_append(d, (struct sw_span){ in, sizeof(in) }, &err), -1);
    assert_int_equal(err.kind, SW_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "more than 1 MiB"));
    sw_park_device_close(d);
}

/* The nth operation on the device fails, for all n: always an error, never a wrong disk. */
static void passes_every_failure_on(void **state)
{
    unsigned n = 0;
    int r;

    (void)state;
    do {
        struct world w = world_open(4 * SW_MIB, 4 * SW_MIB, 65536);
        struct sw_err err = { 0 };

        w.device.fail_at = n++;
        park_open(&w, 2 * SW_MIB);
        r = run(&w, 4, &err);
        if (r == 0) {
            assert_true(w.device.ops <= w.device.fail_at);
            check(&w);
        } else {
            assert_int_equal(err.kind, SW_ERR_TRANSIENT);
            assert_non_null(strstr(err.msg, "fails"));
        }
        world_close(&w);
    } while (r < 0 && n < 10000);
    assert_true(n > 20 && n < 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_a_shuffled_disk_as_large_as_the_device),
        cmocka_unit_test(drains_a_log_that_leaves_no_slot_free),
        cmocka_unit_test(keeps_the_end_of_the_device_and_memory_apart),
        cmocka_unit_test(leaves_nothing_on_a_device_that_is_larger_than_the_disk),
        cmocka_unit_test(does_not_touch_the_device_for_little),
        cmocka_unit_test(refuses_more_than_there_is_room_for),
        cmocka_unit_test(bounds_what_it_remembers_of_zeroes),
        cmocka_unit_test(keeps_in_memory_what_is_written_nowhere),
        cmocka_unit_test(passes_every_failure_on),
    };
    return cmocka_run_group_tests_name("transfer/park_device", tests, NULL, NULL);
}
