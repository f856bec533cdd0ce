/* SPDX-License-Identifier: Apache-2.0 */
/* The few lines every decoder needs around struct sw_decode_io. Private to formats/. */
#ifndef SW_FORMATS_DECODE_IO_H
#define SW_FORMATS_DECODE_IO_H

#include "formats/decoder.h"

/* zlib, ISA-L and libbz2 count with 32 bits: what one call of theirs is given at most. */
#define SW_IO_CALL_MAX ((size_t)1 << 30)

/* What a state of a decoder says about going on; -1 is an error. */
enum sw_io_verdict {
    SW_IO_STOP, /* more input or more room is needed */
    SW_IO_GO,   /* the state has changed             */
};

static inline size_t sw_io_room(const struct sw_decode_io *io)
{
    return io->out_cap - io->out_len;
}

static inline uint8_t *sw_io_tail(const struct sw_decode_io *io)
{
    /* No arithmetic on the NULL that an empty buffer may be. */
    return io->out_cap ? io->out + io->out_len : io->out;
}

static inline void sw_io_eat(struct sw_decode_io *io, size_t n)
{
    if (!n)
        return;
    io->in.p += n;
    io->in.n -= n;
}

/* Move up to want - *have bytes of the input into field; true when all `want` are there. *have is
 * then zero again, ready for the next field. */
static inline bool sw_io_gather(struct sw_decode_io *io, uint8_t *field, size_t *have, size_t want)
{
    size_t n = want - *have < io->in.n ? want - *have : io->in.n;

    if (n)
        memcpy(field + *have, io->in.p, n);
    sw_io_eat(io, n);
    *have += n;
    if (*have < want)
        return false;
    *have = 0;
    return true;
}

#endif
