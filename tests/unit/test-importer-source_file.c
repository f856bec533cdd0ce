/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "importer/sources.h"

struct place {
    char dir[64];
    char path[96];
    int saved_stdin;
};

static int make_place(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    snprintf(p->dir, sizeof(p->dir), "source-file-XXXXXX");
    if (!mkdtemp(p->dir))
        return -1;
    snprintf(p->path, sizeof(p->path), "%s/disk.raw", p->dir);
    p->saved_stdin = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
    *state = p;
    return 0;
}

static int remove_place(void **state)
{
    struct place *p = *state;

    if (p->saved_stdin >= 0) {
        dup2(p->saved_stdin, STDIN_FILENO);
        close(p->saved_stdin);
    }
    unlink(p->path);
    int r = rmdir(p->dir);
    free(p);
    return r;
}

static int make_file(const char *path, const char *text)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return fd;
}

static struct sw_source *must_open(const char *path, struct sw_cancel *cancel)
{
    struct sw_err err = { 0 };
    struct sw_source *s = NULL;

    if (sw_source_open_file(path, cancel, &s, &err) < 0)
        fail_msg("%s", err.msg);
    return s;
}

/* All of a stream in reads of at most `step` bytes. */
static size_t drain(struct sw_source *s, char *buf, size_t max, size_t step)
{
    struct sw_err err = { 0 };
    size_t n = 0;

    while (n < max) {
        ssize_t got = s->ops->read(s, buf + n, sw_min_u64(step, max - n), &err);

        if (got < 0)
            fail_msg("%s", err.msg);
        if (got == 0)
            break;
        n += (size_t)got;
    }
    buf[n < max ? n : max - 1] = '\0';
    return n;
}

static void reads_a_file_anywhere(void **state)
{
    const struct place *p = *state;
    struct sw_err err = { 0 };
    char got[5];

    close(make_file(p->path, "hello, disk"));
    struct sw_source *s = must_open(p->path, NULL);
    assert_true(s->seekable);
    assert_in_range(s->lanes, 1, SW_LANES_MAX);
    assert_int_equal(s->size, 11);
    assert_string_equal(s->name, "disk.raw");
    assert_int_equal(s->url[0], '/');
    assert_non_null(strstr(s->url, p->path));
    assert_int_equal(s->ops->read_at(s, 0, got, 4, 7, &err), 0);
    assert_memory_equal(got, "disk", 4);
    assert_int_equal(s->ops->read_at(s, 3, got, 5, 0, &err), 0);
    assert_memory_equal(got, "hello", 5);
    assert_int_equal(s->fetched, 9);
    sw_source_close(s);
}

