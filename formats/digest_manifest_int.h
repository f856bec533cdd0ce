/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of formats/digest_manifest.h share: digest_manifest.c (lines, and the choice
 * among entries) and digest_debian.c (Debian's JSON). */
#ifndef SW_FORMATS_DIGEST_MANIFEST_INT_H
#define SW_FORMATS_DIGEST_MANIFEST_INT_H

#include <stdbool.h>

#include "formats/digest_manifest.h"

/* How well an entry's name matches; a better rank hides all worse ones. */
enum manifest_rank { RANK_NONE, RANK_LAST_PART, RANK_EXACT, RANK_COUNT_ };

enum { SLOT_MD5, SLOT_SHA1, SLOT_SHA224, SLOT_SHA256, SLOT_SHA384, SLOT_SHA512, SLOT_COUNT_ };

#define MANIFEST_NEAREST 2

/* What was seen of a manifest so far, in constant space. */
struct manifest_search {
    const char *name;
    size_t name_len;
    unsigned flags;
    size_t n_entries;
    struct sw_manifest_digest found[RANK_COUNT_][SLOT_COUNT_]; /* RANK_NONE: the last entry's */
    bool conflict[RANK_COUNT_][SLOT_COUNT_];
    struct sw_manifest_digest only; /* the last entry, for texts that hold just one */
    bool only_is_bare;
    struct {
        char name[80]; /* printable */
        size_t score;
    } nearest[MANIFEST_NEAREST];
};

/* The slot of a digest of n bytes; -1 when no algorithm has that length. */
int sw_manifest_slot(size_t n);

/* Count an entry in. A name of length 0 is a bare digest. `digest` has one of the known lengths. */
void sw_manifest_add(struct manifest_search *s, struct sw_span name, enum manifest_rank rank,
                     const struct sw_manifest_digest *digest);

/* Read Debian's JSON into s. 0, or -1 with SW_ERR_BAD_DATA. */
SW_MUST_CHECK
int sw_manifest_read_debian(struct sw_span text, struct manifest_search *s, struct sw_err *err);

#endif
