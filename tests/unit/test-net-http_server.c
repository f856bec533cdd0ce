/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_server.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"

static void on_get(void *ctx, const char *path, struct sw_http_reply *reply)
{
    unsigned *calls = ctx;

    ++*calls;
    if (strcmp(path, "/healthz") == 0)
        sw_buf_puts(&reply->body, "ok\n");
    else
        reply->status = 404;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

/* Drive the server until the client's connection is closed by it: the whole answer. */
static void drive(struct sw_http_server *s, int client, struct sw_buf *answer)
{
    int64_t deadline = sw_now_ns() + 30 * SW_NS_PER_SEC;

    while (sw_now_ns() < deadline) {
        struct pollfd p[2] = { { .fd = sw_http_server_fd(s), .events = POLLIN },
                               { .fd = client, .events = POLLIN } };
        int64_t wait = sw_http_server_wait_ms(s);
        char bytes[512];

        assert_true(poll(p, 2, wait < 0 || wait > 1000 ? 1000 : (int)wait) >= 0);
        sw_http_server_run(s);
        if (!p[1].revents)
            continue;
        ssize_t n = recv(client, bytes, sizeof(bytes), 0);
        if (n <= 0)
            return;
        sw_buf_append(answer, bytes, (size_t)n);
    }
    fail_msg("no answer within 30 s");
}

static void ask(struct sw_http_server *s, const char *request, struct sw_buf *answer)
{
    int client = connect_to(sw_http_server_port(s));

    sw_buf_reset(answer);
    assert_int_equal(send(client, request, strlen(request), 0), (ssize_t)strlen(request));
    drive(s, client, answer);
    close(client);
}

static void a_driven_plain_server_answers_on_the_callers_thread(void **state)
{
    sw_autobuf struct sw_buf answer = SW_BUF_INIT(4096);
    struct sw_http_server *s = NULL;
    struct sw_err err = { 0 };
    unsigned calls = 0;
    const struct sw_http_server_options o = {
        .handler = on_get, .ctx = &calls, .is_plain = true, .is_driven = true
    };

    assert_int_equal(sw_http_server_start(&o, &s, &err), 0);
    assert_true(sw_http_server_fd(s) >= 0);
    ask(s, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &answer);
    assert_non_null(strstr(sw_buf_str(&answer), " 200 "));
    assert_non_null(strstr(sw_buf_str(&answer), "\r\n\r\nok\n"));
    ask(s, "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &answer);
    assert_non_null(strstr(sw_buf_str(&answer), " 404 "));
    assert_int_equal(calls, 2); /* no thread of the server's own touched it */
    ask(s, "POST /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        &answer);
    assert_non_null(strstr(sw_buf_str(&answer), " 405 "));
    ask(s, "nonsense\r\n\r\n", &answer);
    assert_null(strstr(sw_buf_str(&answer), " 200 "));
    assert_int_equal(calls, 2);
    assert_int_equal(sw_http_server_wait_ms(s), -1); /* idle: nothing to wake up for */
    sw_http_server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_driven_plain_server_answers_on_the_callers_thread),
    };

    return cmocka_run_group_tests_name("net/http_server", tests, NULL, NULL);
}
