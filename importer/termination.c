/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/termination.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/fileio.h"
#include "common/json.h"

void sw_termination_success(struct sw_buf *out, bool is_blank, bool preallocated,
                            const struct sw_termination_label *labels, size_t n_labels)
{
    struct sw_json_writer w;

    sw_json_writer_init(&w, out);
    sw_json_begin_object(&w, NULL);
    if (!is_blank)
        sw_json_put_bool(&w, "scratchSpaceRequired", false);
    sw_json_put_bool(&w, "preallocationApplied", preallocated);
    if (n_labels) {
        sw_json_begin_object(&w, "labels");
        for (size_t i = 0; i < n_labels; i++)
            sw_json_put_str(&w, labels[i].key, labels[i].value);
        sw_json_end(&w);
    }
    sw_json_put_str(&w, "message", "Import Complete");
    sw_json_end(&w);
}

void sw_termination_fatal(struct sw_buf *out, const char *reason, const char *message)
{
    struct sw_json_writer w;

    sw_json_writer_init(&w, out);
    sw_json_begin_object(&w, NULL);
    sw_json_put_str(&w, "message", message);
    sw_json_put_bool(&w, "fatal", true);
    sw_json_put_str(&w, "reason", reason);
    sw_json_end(&w);
}

/* By kind and by the words of the one place that says so: a kind of its own would have to be told apart
 * from other bad data by everybody who decides about retries. */
const char *sw_termination_final(const struct sw_err *err)
{
    static const struct {
        enum sw_err_kind kind;
        const char *words, *reason;
    } rows[] = {
        { SW_ERR_BAD_DATA, "checksum mismatch", "ChecksumError" },
        { SW_ERR_BAD_DATA, "expected a disk that boots on ", "ArchitectureMismatch" },
        { SW_ERR_BAD_DATA, "expected a bootable ", "ArchitectureMismatch" },
        { SW_ERR_DENIED, "no valid OpenPGP signature", "SignatureError" },
    };

    for (size_t i = 0; i < SW_COUNT(rows); i++)
        if (err->kind == rows[i].kind && strstr(err->msg, rows[i].words))
            return rows[i].reason;
    return NULL;
}

/* Go's spelling of the errno, which the controller looks for; NULL for others. */
static const char *space_phrase(int sys)
{
    switch (sys) {
    case ENOSPC:
        return "no space left on device";
    case EDQUOT:
        return "disk quota exceeded";
    default:
        return NULL;
    }
}

static void put_no_space(struct sw_buf *out, const struct sw_err *err, uint64_t guest_size,
                         uint64_t available)
{
    const char *phrase = space_phrase(err->sys);

    if (phrase)
        sw_buf_printf(out, "unable to write to file: %s: %s", err->msg, phrase);
    else if (strstr(err->msg, "is larger than the reported available storage"))
        sw_buf_puts(out, err->msg);
    else
        sw_buf_printf(out,
                      "virtual image size %llu is larger than the reported available storage "
                      "%llu. A larger PVC is required (%s)",
                      (unsigned long long)guest_size, (unsigned long long)available, err->msg);
}

void sw_termination_failure(struct sw_buf *out, const char *prefix, const struct sw_err *err,
                            uint64_t guest_size, uint64_t available)
{
    sw_buf_puts(out, prefix);
    if (err->kind == SW_ERR_NO_SPACE)
        put_no_space(out, err, guest_size, available);
    else
        sw_buf_puts(out, err->msg);
}

int sw_termination_write(const char *path, const char *text, struct sw_err *err)
{
    size_t n = strcspn(text, "\r\n");
    sw_autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return sw_err_sys(err, errno, "open '%s'", path);
    if (n > SW_TERMINATION_MAX)
        n = SW_TERMINATION_MAX;
    if (sw_write_full(fd, text, n, err) < 0)
        return sw_err_wrap(err, "'%s'", path);
    return 0;
}
