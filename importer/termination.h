/* SPDX-License-Identifier: Apache-2.0 */
/* What the importer pod says when it ends (contract importer 1.13): one line in the termination
 * file, JSON for success and for a wrong digest, plain text for everything else. */
#ifndef SW_IMPORTER_TERMINATION_H
#define SW_IMPORTER_TERMINATION_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/error.h"

/* The kubelet reads no more than this. */
#define SW_TERMINATION_MAX 4096

/* A label for the claim. */
struct sw_termination_label {
    const char *key, *value;
};

/* The success message: {"scratchSpaceRequired":false,"preallocationApplied":...,"labels":{...},
 * "message":"Import Complete"}; labels are left out when there are none, scratchSpaceRequired for a
 * blank disk. */
void sw_termination_success(struct sw_buf *out, bool is_blank, bool preallocated,
                            const struct sw_termination_label *labels, size_t n_labels);

/* {"message":"...","fatal":true,"reason":"..."}: what a failure ends with that no other attempt can
 * cure. The reference's controller knows only the message, and only that of a wrong digest. */
void sw_termination_fatal(struct sw_buf *out, const char *reason, const char *message);

/* The plain text of a failure. `guest_size` (0: unknown) and `available` (bytes) are named when the
 * disk does not fit: the controller recognises these failures by fixed phrases, which are put here
 * whatever the message says. */
void sw_termination_failure(struct sw_buf *out, const char *prefix, const struct sw_err *err,
                            uint64_t guest_size, uint64_t available);

/* The reason of an error that is final: "ChecksumError" (the bytes are not those that were asked for),
 * "SignatureError" (nobody we trust signed them), "ArchitectureMismatch" (the disk does not boot where it
 * is meant to); NULL when the same may work the next time. */
const char *sw_termination_final(const struct sw_err *err);

/* Write the first line of `text` to `path` (created with mode 0600 when it is not there; the kubelet
 * has bound a file there, so it is written in place). A longer text than SW_TERMINATION_MAX is cut.
 * -1 with errno's kind. */
SW_MUST_CHECK
int sw_termination_write(const char *path, const char *text, struct sw_err *err);

#endif
