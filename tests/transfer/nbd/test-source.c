/* SPDX-License-Identifier: Apache-2.0 */
/* The NBD source against real servers. nbdkit's pattern plugin holds, at each multiple of 8, that
 * offset as a big-endian number, so every byte read can be checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "importer/sources.h"
#include "server.h"
#include "transfer/nbd_io.h"

#define DISK (16 * SW_MIB)
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

static struct sw_source *must_open(const char *uri, const struct sw_http_options *o)
{
    struct sw_err err = { 0 };
    struct sw_source *s = NULL;

    if (sw_source_open_nbd(uri, o, &s, &err) < 0)
        fail_msg("%s", err.msg);
    return s;
}

static bool is_pattern(const uint8_t *p, size_t len, uint64_t off)
{
    for (size_t i = 0; i < len; i++) {
        uint64_t at = off + i;

        if (p[i] != (uint8_t)(sw_align_down(at, 8) >> (56 - 8 * (at % 8))))
            return false;
    }
    return true;
}

struct reader {
    struct sw_source *s;
    unsigned lane;
    size_t piece;
    bool is_right;
    int r;
    struct sw_err err;
};

/* Every lanes-th piece of the disk. */
static void *read_lane(void *arg)
{
    struct reader *rd = arg;
    struct sw_source *s = rd->s;
    uint8_t *buf = malloc(rd->piece);

    rd->is_right = true;
    for (uint64_t off = rd->lane * rd->piece; off < s->size && rd->r == 0;
         off += s->lanes * rd->piece) {
        size_t len = (size_t)sw_min_u64(rd->piece, s->size - off);

        rd->r = s->ops->read_at(s, rd->lane, buf, len, off, &rd->err);
        rd->is_right = rd->is_right && (rd->r < 0 || is_pattern(buf, len, off));
    }
    free(buf);
    return NULL;
}

static void check_pattern(struct sw_source *s, size_t piece)
{
    struct reader rd[SW_LANES_MAX] = { 0 };
    pthread_t thread[SW_LANES_MAX];

    for (unsigned i = 0; i < s->lanes; i++) {
        rd[i] = (struct reader){ .s = s, .lane = i, .piece = piece };
        pthread_create(&thread[i], NULL, read_lane, &rd[i]);
    }
    for (unsigned i = 0; i < s->lanes; i++)
        pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < s->lanes; i++) {
        if (rd[i].r < 0)
            fail_msg("%s", rd[i].err.msg);
        assert_true(rd[i].is_right);
    }
}

static void reads_every_byte_over_four_connections(void **state)
{
    struct nbd_server *server = *state;
    struct sw_http_options o = { 0 };

    nbd_server_nbdkit(server, ARGS("pattern", "16M"));
    struct sw_source *s = must_open(server->uri, &o);
    assert_true(s->seekable);
    assert_int_equal(s->size, DISK);
    assert_int_equal(s->lanes, 4);
    assert_null(s->validator);
    assert_string_equal(s->name, "");
    assert_string_equal(s->url, server->uri);
    check_pattern(s, SW_MIB);
    check_pattern(s, 777777);
    assert_int_equal(s->fetched, 2 * DISK);
    sw_source_close(s);
}

static void takes_one_lane_when_the_server_allows_one_connection(void **state)
{
    struct nbd_server *server = *state;
    struct sw_http_options o = { .connections = 8 };

    nbd_server_nbdkit(server,
                      ARGS("--filter=multi-conn", "pattern", "16M", "multi-conn-mode=disable"));
    struct sw_source *s = must_open(server->uri, &o);
    assert_int_equal(s->lanes, 1);
    check_pattern(s, 5 * SW_MIB + 1);
    sw_source_close(s);
}

static void reads_odd_ranges_from_a_server_with_whole_blocks_only(void **state)
{
    struct nbd_server *server = *state;
    struct sw_http_options o = { 0 };

    nbd_server_nbdkit(server, ARGS("--filter=blocksize-policy", "pattern", "16M",
                                   "blocksize-minimum=4096", "blocksize-preferred=4096",
                                   "blocksize-maximum=65536", "blocksize-error-policy=error"));
    struct sw_source *s = must_open(server->uri, &o);
    check_pattern(s, 999999);
    sw_source_close(s);
}

/* CVE-2022-0485 was a copy that ignored a completion's error and wrote zeroes instead. */
static void never_takes_a_failed_read_for_data(void **state)
{
    struct nbd_server *server = *state;
    struct sw_http_options o = { .retries = 30 };

    nbd_server_nbdkit(server, ARGS("--filter=error", "pattern", "16M", "error-pread=EIO",
                                   "error-pread-rate=10%"));
    struct sw_source *s = must_open(server->uri, &o);
    check_pattern(s, 2 * SW_MIB);
    sw_source_close(s);
}

