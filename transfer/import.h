/* SPDX-License-Identifier: Apache-2.0 */
/* Move one image: from an open source, through its wrappers and its format, to a target that stays
 * invisible until everything is on stable storage and verified. This is the engine's front door;
 * the importer, the upload server and the `slipway` command are thin programs around it.
 *
 * sw_import_run() makes its own threads and joins them all before it returns, whatever happens.
 * Call it from one thread; a second import in the same process needs only its own arguments. */
#ifndef SW_TRANSFER_IMPORT_H
#define SW_TRANSFER_IMPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/cancel.h"
#include "common/error.h"
#include "formats/bootcheck.h"
#include "formats/decoder.h"
#include "formats/limits.h"
#include "formats/reader.h"
#include "transfer/digest.h"
#include "transfer/sink.h"
#include "transfer/source.h"

/* Wrappers around one image: at most two compressions and one container, in any order. */
#define SW_COMPRESSIONS_MAX 2
#define SW_WRAPS_MAX (SW_COMPRESSIONS_MAX + 1)

struct sw_import_options {
    enum sw_format format;     /* SW_FORMAT_AUTO: by content. SW_FORMAT_RAW: what is below the
                                    compressions is the disk, also when it looks like a container */
    uint64_t size;             /* grow the disk to this many bytes; 0: the image's own size. A
                                    larger image is refused (SW_ERR_NO_SPACE), unless max_size is
                                    given too and holds it: it then keeps its size                */
    uint64_t max_size;         /* what the target may hold, from a claim; 0: only what it has   */
    enum sw_prealloc prealloc; /* regular files and block devices                               */
    uint64_t memory;           /* bytes for all buffers of the pipe; 0: 64 MiB, or less when the
                                    cgroup allows less                                            */
    struct sw_limits limits;   /* zeroed: SW_LIMITS_DEFAULT                                     */

    struct sw_digest_want want[4]; /* digests that the served bytes must have; any number of them */
    unsigned n_want;
    bool no_digest; /* do not compute sha256 of the served bytes when none is wanted */

    const char *expect_arch; /* "riscv64": a bootable disk of another one, or none, is
                                    SW_ERR_BAD_DATA before it is visible; NULL: any               */
    bool no_resume;          /* ignore and remove what an earlier run left                    */
    bool no_direct;          /* never O_DIRECT (tests; some network file systems)             */
    unsigned mode;           /* permission of a file target; 0: 0660                          */
    int uid, gid;            /* owner of a file target; -1: leave                             */

    /* Called with every served byte, in order, from one thread: for a signature over the image. A
     * resumed run only sees what it reads, so no_resume must be set with it. May be NULL.           */
    void (*tee)(void *ctx, const void *bytes, size_t n);
    void *tee_ctx;
    /* Called once everything has been read and written, before anything is visible: a last word
     * on whether to publish. May be NULL.                                                           */
    int (*approve)(void *ctx, struct sw_err *err);

    struct sw_cancel *cancel; /* may be NULL. The engine sets it too, when it fails: a source that
                                    waits for the network has to hear of it. Make a new one for each
                                    import                                                         */
    struct sw_progress *progress; /* may be NULL */
};

enum sw_import_phase {
    SW_PHASE_OPEN,     /* looking at the source and the target      */
    SW_PHASE_TRANSFER, /* bytes are moving                          */
    SW_PHASE_VERIFY,   /* digests, boot check, flush                */
    SW_PHASE_DONE,
};

/* Written by the engine, read by anyone (a progress bar, the metrics endpoint) at any time. */
struct sw_progress {
    _Atomic int phase;             /* enum sw_import_phase                                      */
    _Atomic uint64_t source_done;  /* bytes of the source that are fully dealt with */
    _Atomic uint64_t source_total; /* SW_SIZE_UNKNOWN when the server did not say                */
    _Atomic uint64_t fetched;      /* bytes taken from the source by this run                    */
    _Atomic uint64_t written;      /* bytes the target's writers completed                       */
    _Atomic uint64_t guest_size;   /* virtual disk, bytes; 0 until known                         */
};

