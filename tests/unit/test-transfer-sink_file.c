/* SPDX-License-Identifier: Apache-2.0 */
/* Files are made in the working directory, so that they lie on a real file system and O_DIRECT
 * means something. What needs a file system of our own (a full one, a read-only one) mounts a small
 * tmpfs and is skipped without the right to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink-model.h"
#include "transfer/fd_sink.h"

#define DISK (24 * SW_MIB + 1234)

struct place {
    char dir[64];
    char path[96];
    bool is_mounted;
};

static int make_place(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    snprintf(p->dir, sizeof(p->dir), "sink-file-XXXXXX");
    if (!mkdtemp(p->dir))
        return -1;
    snprintf(p->path, sizeof(p->path), "%s/disk.img", p->dir);
    *state = p;
    return 0;
}

static int remove_place(void **state)
{
    struct place *p = *state;

    unlink(p->path);
    if (p->is_mounted)
        umount2(p->dir, MNT_DETACH);
    int r = rmdir(p->dir);
    free(p);
    return r;
}

/* A tmpfs over the test's directory. */
static void mount_small(struct place *p, unsigned long flags)
{
    if (mount("slipway-test", p->dir, "tmpfs", flags, "size=4m") < 0) {
        print_message("skipped: cannot mount a tmpfs: %s\n", strerror(errno));
        skip();
    }
    p->is_mounted = true;
}

static struct sw_sink *must_open(const char *path, bool use_direct)
{
    struct sw_err err = { 0 };
    struct sw_sink *s = NULL;

    if (sw_sink_open_file(path, MODEL_LANES, use_direct, &s, &err) < 0)
        fail_msg("%s", err.msg);
    return s;
}

static void must_resize(struct sw_sink *s, uint64_t size, enum sw_prealloc prealloc)
{
    struct sw_err err = { 0 };

    if (sw_sink_file_resize(s, size, prealloc, &err) < 0)
        fail_msg("%s", err.msg);
}

static void must_flush(struct sw_sink *s)
{
    struct sw_err err = { 0 };

    if (s->ops->flush(s, &err) < 0)
        fail_msg("%s", err.msg);
}

static void must_write(struct sw_sink *s, const void *buf, size_t len, uint64_t off)
{
    struct sw_err err = { 0 };

    if (s->ops->pwrite(s, 0, buf, len, off, &err) < 0)
        fail_msg("%s", err.msg);
}

static struct sw_fd_sink *inside(struct sw_sink *s)
{
    return (struct sw_fd_sink *)s;
}

static uint64_t blocks_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

/* Write the model, check it through the sink and then through the file itself. */
static void check_model(struct sw_sink *s, const char *path, uint64_t seed)
{
    struct model *m = model_new(s, s->size, seed);
    struct sw_err err = { 0 };

    if (model_write(m, &err) < 0)
        fail_msg("%s", err.msg);
    uint64_t same = model_differs(m, &err);
    if (same == UINT64_MAX)
        fail_msg("%s", err.msg);
    assert_int_equal(same, m->size);
    must_flush(s);

    uint8_t *got = malloc(m->size);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, got, m->size), m->size);
    assert_memory_equal(got, m->want, m->size);
    close(fd);
    free(got);
    model_free(m);
}

static void holds_what_four_lanes_wrote_with_direct_io(void **state)
{
    const struct place *p = *state;
    struct sw_sink *s = must_open(p->path, true);

    assert_true(s->reads_zero);
    must_resize(s, DISK, SW_PREALLOC_OFF);
    check_model(s, p->path, 1);
    sw_sink_close(s);
}

static void holds_what_four_lanes_wrote_without_direct_io(void **state)
{
    const struct place *p = *state;
    struct sw_sink *s = must_open(p->path, false);

    assert_int_equal(inside(s)->direct_fd, -1);
    must_resize(s, DISK, SW_PREALLOC_OFF);
    check_model(s, p->path, 2);
    sw_sink_close(s);
}