static void gives_up_after_the_retries(void **state)
{
    struct nbd_server *server = *state;
    struct sw_http_options o = { .retries = 1 };
    struct sw_err err = { 0 };
    uint8_t buf[512];

    nbd_server_nbdkit(server, ARGS("--filter=error", "pattern", "16M", "error-pread=EIO",
                                   "error-pread-rate=100%"));
    struct sw_source *s = must_open(server->uri, &o);
    assert_int_equal(s->ops->read_at(s, 0, buf, sizeof(buf), 4096, &err), -1);
    assert_int_equal(err.kind, SW_ERR_TRANSIENT);
    assert_non_null(strstr(err.msg, "gave up after 2 attempts"));
    assert_non_null(strstr(err.msg, "512 bytes at offset 4096"));
    sw_source_close(s);
}

/* Each piece fails when it is asked for the first time: far more failures than retries, but never
 * two in a row that bring nothing. */
static void counts_attempts_anew_after_progress(void **state)
{
    struct nbd_server *server = *state;
    struct sw_http_options o = { .retries = 1, .connections = 1 };
    struct sw_err err = { 0 };
    char pread[256];

    snprintf(pread, sizeof(pread),
             "pread=f=%s/seen.$4; if [ -e $f ]; then head -c $3 /dev/zero; else : > $f; "
             "echo EIO once >&2; exit 1; fi",
             server->dir);
    nbd_server_nbdkit(server, ARGS("eval", "get_size=echo 16M", pread));
    struct sw_source *s = must_open(server->uri, &o);
    uint8_t *got = malloc(DISK);
    if (s->ops->read_at(s, 0, got, DISK, 0, &err) < 0)
        fail_msg("%s", err.msg);
    assert_true(sw_is_zero(got, DISK));
    free(got);
    sw_source_close(s);
}

static void does_not_retry_what_is_forbidden(void **state)
{
    struct nbd_server *server = *state;
    struct sw_http_options o = { .retries = 8 };
    struct sw_err err = { 0 };
    char pread[256], seen[96];
    uint8_t buf[512];
    struct stat st;

    (void)snprintf(seen, sizeof(seen), "%s/asked", server->dir);
    (void)snprintf(pread, sizeof(pread), "pread=printf x >> %s; echo EPERM no >&2; exit 1", seen);
    nbd_server_nbdkit(server, ARGS("eval", "get_size=echo 16M", pread));
    struct sw_source *s = must_open(server->uri, &o);
    assert_int_equal(s->ops->read_at(s, 0, buf, sizeof(buf), 0, &err), -1);
    assert_int_equal(err.kind, SW_ERR_DENIED);
    assert_int_equal(stat(seen, &st), 0);
    assert_int_equal(st.st_size, 1); /* one request, one byte */
    sw_source_close(s);
}

static void goes_on_when_the_server_comes_back(void **state)
{
    struct nbd_server *server = *state;
    struct timespec outage = { .tv_nsec = 300000000 };
    struct sw_http_options o = { .connections = 1 };
    pthread_t thread;

    nbd_server_nbdkit(server, ARGS("pattern", "16M"));
    struct sw_source *s = must_open(server->uri, &o);
    check_pattern(s, SW_MIB);
    nbd_server_kill(server);

    struct reader rd = { .s = s, .piece = SW_MIB };
    pthread_create(&thread, NULL, read_lane, &rd);
    nanosleep(&outage, NULL);
    nbd_server_nbdkit(server, ARGS("pattern", "16M"));
    pthread_join(thread, NULL);
    if (rd.r < 0)
        fail_msg("%s", rd.err.msg);
    assert_true(rd.is_right);
    sw_source_close(s);
}