/* One stage of the pipe: how many nanoseconds its threads computed, waited for input, waited for
 * room. Their sum over the stage's threads. */
struct sw_stage_time {
    const char *name; /* "fetch", "digest", "decode", "map", "write" */
    unsigned threads;
    int64_t busy_ns, starved_ns, blocked_ns;
};

#define SW_STAGES_MAX 8

struct sw_import_result {
    enum sw_format format;
    enum sw_wrap wraps[SW_WRAPS_MAX]; /* outermost first, SW_WRAP_NONE ends                       */
    char detail[64];           /* the reader's words on the format: "v3, 64 KiB clusters"       */
    uint64_t guest_size;       /* bytes the guest sees, after --size                            */
    uint64_t image_size;       /* virtual size the image itself declares                        */
    uint64_t source_size;      /* bytes of the served object                                    */
    uint64_t fetched, written; /* bytes, this run only                                          */
    uint64_t data_bytes;       /* non-zero bytes placed on the disk, this run                   */
    uint64_t parked;           /* bytes that had to be parked                                   */
    uint64_t resumed_from;     /* source offset this run continued at; 0: from the start        */
    bool is_archive;           /* of sw_import_archive(): no format, no guest                   */
    uint64_t members;          /* ... but so many members                                       */
    struct sw_digest_value digests[4];
    unsigned n_digests;
    struct sw_bootinfo boot; /* what the boot check saw                                       */
    int64_t elapsed_ns;
    struct sw_stage_time stages[SW_STAGES_MAX];
    unsigned n_stages;
    const char *bottleneck; /* name of the stage that was busy most per thread               */
};

/* source is borrowed and must be fresh. target is a path (regular file or block device) or an NBD
 * URI. On success the disk is visible, complete and on stable storage. On failure nothing is
 * visible at `target`; what is needed to continue may lie beside it (".<name>.slipway-partial",
 * ".<name>.slipway-journal") and is picked up or thrown away by the next run.
 *
 * Errors: every kind; slipway(1) says what each one means to the caller. */
SW_MUST_CHECK
int sw_import_run(struct sw_source *source, const char *target,
                  const struct sw_import_options *options, struct sw_import_result *ret,
                  struct sw_err *err);

/* An empty disk: a sparse (or preallocated) file of options->size bytes, or a block device that
 * reads as zero. */
SW_MUST_CHECK
int sw_import_blank(const char *target, const struct sw_import_options *options,
                    struct sw_import_result *ret, struct sw_err *err);

/* Unpack a tar archive, maybe compressed, into the directory `dir`, which is made if need be: see
 * transfer/tree.h for how and when it becomes visible, formats/member_name.h for which names and
 * links are taken. Of the options: limits, memory, want, no_digest, tee, approve, cancel, progress,
 * and max_size, the bytes that its data may take (0: what the file system has free). Nothing of it
 * can be resumed.
 *
 * Errors: as sw_import_run(). SW_ERR_BAD_DATA also for what is no tar archive, and for names and
 * links that lead out of dir. */
SW_MUST_CHECK
int sw_import_archive(struct sw_source *source, const char *dir,
                      const struct sw_import_options *options, struct sw_import_result *ret,
                      struct sw_err *err);

/* Read only as much of the source as is needed to describe it: fills format, wraps, detail, sizes,
 * boot (when the guest's first sectors can be reached), data_bytes (0 when unknown). */
SW_MUST_CHECK
int sw_import_probe(struct sw_source *source, const struct sw_import_options *options,
                    struct sw_import_result *ret, struct sw_err *err);

/* Read the whole source, decode and check everything that an import would check, write nothing. */
SW_MUST_CHECK
int sw_import_verify(struct sw_source *source, const struct sw_import_options *options,
                     struct sw_import_result *ret, struct sw_err *err);

/* Memory that this process may use for buffers: `wanted` (0: 64 MiB), but at most half of what the
 * cgroup (v1 or v2) leaves and at least 16 MiB. */
uint64_t sw_memory_budget(uint64_t wanted);

#endif