static void goes_on_buffered_when_a_direct_write_is_refused(void **state)
{
    const struct place *p = *state;
    struct sw_sink *s = must_open(p->path, true);
    struct sw_fd_sink *f = inside(s);

    if (!f->direct) {
        print_message("skipped: no direct I/O on this file system\n");
        sw_sink_close(s);
        skip();
    }
    f->mem_align = 1; /* a lie: the kernel answers EINVAL to the first misaligned buffer */
    must_resize(s, DISK, SW_PREALLOC_OFF);
    check_model(s, p->path, 3);
    assert_false(f->direct);
    sw_sink_close(s);
}

static void does_without_write_behind(void **state)
{
    const struct place *p = *state;
    struct sw_sink *s = must_open(p->path, false);

    atomic_store(&inside(s)->behind.refused, true);
    must_resize(s, DISK, SW_PREALLOC_OFF);
    check_model(s, p->path, 4);
    sw_sink_close(s);
}

/* Make zeroes with only these rungs in the middle of data and return what is allocated then. */
static uint64_t zero_with(struct place *p, unsigned rungs)
{
    static _Alignas(4096) uint8_t data[4 * 1024 * 1024], got[sizeof(data)];
    struct sw_sink *s = must_open(p->path, true);
    struct sw_err err = { 0 };

    must_resize(s, sizeof(data), SW_PREALLOC_OFF);
    memset(data, 7, sizeof(data));
    must_write(s, data, sizeof(data), 0);
    atomic_store(&inside(s)->ladder.rungs, rungs);
    assert_int_equal(s->ops->zero(s, 1, 12345, 2 * SW_MIB + 99, &err), 0);
    memset(data + 12345, 0, 2 * SW_MIB + 99);
    assert_int_equal(s->ops->pread(s, 0, got, sizeof(got), 0, &err), 0);
    assert_memory_equal(got, data, sizeof(data));
    must_flush(s);
    assert_int_equal(atomic_load(&inside(s)->ladder.rungs), rungs);
    sw_sink_close(s);

    uint64_t blocks = blocks_of(p->path);
    unlink(p->path);
    return blocks;
}

static void makes_zeroes_on_every_rung(void **state)
{
    struct place *p = *state;
    uint64_t punched = zero_with(p, SW_ZERO_PUNCH | SW_ZERO_RANGE);
    uint64_t written = zero_with(p, 0);

    assert_in_range(punched, 1, 2 * SW_MIB + 64 * SW_KIB);
    assert_true(written >= 4 * SW_MIB);

    struct sw_sink *s = must_open(p->path, false);
    struct sw_zero_ladder l = { SW_ZERO_RANGE };
    struct sw_err err = { 0 };
    int can_range = sw_zero_ladder_try(&l, inside(s)->fd, 0, 4096, &err);
    sw_sink_close(s);
    if (can_range == 1)
        assert_true(zero_with(p, SW_ZERO_RANGE) >= 4 * SW_MIB);
}

/* A character device refuses fallocate (ENODEV) and BLKZEROOUT (ENOTTY). */
static void asks_a_refused_rung_only_once(void **state)
{
    struct sw_zero_ladder l = { SW_ZERO_PUNCH | SW_ZERO_RANGE | SW_ZERO_OUT };
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct sw_err err = { 0 };

    (void)state;
    assert_int_equal(sw_zero_ladder_try(&l, fd, 0, 4096, &err), 0);
    assert_int_equal(atomic_load(&l.rungs), 0);
    close(fd);
}

static void reports_a_real_failure_of_the_ladder(void **state)
{
    struct sw_zero_ladder l = { SW_ZERO_PUNCH | SW_ZERO_RANGE };
    struct sw_err err = { 0 };

    (void)state;
    assert_int_equal(sw_zero_ladder_try(&l, -1, 8192, 4096, &err), -1);
    assert_int_equal(err.sys, EBADF);
    assert_non_null(strstr(err.msg, "4096 bytes at offset 8192"));
}

