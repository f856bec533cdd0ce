/* SPDX-License-Identifier: Apache-2.0 */
#include "common/fileio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/bytes.h"

ssize_t sw_read_full(int fd, void *buf, size_t n, struct sw_err *err)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = read(fd, (char *)buf + done, n - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return sw_err_sys(err, errno, "read");
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

ssize_t sw_pread_full(int fd, void *buf, size_t n, uint64_t offset, struct sw_err *err)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = pread(fd, (char *)buf + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return sw_err_sys(err, errno, "read %zu bytes at offset %llu", n - done,
                              (unsigned long long)(offset + done));
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

int sw_write_full(int fd, const void *buf, size_t n, struct sw_err *err)
{
    size_t done = 0;

    while (done < n) {
        ssize_t put = write(fd, (const char *)buf + done, n - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return sw_err_sys(err, errno, "write %zu bytes", n - done);
        done += (size_t)put;
    }
    return 0;
}

int sw_pwrite_full(int fd, const void *buf, size_t n, uint64_t offset, struct sw_err *err)
{
    size_t done = 0;

    while (done < n) {
        ssize_t put = pwrite(fd, (const char *)buf + done, n - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return sw_err_sys(err, errno, "write %zu bytes at offset %llu", n - done,
                              (unsigned long long)(offset + done));
        done += (size_t)put;
    }
    return 0;
}

int sw_file_slurp(const char *path, size_t max, char **ret_text, size_t *ret_len,
                  struct sw_err *err)
{
    sw_autofree char *text = NULL;
    sw_autoclose int fd = -1;

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sw_err_sys(err, errno, "open '%s'", path);

    text = malloc(max + 2); /* + 1 to notice a longer file, + 1 for the NUL */
    if (!text)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for '%s'", path);

    ssize_t got = sw_read_full(fd, text, max + 1, err);
    if (got < 0)
        return sw_err_wrap(err, "'%s'", path);
    if ((size_t)got > max)
        return sw_err_set(err, SW_ERR_BAD_DATA, "'%s' is longer than %zu bytes", path, max);

    text[got] = '\0';
    if (ret_len)
        *ret_len = (size_t)got;
    *ret_text = sw_steal(text);
    return 0;
}

static int write_and_rename(int fd, const char *temp, const char *path, struct sw_span content,
                            struct sw_err *err)
{
    if (sw_write_full(fd, content.p, content.n, err) < 0)
        return sw_err_wrap(err, "'%s'", temp);
    if (rename(temp, path) < 0)
        return sw_err_sys(err, errno, "rename '%s' to '%s'", temp, path);
    return 0;
}

int sw_file_replace(const char *path, const void *bytes, size_t n, unsigned mode,
                    struct sw_err *err)
{
    sw_autobuf struct sw_buf temp = SW_BUF_INIT(4096);
    sw_autoclose int fd = -1;

    sw_buf_printf(&temp, "%s.new", path);
    if (sw_buf_check(&temp, "the path", err) < 0)
        return -1;
    fd = open(temp.p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return sw_err_sys(err, errno, "create '%s'", temp.p);
    if (write_and_rename(fd, temp.p, path, (struct sw_span){ bytes, n }, err) < 0) {
        unlink(temp.p);
        return -1;
    }
    return 0;
}
