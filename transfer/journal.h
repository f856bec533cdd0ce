/* SPDX-License-Identifier: Apache-2.0 */
/* What an interrupted import leaves behind so that the next one can go on: one record, as text with
 * a checksum. Pure; where records are kept is transfer/target.h's business.
 *
 * A record is only ever believed when everything that identifies the work is equal: the source and
 * its validator, how the image is read, and the disk that is made of it. Then all bytes that come
 * from before `watermark` of the innermost stream are in the target. */
#ifndef SW_TRANSFER_JOURNAL_H
#define SW_TRANSFER_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "formats/decoder.h"
#include "formats/reader.h"
#include "transfer/digest.h"

#define SW_JOURNAL_DIGESTS 4
#define SW_JOURNAL_MAX 16384 /* bytes of one record */

struct sw_journal {
    char url[2048]; /* redacted                                          */
    char validator[256];
    uint64_t source_size;
    char boot_id[40]; /* of the kernel that wrote it: a record that was not synced is only good
                            while that kernel runs                            */
    bool durable;     /* the target had been synced before it was written  */
    enum sw_format format;
    enum sw_wrap wraps[2];
    uint64_t guest_size; /* of the image: what the target was prepared for     */
    uint64_t disk_size;  /* of the disk it becomes                             */

    uint64_t watermark;  /* innermost stream, bytes: everything before is placed, or kept in
                            the side files together with what the reader knew       */
    uint64_t decode_in;  /* wrapped: source offset of a boundary of the wrapper, and ...  */
    uint64_t decode_out; /* ... the innermost offset it stands for, at most watermark     */
    uint64_t digest_at;  /* source offset at which the digest states were taken           */
    unsigned n_digests;
    struct {
        uint8_t bytes[SW_DIGEST_STATE_MAX];
        size_t n;
    } digests[SW_JOURNAL_DIGESTS];

    uint64_t head_len,
        head_off; /* block targets: the withheld head, compressed, in the journal area */
    uint32_t head_crc;
};

/* Into text, which has room for SW_JOURNAL_MAX; returns its length, at most SW_JOURNAL_MAX. */
size_t sw_journal_format(const struct sw_journal *j, char *text);

/* -1 with SW_ERR_BAD_DATA when these n bytes are not a whole, intact record. */
SW_MUST_CHECK
int sw_journal_parse(const char *text, size_t n, struct sw_journal *ret, struct sw_err *err);

/* Whether b continues the work of a. */
bool sw_journal_same_work(const struct sw_journal *a, const struct sw_journal *b);

/* This boot of this kernel; "" when the kernel does not say. */
void sw_boot_id(char id[40]);

#endif
