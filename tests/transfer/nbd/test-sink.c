/* SPDX-License-Identifier: Apache-2.0 */
/* The NBD sink against real servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "common/fileio.h"
#include "server.h"
#include "tests/unit/sink-model.h"
#include "transfer/sink.h"

#define DISK (8 * SW_MIB)
#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static int make_server(void **state)
{
    struct nbd_server *s = calloc(1, sizeof(*s));

    nbd_server_init(s);
    *state = s;
    return 0;
}

static int remove_server(void **state)
{
    nbd_server_done(*state);
    free(*state);
    return 0;
}

static struct sw_sink *must_open(const char *uri)
{
    struct sw_err err = { 0 };
    struct sw_sink *s = NULL;

    if (sw_sink_open_nbd(uri, MODEL_LANES, &s, &err) < 0)
        fail_msg("%s", err.msg);
    return s;
}

/* Write the model through one sink, read it through another. */
static void check_model(const struct nbd_server *server, uint64_t seed)
{
    struct sw_sink *s = must_open(server->uri);
    struct model *m = model_new(s, s->size, seed);
    struct sw_err err = { 0 };

    if (model_write(m, &err) < 0 || s->ops->flush(s, &err) < 0)
        fail_msg("%s", err.msg);
    sw_sink_close(s);

    m->sink = must_open(server->uri);
    uint64_t same = model_differs(m, &err);
    if (same == UINT64_MAX)
        fail_msg("%s", err.msg);
    assert_int_equal(same, m->size);
    sw_sink_close(m->sink);
    model_free(m);
}

static void holds_what_four_connections_wrote(void **state)
{
    struct nbd_server *s = *state;

    nbd_server_nbdkit(s, ARGS("memory", "8M"));
    check_model(s, 21);
}

static unsigned count(const char *text, const char *word)
{
    unsigned n = 0;

    for (const char *p = strstr(text, word); p; p = strstr(p + 1, word))
        n++;
    return n;
}

static void shares_one_connection_when_the_server_allows_no_more(void **state)
{
    struct nbd_server *s = *state;
    char logfile[96], log[128];
    struct sw_err err = { 0 };
    char *text = NULL;

    snprintf(logfile, sizeof(logfile), "%s/log", s->dir);
    snprintf(log, sizeof(log), "logfile=%s", logfile);
    nbd_server_nbdkit(s, ARGS("--filter=log", "--filter=multi-conn", "memory", "8M",
                              "multi-conn-mode=disable", log));
    check_model(s, 22);
    nbd_server_kill(s);

    assert_int_equal(sw_file_slurp(logfile, 16 * SW_MIB, &text, NULL, &err), 0);
    assert_int_equal(count(text, " Connect export="), 2); /* the writer's and the reader's */
    free(text);
}

static void changes_parts_of_blocks_when_the_server_takes_only_whole_ones(void **state)
{
    struct nbd_server *s = *state;

    nbd_server_nbdkit(s, ARGS("--filter=blocksize-policy", "memory", "8M", "blocksize-minimum=4096",
                              "blocksize-preferred=65536", "blocksize-maximum=65536",
                              "blocksize-error-policy=error"));
    check_model(s, 23);
}

static void writes_zeroes_when_the_server_cannot_zero(void **state)
{
    struct nbd_server *s = *state;

    nbd_server_nbdkit(s, ARGS("--filter=nozero", "memory", "8M", "zeromode=none"));
    check_model(s, 24);
}

static void writes_zeroes_when_zeroing_is_refused(void **state)
{
    struct nbd_server *s = *state;

    nbd_server_nbdkit(
        s, ARGS("--filter=error", "memory", "8M", "error-zero=EINVAL", "error-zero-rate=100%"));
    check_model(s, 25);
}

static void writes_through_qemu_nbd(void **state)
{
    struct nbd_server *s = *state;

    nbd_server_qemu(s, "", DISK);
    check_model(s, 26);
}

/* The server can do fast zeroes in principle and never in practice: one try, then slow ones. */
static void tries_a_refused_fast_zero_only_once(void **state)
{
    struct nbd_server *server = *state;
    char logfile[96], zero[256], pwrite[128], flush[128];
    struct sw_err err = { 0 };
    char *text = NULL;

    snprintf(logfile, sizeof(logfile), "%s/log", server->dir);
    snprintf(zero, sizeof(zero),
             "zero=echo zero $3 $4 $5 >> %s; case $5 in *fast*) echo EOPNOTSUPP slow >&2; exit 1;; "
             "esac",
             logfile);
    snprintf(pwrite, sizeof(pwrite), "pwrite=echo write >> %s", logfile);
    snprintf(flush, sizeof(flush), "flush=echo flush >> %s", logfile);
    nbd_server_nbdkit(server, ARGS("eval", "get_size=echo 8M", "pread=exit 1", "can_zero=exit 0",
                                   "can_fast_zero=exit 0", "can_flush=exit 0", "can_trim=exit 0",
                                   "trim=exit 1", zero, pwrite, flush));
    struct sw_sink *s = must_open(server->uri);
    assert_int_equal(s->ops->zero(s, 0, 0, SW_MIB, &err), 0);
    assert_int_equal(s->ops->zero(s, 1, SW_MIB, 6 * SW_MIB, &err), 0);
    assert_int_equal(s->ops->flush(s, &err), 0);
    sw_sink_close(s);
    nbd_server_kill(server);

    assert_int_equal(sw_file_slurp(logfile, SW_MIB, &text, NULL, &err), 0);
    assert_string_equal(text, "zero 1048576 0 may_trim,fast\n"
                              "zero 1048576 0 may_trim\n"
                              "zero 4194304 1048576 may_trim\n"
                              "zero 2097152 5242880 may_trim\n"
                              "flush\n");
    free(text);
}

