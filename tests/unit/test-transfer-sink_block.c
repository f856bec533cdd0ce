/* SPDX-License-Identifier: Apache-2.0 */
/* Loop devices over files in the working directory, with logical blocks of 512 and 4096 bytes. They
 * are set to clear themselves at the last close, so none survives, even after a crash. Skipped
 * without the right to make them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sink-model.h"
#include "transfer/fd_sink.h"

struct loop {
    int fd; /* keeps the device alive */
    char path[32];
    char backing[32];
};

static void why_skipped(const char *what)
{
    print_message("skipped: %s: %s\n", what, strerror(errno));
    skip();
}

/* Another process may take the free device between the question and its use. */
static bool configure(struct loop *l, int control, const struct loop_config *c)
{
    for (int i = 0; i < 20; i++) {
        int n = ioctl(control, LOOP_CTL_GET_FREE);

        if (n < 0)
            return false;
        snprintf(l->path, sizeof(l->path), "/dev/loop%d", n);
        l->fd = open(l->path,
                     (c->info.lo_flags & LO_FLAGS_READ_ONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC);
        if (l->fd < 0)
            return false;
        if (ioctl(l->fd, LOOP_CONFIGURE, c) == 0)
            return true;
        int why = errno;
        close(l->fd);
        errno = why;
        if (why != EBUSY)
            return false;
    }
    return false;
}

static struct loop attach(uint64_t size, unsigned block, bool is_read_only)
{
    struct loop l = { .fd = -1, .backing = "sink-block-XXXXXX" };
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    struct loop_config c = { .block_size = block };

    if (control < 0)
        why_skipped("/dev/loop-control");
    int file = mkstemp(l.backing);
    assert_true(file >= 0);
    assert_int_equal(ftruncate(file, (off_t)size), 0);
    c.fd = (unsigned)file;
    c.info.lo_flags = LO_FLAGS_AUTOCLEAR | (is_read_only ? LO_FLAGS_READ_ONLY : 0);
    bool ok = configure(&l, control, &c);
    close(file);
    close(control);
    if (!ok) {
        unlink(l.backing);
        why_skipped("no loop device");
    }
    unlink(l.backing); /* the device keeps it */
    return l;
}

static void detach(struct loop *l)
{
    close(l->fd); /* autoclear */
}

static struct sw_sink *must_open(const struct loop *l, bool use_direct)
{
    struct sw_err err = { 0 };
    struct sw_sink *s = NULL;

    if (sw_sink_open_block(l->path, MODEL_LANES, use_direct, &s, &err) < 0)
        fail_msg("%s", err.msg);
    return s;
}

static void check_model(const struct loop *l, bool use_direct, unsigned rungs, uint64_t size)
{
    struct sw_sink *s = must_open(l, use_direct);
    struct sw_err err = { 0 };

    assert_int_equal(s->size, size);
    assert_false(s->reads_zero);
    atomic_store(&((struct sw_fd_sink *)s)->ladder.rungs, rungs);

    struct model *m = model_new(s, size, 11 + rungs);
    if (model_write(m, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(model_differs(m, &err), size);
    assert_int_equal(s->ops->flush(s, &err), 0);

    uint8_t *got = malloc(size);
    assert_int_equal(pread(l->fd, got, size, 0), size);
    assert_memory_equal(got, m->want, size);
    free(got);
    model_free(m);
    sw_sink_close(s);
}

static void check_all_ways(unsigned block, uint64_t size)
{
    static const unsigned rungs[] = { SW_ZERO_PUNCH | SW_ZERO_RANGE | SW_ZERO_OUT, SW_ZERO_RANGE,
                                      SW_ZERO_OUT, 0 };
    struct loop l = attach(size, block, false);

    for (size_t i = 0; i < SW_COUNT(rungs); i++)
        check_model(&l, true, rungs[i], size);
    check_model(&l, false, rungs[0], size);
    check_model(&l, false, 0, size);
    detach(&l);
}

/* The size is no multiple of a page: the last piece cannot go direct. */
static void holds_what_was_written_with_512_byte_blocks(void **state)
{
    (void)state;
    check_all_ways(512, 8 * SW_MIB + 512);
}

static void holds_what_was_written_with_4096_byte_blocks(void **state)
{
    (void)state;
    check_all_ways(4096, 8 * SW_MIB + 4096);
}

static void refuses_what_does_not_fit(void **state)
{
    struct loop l = attach(SW_MIB, 512, false);
    struct sw_sink *s = must_open(&l, true);
    struct sw_err err = { 0 };
    uint8_t byte = 1;

    (void)state;
    assert_int_equal(s->ops->pwrite(s, 0, &byte, 1, SW_MIB - 1, &err), 0);
    assert_int_equal(s->ops->pwrite(s, 0, &byte, 1, SW_MIB, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NO_SPACE);
    assert_non_null(strstr(err.msg, "holds 1048576 bytes"));
    assert_int_equal(s->ops->zero(s, 0, 0, SW_MIB + 1, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NO_SPACE);
    assert_int_equal(s->ops->zero(s, 0, UINT64_MAX - 5, 10, &err), -1);
    sw_sink_close(s);
    detach(&l);
}

static void refuses_a_device_in_use(void **state)
{
    struct loop l = attach(SW_MIB, 512, false);
    struct sw_sink *s = must_open(&l, true), *second;
    struct sw_err err = { 0 };

    (void)state;
    assert_int_equal(sw_sink_open_block(l.path, 1, true, &second, &err), -1);
    assert_int_equal(err.kind, SW_ERR_DENIED);
    assert_int_equal(err.sys, EBUSY);
    assert_non_null(strstr(err.msg, "mounted or used"));
    assert_non_null(strstr(err.msg, l.path));
    sw_sink_close(s);
    sw_sink_close(must_open(&l, true)); /* free again */
    detach(&l);
}

static void refuses_a_read_only_device(void **state)
{
    struct loop l = attach(SW_MIB, 512, true);
    struct sw_err err = { 0 };
    struct sw_sink *s;

    (void)state;
    assert_int_equal(sw_sink_open_block(l.path, 1, true, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_DENIED);
    assert_non_null(strstr(err.msg, "read-only"));
    detach(&l);
}

/* The child's exit status: 0 when the message is as it should be. */
static int open_as_nobody(const char *path)
{
    struct sw_err err = { 0 };
    struct sw_sink *s;

    if (setgid(65534) < 0 || setuid(65534) < 0)
        return 1;
    if (sw_sink_open_block(path, 1, true, &s, &err) == 0)
        return 2;
    if (err.kind != SW_ERR_DENIED)
        return 3;
    if (!strstr(err.msg, "device_ownership_from_security_context = true"))
        return 4;
    return strstr(err.msg, "uid 65534") && strstr(err.msg, path) ? 0 : 5;
}

static void names_the_cure_when_the_device_belongs_to_another_user(void **state)
{
    struct loop l = attach(SW_MIB, 512, false);
    int status = -1;

    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(open_as_nobody(l.path));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    detach(&l);
}

static void opens_nothing_but_block_devices(void **state)
{
    struct sw_err err = { 0 };
    struct sw_sink *s;

    (void)state;
    assert_int_equal(sw_sink_open_block("/dev/null", 1, true, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_USAGE);
    assert_int_equal(sw_sink_open_block("no-such-device", 1, true, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NOT_FOUND);
    assert_int_equal(access("no-such-device", F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_was_written_with_512_byte_blocks),
        cmocka_unit_test(holds_what_was_written_with_4096_byte_blocks),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(refuses_a_device_in_use),
        cmocka_unit_test(refuses_a_read_only_device),
        cmocka_unit_test(names_the_cure_when_the_device_belongs_to_another_user),
        cmocka_unit_test(opens_nothing_but_block_devices),
    };
    return cmocka_run_group_tests_name("transfer/sink_block", tests, NULL, NULL);
}