static void grows_sparse_and_shrinks(void **state)
{
    const struct place *p = *state;
    struct sw_sink *s = must_open(p->path, true);

    must_resize(s, SW_GIB, SW_PREALLOC_OFF);
    assert_int_equal(s->size, SW_GIB);
    assert_true(blocks_of(p->path) < 64 * SW_KIB);
    must_resize(s, 777, SW_PREALLOC_OFF);

    struct stat st;
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_size, 777);
    sw_sink_close(s);

    s = must_open(p->path, true);
    assert_int_equal(s->size, 777);
    assert_false(s->reads_zero);
    sw_sink_close(s);
}

static void preallocates_without_touching_data(void **state)
{
    static const enum sw_prealloc how[] = { SW_PREALLOC_FALLOC, SW_PREALLOC_FULL };
    const struct place *p = *state;

    for (size_t i = 0; i < SW_COUNT(how); i++) {
        struct sw_sink *s = must_open(p->path, true);
        struct sw_err err = { 0 };
        uint8_t got[5000], zero[sizeof(got)] = { 0 };

        must_resize(s, 3, SW_PREALLOC_OFF);
        must_write(s, "abc", 3, 0);
        must_resize(s, 6 * SW_MIB + 5, how[i]);
        assert_true(blocks_of(p->path) >= 6 * SW_MIB);
        assert_int_equal(s->ops->pread(s, 0, got, sizeof(got), 0, &err), 0);
        assert_memory_equal(got, "abc", 3);
        assert_memory_equal(got + 3, zero, sizeof(got) - 3);

        /* Making zeroes must not give the reserved blocks back. */
        assert_int_equal(s->ops->zero(s, 0, 0, s->size, &err), 0);
        must_flush(s);
        assert_true(blocks_of(p->path) >= 6 * SW_MIB);
        sw_sink_close(s);
        unlink(p->path);
    }
}

static void says_both_numbers_when_preallocation_does_not_fit(void **state)
{
    static const enum sw_prealloc how[] = { SW_PREALLOC_FALLOC, SW_PREALLOC_FULL };
    struct place *p = *state;

    mount_small(p, 0);
    for (size_t i = 0; i < SW_COUNT(how); i++) {
        struct sw_sink *s = must_open(p->path, true);
        struct sw_err err = { 0 };

        assert_int_equal(sw_sink_file_resize(s, 8 * SW_MIB, how[i], &err), -1);
        assert_int_equal(err.kind, SW_ERR_NO_SPACE);
        assert_non_null(strstr(err.msg, "8388608"));
        assert_non_null(strstr(err.msg, "4194304"));
        assert_int_equal(s->size, 0);
        assert_int_equal(blocks_of(p->path), 0);
        sw_sink_close(s);
    }
}

static void names_path_offset_and_length_when_the_disk_is_full(void **state)
{
    static _Alignas(4096) uint8_t data[1024 * 1024];
    struct place *p = *state;

    mount_small(p, 0);
    for (int direct = 0; direct < 2; direct++) {
        struct sw_sink *s = must_open(p->path, direct);
        struct sw_err err = { 0 };
        int r = 0;

        memset(data, 1, sizeof(data));
        must_resize(s, 8 * SW_MIB, SW_PREALLOC_OFF);
        for (uint64_t off = 0; off < 8 * SW_MIB && r == 0; off += sizeof(data))
            r = s->ops->pwrite(s, 0, data, sizeof(data), off, &err);
        assert_int_equal(r, -1);
        assert_int_equal(err.kind, SW_ERR_NO_SPACE);
        assert_int_equal(err.sys, ENOSPC);
        assert_non_null(strstr(err.msg, p->path));
        assert_non_null(strstr(err.msg, "bytes at offset 4194304"));
        sw_sink_close(s);
        unlink(p->path);
    }
}

