/* SPDX-License-Identifier: Apache-2.0 */
/* The map stage: feed the reader, and turn the placements it emits into jobs for the writers.
 *
 * Chunks are held from the lowest offset that the reader may still name. A job references the
 * chunks that its pieces lie in, so nothing is copied; a compressed cluster that crosses from one
 * chunk into the next is gathered by the writer. Compressed clusters that end up next to each other
 * on the disk are collected into one job, so that 64 KiB clusters become 1 MiB writes. */
#include <assert.h>

#include "common/clock.h"
#include "transfer/pipe.h"
#include "transfer/replay.h"

/* keep() reaches back at most 4 MiB; decoded chunks are 1 MiB. */
#define HELD_MAX 16

/* A pool this small cannot do without the chunks that an unfinished job refers to. */
#define CHUNKS_AMPLE 12

/* Enough of them for 256 MiB between the reader and the slowest writer. */
#define TAKE_UP_STEP (2 * SW_MIB)

struct map {
    struct sw_pipe *p;
    struct sw_chunk *held[HELD_MAX]; /* ascending, without gaps between neighbours that matter */
    unsigned n_held;
    struct sw_job *open; /* compressed pieces being collected */
    uint64_t pos;        /* end of what has been pushed        */
    bool from_park;      /* placements name parked bytes       */
    bool size_fits;      /* the disk's size is known, and fits */
    int64_t waited;
};

struct sw_job *sw_job_get(struct sw_pipe *p)
{
    SW_LOCK_SCOPE(&p->job_lock);

    while (!p->free_jobs && !sw_pipe_failed(p))
        pthread_cond_wait(&p->job_more, &p->job_lock);
    if (sw_pipe_failed(p))
        return NULL;
    struct sw_job *job = p->free_jobs;
    p->free_jobs = job->next_free;
    job->n_pieces = job->n_chunks = 0;
    job->zero = false;
    return job;
}

void sw_job_put(struct sw_pipe *p, struct sw_job *job)
{
    for (unsigned i = 0; i < job->n_chunks; i++)
        sw_chunk_unref(job->chunks[i]);
    job->n_chunks = 0;

    SW_LOCK_SCOPE(&p->job_lock);
    job->next_free = p->free_jobs;
    p->free_jobs = job;
    pthread_cond_signal(&p->job_more);
}

static int stopped(struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_CANCELLED, "the pipe was stopped");
}

static struct sw_job *new_job(struct map *m, struct sw_err *err)
{
    int64_t start = sw_now_ns();
    struct sw_job *job = sw_job_get(m->p);

    m->waited += sw_now_ns() - start;
    if (!job)
        stopped(err);
    return job;
}

static int send(struct map *m, struct sw_job *job, struct sw_err *err)
{
    if (sw_queue_push(&m->p->jobs, job, job->guest_len) < 0) {
        sw_job_put(m->p, job);
        return stopped(err);
    }
    return 0;
}

static int flush_open(struct map *m, struct sw_err *err)
{
    struct sw_job *job = m->open;

    m->open = NULL;
    return job ? send(m, job, err) : 0;
}

/* Refuse what does not fit before it is written; let a file of unknown size grow ahead. */
static int check_room(struct map *m, const struct sw_placement *pl, struct sw_err *err)
{
    struct sw_pipe *p = m->p;
    uint64_t end = pl->guest_off + pl->guest_len;

    if (p->reader->has_header || !p->target)
        return 0;
    if (end > p->capacity)
        return sw_err_set(err, SW_ERR_NO_SPACE,
                          "virtual image size of at least %llu is larger than the reported "
                          "available storage %llu. A larger PVC is required",
                          (unsigned long long)end, (unsigned long long)p->capacity);
    return sw_target_grow(p->target, end, err);
}

/* Add references to the held chunks that [off, off + len) lies in. False when the job has no room
 * for them, or they are not neighbours of those it has. */
static bool reference(struct map *m, struct sw_job *job, uint64_t off, uint64_t len)
{
    for (unsigned i = 0; i < m->n_held; i++) {
        struct sw_chunk *c = m->held[i];

        if (sw_chunk_end(c) <= off || c->off >= off + len)
            continue;
        bool have = false;
        for (unsigned k = 0; k < job->n_chunks; k++)
            have |= job->chunks[k] == c;
        if (have)
            continue;
        if (job->n_chunks == SW_JOB_CHUNKS ||
            (job->n_chunks && job->chunks[job->n_chunks - 1]->off > c->off))
            return false;
        job->chunks[job->n_chunks++] = sw_chunk_ref(c);
    }
    return true;
}

