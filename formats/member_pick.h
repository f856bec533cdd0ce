/* SPDX-License-Identifier: Apache-2.0 */
/* Which member of a container is the disk. It has to be decided when a member begins, for the
 * container is a stream: by the member's name, a little, and by its first bytes.
 *
 *   no disk   empty, or text at its beginning (an OVF description, a checksum list, a VMDK
 *             descriptor); macOS's "._name" and overlay's ".wh.name" twins
 *   surely    a compression, a disk format known by name, a partition table at the start, or the
 *             only place where container images have their disk: the directory "disk"
 *   perhaps   everything else that is not text: a raw disk without a partition table, firmware
 *             variables of an OVA
 *
 * The first member that is surely or perhaps a disk is taken. After it, another that is surely one,
 * or another "perhaps" beside the first, makes the container ambiguous: an error. What is perhaps a
 * disk behind one that surely is, is left alone.
 *
 * Pure; one thread. */
#ifndef SW_FORMATS_MEMBER_PICK_H
#define SW_FORMATS_MEMBER_PICK_H

#include <stdbool.h>

#include "common/bytes.h"
#include "common/error.h"
#include "formats/limits.h"
#include "formats/member_name.h"

/* As much of a member as the decision wants to see; less when it is shorter. */
#define SW_PICK_BYTES 4096

enum sw_pick_rank { SW_PICK_NONE, SW_PICK_PERHAPS, SW_PICK_SURELY };

struct sw_pick {
    const char *format; /* "tar": prefix of messages */
    uint64_t max_members;
    uint64_t members;                /* seen so far, of all kinds      */
    enum sw_pick_rank rank;          /* of the one that was taken      */
    char taken[SW_MEMBER_SHOWN_MAX]; /* its name, for messages    */
};

/* Count a member of any kind: -1 with SW_ERR_UNSUPPORTED past limits->members. */
SW_MUST_CHECK
int sw_pick_count(struct sw_pick *p, struct sw_err *err);

/* Whether the file of this name and beginning is the disk: 1, 0, or -1 with SW_ERR_UNSUPPORTED when
 * there was one before. */
SW_MUST_CHECK
int sw_pick_file(struct sw_pick *p, const char *name, struct sw_span head, struct sw_err *err);

/* The container has ended: -1 with SW_ERR_UNSUPPORTED when none was taken. */
SW_MUST_CHECK
int sw_pick_finish(const struct sw_pick *p, struct sw_err *err);

#endif
