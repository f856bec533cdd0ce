/* SPDX-License-Identifier: Apache-2.0 */
/* Regular file targets: what is visible when, and what a failed run leaves for the next one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/bytes.h"
#include "transfer/target.h"

#define SIZE (2 * SW_MIB)

static char dir[] = "/tmp/slipway-test-target-XXXXXX";
static char path[64], partial[64], journal[64];
static const struct sw_import_options options = { .uid = -1, .gid = -1, .no_direct = true };

static bool exists(const char *p)
{
    return access(p, F_OK) == 0;
}

static struct sw_target *open_target(void)
{
    struct sw_err err = { 0 };
    struct sw_target *t = NULL;

    if (sw_target_open(path, &options, &t, &err) < 0)
        fail_msg("%s", err.msg);
    return t;
}

static struct sw_journal record(uint64_t watermark)
{
    struct sw_journal j = { .url = "http://h/d",
                            .validator = "\"v\"",
                            .guest_size = SIZE,
                            .disk_size = SIZE,
                            .watermark = watermark };

    sw_boot_id(j.boot_id);
    return j;
}

/* A run that wrote a MiB, remembered it, and then was gone. */
static void interrupted_run(void)
{
    static uint8_t block[SW_MIB] __attribute__((aligned(4096)));
    struct sw_err err = { 0 };
    struct sw_target *t = open_target();
    struct sw_journal j = record(SW_MIB);

    memset(block, 'x', sizeof(block));
    assert_int_equal(sw_target_prepare(t, SIZE, NULL, &err), 0);
    assert_int_equal(sw_target_write(t, 0, block, sizeof(block), 0, &err), 0);
    assert_int_equal(sw_target_checkpoint(t, &j, false, &err), 0);
    sw_target_close(t);
}

static void is_invisible_until_published(void **state)
{
    struct sw_err err = { 0 };
    struct sw_target *t = open_target();

    (void)state;
    assert_int_equal(sw_target_prepare(t, SIZE, NULL, &err), 0);
    assert_false(exists(path));
    assert_true(exists(partial));
    assert_int_equal(sw_target_publish(t, SIZE, &err), 0);
    assert_true(exists(path));
    assert_false(exists(partial));
    assert_false(exists(journal));
    sw_target_close(t);
    assert_int_equal(unlink(path), 0);
}

static void goes_on_where_a_killed_run_was(void **state)
{
    struct sw_journal j;
    uint8_t back[4096] __attribute__((aligned(4096)));
    struct sw_err err = { 0 };

    (void)state;
    interrupted_run();
    struct sw_target *t = open_target();
    assert_int_equal(sw_target_load(t, &j), 1);
    assert_int_equal(j.watermark, SW_MIB);
    assert_int_equal(sw_target_prepare(t, SIZE, &j, &err), 0);
    assert_int_equal(sw_target_read(t, back, sizeof(back), 0, &err), 0);
    assert_int_equal(back[0], 'x');
    sw_target_abandon(t, false);
    sw_target_close(t);
    assert_false(exists(partial));
    assert_false(exists(journal));
}

/* The second run fails before it has written a record of its own: the first run's must stay. */
static void keeps_what_the_run_before_had(void **state)
{
    struct sw_journal j;
    struct sw_err err = { 0 };

    (void)state;
    interrupted_run();
    struct sw_target *t = open_target();
    assert_int_equal(sw_target_load(t, &j), 1);
    assert_int_equal(sw_target_prepare(t, SIZE, &j, &err), 0);
    sw_target_abandon(t, true);
    sw_target_close(t);

    t = open_target();
    assert_int_equal(sw_target_load(t, &j), 1);
    assert_int_equal(j.watermark, SW_MIB);
    sw_target_abandon(t, false);
    sw_target_close(t);
}

static void starts_over_without_the_partial_file(void **state)
{
    struct sw_journal j;

    (void)state;
    interrupted_run();
    assert_int_equal(unlink(partial), 0);
    struct sw_target *t = open_target();
    assert_int_equal(sw_target_load(t, &j), 0);
    sw_target_abandon(t, false);
    sw_target_close(t);
}

static void forgets_records_of_another_boot_unless_durable(void **state)
{
    struct sw_err err = { 0 };

    (void)state;
    for (int durable = 0; durable < 2; durable++) {
        struct sw_target *t = open_target();
        struct sw_journal j = record(SW_MIB);

        snprintf(j.boot_id, sizeof(j.boot_id), "another");
        assert_int_equal(sw_target_prepare(t, SIZE, NULL, &err), 0);
        assert_int_equal(sw_target_checkpoint(t, &j, durable, &err), 0);
        sw_target_close(t);

        t = open_target();
        assert_int_equal(sw_target_load(t, &j), durable);
        sw_target_abandon(t, false);
        sw_target_close(t);
    }
}

static void refuses_a_second_writer(void **state)
{
    struct sw_err err = { 0 };
    struct sw_target *t = open_target(), *second = NULL;

    (void)state;
    assert_int_equal(sw_target_open(path, &options, &second, &err), -1);
    assert_int_equal(err.kind, SW_ERR_TRANSIENT);
    sw_target_abandon(t, false);
    sw_target_close(t);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/disk.img", dir);
    snprintf(partial, sizeof(partial), "%s/.disk.img.slipway-partial", dir);
    snprintf(journal, sizeof(journal), "%s/.disk.img.slipway-journal", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(dir); /* fails when anything was left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_invisible_until_published),
        cmocka_unit_test(goes_on_where_a_killed_run_was),
        cmocka_unit_test(keeps_what_the_run_before_had),
        cmocka_unit_test(starts_over_without_the_partial_file),
        cmocka_unit_test(forgets_records_of_another_boot_unless_durable),
        cmocka_unit_test(refuses_a_second_writer),
    };

    return cmocka_run_group_tests_name("transfer/target", tests, set_up, tear_down);
}
