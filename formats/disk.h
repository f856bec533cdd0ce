/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded reads for the boot check. Everything in formats/gpt.c, fat.c and pe.c answers in three
 * ways: 1 found, 0 not there or malformed, -1 the disk could not be read (and only then is err
 * filled). What an image claims can therefore never turn into an error of the import. */
#ifndef SW_FORMATS_DISK_H
#define SW_FORMATS_DISK_H

#include "common/bytes.h"
#include "formats/bootcheck.h"

/* 1; 0 when the range is not wholly on the disk; -1 when the read failed. */
SW_MUST_CHECK
static inline int sw_disk_read(const struct sw_disk_reader *r, uint64_t off, void *buf, size_t len,
                               struct sw_err *err)
{
    uint64_t end;

    if (sw_add_overflows(off, len, &end) || end > r->size)
        return 0;
    return r->read(r->ctx, off, buf, len, err) < 0 ? -1 : 1;
}

#endif
