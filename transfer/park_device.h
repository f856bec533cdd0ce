/* SPDX-License-Identifier: Apache-2.0 */
/* A log of bytes that has nowhere of its own to live: it is kept in memory first, then on a device
 * that is being written at the same time, in slots where no data of the disk is yet.
 *
 * A slot is as large as the image's cluster, 512 bytes to 64 KiB (64 KiB when the image has no
 * cluster), doubled until the device has at most 2^22. Slots are numbered by their place on the
 * device; those in memory follow. Each is free, final (the disk's data is or will be there) or
 * holds a slot's worth of the log. Free ones are taken from the top downwards: memory first, then
 * the end of the device, which small disks never reach and others reach late. When the disk's data
 * arrives where the log is, the log gives way: its bytes move to another free slot. A slot becomes
 * final once, so that all moves together write at most what the device holds. Slots full of zeroes
 * are only remembered.
 *
 * Invariant: a slot of the device that holds none of the log reads as zero, or as the disk's data:
 * writers leave out zeroes. What is left of the log when it is cleared is zeroed.
 *
 * Every image whose clusters are at least a slot large fits a device of its size while what is
 * parked, with what is parked of no use, exceeds the disk's unwritten data by no more than the
 * memory less the withheld start. Clusters smaller than a slot (below 64 KiB on devices above 256
 * GiB, below 4 KiB above 16 GiB) need more room if they come scattered.
 *
 * Memory: `memory` and 1 MiB for the log, two buffers of a slot or 64 KiB, a bit for each slot, 4
 * bytes for each slot of the log (at most 2^20 more than there is room for, which can only be
 * zeroes) and 4 for each slot of the device that ever held some of it: at most 38 MiB, and 8 bytes
 * for every 64 KiB parked of an image with such clusters.
 *
 * One thread (the map stage). It writes only where the log is, and the writers never write there;
 * both hold because claim() comes before the writer's job. Internal to transfer/. */
#ifndef SW_TRANSFER_PARK_DEVICE_H
#define SW_TRANSFER_PARK_DEVICE_H

#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"
#include "formats/reader.h"
#include "transfer/sink.h"

struct sw_park_device;

struct sw_park_room {
    struct sw_sink *sink; /* borrowed, reads as zero from `withheld` on; NULL: memory only */
    unsigned lane;        /* of the sink; nobody else's                                    */
    uint64_t withheld;    /* bytes at the start of the device that are never used          */
    uint64_t memory;      /* bytes                                                         */
    /* Borrowed; asked for its granule at the first append or claim. NULL: 64 KiB. */
    const struct sw_reader *reader;
};

SW_MUST_CHECK
int sw_park_device_open(const struct sw_park_room *room, struct sw_park_device **ret,
                        struct sw_err *err);
void sw_park_device_close(struct sw_park_device *d); /* accepts NULL; leaves the device as it is */

/* Add to the end of the log. -1 with SW_ERR_NO_SPACE (with the numbers; SW_ERR_UNSUPPORTED for
 * memory only) or the sink's error. */
SW_MUST_CHECK
int sw_park_device_append(struct sw_park_device *d, struct sw_span bytes, struct sw_err *err);

/* Bytes [at, at + len) of the log, which were appended and not dropped. */
SW_MUST_CHECK
int sw_park_device_read(struct sw_park_device *d, uint64_t at, void *buf, size_t len,
                        struct sw_err *err);

/* The log before `upto` is not needed any more: its whole slots become free, and read as zero. No
 * append follows. */
SW_MUST_CHECK
int sw_park_device_drop(struct sw_park_device *d, uint64_t upto, struct sw_err *err);

/* The disk's data is about to be written somewhere in [off, off + len), which may reach past the
 * end of the device: get out of the way. Errors as append. */
SW_MUST_CHECK
int sw_park_device_claim(struct sw_park_device *d, uint64_t off, uint64_t len, struct sw_err *err);

/* Drop all of it. */
SW_MUST_CHECK
int sw_park_device_clear(struct sw_park_device *d, struct sw_err *err);

#endif
