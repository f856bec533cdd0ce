/* SPDX-License-Identifier: Apache-2.0 */
/* The volume that an importer pod fills: a block device, or a directory with disk.img in it, and
 * how large the disk (or the files of an archive) on it may and shall become (contract importer 1.1, 1.4 "Resize details",
 * formats 4.5). Main thread only. */
#ifndef SW_IMPORTER_CLAIM_VOLUME_H
#define SW_IMPORTER_CLAIM_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "importer/env.h"
#include "transfer/import.h"

struct sw_claim_volume {
    bool is_block;
    bool is_tree;       /* content type archive: the directory itself                            */
    char *target;       /* the device, disk.img, or /data; owned                                 */
    uint64_t available; /* bytes: the device's size, or the smaller of what the file system has
                           free and the claim's request                                          */
    uint64_t disk_size; /* bytes the disk shall be grown to; 0: leave it as the image has it      */
};

/* Look at /dev/cdi-block-volume and /data below the root of env. What an unfinished import left in
 * the directory counts as free. Errors: errno's kind. After failure as after success the caller
 * owes sw_claim_volume_done(). */
SW_MUST_CHECK
int sw_claim_volume_open(const struct sw_importer_env *env, struct sw_claim_volume *ret,
                         struct sw_err *err);
void sw_claim_volume_done(struct sw_claim_volume *v);

/* Sizes, permissions and preallocation for the engine. */
void sw_claim_volume_options(const struct sw_claim_volume *v, const struct sw_importer_env *env,
                             struct sw_import_options *o);

/* Remove a disk.img that lies there (of an earlier try); its space is then counted as free. A device
 * and a tree are left alone. */
SW_MUST_CHECK
int sw_claim_volume_clear(const struct sw_claim_volume *v, struct sw_err *err);

/* fsync the disk once more and log the line that tests of the cluster look for. */
SW_MUST_CHECK
int sw_claim_volume_sync(const struct sw_claim_volume *v, struct sw_err *err);

#endif
