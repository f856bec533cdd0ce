/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of one running import and what they share. Internal to transfer/.
 *
 *   fetch (lanes) --+--> digest
 *                   +--> decode (0 to 3) --> map --> write (SW_TARGET_WRITERS)
 *                                             |
 *                                             +--> park
 *
 * or, for an archive, "unpack" in place of map and write.
 *
 * Every arrow is a queue of chunks or jobs; the pools behind them bound it. The first error wins:
 * it fails all queues and pools, every thread ends, and the caller gets that error. */
#ifndef SW_TRANSFER_PIPE_H
#define SW_TRANSFER_PIPE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/queue.h"
#include "formats/decoder.h"
#include "formats/reader.h"
#include "formats/xz_blocks.h"
#include "transfer/chunk.h"
#include "transfer/import.h"
#include "transfer/park.h"
#include "transfer/table_log.h"
#include "transfer/target.h"
#include "transfer/target_impl.h"
#include "transfer/watermark.h"

/* One unit for a writer: bytes that end up next to each other on the disk. */
#define SW_JOB_PIECES 64
#define SW_JOB_CHUNKS 6

struct sw_job {
    uint64_t guest_off;
    size_t guest_len;
    enum sw_codec codec;
    bool zero;         /* chunk known to be zero: only counted    */
    unsigned n_pieces; /* 1 without a codec                       */
    struct sw_job_piece {
        uint64_t file_off;
        uint32_t file_len, guest_len;
    } pieces[SW_JOB_PIECES];
    struct sw_chunk *chunks[SW_JOB_CHUNKS]; /* referenced; they hold all pieces, ascending */
    unsigned n_chunks;
    struct sw_job *next_free;
};

/* Per-stage clocks; each thread adds its own when it ends. */
enum sw_stage {
    SW_STAGE_FETCH,
    SW_STAGE_DIGEST,
    SW_STAGE_DECODE,
    SW_STAGE_DECODE2,
    SW_STAGE_DECODE3,
    SW_STAGE_MAP,
    SW_STAGE_UNPACK,
    SW_STAGE_WRITE,
    SW_STAGE_COUNT_
};

#define SW_SNAPSHOTS 24 /* digest states kept for the journal, one per 4 MiB or more */

struct sw_digests {
    pthread_mutex_t lock; /* guards the snapshots */
    unsigned n;
    struct sw_digest *digest[SW_JOURNAL_DIGESTS];
    uint64_t at; /* source offset up to which they have read */
    struct sw_digest_snapshot {
        uint64_t at;
        size_t len[SW_JOURNAL_DIGESTS];
        uint8_t state[SW_JOURNAL_DIGESTS][SW_DIGEST_STATE_MAX];
    } snapshots[SW_SNAPSHOTS];
    unsigned n_snapshots; /* ever taken; the last SW_SNAPSHOTS are in the ring */
};

/* A place where a wrapper can be resumed: source offset and the innermost offset it stands for. */
#define SW_BOUNDARIES 64
struct sw_boundaries {
    pthread_mutex_t lock;
    unsigned n; /* ever; ring */
    struct {
        uint64_t in, out;
    } at[SW_BOUNDARIES];
};

/* Places where a reader of a wrapped stream can be taken up again: with everything before `pos`
 * placed, it needs nothing before `from` any more (clusters that begin earlier and end later are
 * whole and placed), and the table log holds what brings it there. */
#define SW_TAKE_UPS 128
struct sw_take_ups {
    pthread_mutex_t lock;
    unsigned n; /* ever; ring */
    struct {
        uint64_t pos, from;
    } at[SW_TAKE_UPS];
};

struct sw_pipe {
    const struct sw_import_options *o;
    struct sw_limits limits;
    struct sw_source *source;
    struct sw_target *target; /* NULL: verify only, nothing is written */
    struct sw_unpack *unpack; /* content type archive: instead of map and write; target is NULL */
    struct sw_reader *reader;
    enum sw_format format;
    enum sw_wrap wraps[SW_WRAPS_MAX];
    unsigned n_wraps;

    /* The start of a stream, read before the pipe ran. */
    uint8_t *prefix;
    size_t prefix_len;
    bool prefix_is_all; /* the stream ended inside it */

    uint64_t start_at;          /* source offset the fetch begins at            */
    uint64_t decode_in;         /* wrapped: source offset the decoder begins at  */
    uint64_t decode_out;        /* ... and what it stands for                    */
    struct sw_xz_tail *xz_tail; /* resumed between two xz blocks: those before it; owned   */
    struct sw_xz_stream xz_stream;
    bool xz_parallel;
    bool far;      /* see struct sw_look */
    bool hash_all; /* the digest stage sees every byte               */
    bool read_all; /* fetch every byte, not only what is needed     */

    struct sw_pool fetch_pool, decode_pools[SW_WRAPS_MAX];
    struct sw_queue to_digest,
        to_stage[SW_WRAPS_MAX + 1]; /* input of decode 0, decode 1, map     */
    struct sw_queue jobs;
    struct sw_job *job_slab, *free_jobs;
    pthread_mutex_t job_lock; /* guards free_jobs */
    pthread_cond_t job_more;
    int64_t job_waited_ns; /* of the map stage */

    struct sw_digests digests;
    struct sw_boundaries boundaries;
    struct sw_take_ups take_ups;
    struct sw_table_log *tables; /* NULL: the reader's state is not kept; owned */
    uint64_t map_from;          /* the reader has been brought here: what comes before was placed */
    struct sw_watermark placed; /* innermost stream: handed to the target without a gap */
    struct sw_park *park;