static bool fits_open(const struct map *m, const struct sw_placement *pl)
{
    const struct sw_job *job = m->open;

    return job && job->codec == pl->codec && job->guest_off + job->guest_len == pl->guest_off &&
           job->n_pieces < SW_JOB_PIECES && job->guest_len + pl->guest_len <= SW_JOB_BYTES;
}

static void add_piece(struct sw_job *job, const struct sw_placement *pl)
{
    job->pieces[job->n_pieces++] = (struct sw_job_piece){ .file_off = pl->file_off,
                                                          .file_len = (uint32_t)pl->file_len,
                                                          .guest_len = (uint32_t)pl->guest_len };
    job->guest_len += pl->guest_len;
}

static int start_job(struct map *m, const struct sw_placement *pl, struct sw_job **ret,
                     struct sw_err *err)
{
    struct sw_job *job = new_job(m, err);

    if (!job)
        return -1;
    job->guest_off = pl->guest_off;
    job->guest_len = 0;
    job->codec = pl->codec;
    if (!reference(m, job, pl->file_off, pl->file_len) || !job->n_chunks) {
        sw_job_put(m->p, job);
        return sw_err_set(err, SW_ERR_INTERNAL, "%llu bytes at %llu of the image are gone",
                          (unsigned long long)pl->file_len, (unsigned long long)pl->file_off);
    }
    add_piece(job, pl);
    *ret = job;
    return 0;
}

static int place_compressed(struct map *m, const struct sw_placement *pl, struct sw_err *err)
{
    if (fits_open(m, pl) && reference(m, m->open, pl->file_off, pl->file_len)) {
        add_piece(m->open, pl);
        return 0;
    }
    if (flush_open(m, err) < 0)
        return -1;
    return start_job(m, pl, &m->open, err);
}

/* Plain bytes: cut so that several writers share a chunk. */
static int place_plain(struct map *m, struct sw_placement pl, struct sw_err *err)
{
    while (pl.guest_len) {
        struct sw_placement part = pl;
        uint64_t border = sw_align_down(pl.guest_off, SW_JOB_BYTES) + SW_JOB_BYTES;
        struct sw_job *job;

        part.guest_len = part.file_len = sw_min_u64(pl.guest_len, border - pl.guest_off);
        if (start_job(m, &part, &job, err) < 0)
            return -1;
        assert(job->n_chunks == 1);
        job->zero = job->chunks[0]->zero;
        if (job->zero)
            sw_job_put(m->p, job);
        else if (send(m, job, err) < 0)
            return -1;
        pl.guest_off += part.guest_len;
        pl.file_off += part.guest_len;
        pl.guest_len -= part.guest_len;
    }
    return 0;
}

/* What is not needed again makes room for what has to leave the place that these bytes go to. */
static int make_room(struct sw_pipe *p, const struct sw_placement *pl, struct sw_err *err)
{
    if (sw_park_drop(p->park, sw_min_u64(pl->file_off + pl->file_len, pl->spent), err) < 0)
        return -1;
    return sw_park_claim(p->park, pl->guest_off, pl->guest_len, err);
}

static struct sw_pool *park_pool(const struct map *m)
{
    return m->p->n_wraps ? &m->p->decode_pools[m->p->n_wraps - 1] : &m->p->fetch_pool;
}

/* Hand on the placement whose bytes are in the held chunks, and let go of these. */
static int finish_parked(struct map *m, const struct sw_placement *pl, int rc, struct sw_err *err)
{
    if (rc == 0)
        rc = pl->codec == SW_CODEC_NONE ? place_plain(m, *pl, err) : place_compressed(m, pl, err);
    if (rc == 0)
        rc = flush_open(m, err);
    while (m->n_held)
        sw_chunk_unref(m->held[--m->n_held]);
    return rc;
}

/* Fetch the next bytes of a parked range into a chunk of its own, held. */
static int hold_parked(struct map *m, uint64_t off, uint64_t len, struct sw_err *err)
{
    struct sw_chunk *c = sw_chunk_get(park_pool(m), 0);

    if (!c)
        return stopped(err);
    c->again = true;
    c->off = off;
    c->len = (size_t)len;
    m->held[m->n_held++] = c;
    return sw_park_get(m->p->park, off, c->buf, c->len, err);
}

/* A cluster may be larger than a chunk: it comes back in several. Its last sector may hold the start
 * of another, which was placed when it passed by: what is missing there is not part of it. */