static void refuses_a_server_that_comes_back_with_another_size(void **state)
{
    struct nbd_server *server = *state;
    struct sw_http_options o = { 0 };
    struct sw_err err = { 0 };
    uint8_t buf[512];

    nbd_server_nbdkit(server, ARGS("pattern", "16M"));
    struct sw_source *s = must_open(server->uri, &o);
    nbd_server_kill(server);
    nbd_server_nbdkit(server, ARGS("pattern", "17M"));
    assert_int_equal(s->ops->read_at(s, 0, buf, sizeof(buf), 0, &err), -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    assert_non_null(strstr(err.msg, "16777216"));
    assert_non_null(strstr(err.msg, "17825792"));
    sw_source_close(s);
}

static void *cancel_soon(void *arg)
{
    struct timespec t = { .tv_nsec = 200000000 };

    nanosleep(&t, NULL);
    sw_cancel_set(arg);
    return NULL;
}

static void stops_waiting_when_cancelled(void **state)
{
    struct nbd_server *server = *state;
    struct sw_err err = { 0 };
    struct sw_cancel cancel;
    pthread_t thread;
    uint8_t buf[4096];

    assert_int_equal(sw_cancel_init(&cancel, &err), 0);
    struct sw_http_options o = { .cancel = &cancel };
    nbd_server_nbdkit(server, ARGS("--filter=delay", "pattern", "16M", "rdelay=30"));
    struct sw_source *s = must_open(server->uri, &o);
    int64_t before = sw_now_ns();
    pthread_create(&thread, NULL, cancel_soon, &cancel);
    assert_int_equal(s->ops->read_at(s, 0, buf, sizeof(buf), 0, &err), -1);
    pthread_join(thread, NULL);
    assert_int_equal(err.kind, SW_ERR_CANCELLED);
    assert_true(sw_now_ns() - before < 25 * SW_NS_PER_SEC);
    sw_source_close(s);
    sw_cancel_done(&cancel);
}

static void takes_silence_for_a_dead_connection(void **state)
{
    struct nbd_server *server = *state;
    struct sw_http_options o = { .retries = 1, .stall_ns = 200 * SW_NS_PER_MS };
    struct sw_err err = { 0 };
    uint8_t buf[4096];

    nbd_server_nbdkit(server, ARGS("--filter=delay", "pattern", "16M", "rdelay=30"));
    struct sw_source *s = must_open(server->uri, &o);
    assert_int_equal(s->ops->read_at(s, 0, buf, sizeof(buf), 0, &err), -1);
    assert_int_equal(err.kind, SW_ERR_TRANSIENT);
    assert_non_null(strstr(err.msg, "did nothing for 0.2 s"));
    sw_source_close(s);
}

/* The sum of all bytes that are said to be zero, asked for in steps. */
static uint64_t zero_bytes(struct sw_source *s, uint64_t step)
{
    struct sw_err err = { 0 };
    uint64_t sum = 0;

    for (uint64_t off = 0; off < s->size;) {
        uint64_t ask = sw_min_u64(step, s->size - off), len = 0;
        bool is_zero = false;

        assert_int_equal(s->ops->status(s, off, ask, &is_zero, &len, &err), 0);
        assert_in_range(len, 1, ask);
        sum += is_zero ? len : 0;
        off += len;
    }
    return sum;
}

static void knows_what_is_zero(void **state)
{
    struct nbd_server *server = *state;
    struct sw_http_options o = { 0 };
    char disk[96];

    nbd_server_qemu(server, "vm/disk.raw", 3 * SW_GIB);
    snprintf(disk, sizeof(disk), "%s/disk", server->dir);
    int fd = open(disk, O_WRONLY | O_CLOEXEC);
    for (uint64_t off = 0; off < 3 * SW_GIB; off += 512 * SW_MIB)
        assert_int_equal(pwrite(fd, "data", 4, (off_t)(off + 64 * SW_KIB)), 4);
    close(fd);

    char uri[256];
    snprintf(uri, sizeof(uri), "nbd+unix:///vm%%2Fdisk.raw?socket=%s/sock", server->dir);
    struct sw_source *s = must_open(uri, &o);
    assert_string_equal(s->name, "vm/disk.raw");
    assert_in_range(zero_bytes(s, UINT32_MAX), 3 * SW_GIB - 6 * 64 * SW_KIB, 3 * SW_GIB - 6 * 4096);
    assert_in_range(zero_bytes(s, 33333), 3 * SW_GIB - 6 * 64 * SW_KIB, 3 * SW_GIB - 6 * 4096);
    sw_source_close(s);
}

static void takes_all_for_data_when_the_server_cannot_tell(void **state)
{
    struct nbd_server *server = *state;
    struct sw_http_options o = { 0 };

    nbd_server_nbdkit(server, ARGS("--filter=error", "memory", "16M", "error-extents=EIO",
                                   "error-extents-rate=100%"));
    struct sw_source *s = must_open(server->uri, &o);
    assert_int_equal(zero_bytes(s, SW_MIB), 0);
    sw_source_close(s);
}

static void tells_apart_why_it_cannot_connect(void **state)
{
    struct nbd_server *server = *state;
    struct sw_http_options o = { 0 };
    struct sw_err err = { 0 };
    struct sw_source *s;
    char uri[256];

    assert_int_equal(sw_source_open_nbd(server->uri, &o, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NOT_FOUND);
    assert_int_equal(sw_source_open_nbd("nbd://127.0.0.1:1/", &o, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_TRANSIENT);
    assert_int_equal(sw_source_open_nbd("ftp://127.0.0.1/", &o, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_USAGE);

    nbd_server_qemu(server, "this", SW_MIB);
    snprintf(uri, sizeof(uri), "nbd+unix:///that?socket=%s/sock", server->dir);
    assert_int_equal(sw_source_open_nbd(uri, &o, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "that"));
}

static void hides_a_password(void **state)
{
    static const char *const pairs[][2] = {
        { "nbds://alice:secret@host:10809/x", "nbds://alice@host:10809/x" },
        { "nbd://host/a:b@c", "nbd://host/a:b@c" },
        { "nbds://:s@host/", "nbds://@host/" },
        { "nbd+unix:///x?socket=/run/a:b@c", "nbd+unix:///x?socket=/run/a:b@c" },
        { "nbd://[::1]:10809/", "nbd://[::1]:10809/" },
        { "plain", "plain" },
    };

    (void)state;
    for (size_t i = 0; i < SW_COUNT(pairs); i++) {
        char *got = sw_nbd_redact(pairs[i][0]);

        assert_string_equal(got, pairs[i][1]);
        free(got);
    }
}

/* ---- TLS ---- */

static unsigned free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

/* One self-signed certificate for "localhost" that is its own CA, and serves both sides. */
static void make_certificate(const char *dir)
{
    char key[96], cert[96], ca[96];

    snprintf(key, sizeof(key), "%s/server-key.pem", dir);
    snprintf(cert, sizeof(cert), "%s/server-cert.pem", dir);
    snprintf(ca, sizeof(ca), "%s/ca-cert.pem", dir);
    assert_int_equal(run_program(ARGS("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                                      "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                                      "-out", cert, "-days", "2", "-subj", "/CN=localhost",
                                      "-addext", "subjectAltName=DNS:localhost")),
                     0);
    assert_int_equal(run_program(ARGS("cp", cert, ca)), 0);
}

static void checks_certificates_of_both_sides(void **state)
{
    struct nbd_server *server = *state;
    char port[16], uri[64], other[64], ca[96], key[96], dir[96], tls[128];
    struct sw_err err = { 0 };
    struct sw_source *s;

    need_program("openssl");
    make_certificate(server->dir);
    snprintf(port, sizeof(port), "%u", free_port());
    snprintf(uri, sizeof(uri), "nbds://localhost:%s/", port);
    snprintf(other, sizeof(other), "nbds://127.0.0.1:%s/", port);
    snprintf(ca, sizeof(ca), "%s/ca-cert.pem", server->dir);
    snprintf(key, sizeof(key), "%s/server-key.pem", server->dir);
    snprintf(dir, sizeof(dir), "%s", server->dir);
    snprintf(tls, sizeof(tls), "--tls-certificates=%s", dir);
    nbd_server_tcp(server, port, ARGS("--tls=require", tls, "--tls-verify-peer", "pattern", "16M"));

    struct sw_http_options right = { .ca_file = ca, .cert_file = ca, .key_file = key };
    s = must_open(uri, &right);
    check_pattern(s, SW_MIB);
    sw_source_close(s);

    struct sw_http_options unknown_ca = { 0 };
    assert_int_equal(sw_source_open_nbd(uri, &unknown_ca, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_DENIED);

    assert_int_equal(sw_source_open_nbd(other, &right, &s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_DENIED);

    struct sw_http_options trusting = right;
    trusting.insecure = true;
    s = must_open(other, &trusting);
    check_pattern(s, SW_MIB);
    sw_source_close(s);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, make_server, remove_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(reads_every_byte_over_four_connections),
        SERVED(takes_one_lane_when_the_server_allows_one_connection),
        SERVED(reads_odd_ranges_from_a_server_with_whole_blocks_only),
        SERVED(never_takes_a_failed_read_for_data),
        SERVED(gives_up_after_the_retries),
        SERVED(counts_attempts_anew_after_progress),
        SERVED(does_not_retry_what_is_forbidden),
        SERVED(goes_on_when_the_server_comes_back),
        SERVED(refuses_a_server_that_comes_back_with_another_size),
        SERVED(stops_waiting_when_cancelled),
        SERVED(takes_silence_for_a_dead_connection),
        SERVED(knows_what_is_zero),
        SERVED(takes_all_for_data_when_the_server_cannot_tell),
        SERVED(tells_apart_why_it_cannot_connect),
        cmocka_unit_test(hides_a_password),
        SERVED(checks_certificates_of_both_sides),
    };
    return cmocka_run_group_tests_name("importer/source_nbd", tests, NULL, NULL);
}
