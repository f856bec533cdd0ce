/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/resource.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static const struct sw_kube_resource pods = { "", "v1", "pods", "Pod", false };
static const struct sw_kube_resource classes = { "storage.k8s.io", "v1", "storageclasses",
                                                 "StorageClass", true };

static void makes_the_paths_of_the_api(void **state)
{
    static const struct {
        struct sw_kube_where where;
        const char *want;
    } table[] = {
        { { &pods, NULL, NULL, NULL }, "/api/v1/pods" },
        { { &pods, "ns", NULL, NULL }, "/api/v1/namespaces/ns/pods" },
        { { &pods, "ns", "a.b", NULL }, "/api/v1/namespaces/ns/pods/a.b" },
        { { &pods, "ns", "a", "status" }, "/api/v1/namespaces/ns/pods/a/status" },
        { { &classes, NULL, NULL, NULL }, "/apis/storage.k8s.io/v1/storageclasses" },
        { { &classes, NULL, "fast", NULL }, "/apis/storage.k8s.io/v1/storageclasses/fast" },
        { { &pods, "a/b?c", "x%y z", NULL }, "/api/v1/namespaces/a%2Fb%3Fc/pods/x%25y%20z" },
        { { &pods, "ns", "\xc3\xa9", NULL }, "/api/v1/namespaces/ns/pods/%C3%A9" },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        sw_autobuf struct sw_buf path = SW_BUF_INIT(1024);
        struct sw_err err = { 0 };

        assert_int_equal(sw_kube_path(&path, &table[i].where, &err), 0);
        assert_string_equal(sw_buf_str(&path), table[i].want);
    }
}

static void refuses_what_would_be_another_path(void **state)
{
    char longest[255] = "";
    const struct sw_kube_where table[] = {
        { &pods, NULL, "a", NULL }, { &classes, "ns", NULL, NULL },  { &pods, "ns", "", NULL },
        { &pods, "ns", ".", NULL }, { &pods, "..", "a", NULL },      { &pods, "ns", longest, NULL },
        { &pods, "ns", "a", ".." }, { &pods, "ns", NULL, "status" }, { &pods, "", NULL, NULL },
    };

    memset(longest, 'a', 254);
    for (size_t i = 0; i < SW_COUNT(table); i++) {
        sw_autobuf struct sw_buf path = SW_BUF_INIT(1024);
        struct sw_err err = { 0 };

        assert_int_equal(sw_kube_path(&path, &table[i], &err), -1);
        assert_int_equal(err.kind, SW_ERR_USAGE);
    }
    longest[253] = '\0';
    sw_autobuf struct sw_buf path = SW_BUF_INIT(1024);
    struct sw_err err = { 0 };
    assert_int_equal(sw_kube_path(&path, &table[5], &err), 0);
}

static void joins_query_parameters(void **state)
{
    sw_autobuf struct sw_buf q = SW_BUF_INIT(1024);

    sw_kube_query(&q, "labelSelector", "a=b,!c");
    sw_kube_query(&q, "fieldSelector", NULL);
    sw_kube_query(&q, "continue", "x+y/=&");
    assert_string_equal(sw_buf_str(&q), "?labelSelector=a%3Db%2C%21c&continue=x%2By%2F%3D%26");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_the_paths_of_the_api),
        cmocka_unit_test(refuses_what_would_be_another_path),
        cmocka_unit_test(joins_query_parameters),
    };
    return cmocka_run_group_tests_name("kube/resource", tests, NULL, NULL);
}