static void refuses_a_read_only_file_system(void **state)
{
    struct place *p = *state;
    struct sw_err err = { 0 };
    struct sw_sink *s;

    mount_small(p, MS_RDONLY);
    assert_int_equal(sw_sink_open_file(p->path, 1, true, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_DENIED);
    assert_int_equal(err.sys, EROFS);
}

static void opens_nothing_but_regular_files(void **state)
{
    const struct place *p = *state;
    struct sw_err err = { 0 };
    struct sw_sink *s;

    assert_int_equal(sw_sink_open_file("/dev/null", 1, true, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_USAGE);
    assert_int_equal(sw_sink_open_file(p->dir, 1, true, &s, &err), -1);
    assert_int_equal(sw_sink_open_file("no/such/directory/disk.img", 1, true, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NOT_FOUND);
}

static void refuses_to_read_past_the_end(void **state)
{
    const struct place *p = *state;
    struct sw_sink *s = must_open(p->path, true);
    struct sw_err err = { 0 };
    uint8_t got[100];

    must_resize(s, 5000, SW_PREALLOC_OFF);
    assert_int_equal(s->ops->pread(s, 0, got, 100, 4900, &err), 0);
    assert_int_equal(s->ops->pread(s, 0, got, 100, 4901, &err), -1);
    assert_non_null(strstr(err.msg, "5000"));
    sw_sink_close(s);
}

static uint64_t resident(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_int_equal(fstat(fd, &st), 0);
    size_t pages = ((size_t)st.st_size + 4095) / 4096;
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    unsigned char *in = calloc(1, pages);
    assert_ptr_not_equal(map, MAP_FAILED);
    assert_int_equal(mincore(map, (size_t)st.st_size, in), 0);

    uint64_t n = 0;
    for (size_t i = 0; i < pages; i++)
        n += in[i] & 1;
    munmap(map, (size_t)st.st_size);
    close(fd);
    free(in);
    return n * 4096;
}

static uint64_t bytes_to_disk(void)
{
    FILE *f = fopen("/proc/self/io", "re");
    unsigned long long n = 0;
    char line[128];

    while (f && fgets(line, sizeof(line), f))
        (void)sscanf(line, "write_bytes: %llu", &n);
    if (f)
        fclose(f);
    return n;
}

/* 128 MiB in odd pieces through the page cache: never more than two windows of 8 MiB stay there
 * while it goes, nothing afterwards, and no page is written twice (but those that two windows
 * share). */
static void leaves_no_page_cache_and_writes_once(void **state)
{
    enum { PIECE = 1000003, TOTAL = 128 << 20 };
    static uint8_t data[PIECE];
    const struct place *p = *state;
    struct sw_sink *s = must_open(p->path, false);
    uint64_t before = bytes_to_disk(), most = 0;

    memset(data, 3, sizeof(data));
    must_resize(s, TOTAL, SW_PREALLOC_OFF);
    for (uint64_t off = 0; off < TOTAL; off += PIECE) {
        must_write(s, data, (size_t)sw_min_u64(PIECE, TOTAL - off), off);
        if (off / PIECE % 16 == 15)
            most = sw_max_u64(most, resident(p->path));
    }
    must_flush(s);
    assert_in_range(most, 0, 20 * SW_MIB);
    assert_in_range(resident(p->path), 0, 64 * SW_KIB);
    assert_in_range(bytes_to_disk() - before, 0, TOTAL + TOTAL / 50);
    assert_int_equal(s->written, TOTAL);
    sw_sink_close(s);
}

#define PLACED(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACED(holds_what_four_lanes_wrote_with_direct_io),
        PLACED(holds_what_four_lanes_wrote_without_direct_io),
        PLACED(goes_on_buffered_when_a_direct_write_is_refused),
        PLACED(does_without_write_behind),
        PLACED(makes_zeroes_on_every_rung),
        cmocka_unit_test(asks_a_refused_rung_only_once),
        cmocka_unit_test(reports_a_real_failure_of_the_ladder),
        PLACED(grows_sparse_and_shrinks),
        PLACED(preallocates_without_touching_data),
        PLACED(says_both_numbers_when_preallocation_does_not_fit),
        PLACED(names_path_offset_and_length_when_the_disk_is_full),
        PLACED(refuses_a_read_only_file_system),
        PLACED(opens_nothing_but_regular_files),
        PLACED(refuses_to_read_past_the_end),
        PLACED(leaves_no_page_cache_and_writes_once),
    };
    return cmocka_run_group_tests_name("transfer/sink_file", tests, NULL, NULL);
}
