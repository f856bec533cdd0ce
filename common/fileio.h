/* SPDX-License-Identifier: Apache-2.0 */
/* Whole-length file operations: EINTR and short transfers are handled here and nowhere else. */
#ifndef SW_COMMON_FILEIO_H
#define SW_COMMON_FILEIO_H

#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

/* Read until n bytes or the end of the file. Returns the number read, or -1 (errno's kind). */
SW_MUST_CHECK
ssize_t sw_read_full(int fd, void *buf, size_t n, struct sw_err *err);
SW_MUST_CHECK
ssize_t sw_pread_full(int fd, void *buf, size_t n, uint64_t offset, struct sw_err *err);

/* Write all n bytes. Returns 0, or -1 (errno's kind; ENOSPC is SW_ERR_NO_SPACE). */
SW_MUST_CHECK
int sw_write_full(int fd, const void *buf, size_t n, struct sw_err *err);
SW_MUST_CHECK
int sw_pwrite_full(int fd, const void *buf, size_t n, uint64_t offset, struct sw_err *err);

/* Read a small file (a token, a CA bundle, a manifest) whole into a NUL-terminated string that the
 * caller frees. Longer than max bytes is SW_ERR_BAD_DATA: a wrong mount must not make us load a
 * disk image as a token. ret_len may be NULL. */
SW_MUST_CHECK
int sw_file_slurp(const char *path, size_t max, char **ret_text, size_t *ret_len,
                  struct sw_err *err);

/* Replace `path` with these bytes so that a reader sees the old content or the new, whole. The
 * temporary file lies beside it. mode is the permission of the new file. Not synced. */
SW_MUST_CHECK
int sw_file_replace(const char *path, const void *bytes, size_t n, unsigned mode,
                    struct sw_err *err);

#endif
