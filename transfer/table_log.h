/* SPDX-License-Identifier: Apache-2.0 */
/* What a reader took out of a stream that cannot be read twice from the middle: kept in a side file,
 * so that a later run can bring a fresh reader to where this one was (transfer/replay.h).
 *
 * The file is a sequence of records in the order of the stream, each
 *
 *   u64 le  offset in the innermost stream
 *   u32 le  kind << 24 | length in bytes
 *   u32 le  CRC-32 of the twelve bytes before and of what follows
 *   bytes   SW_TABLE_BYTES only: as many as the length says
 *
 * Whatever does not make an intact record ends the file: a kill can only tear its tail. Records are
 * collected in memory and written by flush(), so that an image with many small gaps costs a write
 * for each chunk of its stream.
 *
 * One thread, but for sync(). */
#ifndef SW_TRANSFER_TABLE_LOG_H
#define SW_TRANSFER_TABLE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"

struct sw_table_log;

enum sw_table_kind {
    SW_TABLE_BYTES = 1, /* the reader took these bytes as metadata                          */
    SW_TABLE_PARKED,    /* [off, off + len) is in the park                                  */
    SW_TABLE_GIVEN,     /* with all before off pushed, the reader was given parked tables; len 0 */
};

struct sw_table_record {
    enum sw_table_kind kind;
    uint64_t off;
    uint32_t len;
    const uint8_t *bytes; /* SW_TABLE_BYTES; the log's, good until the next call */
};

/* The longest record; longer ones are split by who adds them. */
#define SW_TABLE_RECORD_MAX (2u << 20)

/* The record that begins these bytes: how many of them it takes, or 0 when there is none that is
 * intact. ret->bytes lies among them. Pure. */
size_t sw_table_record_parse(struct sw_span bytes, struct sw_table_record *ret);

#define SW_TABLE_RECORD_HEAD 16

/* The opposite, into room for SW_TABLE_RECORD_HEAD bytes and the record's own; returns how many. */
size_t sw_table_record_format(const struct sw_table_record *record, uint8_t *to);

/* path: the side file, which is created by the first flush() with something to write. At most
 * max_bytes are written: what would go beyond is left out, and whole() is false from then on. */
SW_MUST_CHECK
int sw_table_log_open(const char *path, uint64_t max_bytes, struct sw_table_log **ret,
                      struct sw_err *err);
void sw_table_log_close(struct sw_table_log *l); /* accepts NULL; leaves the file */

/* Offsets never descend. -1 with SW_ERR_INTERNAL (memory) or what a write says. */
SW_MUST_CHECK
int sw_table_log_add(struct sw_table_log *l, const struct sw_table_record *record,
                     struct sw_err *err);
SW_MUST_CHECK
int sw_table_log_flush(struct sw_table_log *l, struct sw_err *err);

/* Whether everything that was added is, or can still be, in the file. */
bool sw_table_log_whole(const struct sw_table_log *l);

/* Make durable what was flushed. From any thread. */
SW_MUST_CHECK
int sw_table_log_sync(struct sw_table_log *l, struct sw_err *err);

/* Read an earlier run's file, before anything is added: the next record that says something of the
 * stream before `upto`, cut there (SW_TABLE_GIVEN: also at `upto`). Returns 1 and *ret, 0 at the
 * end, or -1: SW_ERR_NOT_FOUND without a file, or what a read says. */
SW_MUST_CHECK
int sw_table_log_next(struct sw_table_log *l, uint64_t upto, struct sw_table_record *ret,
                      struct sw_err *err);

/* After next() returned 0: drop the rest of the file, so that adding goes on at `upto`. */
SW_MUST_CHECK
int sw_table_log_cut(struct sw_table_log *l, struct sw_err *err);

#endif
