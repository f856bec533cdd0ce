/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#include "common/bytes.h"
#include "common/fileio.h"

#define READ(env, err, ...)                                                                        \
    (*(err) = (struct sw_err){ 0 },                                                                \
     sw_importer_env_read((char *const[]){ (char *)"PREALLOCATION=false", __VA_ARGS__, NULL },     \
                          env, err))
#define VAR(text) ((char *)(text))
#define AUTO_ENV __attribute__((cleanup(sw_importer_env_done)))

static void reads_what_the_controller_sets(void **state)
{
    AUTO_ENV struct sw_importer_env env = { 0 };
    struct sw_err err;

    assert_int_equal(
        READ(&env, &err, VAR("IMPORTER_SOURCE=http"), VAR("IMPORTER_ENDPOINT=http://h/x?a=b"),
             VAR("IMPORTER_CONTENTTYPE=kubevirt"), VAR("IMPORTER_IMAGE_SIZE=1Gi"),
             VAR("OWNER_UID=u-1"), VAR("FILESYSTEM_OVERHEAD=0.06"), VAR("INSECURE_TLS=true"),
             VAR("IMPORTER_CHECKSUM=md5:00"), VAR("IMPORTER_CERT_DIR=/certs"),
             VAR("IMPORTER_ACCESS_KEY_ID=me"), VAR("IMPORTER_SECRET_KEY=pw"),
             VAR("IMPORTER_EXTRA_HEADER_0=A: b"), VAR("IMPORTER_EXTRA_HEADER_x=no colon"),
             VAR("IMPORTER_EXTRA_HEADER_1=C: d=e"), VAR("SLIPWAY_ROOT=/r//")),
        0);
    assert_string_equal(env.source, "http");
    assert_string_equal(env.endpoint, "http://h/x?a=b");
    assert_true(env.has_image_size && env.image_size == SW_GIB);
    assert_true(env.overhead == 0.06);
    assert_true(env.insecure && env.has_cert_dir && !env.preallocation);
    assert_string_equal(env.user, "me");
    assert_string_equal(env.password, "pw");
    assert_int_equal(env.n_headers, 2);
    assert_string_equal(env.headers[1], "C: d=e");
    assert_int_equal(env.metrics_port, 8443);
    assert_string_equal(env.root, "/r");

    sw_autofree char *path = sw_importer_path(&env, "/data");
    assert_string_equal(path, "/r/data");
}

static void empty_variables_count_as_missing(void **state)
{
    AUTO_ENV struct sw_importer_env env = { 0 };
    struct sw_err err;

    assert_int_equal(READ(&env, &err, VAR("IMPORTER_IMAGE_SIZE="), VAR("IMPORTER_CERT_DIR="),
                          VAR("IMPORTER_CONTENTTYPE="), VAR("IMPORTER_ACCESS_KEY_ID=half"),
                          VAR("IMPORTER_SECRET_KEY=")),
                     0);
    assert_false(env.has_image_size);
    assert_false(env.has_cert_dir);
    assert_string_equal(env.content_type, "kubevirt");
    assert_string_equal(env.source, "");
    assert_null(env.user);
    assert_null(env.password);
}

static void preallocation_must_be_a_go_bool(void **state)
{
    static const char *const good[] = { "PREALLOCATION=1", "PREALLOCATION=T", "PREALLOCATION=True",
                                        "PREALLOCATION=0" };
    static const char *const bad[] = { "PREALLOCATION=yes", "PREALLOCATION=", "PREALLOC=true",
                                       "PREALLOCATION=tRUE" };

    for (size_t i = 0; i < SW_COUNT(good); i++) {
        AUTO_ENV struct sw_importer_env env = { 0 };
        char *list[] = { VAR(good[i]), NULL };
        struct sw_err err = { 0 };

        assert_int_equal(sw_importer_env_read(list, &env, &err), 0);
        assert_int_equal(env.preallocation, i < 3);
    }
    for (size_t i = 0; i < SW_COUNT(bad); i++) {
        AUTO_ENV struct sw_importer_env env = { 0 };
        char *list[] = { VAR(bad[i]), NULL };
        struct sw_err err = { 0 };

        assert_int_equal(sw_importer_env_read(list, &env, &err), -1);
        assert_non_null(strstr(err.msg, "PREALLOCATION"));
    }
}

