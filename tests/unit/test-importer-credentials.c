/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char *const header = "Authorization: Bearer x";
static const struct sw_http_options full = {
    .user = "me",
    .password = "pw",
    .headers = &header,
    .n_headers = 1,
    .cert_file = "c",
    .key_file = "k",
    .ca_file = "ca",
    .connections = 3,
};

static bool are_kept(const char *image, const char *list, const char *signature)
{
    const char *const others[] = { list, signature, NULL };
    struct sw_http_options got;

    sw_http_options_for(&full, image, others, SW_COUNT(others), &got);
    assert_string_equal(got.ca_file, "ca");
    assert_int_equal(got.connections, 3);
    if (got.user)
        return got.password && got.n_headers == 1 && got.cert_file && got.key_file;
    assert_null(got.password);
    assert_null(got.headers);
    assert_int_equal(got.n_headers, 0);
    assert_null(got.cert_file);
    assert_null(got.key_file);
    return false;
}

static void the_same_server_sees_them(void **state)
{
    assert_true(are_kept("https://h/a/x", "https://H:443/SUMS", NULL));
    assert_true(are_kept("https://h/a/x", "https://h/SUMS", "https://h/SUMS.gpg"));
    assert_true(are_kept("https://h/a/x", "/local/SUMS", "sig"));
    assert_true(are_kept("https://h/a/x", NULL, NULL));
}

static void no_other_server_does(void **state)
{
    static const char *const foreign[] = { "https://other/SUMS",
                                           "http://h/SUMS",
                                           "https://h:444/SUMS",
                                           "https://h.evil/SUMS",
                                           "https://h@evil/SUMS",
                                           "HTTPS://evil/x",
                                           "http:",
                                           "https://[" };

    for (size_t i = 0; i < SW_COUNT(foreign); i++) {
        if (are_kept("https://h/x", foreign[i], NULL) || are_kept("https://h/x", NULL, foreign[i]))
            fail_msg("'%s' would see them", foreign[i]);
    }
    assert_false(are_kept("disk.img", "https://h/SUMS", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_server_sees_them),
        cmocka_unit_test(no_other_server_does),
    };

    return cmocka_run_group_tests_name("importer/credentials", tests, NULL, NULL);
}
