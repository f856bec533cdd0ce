/* SPDX-License-Identifier: Apache-2.0 */
/* Internal to transfer/target*.c: the two kinds of target. */
#ifndef SW_TRANSFER_TARGET_IMPL_H
#define SW_TRANSFER_TARGET_IMPL_H

#include "transfer/target.h"

struct sw_target_ops {
    int (*capacity)(struct sw_target *t, uint64_t *ret, struct sw_err *err);
    /* One journal record: slot 0 is the newest, slot 1 the newest durable one. */
    int (*read_slot)(struct sw_target *t, unsigned slot, char *text, size_t *ret_n,
                     struct sw_err *err);
    int (*write_slot)(struct sw_target *t, unsigned slot, struct sw_journal *j, struct sw_err *err);
    /* Whether the rest of what the record needs is there. */
    bool (*accept)(struct sw_target *t, const struct sw_journal *j);
    int (*prepare)(struct sw_target *t, uint64_t size, const struct sw_journal *from,
                   struct sw_err *err);
    int (*grow)(struct sw_target *t, uint64_t size, struct sw_err *err);
    int (*write)(struct sw_target *t, unsigned lane, const void *buf, size_t len, uint64_t off,
                 struct sw_err *err);
    int (*read)(struct sw_target *t, void *buf, size_t len, uint64_t off, struct sw_err *err);
    int (*publish)(struct sw_target *t, uint64_t size, struct sw_err *err);
    void (*abandon)(struct sw_target *t, bool keep);
    void (*close)(struct sw_target *t);
};

struct sw_target {
    const struct sw_target_ops *ops;
    const struct sw_import_options *o;
    struct sw_sink *sink;
    char *name;                    /* as the user wrote it, for messages */
    char *park_path, *tables_path; /* files only */
    bool can_resume;
};

int sw_target_open_file(const char *path, const struct sw_import_options *o, struct sw_target **ret,
                        struct sw_err *err);
int sw_target_open_device(const char *spec, bool is_nbd, const struct sw_import_options *o,
                          struct sw_target **ret, struct sw_err *err);

/* Writer threads, each with a lane of its own; the last lane is the engine's. */
#define SW_TARGET_WRITERS 3
#define SW_TARGET_LANES (SW_TARGET_WRITERS + 1)

/* A sink may have been given fewer lanes than the engine has threads. */
static inline unsigned sw_target_lane(const struct sw_target *t, unsigned lane)
{
    return lane < t->sink->lanes ? lane : t->sink->lanes - 1;
}

#endif
