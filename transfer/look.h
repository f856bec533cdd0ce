/* SPDX-License-Identifier: Apache-2.0 */
/* Find out what a source holds before anything is written: its wrappers, its format, and, when the
 * source can seek, the whole map. Internal to transfer/. One thread; sw_look_load_map makes and
 * joins a few of its own to read tables at once. */
#ifndef SW_TRANSFER_LOOK_H
#define SW_TRANSFER_LOOK_H

#include "formats/decoder.h"
#include "formats/reader.h"
#include "transfer/import.h"
#include "transfer/source.h"

struct sw_look {
    uint8_t *head; /* the first bytes of the source as they are; a stream's are gone from it */
    size_t head_len;
    bool head_is_all; /* the source ended inside head */
    uint8_t *inner;   /* the first bytes below all wrappers; head itself when there is none */
    size_t inner_len;
    bool inner_is_all; /* nothing follows them */
    enum sw_wrap wraps[SW_WRAPS_MAX];
    unsigned n_wraps;
    enum sw_format format;
    struct sw_reader *reader;
    bool far;           /* a read waits long for its first byte: ask for more at a time */
    uint64_t file_size; /* of the image itself, below the wrappers; SW_SIZE_UNKNOWN */
};

/* Errors: the source's; SW_ERR_UNSUPPORTED (too many wrappers, a format we refuse by name);
 * SW_ERR_BAD_DATA (a wrapper that is corrupt at its start). */
SW_MUST_CHECK
int sw_look_open(struct sw_source *s, const struct sw_import_options *o,
                 const struct sw_limits *limits, struct sw_look *ret, struct sw_err *err);

/* Give the reader all the metadata it wants; a seekable source without wrappers only. */
SW_MUST_CHECK
int sw_look_load_map(struct sw_source *s, struct sw_look *l, struct sw_err *err);

void sw_look_done(struct sw_look *l); /* accepts a zeroed one */

/* The limits to use: those of the options, or the defaults. */
struct sw_limits sw_look_limits(const struct sw_import_options *o);

#endif