static int place_parked_compressed(struct map *m, struct sw_placement pl, struct sw_err *err)
{
    const struct sw_pool *pool = park_pool(m);
    uint64_t have = sw_park_have(m->p->park, pl.file_off);
    uint64_t at = 0;
    int rc = 0;

    if (have && have < pl.file_len && pl.file_len - have < 512)
        pl.file_len = have;
    if (pl.file_len > pool->n * (uint64_t)pool->chunk_bytes)
        return sw_err_set(
            err, SW_ERR_UNSUPPORTED,
            "a parked cluster of %llu bytes is larger than the buffers: raise --memory",
            (unsigned long long)pl.file_len);
    while (rc == 0 && at < pl.file_len) {
        uint64_t n = sw_min_u64(pl.file_len - at, pool->chunk_bytes);

        rc = hold_parked(m, pl.file_off + at, n, err);
        at += n;
    }
    if (rc == 0)
        rc = make_room(m->p, &pl, err);
    return finish_parked(m, &pl, rc, err);
}

/* Parked bytes come back through chunks of their own. */
static int place_parked(struct map *m, struct sw_placement pl, struct sw_err *err)
{
    if (pl.codec != SW_CODEC_NONE)
        return place_parked_compressed(m, pl, err);
    while (pl.guest_len) {
        struct sw_placement part = pl;

        part.file_len = part.guest_len = sw_min_u64(pl.guest_len, park_pool(m)->chunk_bytes);
        int rc = hold_parked(m, part.file_off, part.file_len, err);
        if (rc == 0)
            rc = make_room(m->p, &part, err);
        if (finish_parked(m, &part, rc, err) < 0)
            return -1;
        pl.file_off += part.file_len;
        pl.guest_off += part.guest_len;
        pl.guest_len -= part.guest_len;
    }
    return 0;
}

static int place(void *ctx, const struct sw_placement *pl, struct sw_err *err)
{
    struct map *m = ctx;

    if (check_room(m, pl, err) < 0)
        return -1;
    if (m->from_park)
        return place_parked(m, *pl, err);
    /* Its last sector reaches into what is read again; it was whole, and placed, before. */
    if (pl->file_off < m->p->map_from)
        return 0;
    if (sw_park_claim(m->p->park, pl->guest_off, pl->guest_len, err) < 0)
        return -1;
    return pl->codec == SW_CODEC_NONE ? place_plain(m, *pl, err) : place_compressed(m, pl, err);
}

static int park(void *ctx, uint64_t off, uint64_t len, struct sw_err *err)
{
    struct map *m = ctx;
    const struct sw_chunk *c = m->held[m->n_held - 1];
    const struct sw_span bytes = { c->data + (off - c->off), (size_t)len };
    const struct sw_table_record record = { .kind = SW_TABLE_PARKED,
                                            .off = off,
                                            .len = (uint32_t)len };

    if (sw_park_put(m->p->park, off, bytes, err) < 0)
        return -1;
    return m->p->tables ? sw_table_log_add(m->p->tables, &record, err) : 0;
}

static int took(void *ctx, uint64_t off, struct sw_span bytes, struct sw_err *err)
{
    struct map *m = ctx;
    const struct sw_table_record record = {
        .kind = SW_TABLE_BYTES, .off = off, .len = (uint32_t)bytes.n, .bytes = bytes.p
    };

    return m->p->tables ? sw_table_log_add(m->p->tables, &record, err) : 0;
}

static int give_parked(struct map *m, struct sw_err *err)
{
    const struct sw_table_record record = { .kind = SW_TABLE_GIVEN, .off = m->pos };
    int given = sw_give_parked(m->p->reader, m->p->park, m->pos, err);

    if (given <= 0 || !m->p->tables)
        return given < 0 ? -1 : 0;
    return sw_table_log_add(m->p->tables, &record, err);
}

/* A later run can go on from `keep` once everything pushed so far has been placed. */
static int note_take_up(struct map *m, uint64_t keep, struct sw_err *err)
{
    struct sw_pipe *p = m->p;
    struct sw_take_ups *t = &p->take_ups;

    if (!p->tables)
        return 0;
    if (sw_table_log_flush(p->tables, err) < 0)
        return -1;
    if (!sw_table_log_whole(p->tables))
        return 0;
    SW_LOCK_SCOPE(&t->lock);
    if (t->n && m->pos < t->at[(t->n - 1) % SW_TAKE_UPS].pos + TAKE_UP_STEP)
        return 0;
    t->at[t->n % SW_TAKE_UPS].pos = m->pos;
    t->at[t->n % SW_TAKE_UPS].from = keep;
    t->n++;
    return 0;
}

