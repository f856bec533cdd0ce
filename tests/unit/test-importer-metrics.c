/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "importer/sources.h"

/* The last line of the page, without its end. */
static const char *sample(struct sw_metrics *m, struct sw_buf *page)
{
    sw_buf_reset(page);
    sw_metrics_page(m, page);
    assert_true(page->n && page->p[page->n - 1] == '\n');
    page->p[--page->n] = '\0';
    return strrchr(page->p, '\n') + 1;
}

static void the_sample_line_is_exact(void **state)
{
    struct sw_progress p = { .source_done = 4217, .source_total = 10000 };
    struct sw_metrics m = { .owner_uid = "1b2c", .progress = &p };
    sw_autobuf struct sw_buf page = SW_BUF_INIT(4096);

    assert_string_equal(sample(&m, &page),
                        "kubevirt_cdi_import_progress_total{ownerUID=\"1b2c\"} 42.17");
    assert_non_null(strstr(page.p, "# TYPE kubevirt_cdi_import_progress_total counter\n"));
}

static void the_counter_never_decreases_and_ends_at_100(void **state)
{
    struct sw_progress p = { .source_total = SW_SIZE_UNKNOWN };
    struct sw_metrics m = { .owner_uid = "u", .progress = &p };
    sw_autobuf struct sw_buf page = SW_BUF_INIT(4096);

    assert_non_null(strstr(sample(&m, &page), "} 0"));
    p.source_total = 100;
    p.source_done = 50;
    assert_non_null(strstr(sample(&m, &page), "} 50.00"));
    p.source_done = 20; /* started over */
    assert_non_null(strstr(sample(&m, &page), "} 50.00"));
    p.source_done = 100;
    assert_non_null(strstr(sample(&m, &page), "} 99.99"));
    p.phase = SW_PHASE_DONE;
    assert_string_equal(strrchr(sample(&m, &page), ' '), " 100");
}

static void label_values_are_escaped(void **state)
{
    struct sw_progress p = { 0 };
    struct sw_metrics m = { .owner_uid = "a\"b\\c\nd", .progress = &p };
    sw_autobuf struct sw_buf page = SW_BUF_INIT(4096);

    assert_non_null(strstr(sample(&m, &page), "{ownerUID=\"a\\\"b\\\\c\\nd\"}"));
}

static void is_served_over_https(void **state)
{
    struct sw_progress p = { .source_done = 1, .source_total = 4 };
    struct sw_metrics m = { .owner_uid = "u", .progress = &p };
    struct sw_http_options insecure = { .insecure = true, .proxy = "" };
    struct sw_http_options strict = { .proxy = "", .retries = 1 };
    sw_autofree char *text = NULL;
    sw_autofree char *url = NULL;
    sw_autofree char *none = NULL;
    size_t n = 0;
    struct sw_err err = { 0 };

    if (sw_metrics_start(&m, 0, &err) < 0)
        fail_msg("%s", err.msg);
    assert_true(asprintf(&url, "https://127.0.0.1:%u/any/path", sw_http_server_port(m.server)) > 0);
    int got = sw_source_slurp(url, &insecure, 4096, &text, &n, &err);
    int refused = sw_source_slurp(url, &strict, 4096, &none, &n, &err);
    sw_metrics_stop(&m);
    assert_int_equal(got, 0);
    assert_non_null(strstr(text, "{ownerUID=\"u\"} 25.00\n"));
    assert_int_equal(refused, -1); /* the certificate is nobody's */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_line_is_exact),
        cmocka_unit_test(the_counter_never_decreases_and_ends_at_100),
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(is_served_over_https),
    };

    return cmocka_run_group_tests_name("importer/metrics", tests, NULL, NULL);
}
