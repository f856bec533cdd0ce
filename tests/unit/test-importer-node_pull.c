/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/node_pull.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fileio.h"

static void variables_become_labels(void **state)
{
    static const struct {
        const char *variable, *key, *value;
    } table[] = {
        { "INSTANCETYPE_KUBEVIRT_IO_DEFAULT_PREFERENCE=fedora",
          "instancetype.kubevirt.io/default-preference", "fedora" },
        { "KUBEVIRT_IO_DYNAMIC_CREDENTIALS_SUPPORT=true", "kubevirt.io/dynamic-credentials-support",
          "true" },
        { "A_B_KUBEVIRT_IO_C=x=y", "a.b.kubevirt.io/c", "x=y" },
        { "a_KUBEVIRT_IO_=", "a.kubevirt.io/", "" },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        struct sw_labels labels = { 0 };

        assert_true(sw_labels_add_variable(&labels, table[i].variable));
        assert_string_equal(labels.at[0].key, table[i].key);
        assert_string_equal(labels.at[0].value, table[i].value);
        sw_labels_done(&labels);
    }
}

static void other_variables_do_not(void **state)
{
    static const char *const none[] = { "", "PATH=/bin", "KUBEVIRT_IO_X", "X=KUBEVIRT_IO_Y=z" };
    struct sw_labels labels = { 0 };

    for (size_t i = 0; i < SW_COUNT(none); i++)
        assert_false(sw_labels_add_variable(&labels, none[i]));
    for (int i = 0; i < SW_LABELS_MAX; i++)
        assert_true(sw_labels_add_variable(&labels, "KUBEVIRT_IO_A=b"));
    assert_false(sw_labels_add_variable(&labels, "KUBEVIRT_IO_A=b"));
    sw_labels_done(&labels);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static void the_ready_file_names_the_disk(void **state)
{
    char root[] = "pull-test-XXXXXX";
    struct sw_importer_env env = { .root = root,
                                   .ready_file = "/ready",
                                   .done_file = "/done",
                                   .endpoint = "http://localhost:8100/disk.img" };
    sw_autofree char *ready = NULL;
    sw_autofree char *url = NULL;
    sw_autofree char *no_url = NULL;
    struct sw_err err = { 0 };

    assert_non_null(mkdtemp(root));
    ready = sw_importer_path(&env, env.ready_file);
    assert_int_equal(sw_file_replace(ready, "fedora.qcow2\n", 13, 0600, &err), 0);
    assert_int_equal(sw_node_pull_wait(&env, NULL, &url, &err), 0);
    assert_string_equal(url, "http://localhost:8100/fedora.qcow2");
    assert_int_equal(sw_node_pull_done(&env, &err), 0);
    assert_int_equal(sw_node_pull_done(&env, &err), -1); /* O_EXCL: it was there */

    assert_int_equal(sw_file_replace(ready, "../../x", 7, 0600, &err), 0);
    assert_int_equal(sw_node_pull_wait(&env, NULL, &no_url, &err), -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void waiting_can_be_cancelled(void **state)
{
    struct sw_importer_env env = { .root = (char *)"/nonexistent",
                                   .ready_file = "/ready",
                                   .endpoint = "http://localhost/" };
    struct sw_cancel cancel;
    char *url = NULL;
    struct sw_err err = { 0 };

    assert_int_equal(sw_cancel_init(&cancel, &err), 0);
    sw_cancel_set(&cancel);
    assert_int_equal(sw_node_pull_wait(&env, &cancel, &url, &err), -1);
    assert_int_equal(err.kind, SW_ERR_CANCELLED);
    sw_cancel_done(&cancel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_become_labels),
        cmocka_unit_test(other_variables_do_not),
        cmocka_unit_test(the_ready_file_names_the_disk),
        cmocka_unit_test(waiting_can_be_cancelled),
    };

    return cmocka_run_group_tests_name("importer/node_pull", tests, NULL, NULL);
}
