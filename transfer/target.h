/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that stays invisible until it is whole. Built on a sink:
 *
 *   regular file   written as ".<name>.slipway-partial" in the same directory, journal beside it
 *                  as ".<name>.slipway-journal", and where a stream needs them side files for what
 *                  is parked and for the reader's tables ("-park", "-tables"); renamed to its name by publish()
 *   block device,  the first MiB (partition table, boot code) is withheld in memory; its place on
 *   NBD export     the target holds the journal and a compressed copy of what is withheld. publish()
 *                  writes the real first MiB last
 *
 * Thread rule: write, read from the sink's lanes at once on ranges that do not overlap;
 * sw_target_checkpoint from one thread at a time while lanes write; the rest from one thread while
 * the lanes are idle. */
#ifndef SW_TRANSFER_TARGET_H
#define SW_TRANSFER_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "transfer/import.h"
#include "transfer/journal.h"
#include "transfer/sink.h"

struct sw_target;

/* Look at `spec` (a path or an NBD URI) and open what will hold the disk. Nothing visible changes.
 * Errors: SW_ERR_NOT_FOUND (no such directory), SW_ERR_DENIED (read-only, permissions),
 * SW_ERR_TRANSIENT (another import holds it: flock). */
SW_MUST_CHECK
int sw_target_open(const char *spec, const struct sw_import_options *o, struct sw_target **ret,
                   struct sw_err *err);

/* The most guest bytes the target can take: device or export size; for a file what the file system
 * has free plus what a partial file already occupies. */
SW_MUST_CHECK
int sw_target_capacity(struct sw_target *t, uint64_t *ret, struct sw_err *err);
bool sw_target_is_file(const struct sw_target *t);

/* The records an earlier run left, the newest usable first. Returns 1 and *ret, or 0. */
int sw_target_load(struct sw_target *t, struct sw_journal *ret);

/* Make it ready for a disk of `size` bytes (0: not known yet, files only). fresh: everything reads
 * as zero afterwards; otherwise what an earlier run wrote stays, its journal record being `from`. */
SW_MUST_CHECK
int sw_target_prepare(struct sw_target *t, uint64_t size, const struct sw_journal *from,
                      struct sw_err *err);

/* A file whose size was not known grows ahead of the writers. Callable while lanes write. */
SW_MUST_CHECK
int sw_target_grow(struct sw_target *t, uint64_t size, struct sw_err *err);

SW_MUST_CHECK
int sw_target_write(struct sw_target *t, unsigned lane, const void *buf, size_t len, uint64_t off,
                    struct sw_err *err);
SW_MUST_CHECK
int sw_target_read(struct sw_target *t, void *buf, size_t len, uint64_t off, struct sw_err *err);

/* Remember this record. durable: everything written before is flushed first. */
SW_MUST_CHECK
int sw_target_checkpoint(struct sw_target *t, struct sw_journal *j, bool durable,
                         struct sw_err *err);
bool sw_target_can_resume(const struct sw_target *t);

/* Flush, and make the disk of `size` bytes visible under its name, with mode and owner. */
SW_MUST_CHECK
int sw_target_publish(struct sw_target *t, uint64_t size, struct sw_err *err);

/* Give up. keep: leave what a later run can go on from; otherwise remove it. */
void sw_target_abandon(struct sw_target *t, bool keep);

struct sw_sink *sw_target_sink(struct sw_target *t);
/* Path of the side file for parked bytes (files only; NULL otherwise). Owned by t. */
const char *sw_target_park_path(const struct sw_target *t);
/* ... and of that for a reader's tables, likewise. */
const char *sw_target_tables_path(const struct sw_target *t);
void sw_target_close(struct sw_target *t); /* accepts NULL */

#define SW_WITHHELD (UINT64_C(1) << 20)

#endif
