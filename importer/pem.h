/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates from several files and directories as one file, which is what the sources take. The
 * file is in memory: nothing is left behind, and no directory has to be writable. */
#ifndef SW_IMPORTER_PEM_H
#define SW_IMPORTER_PEM_H

#include "common/buf.h"
#include "common/error.h"

#define SW_PEM_MAX ((size_t)4 << 20)

struct sw_pem {
    struct sw_buf text;
    int fd;        /* -1: not written yet                          */
    char path[32]; /* "/proc/self/fd/N", while the struct lives     */
};

#define SW_PEM_INIT                                                                                \
    {                                                                                              \
        .text = SW_BUF_INIT(SW_PEM_MAX), .fd = -1                                                  \
    }

/* Append a file. */
SW_MUST_CHECK
int sw_pem_add_file(struct sw_pem *p, const char *path, struct sw_err *err);

/* Append all files of a directory, but those whose name begins with '.' and directories. -1 with
 * "Error listing files in ..." when it cannot be read; when it is not there, only if must_exist. */
SW_MUST_CHECK
int sw_pem_add_dir(struct sw_pem *p, const char *dir, bool must_exist, struct sw_err *err);

/* Write what was added. *ret_path is p->path, or NULL when nothing was added. */
SW_MUST_CHECK
int sw_pem_finish(struct sw_pem *p, const char **ret_path, struct sw_err *err);

void sw_pem_done(struct sw_pem *p);

#define sw_autopem __attribute__((cleanup(sw_pem_done)))

#endif