    uint64_t capacity;           /* guest bytes that fit                                    */
    uint64_t stream_size;        /* innermost stream; set by the last decode stage's end    */
    _Atomic uint64_t source_end; /* source bytes seen when the source ended                 */
    _Atomic uint64_t data_bytes;
    _Atomic uint64_t done_bytes; /* innermost stream, this run: placed or skipped, in any order */
    _Atomic uint64_t consumed;   /* source bytes that the first decode or map stage is done with */
    _Atomic uint64_t unwrapped;  /* ... that the first decode stage has taken, to the byte */
    _Atomic uint64_t progress_size; /* guest size once the reader knows it */

    pthread_mutex_t err_lock; /* guards err, failed */
    struct sw_err err;
    atomic_bool failed;

    pthread_mutex_t ck_lock; /* guards the checkpoint thread's signal */
    pthread_cond_t ck_wake;
    bool ck_stop;
    _Atomic uint64_t ck_next;  /* mark at which the next record is due */
    bool resumable;            /* records are worth writing            */
    struct sw_journal journal; /* the identity part; the checkpoint thread fills in the rest */

    struct sw_stage_time times[SW_STAGE_COUNT_];
    pthread_mutex_t time_lock; /* guards times */
};

/* Whether the reader's state is kept beside the target, so that a wrapped stream can be resumed. */
bool sw_pipe_keeps_tables(const struct sw_pipe *p);

/* Whether what has been unwrapped of the source may have become `out` bytes behind one of its wrappers
 * (limits: expansion). -1 with SW_ERR_UNSUPPORTED. */
SW_MUST_CHECK
int sw_pipe_check_expansion(struct sw_pipe *p, uint64_t out, struct sw_err *err);

/* Record the first error, wake and end everybody. Safe from any thread, any number of times. */
void sw_pipe_fail(struct sw_pipe *p, const struct sw_err *err);

static inline bool sw_pipe_failed(struct sw_pipe *p)
{
    return atomic_load_explicit(&p->failed, memory_order_relaxed);
}

void sw_pipe_add_time(struct sw_pipe *p, enum sw_stage stage, int64_t busy_ns);

/* Stage bodies: thread entry points, arg as said. */
void *sw_fetch_thread(void *lane); /* struct sw_fetch_lane */
void *sw_digest_thread(void *pipe);
void *sw_decode_thread(void *stage); /* struct sw_decode_stage */
void *sw_map_thread(void *pipe);
void *sw_write_thread(void *lane); /* struct sw_write_lane */
void *sw_checkpoint_thread(void *pipe);

/* Tell the checkpoint thread how far the mark has come. */
void sw_checkpoint_note(struct sw_pipe *p, uint64_t mark);

/* fetch.c: the order in which chunks are asked for and handed on. */
struct sw_fetch {
    struct sw_pipe *pipe;
    pthread_mutex_t plan_lock; /* guards the plan: next, hole_end, next_seq, ended */
    uint64_t next;             /* source offset not planned yet                */
    uint64_t hole_end;         /* sources with status(): [next, hole_end) ...   */
    bool hole_zero;            /* ... is zero, or data                          */
    unsigned next_seq;
    bool ended;
    pthread_mutex_t order_lock; /* guards what follows */
    struct sw_chunk **done;     /* ring by sequence number, window slots        */
    unsigned window, deliver_seq, lanes_left;
};

struct sw_fetch_lane {
    struct sw_fetch *fetch;
    unsigned lane;
};

SW_MUST_CHECK
int sw_fetch_init(struct sw_fetch *f, struct sw_pipe *p, unsigned lanes, struct sw_err *err);
void sw_fetch_done(struct sw_fetch *f);

struct sw_decode_stage {
    struct sw_pipe *pipe;
    unsigned index; /* of the wrapper, 0 outermost */
};

struct sw_write_lane {
    struct sw_pipe *pipe;
    unsigned lane;
};

/* digests.c */
SW_MUST_CHECK
int sw_digests_open(struct sw_digests *d, const struct sw_import_options *o, struct sw_err *err);
void sw_digests_close(struct sw_digests *d);
SW_MUST_CHECK
int sw_digests_restore(struct sw_digests *d, const struct sw_journal *j, struct sw_err *err);
/* Everything has been read: the values, into ret, and whether they are those that o wants
 * (SW_ERR_BAD_DATA otherwise). Ends the digests. */
SW_MUST_CHECK
int sw_digests_check(struct sw_digests *d, const struct sw_import_options *o,
                     struct sw_import_result *ret, struct sw_err *err);
/* The newest states at or before `limit`, into j. False when there is none. */
bool sw_digests_snapshot(struct sw_digests *d, uint64_t limit, struct sw_journal *j);

/* Fewest chunks of a pool: a compressed cluster of 2 MiB and its last sector may lie across four of
 * 1 MiB, which are held until its last byte has come in the last of them; one is being filled. */
#define SW_CHUNKS_MIN 5

/* map.c: jobs */
struct sw_job *sw_job_get(struct sw_pipe *p);
void sw_job_put(struct sw_pipe *p, struct sw_job *job); /* drops its chunks */

/* Room for one decoded job and for one compressed cluster. */
#define SW_JOB_BYTES (UINT64_C(1) << 20)
#define SW_CLUSTER_MAX (UINT64_C(2) << 20)

#endif