static void refuses_a_read_only_export(void **state)
{
    struct nbd_server *server = *state;
    struct sw_err err = { 0 };
    struct sw_sink *s;

    nbd_server_nbdkit(server, ARGS("-r", "memory", "8M"));
    assert_int_equal(sw_sink_open_nbd(server->uri, 1, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_DENIED);
    assert_non_null(strstr(err.msg, "read-only export"));
}

static void says_where_the_server_had_no_space(void **state)
{
    static uint8_t data[3 * 1024 * 1024];
    struct nbd_server *server = *state;
    struct sw_err err = { 0 };

    nbd_server_nbdkit(server, ARGS("--filter=error", "memory", "8M", "error-pwrite=ENOSPC",
                                   "error-pwrite-rate=100%"));
    struct sw_sink *s = must_open(server->uri);
    assert_int_equal(s->ops->pwrite(s, 2, data, sizeof(data), SW_MIB, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NO_SPACE);
    assert_non_null(strstr(err.msg, server->uri));
    assert_non_null(strstr(err.msg, "1048576 bytes at offset"));
    assert_int_equal(s->written, 0);
    sw_sink_close(s);
}

/* One refused write among many in flight must not get lost, wherever it stands. */
static void never_loses_a_failed_write(void **state)
{
    static uint8_t data[6 * 1024 * 1024];
    struct nbd_server *server = *state;
    char file[96], trigger[128];
    struct sw_err err = { 0 };

    snprintf(file, sizeof(file), "%s/trigger", server->dir);
    snprintf(trigger, sizeof(trigger), "error-file=%s", file);
    nbd_server_nbdkit(server, ARGS("--filter=blocksize-policy", "--filter=error", "memory", "8M",
                                   "blocksize-minimum=512", "blocksize-preferred=4096",
                                   "blocksize-maximum=32768", "error-pwrite=EIO",
                                   "error-pwrite-rate=2%", trigger));
    struct sw_sink *s = must_open(server->uri);
    assert_int_equal(s->ops->pwrite(s, 0, data, sizeof(data), 0, &err), 0);
    fclose(fopen(file, "w"));

    /* 192 writes at 2 %: a run without any failure has odds of 1 in 48; what was reported as
     * written in such a run really is. */
    memset(data, 0x55, sizeof(data));
    unsigned failures = 0;
    for (int i = 0; i < 20; i++) {
        if (s->ops->pwrite(s, 0, data, sizeof(data), 0, &err) < 0) {
            assert_int_equal(err.sys, EIO);
            failures++;
        }
    }
    assert_true(failures >= 10);

    unlink(file);
    assert_int_equal(s->ops->pwrite(s, 0, data, sizeof(data), 0, &err), 0);
    sw_sink_close(s);
}

static void reports_a_server_that_goes_away(void **state)
{
    static uint8_t data[1024 * 1024];
    struct nbd_server *server = *state;
    struct sw_err err = { 0 };

    nbd_server_nbdkit(server, ARGS("memory", "8M"));
    struct sw_sink *s = must_open(server->uri);
    assert_int_equal(s->ops->pwrite(s, 0, data, sizeof(data), 0, &err), 0);
    nbd_server_kill(server);
    assert_int_equal(s->ops->pwrite(s, 0, data, sizeof(data), 0, &err), -1);
    assert_int_equal(err.kind, SW_ERR_TRANSIENT);
    assert_int_equal(s->ops->flush(s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_TRANSIENT);
    assert_non_null(strstr(err.msg, "lost"));
    sw_sink_close(s);
}

static void refuses_what_does_not_fit(void **state)
{
    struct nbd_server *server = *state;
    struct sw_err err = { 0 };

    nbd_server_nbdkit(server, ARGS("memory", "8M"));
    struct sw_sink *s = must_open(server->uri);
    assert_int_equal(s->ops->pwrite(s, 0, "ab", 2, DISK - 1, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NO_SPACE);
    assert_int_equal(s->ops->zero(s, 0, 1, DISK, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NO_SPACE);
    assert_int_equal(s->ops->pwrite(s, 0, "ab", 2, DISK - 2, &err), 0);
    sw_sink_close(s);
}

static void refuses_what_is_no_nbd_address(void **state)
{
    struct sw_err err = { 0 };
    struct sw_sink *s;

    (void)state;
    assert_int_equal(sw_sink_open_nbd("http://example.com/", 1, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_USAGE);
    assert_int_equal(sw_sink_open_nbd("nbd+unix:///?socket=no-such-socket", 1, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NOT_FOUND);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, make_server, remove_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(holds_what_four_connections_wrote),
        SERVED(shares_one_connection_when_the_server_allows_no_more),
        SERVED(changes_parts_of_blocks_when_the_server_takes_only_whole_ones),
        SERVED(writes_zeroes_when_the_server_cannot_zero),
        SERVED(writes_zeroes_when_zeroing_is_refused),
        SERVED(writes_through_qemu_nbd),
        SERVED(tries_a_refused_fast_zero_only_once),
        SERVED(refuses_a_read_only_export),
        SERVED(says_where_the_server_had_no_space),
        SERVED(never_loses_a_failed_write),
        SERVED(reports_a_server_that_goes_away),
        SERVED(refuses_what_does_not_fit),
        cmocka_unit_test(refuses_what_is_no_nbd_address),
    };
    return cmocka_run_group_tests_name("transfer/sink_nbd", tests, NULL, NULL);
}
