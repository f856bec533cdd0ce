/* SPDX-License-Identifier: Apache-2.0 */
/* The write stage: decode what is compressed, leave out what is zero, write the rest.
 *
 * Zeroes are looked for in blocks of 4 KiB, the unit in which file systems and devices can do
 * without them, and a run shorter than 64 KiB is written as data: many small holes cost more in
 * requests and extents than they save. */
#include "common/clock.h"
#include "formats/inflate.h"
#include "transfer/pipe.h"

#define ZERO_BLOCK 4096
#define ZERO_RUN_MIN (64 * SW_KIB)

struct writer {
    struct sw_pipe *p;
    unsigned lane;
    struct sw_inflater *inflater;
    uint8_t *out;    /* SW_CLUSTER_MAX bytes, aligned: a decoded job             */
    uint8_t *gather; /* a compressed cluster that crosses chunks; grown on demand */
    size_t gather_cap;
    uint64_t data_bytes;
};

/* The length of the run of zero blocks (or of blocks that are not) at buf. */
static size_t run_length(const uint8_t *buf, size_t len, bool *ret_zero)
{
    size_t at = len < ZERO_BLOCK ? len : ZERO_BLOCK;

    *ret_zero = sw_is_zero(buf, at);
    while (at < len) {
        size_t n = len - at < ZERO_BLOCK ? len - at : ZERO_BLOCK;

        if (sw_is_zero(buf + at, n) != *ret_zero)
            break;
        at += n;
    }
    return at;
}

static int put(struct writer *w, const uint8_t *buf, size_t len, uint64_t off, struct sw_err *err)
{
    if (!len)
        return 0;
    w->data_bytes += len;
    if (!w->p->target)
        return 0;
    return sw_target_write(w->p->target, w->lane, buf, len, off, err);
}

/* Write all but the long zero runs; the target reads as zero where nothing is written. */
static int write_data(struct writer *w, const uint8_t *buf, size_t len, uint64_t off,
                      struct sw_err *err)
{
    size_t from = 0, at = 0;

    while (at < len) {
        bool zero;
        size_t n = run_length(buf + at, len - at, &zero);

        /* A short job of zeroes is all that is known of its surroundings: it is left out too. */
        if (zero && (n >= ZERO_RUN_MIN || n == len)) {
            if (put(w, buf + from, at - from, off + from, err) < 0)
                return -1;
            from = at + n;
        }
        at += n;
    }
    return put(w, buf + from, len - from, off + from, err);
}

/* The bytes of a piece in one place: in its chunk, or gathered from several. */
static int piece_bytes(struct writer *w, const struct sw_job *job, const struct sw_job_piece *piece,
                       struct sw_span *ret, struct sw_err *err)
{
    uint64_t end = piece->file_off + piece->file_len;
    size_t have = 0;

    for (unsigned i = 0; i < job->n_chunks; i++) {
        const struct sw_chunk *c = job->chunks[i];
        uint64_t at = piece->file_off + have;

        if (at < c->off || at >= sw_chunk_end(c))
            continue;
        size_t n = (size_t)(sw_min_u64(end, sw_chunk_end(c)) - at);
        if (n == piece->file_len) {
            *ret = (struct sw_span){ c->data + (at - c->off), n };
            return 0;
        }
        if (w->gather_cap < piece->file_len) {
            free(w->gather);
            w->gather = malloc(piece->file_len);
            w->gather_cap = w->gather ? piece->file_len : 0;
            if (!w->gather)
                return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a cluster");
        }
        memcpy(w->gather + have, c->data + (at - c->off), n);
        have += n;
    }
    if (have != piece->file_len)
        return sw_err_set(err, SW_ERR_INTERNAL, "a cluster at %llu lost its bytes",
                          (unsigned long long)piece->file_off);
    *ret = (struct sw_span){ w->gather, have };
    return 0;
}

static int write_compressed(struct writer *w, const struct sw_job *job, struct sw_err *err)
{
    uint64_t disk = w->p->reader->guest_size;
    size_t at = 0;

    for (unsigned i = 0; i < job->n_pieces; i++) {
        const struct sw_job_piece *piece = &job->pieces[i];
        struct sw_span in;

        if (piece_bytes(w, job, piece, &in, err) < 0)
            return -1;
        if (sw_inflate(w->inflater, job->codec, in, w->out + at, piece->guest_len, err) < 0)
            return sw_err_wrap(err, "cluster at offset %llu of the image, guest offset %llu",
                               (unsigned long long)piece->file_off,
                               (unsigned long long)(job->guest_off + at));
        at += piece->guest_len;
    }
    /* The disk may end inside its last cluster. */
    if (job->guest_off + at > disk)
        at = (size_t)(disk - job->guest_off);
    return write_data(w, w->out, at, job->guest_off, err);
}

static int write_plain(struct writer *w, const struct sw_job *job, struct sw_err *err)
{
    const struct sw_chunk *c = job->chunks[0];
    const uint8_t *buf = c->data + (job->pieces[0].file_off - c->off);

    return write_data(w, buf, job->guest_len, job->guest_off, err);
}

static int open_writer(struct writer *w, struct sw_err *err)
{
    w->out = aligned_alloc(4096, SW_CLUSTER_MAX);
    if (!w->out)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    return sw_inflater_open(SW_INFLATE_FAST, &w->inflater, err);
}

void *sw_write_thread(void *arg)
{
    struct sw_write_lane *l = arg;
    struct sw_pipe *p = l->pipe;
    struct writer w = { .p = p, .lane = l->lane };
    struct sw_err err = { 0 };
    int64_t busy = 0;
    void *item;
    int rc = open_writer(&w, &err);

    while (rc == 0 && sw_queue_pop(&p->jobs, &item) > 0) {
        const struct sw_job *job = item;
        int64_t start = sw_now_ns();

        rc = job->codec == SW_CODEC_NONE ? write_plain(&w, job, &err)
                                         : write_compressed(&w, job, &err);
        if (rc < 0)
            sw_pipe_fail(p, &err); /* before the chunks are released: they are not placed */
        sw_job_put(p, item);
        atomic_fetch_add(&p->data_bytes, w.data_bytes);
        w.data_bytes = 0;
        busy += sw_now_ns() - start;
    }
    if (rc < 0)
        sw_pipe_fail(p, &err);
    sw_inflater_close(w.inflater);
    free(w.out);
    free(w.gather);
    sw_pipe_add_time(p, SW_STAGE_WRITE, busy);
    return NULL;
}