/* Nobody may name bytes before keep any more. */
static void release_held(struct map *m, uint64_t keep)
{
    unsigned drop = 0;

    while (drop < m->n_held && sw_chunk_end(m->held[drop]) <= keep)
        sw_chunk_unref(m->held[drop++]);
    m->n_held -= drop;
    for (unsigned i = 0; i < m->n_held; i++)
        m->held[i] = m->held[i + drop];
}

/* The image has told its size: does the disk fit? A stream's first chance to say so. */
static int check_size(struct map *m, struct sw_err *err)
{
    struct sw_pipe *p = m->p;
    uint64_t size = p->reader->guest_size;

    m->size_fits = true;
    if (!p->target)
        return 0;
    if (size > p->capacity)
        return sw_err_set(err, SW_ERR_NO_SPACE,
                          "virtual image size %llu is larger than the reported available storage "
                          "%llu. A larger PVC is required",
                          (unsigned long long)size, (unsigned long long)p->capacity);
    return sw_target_grow(p->target, size, err);
}

static int map_chunk(struct map *m, struct sw_chunk *c, struct sw_err *err)
{
    struct sw_reader *r = m->p->reader;
    const struct sw_out out = { .place = place, .park = park, .took = took, .ctx = m };
    const unsigned pool_n = c->pool->n;
    uint64_t from = sw_max_u64(c->off, m->p->map_from);

    assert(m->n_held < HELD_MAX);
    if (from >= sw_chunk_end(c)) {
        sw_chunk_unref(c);
        return 0;
    }
    struct sw_span bytes = { c->data + (from - c->off), (size_t)(sw_chunk_end(c) - from) };
    m->held[m->n_held++] = c;
    if (r->ops->push(r, from, bytes, &out, err) < 0)
        return -1;
    m->pos = sw_chunk_end(c);
    if (!m->size_fits && r->has_header && check_size(m, err) < 0)
        return -1;
    if (give_parked(m, err) < 0)
        return -1;
    uint64_t keep = r->ops->keep(r, m->pos);
    if (note_take_up(m, keep, err) < 0)
        return -1;
    release_held(m, keep);
    if (pool_n < CHUNKS_AMPLE && flush_open(m, err) < 0)
        return -1;
    atomic_store(&m->p->progress_size, r->has_header ? r->guest_size : 0);
    return 0;
}

static int finish(struct map *m, struct sw_err *err)
{
    struct sw_pipe *p = m->p;
    struct sw_reader *r = p->reader;
    const struct sw_out out = { .place = place, .park = park, .ctx = m };
    uint64_t size = p->n_wraps ? p->stream_size : atomic_load(&p->source_end);

    if (sw_pipe_failed(p))
        return stopped(err);
    if (r->ops->finish(r, size, &out, err) < 0 || flush_open(m, err) < 0)
        return -1;
    m->pos = size;
    if (give_parked(m, err) < 0)
        return -1;
    while (m->n_held)
        sw_chunk_unref(m->held[--m->n_held]);
    m->from_park = true;
    if (r->ops->resolve(r, &out, err) < 0 || flush_open(m, err) < 0 ||
        sw_park_clear(p->park, err) < 0)
        return -1;
    return m->size_fits ? 0 : check_size(m, err);
}

void *sw_map_thread(void *arg)
{
    struct sw_pipe *p = arg;
    struct map m = { .p = p, .size_fits = p->reader->has_header && !p->map_from };
    struct sw_err err = { 0 };
    int64_t busy = 0;
    void *item;
    int rc;

    while ((rc = sw_queue_pop(&p->to_stage[p->n_wraps], &item)) > 0) {
        int64_t start = sw_now_ns(), waited = m.waited;

        rc = map_chunk(&m, item, &err);
        busy += sw_now_ns() - start - (m.waited - waited);
        if (rc < 0)
            break;
    }
    if (rc < 0 && !err.kind)
        stopped(&err);
    if (rc < 0 || finish(&m, &err) < 0)
        sw_pipe_fail(p, &err);
    if (m.open)
        sw_job_put(p, m.open);
    while (m.n_held)
        sw_chunk_unref(m.held[--m.n_held]);
    p->job_waited_ns = m.waited;
    sw_pipe_add_time(p, SW_STAGE_MAP, busy);
    sw_queue_close(&p->jobs);
    return NULL;
}
