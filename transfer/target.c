/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "transfer/target_impl.h"

int sw_target_open(const char *spec, const struct sw_import_options *o, struct sw_target **ret,
                   struct sw_err *err)
{
    struct stat st;

    if (strncmp(spec, "nbd://", 6) == 0 || strncmp(spec, "nbds://", 7) == 0 ||
        strncmp(spec, "nbd+unix://", 11) == 0 || strncmp(spec, "nbds+unix://", 12) == 0)
        return sw_target_open_device(spec, true, o, ret, err);
    if (stat(spec, &st) < 0) {
        if (errno == ENOENT)
            return sw_target_open_file(spec, o, ret, err);
        return sw_err_sys(err, errno, "look at the target '%s'", spec);
    }
    if (S_ISBLK(st.st_mode))
        return sw_target_open_device(spec, false, o, ret, err);
    if (S_ISREG(st.st_mode))
        return sw_target_open_file(spec, o, ret, err);
    return sw_err_set(err, SW_ERR_USAGE,
                      "the target '%s' is neither a regular file nor a block device", spec);
}

int sw_target_capacity(struct sw_target *t, uint64_t *ret, struct sw_err *err)
{
    return t->ops->capacity(t, ret, err);
}

bool sw_target_is_file(const struct sw_target *t)
{
    return t->park_path != NULL;
}

static bool load_slot(struct sw_target *t, unsigned slot, const char *boot_id,
                      struct sw_journal *ret)
{
    struct sw_err err = { 0 };
    sw_autofree char *text = malloc(SW_JOURNAL_MAX);
    size_t n = 0;

    if (!text || t->ops->read_slot(t, slot, text, &n, &err) < 0 ||
        sw_journal_parse(text, n, ret, &err) < 0)
        return false;
    /* What was not synced survives a killed process, not a machine that went down. */
    if (!ret->durable && (!boot_id[0] || strcmp(ret->boot_id, boot_id) != 0))
        return false;
    return t->ops->accept(t, ret);
}

int sw_target_load(struct sw_target *t, struct sw_journal *ret)
{
    char boot_id[40];

    sw_boot_id(boot_id);
    return load_slot(t, 0, boot_id, ret) || load_slot(t, 1, boot_id, ret);
}

int sw_target_prepare(struct sw_target *t, uint64_t size, const struct sw_journal *from,
                      struct sw_err *err)
{
    return t->ops->prepare(t, size, from, err);
}

int sw_target_grow(struct sw_target *t, uint64_t size, struct sw_err *err)
{
    return t->ops->grow(t, size, err);
}

int sw_target_write(struct sw_target *t, unsigned lane, const void *buf, size_t len, uint64_t off,
                    struct sw_err *err)
{
    return t->ops->write(t, lane, buf, len, off, err);
}

int sw_target_read(struct sw_target *t, void *buf, size_t len, uint64_t off, struct sw_err *err)
{
    return t->ops->read(t, buf, len, off, err);
}

bool sw_target_can_resume(const struct sw_target *t)
{
    return t->can_resume;
}

int sw_target_checkpoint(struct sw_target *t, struct sw_journal *j, bool durable,
                         struct sw_err *err)
{
    if (!t->can_resume)
        return 0;
    j->durable = durable;
    if (durable && t->sink->ops->flush(t->sink, err) < 0)
        return -1;
    return t->ops->write_slot(t, durable ? 1 : 0, j, err);
}

int sw_target_publish(struct sw_target *t, uint64_t size, struct sw_err *err)
{
    if (t->ops->publish(t, size, err) < 0)
        return sw_err_wrap(err, "publish '%s'", t->name);
    return 0;
}

void sw_target_abandon(struct sw_target *t, bool keep)
{
    t->ops->abandon(t, keep && t->can_resume);
}

struct sw_sink *sw_target_sink(struct sw_target *t)
{
    return t->sink;
}

const char *sw_target_park_path(const struct sw_target *t)
{
    return t->park_path;
}

const char *sw_target_tables_path(const struct sw_target *t)
{
    return t->tables_path;
}

void sw_target_close(struct sw_target *t)
{
    if (t)
        t->ops->close(t);
}
