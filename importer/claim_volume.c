/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/claim_volume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/bytes.h"
#include "common/log.h"

/* Bytes that a file occupies; 0 when it is not there. */
static uint64_t occupied(const char *dir, const char *name)
{
    sw_autofree char *path = NULL;
    struct stat st;

    if (asprintf(&path, "%s/%s", dir, name) < 0) {
        path = NULL;
        return 0;
    }
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * 512 : 0;
}

static int measure_dir(const char *dir, uint64_t *ret, struct sw_err *err)
{
    struct statvfs fs;

    if (statvfs(dir, &fs) < 0)
        return sw_err_sys(err, errno, "free space of '%s'", dir);
    *ret = (uint64_t)fs.f_bavail * fs.f_frsize + occupied(dir, "disk.img") +
           occupied(dir, ".disk.img.slipway-partial");
    return 0;
}

static int measure_device(const char *path, uint64_t *ret, struct sw_err *err)
{
    sw_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;

    if (end < 0)
        return sw_err_sys(err, errno, "size of '%s'", path);
    *ret = (uint64_t)end;
    return 0;
}

static int open_dir(const struct sw_importer_env *env, struct sw_claim_volume *v,
                    struct sw_err *err)
{
    sw_autofree char *dir = sw_importer_path(env, "/data");

    v->target = sw_importer_path(env, env->is_archive ? "/data" : "/data/disk.img");
    v->is_tree = env->is_archive;
    if (!dir || !v->target)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (measure_dir(dir, &v->available, err) < 0)
        return -1;
    if (!env->has_image_size)
        return 0;
    v->available = sw_min_u64(v->available, env->image_size);
    v->disk_size = sw_usable_size(v->available, env->overhead);
    return 0;
}

int sw_claim_volume_open(const struct sw_importer_env *env, struct sw_claim_volume *ret,
                         struct sw_err *err)
{
    struct stat st;

    *ret = (struct sw_claim_volume){ .target = sw_importer_path(env, "/dev/cdi-block-volume") };
    if (!ret->target)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    ret->is_block = stat(ret->target, &st) == 0 || errno != ENOENT;
    if (ret->is_block)
        return measure_device(ret->target, &ret->available, err);
    free(ret->target);
    return open_dir(env, ret, err);
}

void sw_claim_volume_done(struct sw_claim_volume *v)
{
    free(v->target);
    *v = (struct sw_claim_volume){ 0 };
}

void sw_claim_volume_options(const struct sw_claim_volume *v, const struct sw_importer_env *env,
                             struct sw_import_options *o)
{
    o->size = v->disk_size;
    o->max_size = v->is_tree ? env->image_size : v->available; /* what is free shows later */
    o->mode = 0660;
    o->uid = -1;
    o->gid = -1;
    if (env->preallocation)
        o->prealloc = v->is_block ? SW_PREALLOC_FULL : SW_PREALLOC_FALLOC;
}

int sw_claim_volume_clear(const struct sw_claim_volume *v, struct sw_err *err)
{
    if (v->is_block || v->is_tree || unlink(v->target) == 0 || errno == ENOENT)
        return 0;
    return sw_err_sys(err, errno, "remove the old '%s'", v->target);
}

int sw_claim_volume_sync(const struct sw_claim_volume *v, struct sw_err *err)
{
    sw_autobuf struct sw_buf line = SW_BUF_INIT(8192);
    sw_autoclose int fd = open(v->target, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return sw_err_sys(err, errno, "fsync '%s'", v->target);
    sw_buf_printf(&line, "Successfully completed fsync(%s) syscall, committed to disk", v->target);
    sw_log_info("importer.synced", SW_STR("msg", sw_buf_str(&line)));
    return 0;
}
