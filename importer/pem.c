/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/pem.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/fileio.h"

int sw_pem_add_file(struct sw_pem *p, const char *path, struct sw_err *err)
{
    sw_autofree char *text = NULL;

    if (sw_file_slurp(path, SW_PEM_MAX, &text, NULL, err) < 0)
        return -1;
    sw_buf_puts(&p->text, text);
    sw_buf_puts(&p->text, "\n"); /* the last line of a file may lack its end */
    return 0;
}

static int add_entry(struct sw_pem *p, const char *dir, const char *name, struct sw_err *err)
{
    sw_autofree char *path = NULL;
    struct stat st;

    if (name[0] == '.')
        return 0;
    if (asprintf(&path, "%s/%s", dir, name) < 0) {
        path = NULL;
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    }
    if (stat(path, &st) < 0)
        return sw_err_sys(err, errno, "'%s'", path);
    return S_ISREG(st.st_mode) ? sw_pem_add_file(p, path, err) : 0;
}

int sw_pem_add_dir(struct sw_pem *p, const char *dir, bool must_exist, struct sw_err *err)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    int done = 0;

    if (!d && errno == ENOENT && !must_exist)
        return 0;
    if (!d)
        return sw_err_sys(err, errno, "Error listing files in %s", dir);
    while (done == 0 && (e = readdir(d)))
        done = add_entry(p, dir, e->d_name, err);
    closedir(d);
    return done;
}

int sw_pem_finish(struct sw_pem *p, const char **ret_path, struct sw_err *err)
{
    *ret_path = NULL;
    if (sw_buf_check(&p->text, "the certificates", err) < 0)
        return -1;
    if (!p->text.n)
        return 0;
    p->fd = memfd_create("certificates", MFD_CLOEXEC);
    if (p->fd < 0)
        return sw_err_sys(err, errno, "make a memory file for certificates");
    snprintf(p->path, sizeof(p->path), "/proc/self/fd/%d", p->fd);
    *ret_path = p->path;
    return sw_write_full(p->fd, p->text.p, p->text.n, err);
}

void sw_pem_done(struct sw_pem *p)
{
    if (p->fd >= 0)
        close(p->fd);
    sw_buf_done(&p->text);
    p->fd = -1;
}
