/* SPDX-License-Identifier: Apache-2.0 */
#include "common/fileio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory of its own for each test. */
static char dir[64];

static int make_dir(void **state)
{
    (void)snprintf(dir, sizeof(dir), "slipway-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    static const char *const names[] = { "f", "f.new" };

    for (size_t i = 0; i < SW_COUNT(names); i++) {
        char path[sizeof(dir) + 8];

        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    return rmdir(dir);
}

static const char *file_path(void)
{
    static char path[sizeof(dir) + 8];

    (void)snprintf(path, sizeof(path), "%s/f", dir);
    return path;
}

/* Feeds a pipe in small pieces, so that every read comes back short. */
static void *drip(void *arg)
{
    const int *fd = arg;

    for (int i = 0; i < 10; i++) {
        usleep(1000);
        if (write(*fd, "abc", 3) != 3)
            break;
    }
    close(*fd);
    return NULL;
}

static void joins_short_reads(void **state)
{
    struct sw_err err = { 0 };
    char buf[64];
    int fds[2];
    pthread_t t;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&t, NULL, drip, &fds[1]), 0);
    assert_int_equal(sw_read_full(fds[0], buf, 20, &err), 20);
    assert_int_equal(sw_read_full(fds[0], buf + 20, 40, &err), 10); /* the end of the file */
    assert_memory_equal(buf, "abcabcabcabcabcabcabcabcabcabc", 30);
    pthread_join(t, NULL);
    close(fds[0]);
}

static void *drain(void *arg)
{
    const int *fd = arg;
    static char sink[4096];
    ssize_t n, total = 0;

    while ((n = read(*fd, sink, sizeof(sink))) > 0)
        total += n;
    return (void *)total; /* NOLINT(performance-no-int-to-ptr) */
}

/* A pipe takes 64 KiB: a megabyte needs many partial writes. */
static void completes_partial_writes(void **state)
{
    static char big[1 << 20];
    struct sw_err err = { 0 };
    void *total = NULL;
    int fds[2];
    pthread_t t;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&t, NULL, drain, &fds[0]), 0);
    assert_int_equal(sw_write_full(fds[1], big, sizeof(big), &err), 0);
    close(fds[1]);
    pthread_join(t, &total);
    assert_int_equal((intptr_t)total, sizeof(big));
    close(fds[0]);
}

static void reads_back_what_it_wrote_at_an_offset(void **state)
{
    struct sw_err err = { 0 };
    char buf[16] = "";
    int fd = open(file_path(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(sw_pwrite_full(fd, "hello", 5, UINT64_C(1) << 33, &err), 0);
    assert_int_equal(sw_pread_full(fd, buf, 10, (UINT64_C(1) << 33) + 1, &err), 4);
    assert_memory_equal(buf, "ello", 4);
    close(fd);
}

static void names_a_full_disk(void **state)
{
    struct sw_err err = { 0 };
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(sw_write_full(fd, "x", 1, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NO_SPACE);
    assert_int_equal(sw_pwrite_full(fd, "xyz", 3, 4096, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NO_SPACE);
    assert_non_null(strstr(err.msg, "write 3 bytes at offset 4096: "));
    close(fd);
}

static void slurps_up_to_the_limit(void **state)
{
    struct sw_err err = { 0 };
    sw_autofree char *text = NULL;
    size_t len = 0;

    assert_int_equal(sw_file_replace(file_path(), "a\0cd", 4, 0600, &err), 0);
    assert_int_equal(sw_file_slurp(file_path(), 3, &text, &len, &err), -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    assert_null(text);
    assert_int_equal(sw_file_slurp(file_path(), 4, &text, &len, &err), 0);
    assert_int_equal(len, 4);
    assert_memory_equal(text, "a\0cd", 5);
}

static void says_which_file_is_missing(void **state)
{
    struct sw_err err = { 0 };
    char *text = NULL;

    assert_int_equal(sw_file_slurp(file_path(), 4, &text, NULL, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, file_path()));
    assert_int_equal(sw_file_slurp(dir, 4, &text, NULL, &err), -1); /* a directory: EISDIR */
    assert_int_equal(err.kind, SW_ERR_INTERNAL);
}

static void replaces_a_file_whole(void **state)
{
    struct sw_err err = { 0 };
    sw_autofree char *text = NULL;
    struct stat st;
    char left_over[sizeof(dir) + 8];

    assert_int_equal(sw_file_replace(file_path(), "a longer old text", 17, 0600, &err), 0);
    assert_int_equal(sw_file_replace(file_path(), "new", 3, 0640, &err), 0);
    assert_int_equal(sw_file_slurp(file_path(), 100, &text, NULL, &err), 0);
    assert_string_equal(text, "new");
    assert_int_equal(stat(file_path(), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    (void)snprintf(left_over, sizeof(left_over), "%s/f.new", dir);
    assert_int_equal(access(left_over, F_OK), -1);
}

static void leaves_nothing_behind_when_it_cannot_replace(void **state)
{
    struct sw_err err = { 0 };
    char in_the_way[sizeof(dir) + 8], left_over[sizeof(in_the_way) + 8];

    (void)snprintf(in_the_way, sizeof(in_the_way), "%s/d", dir);
    (void)snprintf(left_over, sizeof(left_over), "%s.new", in_the_way);
    assert_int_equal(mkdir(in_the_way, 0700), 0);
    assert_int_equal(sw_file_replace(in_the_way, "x", 1, 0600, &err), -1);
    assert_non_null(strstr(err.msg, in_the_way));
    assert_int_equal(access(left_over, F_OK), -1);
    assert_int_equal(rmdir(in_the_way), 0);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_short_reads),
        cmocka_unit_test(completes_partial_writes),
        IN_DIR(reads_back_what_it_wrote_at_an_offset),
        cmocka_unit_test(names_a_full_disk),
        IN_DIR(slurps_up_to_the_limit),
        IN_DIR(says_which_file_is_missing),
        IN_DIR(replaces_a_file_whole),
        IN_DIR(leaves_nothing_behind_when_it_cannot_replace),
    };
    return cmocka_run_group_tests_name("common/fileio", tests, NULL, NULL);
}