static void odd_numbers_follow_the_contract(void **state)
{
    static const char *const zero[] = {
        "FILESYSTEM_OVERHEAD=",   "FILESYSTEM_OVERHEAD=x",   "FILESYSTEM_OVERHEAD=0.06x",
        "FILESYSTEM_OVERHEAD=-1", "FILESYSTEM_OVERHEAD=nan", "FILESYSTEM_OVERHEAD=2",
    };

    for (size_t i = 0; i < SW_COUNT(zero); i++) {
        AUTO_ENV struct sw_importer_env env = { 0 };
        struct sw_err err;

        assert_int_equal(READ(&env, &err, VAR(zero[i]), VAR("INSECURE_TLS=maybe")), 0);
        assert_true(env.overhead == 0);
        assert_false(env.insecure);
    }

    AUTO_ENV struct sw_importer_env env = { 0 };
    struct sw_err err;
    assert_int_equal(READ(&env, &err, VAR("IMPORTER_IMAGE_SIZE=lots")), -1);
    assert_non_null(strstr(err.msg, "IMPORTER_IMAGE_SIZE"));
}

/* The cases of the contract (formats 4.5, importer 1.4): 1 GiB at 6 % is 966 MiB; what the cluster
 * inflates comes back whole, within a KiB on either side. */
static void usable_sizes_match_the_cluster(void **state)
{
    static const uint64_t sizes[] = { SW_MIB, 40 * SW_MIB, SW_GIB, 40 * SW_GIB };
    static const double overheads[] = { 0, 0.06, 0.75 };

    assert_true(sw_usable_size(SW_GIB, 0.06) == 1012924416);
    assert_true(sw_usable_size(1138166334, 0.06) == SW_GIB);
    assert_true(sw_usable_size(0, 0.06) == 0);
    for (size_t i = 0; i < SW_COUNT(sizes); i++) {
        for (size_t j = 0; j < SW_COUNT(overheads); j++) {
            for (int64_t off = -1024; off <= 1024; off++) {
                uint64_t n = sizes[i] + (uint64_t)off;
                uint64_t whole = sw_align_up(n, SW_MIB);
                double inflated = (double)whole * (1 + overheads[j]);
                uint64_t space = (uint64_t)inflated + ((double)(uint64_t)inflated < inflated);

                assert_true(sw_usable_size(space, overheads[j]) == whole);
            }
        }
    }
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static void write_header(const char *root, const char *name, const char *text)
{
    sw_autofree char *path = NULL;
    struct sw_err err = { 0 };

    assert_true(asprintf(&path, "%s/extraheaders/%s", root, name) > 0);
    assert_int_equal(sw_file_replace(path, text, strlen(text), 0600, &err), 0);
}

static void reads_header_files_in_order(void **state)
{
    char root[] = "env-test-XXXXXX";
    AUTO_ENV struct sw_importer_env env = { 0 };
    sw_autofree char *variable = NULL;
    struct sw_err err;

    assert_non_null(mkdtemp(root));
    for (const char *dir =
             "/extraheaders\0/extraheaders/10\0/extraheaders/9\0/extraheaders/9/..x\0";
         *dir; dir += strlen(dir) + 1) {
        sw_autofree char *path = NULL;

        assert_true(asprintf(&path, "%s%s", root, dir) > 0);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    write_header(root, "10/late", "X-Late: 2\n");
    write_header(root, "9/early", "X-Early: 1\r\n\n");
    write_header(root, "9/.hidden", "X-Hidden: 3");
    write_header(root, "9/..x/below", "X-Below: 4");
    assert_true(asprintf(&variable, "SLIPWAY_ROOT=%s", root) > 0);
    assert_int_equal(READ(&env, &err, variable, VAR("IMPORTER_EXTRA_HEADER_0=X-Env: 0")), 0);
    assert_int_equal(sw_importer_env_read_headers(&env, &err), 0);
    nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(env.n_headers, 3);
    assert_string_equal(env.headers[0], "X-Env: 0");
    assert_string_equal(env.headers[1], "X-Early: 1");
    assert_string_equal(env.headers[2], "X-Late: 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_controller_sets),
        cmocka_unit_test(empty_variables_count_as_missing),
        cmocka_unit_test(preallocation_must_be_a_go_bool),
        cmocka_unit_test(odd_numbers_follow_the_contract),
        cmocka_unit_test(usable_sizes_match_the_cluster),
        cmocka_unit_test(reads_header_files_in_order),
    };

    return cmocka_run_group_tests_name("importer/env", tests, NULL, NULL);
}
