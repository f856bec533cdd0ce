/* SPDX-License-Identifier: Apache-2.0 */
/* The unpack stage: what takes the place of map and write for content type archive. Internal to
 * transfer/. */
#ifndef SW_TRANSFER_UNPACK_H
#define SW_TRANSFER_UNPACK_H

#include "transfer/pipe.h"
#include "transfer/tree.h"

struct sw_unpack {
    struct sw_tree *tree;     /* what is filled; borrowed                                         */
    uint64_t room;            /* bytes of data that may be put there                              */
    uint64_t members;         /* result: how many came, directories and links counted             */
    _Atomic uint64_t written; /* result: bytes of data that are not zero                      */
};

/* Stage body: reads the innermost stream to its end, which may lie behind that of the archive. */
void *sw_unpack_thread(void *pipe); /* struct sw_pipe with .unpack */

#endif