static void notices_a_file_that_shrinks(void **state)
{
    const struct place *p = *state;
    struct sw_err err = { 0 };
    char got[4];

    close(make_file(p->path, "hello, disk"));
    struct sw_source *s = must_open(p->path, NULL);
    assert_int_equal(truncate(p->path, 8), 0);
    assert_int_equal(s->ops->read_at(s, 0, got, 4, 7, &err), -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    assert_non_null(strstr(err.msg, "11 bytes at first, now 8"));
    sw_source_close(s);
}

static char *validator_of(const char *path)
{
    struct sw_source *s = must_open(path, NULL);
    char *v = strdup(s->validator);

    sw_source_close(s);
    return v;
}

static void has_a_validator_that_changes_with_the_content(void **state)
{
    const struct timespec later[2] = { { .tv_sec = 5 }, { .tv_sec = 7, .tv_nsec = 1 } };
    const struct place *p = *state;

    close(make_file(p->path, "one"));
    char *first = validator_of(p->path);
    char *same = validator_of(p->path);
    assert_string_equal(first, same);

    assert_int_equal(utimensat(AT_FDCWD, p->path, later, 0), 0);
    char *touched = validator_of(p->path);
    assert_string_not_equal(first, touched);

    close(make_file(p->path, "four"));
    assert_int_equal(utimensat(AT_FDCWD, p->path, later, 0), 0);
    char *longer = validator_of(p->path);
    assert_string_not_equal(touched, longer);
    free(first);
    free(same);
    free(touched);
    free(longer);
}

static void knows_holes(void **state)
{
    const struct place *p = *state;
    struct sw_err err = { 0 };
    uint64_t len = 0;
    bool zero = false;
    int fd = make_file(p->path, "");

    assert_int_equal(ftruncate(fd, 64 << 20), 0);
    assert_int_equal(pwrite(fd, "x", 1, 32 << 20), 1);
    close(fd);
    struct sw_source *s = must_open(p->path, NULL);
    assert_int_equal(s->ops->status(s, 0, s->size, &zero, &len, &err), 0);
    assert_true(zero);
    assert_in_range(len, (32 << 20) - 65536, 32 << 20);
    assert_int_equal(s->ops->status(s, 32 << 20, 1 << 20, &zero, &len, &err), 0);
    assert_false(zero);
    assert_in_range(len, 1, 65536);
    assert_int_equal(s->ops->status(s, 48 << 20, 100, &zero, &len, &err), 0);
    assert_true(zero);
    assert_int_equal(len, 100);
    assert_int_equal(s->ops->status(s, 48 << 20, 16 << 20, &zero, &len, &err), 0);
    assert_int_equal(len, 16 << 20);
    sw_source_close(s);
}

static void seeks_in_standard_input_that_is_a_fresh_file(void **state)
{
    const struct place *p = *state;
    struct sw_err err = { 0 };
    char got[4];
    int fd = make_file(p->path, "hello, disk");

    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    dup2(fd, STDIN_FILENO);
    close(fd);
    struct sw_source *s = must_open("-", NULL);
    assert_true(s->seekable);
    assert_string_equal(s->name, "");
    assert_int_equal(s->ops->read_at(s, 1, got, 4, 7, &err), 0);
    assert_memory_equal(got, "disk", 4);
    sw_source_close(s);
    assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0); /* not ours to close */
}

static void streams_the_rest_of_standard_input(void **state)
{
    const struct place *p = *state;
    struct sw_err err = { 0 };
    char got[32];
    int fd = make_file(p->path, "hello, disk");

    assert_int_equal(lseek(fd, 7, SEEK_SET), 7);
    dup2(fd, STDIN_FILENO);
    struct sw_source *s = must_open("-", NULL);
    assert_false(s->seekable);
    assert_int_equal(s->size, 4);
    assert_null(s->validator);
    assert_int_equal(drain(s, got, sizeof(got), 3), 4);
    assert_string_equal(got, "disk");
    sw_source_close(s);

    assert_int_equal(lseek(fd, 7, SEEK_SET), 7);
    s = must_open("-", NULL);
    assert_int_equal(ftruncate(fd, 9), 0);
    assert_int_equal(s->ops->read(s, got, 10, &err), 2);
    assert_int_equal(s->ops->read(s, got, 10, &err), -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    assert_non_null(strstr(err.msg, "2 of 4 bytes"));
    sw_source_close(s);
    close(fd);
}

static void streams_pipes_and_sockets(void **state)
{
    int fd[2];
    char got[32];

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(i ? socketpair(AF_UNIX, SOCK_STREAM, 0, fd) : pipe(fd), 0);
        dup2(fd[0], STDIN_FILENO);
        close(fd[0]);
        assert_int_equal(write(fd[1], "through a pipe", 14), 14);
        close(fd[1]);
        struct sw_source *s = must_open("-", NULL);
        assert_false(s->seekable);
        assert_true(s->size == SW_SIZE_UNKNOWN);
        assert_int_equal(drain(s, got, sizeof(got), 5), 14);
        assert_string_equal(got, "through a pipe");
        assert_int_equal(s->fetched, 14);
        sw_source_close(s);
    }
}

