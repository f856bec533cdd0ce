/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/termination.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "common/fileio.h"
#include "formats/bootcheck.h"

static void success_is_the_contracts_json(void **state)
{
    static const struct sw_termination_label label = { "kubevirt.io/a", "b\"c" };
    sw_autobuf struct sw_buf out = SW_BUF_INIT(SW_TERMINATION_MAX);

    sw_termination_success(&out, false, false, NULL, 0);
    assert_string_equal(out.p, "{\"scratchSpaceRequired\":false,\"preallocationApplied\":false,"
                               "\"message\":\"Import Complete\"}");
    sw_buf_reset(&out);
    sw_termination_success(&out, true, true, NULL, 0);
    assert_string_equal(out.p, "{\"preallocationApplied\":true,\"message\":\"Import Complete\"}");
    sw_buf_reset(&out);
    sw_termination_success(&out, false, true, &label, 1);
    assert_string_equal(out.p, "{\"scratchSpaceRequired\":false,\"preallocationApplied\":true,"
                               "\"labels\":{\"kubevirt.io/a\":\"b\\\"c\"},"
                               "\"message\":\"Import Complete\"}");
}

static const char *failure(struct sw_buf *out, const struct sw_err *err)
{
    sw_buf_reset(out);
    sw_termination_failure(out, "Unable to process data: ", err, 2000, 1000);
    return out->p;
}

/* The controller turns these three into "DataVolume too small to contain image". */
static void lack_of_space_is_said_in_the_controllers_words(void **state)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(SW_TERMINATION_MAX);
    struct sw_err err = { 0 };

    sw_err_sys(&err, ENOSPC, "write 4096 bytes");
    assert_non_null(strstr(failure(&out, &err), "no space left on device"));
    sw_err_sys(&err, EDQUOT, "write 4096 bytes");
    assert_non_null(strstr(failure(&out, &err), "disk quota exceeded"));
    sw_err_set(&err, SW_ERR_NO_SPACE, "does not fit");
    assert_non_null(strstr(failure(&out, &err), "virtual image size 2000 is larger than the "
                                                "reported available storage 1000. A larger PVC is "
                                                "required"));
    sw_err_set(&err, SW_ERR_NO_SPACE,
               "virtual image size 9 is larger than the reported available "
               "storage 8. A larger PVC is required");
    assert_string_equal(failure(&out, &err),
                        "Unable to process data: virtual image size 9 is larger than the reported "
                        "available storage 8. A larger PVC is required");
}

static void only_what_no_retry_can_cure_is_final(void **state)
{
    struct sw_err err = { 0 };

    sw_err_set(&err, SW_ERR_BAD_DATA, "checksum validation failed: checksum mismatch: expected a");
    assert_string_equal(sw_termination_final(&err), "ChecksumError");
    sw_err_set(&err, SW_ERR_DENIED, "signature of the image: no valid OpenPGP signature: x");
    assert_string_equal(sw_termination_final(&err), "SignatureError");
    sw_err_set(&err, SW_ERR_BAD_DATA, "qcow2: corrupt");
    assert_null(sw_termination_final(&err));
    sw_err_set(&err, SW_ERR_NOT_FOUND, "checksum mismatch");
    assert_null(sw_termination_final(&err));
}

/* The words are those of formats/bootcheck.c. */
static void a_disk_for_another_architecture_is_final(void **state)
{
    struct sw_bootinfo info = { .checked = false };
    struct sw_err err = { 0 };

    assert_int_equal(sw_bootcheck_expect(&info, "riscv64", &err), -1);
    assert_string_equal(sw_termination_final(&err), "ArchitectureMismatch");
    info.checked = true;
    assert_int_equal(sw_bootcheck_expect(&info, "riscv64", &err), -1);
    assert_string_equal(sw_termination_final(&err), "ArchitectureMismatch");
    memcpy(info.archs, "x86_64", sizeof("x86_64"));
    assert_int_equal(sw_bootcheck_expect(&info, "riscv64", &err), -1);
    assert_string_equal(sw_termination_final(&err), "ArchitectureMismatch");
}

static void the_end_is_json_with_its_reason(void **state)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(SW_TERMINATION_MAX);

    sw_termination_fatal(&out, "ChecksumError", "a \"b\"");
    assert_string_equal(
        out.p, "{\"message\":\"a \\\"b\\\"\",\"fatal\":true,\"reason\":\"ChecksumError\"}");
}

static void the_file_holds_the_first_line_only(void **state)
{
    char path[] = "termination-test-XXXXXX";
    sw_autoclose int fd = mkstemp(path);
    sw_autofree char *text = NULL;
    sw_autofree char *again = NULL;
    struct sw_err err = { 0 };
    char longer[SW_TERMINATION_MAX + 100];
    size_t n = 0;

    assert_true(fd >= 0);
    assert_int_equal(sw_termination_write(path, "first\nsecond", &err), 0);
    assert_int_equal(sw_file_slurp(path, 100, &text, NULL, &err), 0);
    assert_string_equal(text, "first");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(sw_termination_write(path, longer, &err), 0);
    assert_int_equal(sw_file_slurp(path, sizeof(longer), &again, &n, &err), 0);
    assert_int_equal(n, SW_TERMINATION_MAX);
    unlink(path);
    assert_int_equal(sw_termination_write("no/such/dir/x", "a", &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(success_is_the_contracts_json),
        cmocka_unit_test(lack_of_space_is_said_in_the_controllers_words),
        cmocka_unit_test(only_what_no_retry_can_cure_is_final),
        cmocka_unit_test(a_disk_for_another_architecture_is_final),
        cmocka_unit_test(the_end_is_json_with_its_reason),
        cmocka_unit_test(the_file_holds_the_first_line_only),
    };

    return cmocka_run_group_tests_name("importer/termination", tests, NULL, NULL);
}
