/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of an archive, at N-1, N and N+1, and what callers are told. What archives do to a
 * directory is tested from outside: tests/transfer/archive. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fakes/memory_source.h"
#include "tests/fakes/tar_bytes.h"
#include "transfer/import.h"

struct fixture {
    char dir[64], out[80];
    struct tar_bytes tar;
    struct sw_import_options o;
    struct sw_progress progress;
    struct sw_import_result result;
    struct sw_err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    snprintf(f->dir, sizeof(f->dir), "%s/slipway-archive-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : P_tmpdir);
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->out, sizeof(f->out), "%s/out", f->dir);
    f->o.progress = &f->progress;
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    int rc = nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);

    tar_done(&f->tar);
    free(f);
    return rc;
}

/* Unpack what f->tar holds, as it came, as a stream in pieces and with ranges: all agree. */
static int unpack(struct fixture *f)
{
    int rc = 0;

    for (int way = 0; way < 3; way++) {
        struct sw_source *s = memory_source((struct sw_span){ f->tar.p, f->tar.n }, way == 2,
                                            way == 1 ? 700 : 0);

        f->err = (struct sw_err){ 0 };
        int now = sw_import_archive(s, f->out, &f->o, &f->result, &f->err);
        sw_source_close(s);
        if (way)
            assert_int_equal(now, rc);
        rc = now;
    }
    return rc;
}

static void assert_refused(struct fixture *f, enum sw_err_kind kind, const char *words)
{
    assert_int_equal(unpack(f), -1);
    if (f->err.kind != kind || !strstr(f->err.msg, words))
        fail_msg("kind %d: %s", f->err.kind, f->err.msg);
    assert_int_equal(access(f->out, F_OK), -1);
}

static void assert_taken(struct fixture *f)
{
    if (unpack(f) < 0)
        fail_msg("kind %d: %s", f->err.kind, f->err.msg);
}

static void counts_members(void **state)
{
    struct fixture *f = *state;

    tar_add(&f->tar, '5', "d", "", 0);
    tar_add(&f->tar, '0', "d/a", "x", 1);
    tar_add(&f->tar, '0', "b", "yy", 2);
    tar_end(&f->tar);
    f->o.limits.members = 2;
    assert_refused(f, SW_ERR_UNSUPPORTED, "more members than the limit of 2");
    f->o.limits.members = 3;
    assert_taken(f);
    assert_int_equal(f->result.members, 3);
    assert_true(f->result.is_archive);
    assert_int_equal(f->result.written, 3);
    assert_int_equal(f->result.source_size, f->tar.n);
    assert_int_equal(f->progress.phase, SW_PHASE_DONE);
    f->o.limits.members = 4;
    assert_taken(f);
}

static void limits_names_and_depth(void **state)
{
    struct fixture *f = *state;

    tar_add(&f->tar, '0', "aa/bb/cc", "x", 1);
    tar_end(&f->tar);
    f->o.limits.member_name = 7;
    assert_refused(f, SW_ERR_UNSUPPORTED, "longer than the limit of 7");
    f->o.limits.member_name = 8;
    assert_taken(f);
    f->o.limits.member_name = 9;
    f->o.limits.member_depth = 3;
    assert_taken(f);
    f->o.limits.member_depth = 4;
    assert_taken(f);
}

static void limits_the_depth_of_directories(void **state)
{
    struct fixture *f = *state;

    tar_add(&f->tar, '5', "a/b/c/", "", 0);
    tar_end(&f->tar);
    f->o.limits.member_depth = 2;
    assert_refused(f, SW_ERR_UNSUPPORTED, "deeper than the limit of 2");
    f->o.limits.member_depth = 3;
    assert_taken(f);
}

/* Checked before the first byte of the member is written, against the sum of all of them. */
static void limits_the_size_of_all_data(void **state)
{
    static const char data[3000] = { 1 };
    struct fixture *f = *state;

    tar_add(&f->tar, '0', "a", data, 3000);
    tar_add(&f->tar, '0', "b", data, 2000);
    tar_end(&f->tar);
    f->o.max_size = 4999;
    assert_refused(f, SW_ERR_NO_SPACE,
                   "at least 5000 is larger than the reported available storage 4999");
    f->o.max_size = 5000;
    assert_taken(f);
    f->o.max_size = 5001;
    assert_taken(f);
}

/* A pax header of `n` bytes, a comment, in front of a file. */
static void add_long_head(struct tar_bytes *t, size_t n)
{
    char *text = malloc(n);

    assert_non_null(text);
    memset(text, 'c', n);
    memcpy(text + snprintf(text, n, "%zu comment=", n), "c", 1);
    text[n - 1] = '\n';
    tar_add(t, 'x', "head", text, n);
    free(text);
    tar_add(t, '0', "f", "x", 1);
}

/* Counted in slices of 64 KiB, as libarchive is fed: so the border is that sharp. */
static void limits_what_stands_before_a_member(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 8; i++)
        add_long_head(&f->tar, 60000);
    tar_end(&f->tar);
    f->o.limits.member_head = 128 << 10;
    assert_taken(f);

    tar_done(&f->tar);
    for (int i = 0; i < 8; i++)
        tar_add(&f->tar, 'g', "head", "11 a=bcdef\n", 11);
    add_long_head(&f->tar, 400000);
    tar_end(&f->tar);
    f->o.limits.member_head = 128 << 10;
    f->err = (struct sw_err){ 0 };
    assert_int_equal(unpack(f), -1);
    assert_int_equal(f->err.kind, SW_ERR_UNSUPPORTED);
    assert_non_null(strstr(f->err.msg, "more than 131072 bytes of names and tables"));
    f->o.limits.member_head = 512 << 10;
    assert_taken(f);
}

static void says_what_an_empty_source_is(void **state)
{
    struct fixture *f = *state;

    assert_refused(f, SW_ERR_BAD_DATA, "the source is empty");
    tar_end(&f->tar);
    assert_taken(f);
    assert_int_equal(f->result.members, 0);
}

static int disapprove(void *ctx, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_DENIED, "no");
}

static void publishes_nothing_that_is_not_approved(void **state)
{
    struct fixture *f = *state;

    tar_add(&f->tar, '0', "a", "x", 1);
    tar_end(&f->tar);
    f->o.approve = disapprove;
    assert_refused(f, SW_ERR_DENIED, "no");
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(counts_members),
        ROW(limits_names_and_depth),
        ROW(limits_the_depth_of_directories),
        ROW(limits_the_size_of_all_data),
        ROW(limits_what_stands_before_a_member),
        ROW(says_what_an_empty_source_is),
        ROW(publishes_nothing_that_is_not_approved),
    };

    return cmocka_run_group_tests_name("transfer/import_archive", tests, NULL, NULL);
}