static void *write_to_fifo(void *arg)
{
    struct timespec t = { .tv_nsec = 100000000 };
    int fd;

    nanosleep(&t, NULL);
    fd = open(arg, O_WRONLY | O_CLOEXEC);
    nanosleep(&t, NULL);
    (void)!write(fd, "late", 4);
    close(fd);
    return NULL;
}

/* The end of a FIFO that nobody has opened for writing yet is not the end of the image. */
static void waits_for_the_writer_of_a_fifo(void **state)
{
    struct place *p = *state;
    pthread_t thread;
    char got[8];

    assert_int_equal(mkfifo(p->path, 0600), 0);
    struct sw_source *s = must_open(p->path, NULL);
    pthread_create(&thread, NULL, write_to_fifo, p->path);
    assert_int_equal(drain(s, got, sizeof(got), 8), 4);
    assert_string_equal(got, "late");
    pthread_join(thread, NULL);
    sw_source_close(s);
}

static void *cancel_soon(void *arg)
{
    struct timespec t = { .tv_nsec = 100000000 };

    nanosleep(&t, NULL);
    sw_cancel_set(arg);
    return NULL;
}

static void stops_waiting_for_a_pipe_when_cancelled(void **state)
{
    struct sw_err err = { 0 };
    struct sw_cancel cancel;
    pthread_t thread;
    char got[8];
    int fd[2];

    (void)state;
    assert_int_equal(sw_cancel_init(&cancel, &err), 0);
    assert_int_equal(pipe(fd), 0);
    dup2(fd[0], STDIN_FILENO);
    close(fd[0]);
    struct sw_source *s = must_open("-", &cancel);
    pthread_create(&thread, NULL, cancel_soon, &cancel);
    assert_int_equal(s->ops->read(s, got, sizeof(got), &err), -1);
    assert_int_equal(err.kind, SW_ERR_CANCELLED);
    pthread_join(thread, NULL);
    sw_source_close(s);
    close(fd[1]);
    sw_cancel_done(&cancel);
}

/* Opening must not wait for a writer either: nothing could cancel that. */
static void stops_waiting_for_a_fifo_when_cancelled(void **state)
{
    const struct place *p = *state;
    struct sw_err err = { 0 };
    struct sw_cancel cancel;
    char got[8];

    assert_int_equal(sw_cancel_init(&cancel, &err), 0);
    assert_int_equal(mkfifo(p->path, 0600), 0);
    alarm(20); /* a blocked open() would never end */
    struct sw_source *s = must_open(p->path, &cancel);
    sw_cancel_set(&cancel);
    assert_int_equal(s->ops->read(s, got, sizeof(got), &err), -1);
    alarm(0);
    assert_int_equal(err.kind, SW_ERR_CANCELLED);
    sw_source_close(s);
    sw_cancel_done(&cancel);
}

static void says_what_is_wrong_with_a_path(void **state)
{
    const struct place *p = *state;
    struct sw_err err = { 0 };
    struct sw_source *s;

    assert_int_equal(sw_source_open_file(p->dir, NULL, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_USAGE);
    assert_non_null(strstr(err.msg, "is a directory"));
    assert_int_equal(sw_source_open_file(p->path, NULL, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, p->path));
}

#define PLACED(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACED(reads_a_file_anywhere),
        PLACED(notices_a_file_that_shrinks),
        PLACED(has_a_validator_that_changes_with_the_content),
        PLACED(knows_holes),
        PLACED(seeks_in_standard_input_that_is_a_fresh_file),
        PLACED(streams_the_rest_of_standard_input),
        PLACED(streams_pipes_and_sockets),
        PLACED(waits_for_the_writer_of_a_fifo),
        PLACED(stops_waiting_for_a_pipe_when_cancelled),
        PLACED(stops_waiting_for_a_fifo_when_cancelled),
        PLACED(says_what_is_wrong_with_a_path),
    };
    return cmocka_run_group_tests_name("importer/source_file", tests, NULL, NULL);
}
