/* SPDX-License-Identifier: Apache-2.0 */
/* One import from end to end: look, decide, run the pipe, verify, publish. */
#include "transfer/import.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "transfer/decode_xz.h"
#include "transfer/look.h"
#include "transfer/pipe_run.h"
#include "transfer/replay.h"

struct import {
    struct sw_source *source;
    const struct sw_import_options *o;
    struct sw_import_result *result;
    struct sw_limits limits;
    struct sw_look look;
    struct sw_target *target; /* NULL: verify only */
    bool prepared;
    struct sw_pipe pipe;
};

static void set_phase(const struct sw_import_options *o, enum sw_import_phase phase)
{
    if (o->progress)
        atomic_store(&o->progress->phase, (int)phase);
}

static int too_small(uint64_t size, uint64_t have, struct sw_err *err)
{
    /* The wording is what the contract's controllers look for. */
    return sw_err_set(err, SW_ERR_NO_SPACE,
                      "virtual image size %llu is larger than the reported available storage %llu. "
                      "A larger PVC is required",
                      (unsigned long long)size, (unsigned long long)have);
}

/* How many guest bytes may be written: the target, the claim, and what was asked for. */
static int find_capacity(struct import *im, struct sw_err *err)
{
    uint64_t room, capacity = INT64_MAX;
    const struct sw_reader *r = im->look.reader;
    bool is_file = sw_target_is_file(im->target);

    if (sw_target_capacity(im->target, &room, err) < 0)
        return -1;
    if (!is_file || im->o->prealloc != SW_PREALLOC_OFF)
        capacity = room;
    if (im->o->max_size)
        capacity = sw_min_u64(capacity, im->o->max_size);
    if (im->o->size && !im->o->max_size)
        capacity = sw_min_u64(capacity, im->o->size);
    im->pipe.capacity = capacity;

    if (im->o->size && im->o->prealloc != SW_PREALLOC_OFF && im->o->size > room)
        return too_small(im->o->size, room, err);
    if (!r->has_header)
        return 0;
    if (r->guest_size > capacity)
        return too_small(r->guest_size, capacity, err);
    if (is_file && !r->any_order && r->data_size > room)
        return sw_err_set(err, SW_ERR_NO_SPACE,
                          "the disk holds %llu bytes of data, the file system has %llu free: free "
                          "some or use a larger volume",
                          (unsigned long long)r->data_size, (unsigned long long)room);
    return 0;
}

/* ---- resume --------------------------------------------------------------------------------- */

static bool can_resume(const struct import *im)
{
    if (!im->source->seekable || !im->source->validator || im->o->no_resume || im->o->tee)
        return false;
    for (unsigned i = 0; i < im->look.n_wraps; i++) {
        if (sw_wrap_is_container(im->look.wraps[i]))
            return false;
    }
    if (im->look.n_wraps == 1 && !im->look.reader->any_order)
        return sw_target_is_file(im->target); /* which has the room for the reader's tables */
    return im->look.n_wraps <= 1;
}

static uint64_t disk_size(const struct import *im)
{
    const struct sw_reader *r = im->look.reader;

    return r->has_header ? sw_max_u64(r->guest_size, im->o->size) : 0;
}

/* Everything that must be equal for two runs to be the same work. */
static void fill_identity(struct import *im)
{
    struct sw_journal *j = &im->pipe.journal;

    *j = (struct sw_journal){ .format = im->look.format,
                              .wraps = { im->look.wraps[0], im->look.wraps[1] },
                              .source_size = im->source->size,
                              .guest_size = im->look.reader->guest_size,
                              .disk_size = disk_size(im),
                              .n_digests = im->pipe.digests.n };
    snprintf(j->url, sizeof(j->url), "%s", im->source->url ? im->source->url : "");
    snprintf(j->validator, sizeof(j->validator), "%s",
             im->source->validator ? im->source->validator : "");
    sw_boot_id(j->boot_id);
}

/* The reader in the middle of a wrapped stream, from what an earlier run kept. False when that does
 * not fit: the import starts over, and the reason is of no use to anybody. */
static bool bring_reader(struct import *im, uint64_t to)
{
    struct sw_pipe *p = &im->pipe;
    struct sw_err why = { 0 };

    p->map_from = to;
    return sw_table_log_open(sw_target_tables_path(im->target), im->limits.table_memory, &p->tables,
                             &why) == 0 &&
           sw_park_open(sw_target_park_path(im->target), 0, &p->park, &why) == 0 &&
           sw_replay(im->look.reader, p->park, p->tables, to, &why) == 0;
}

/* As if bring_reader() had not been tried. */
static int forget_reader(struct import *im, struct sw_err *err)
{
    struct sw_pipe *p = &im->pipe;
    struct sw_reader *fresh;

    if (!p->map_from)
        return 0;
    if (sw_reader_open(im->look.format, &im->limits, im->look.file_size, &fresh, err) < 0)
        return -1;
    im->look.reader->ops->close(im->look.reader);
    p->reader = im->look.reader = fresh;
    sw_table_log_close(sw_steal(p->tables));
    sw_park_close(sw_steal(p->park));
    p->map_from = 0;
    return 0;
}

/* Continue where the record says. Returns 1, or 0 when that place cannot be taken up after all. */
static int resume_at(struct import *im, const struct sw_journal *j, struct sw_err *err)
{
    struct sw_pipe *p = &im->pipe;
    struct sw_reader *r = im->look.reader;
    uint64_t from = j->watermark;

    if (sw_pipe_keeps_tables(p) && !bring_reader(im, j->watermark))
        return 0;
    if (im->pipe.xz_parallel) {
        int found = sw_xz_resume(p, im->source, j->decode_in, j->decode_out, err);

        if (found <= 0)
            return found;
    }
    if (sw_digests_restore(&p->digests, j, err) < 0)
        return -1;
    if (im->look.n_wraps) {
        p->decode_in = j->decode_in;
        p->decode_out = j->decode_out;
        from = j->decode_in;
    } else {
        from = r->ops->keep(r, from);
    }
    if (p->digests.n)
        from = sw_min_u64(from, j->digest_at);
    p->start_at = sw_align_down(from, 4096);
    im->result->resumed_from = p->start_at;
    return 1;
}

static int prepare(struct import *im, struct sw_err *err)
{
    struct sw_pipe *p = &im->pipe;
    struct sw_journal j;

    p->reader = im->look.reader;
    p->n_wraps = im->look.n_wraps;
    p->resumable = can_resume(im) && sw_target_can_resume(im->target);
    fill_identity(im);
    im->prepared = true;
    if (p->resumable && sw_target_load(im->target, &j) && sw_journal_same_work(&p->journal, &j)) {
        int resumed = resume_at(im, &j, err);

        if (resumed < 0)
            return -1;
        if (resumed)
            return sw_target_prepare(im->target, p->journal.disk_size, &j, err);
        if (forget_reader(im, err) < 0)
            return -1;
    }
    return sw_target_prepare(im->target, p->journal.disk_size, NULL, err);
}

/* ---- run ------------------------------------------------------------------------------------- */

static void fill_pipe(struct import *im)
{
    struct sw_pipe *p = &im->pipe;

    p->o = im->o;
    p->limits = im->limits;
    p->source = im->source;
    p->target = im->target;
    p->reader = im->look.reader;
    p->format = im->look.format;
    p->n_wraps = im->look.n_wraps;
    p->far = im->look.far;
    memcpy(p->wraps, im->look.wraps, sizeof(p->wraps));
    p->prefix = im->look.head;
    p->prefix_len = im->source->seekable ? 0 : im->look.head_len;
    p->prefix_is_all = im->look.head_is_all;
    p->hash_all = p->digests.n || im->o->tee;
    p->read_all = p->hash_all || p->n_wraps || !im->source->seekable;
}

static int run_pipe(struct import *im, struct sw_err *err)
{
    struct sw_pipe *p = &im->pipe;
    int rc = sw_pipe_open(p, err);

    if (rc == 0)
        rc = sw_pipe_run(p, err);
    im->result->fetched = __atomic_load_n(&im->source->fetched, __ATOMIC_RELAXED);
    im->result->data_bytes = atomic_load(&p->data_bytes);
    im->result->source_size = atomic_load(&p->source_end);
    im->result->parked = p->park ? sw_park_bytes(p->park) : 0;
    if (rc == 0)
        sw_stages_report(p, im->result);
    sw_pipe_close(p);
    return rc;
}

/* ---- verify ---------------------------------------------------------------------------------- */

static int read_disk(void *ctx, uint64_t off, void *buf, size_t len, struct sw_err *err)
{
    return sw_target_read(ctx, buf, len, off, err);
}

static int check_boot(struct import *im, uint64_t size, struct sw_err *err)
{
    const struct sw_disk_reader disk = { .read = read_disk, .ctx = im->target, .size = size };

    if (sw_bootcheck(&disk, &im->result->boot, err) < 0)
        return sw_err_wrap(err, "boot check");
    if (im->o->expect_arch)
        return sw_bootcheck_expect(&im->result->boot, im->o->expect_arch, err);
    return 0;
}

static int verify_and_publish(struct import *im, struct sw_err *err)
{
    struct sw_import_result *r = im->result;
    uint64_t size = sw_max_u64(r->image_size, im->o->size);

    set_phase(im->o, SW_PHASE_VERIFY);
    if (sw_digests_check(&im->pipe.digests, im->o, im->result, err) < 0)
        return -1;
    if (im->o->approve && im->o->approve(im->o->tee_ctx, err) < 0)
        return -1;
    if (!im->target)
        return 0;

    r->guest_size = size;
    r->written = __atomic_load_n(&sw_target_sink(im->target)->written, __ATOMIC_RELAXED);
    if (sw_target_is_file(im->target) && sw_target_grow(im->target, size, err) < 0)
        return -1;
    if (check_boot(im, r->image_size, err) < 0)
        return -1;
    return sw_target_publish(im->target, size, err);
}

/* ---- the front door --------------------------------------------------------------------------- */

static void describe(struct import *im)
{
    struct sw_import_result *r = im->result;

    r->format = im->look.format;
    memcpy(r->wraps, im->look.wraps, sizeof(r->wraps));
    snprintf(r->detail, sizeof(r->detail), "%s", im->look.reader->detail);
    r->image_size = r->guest_size = im->look.reader->guest_size;
    r->source_size = im->source->size;
}

static int look(struct import *im, struct sw_err *err)
{
    set_phase(im->o, SW_PHASE_OPEN);
    im->limits = sw_look_limits(im->o);
    if (im->o->progress)
        atomic_store(&im->o->progress->source_total, im->source->size);
    if (sw_look_open(im->source, im->o, &im->limits, &im->look, err) < 0)
        return -1;
    if (im->source->seekable && !im->look.n_wraps &&
        sw_look_load_map(im->source, &im->look, err) < 0)
        return -1;
    if (im->look.reader->has_header && im->o->progress)
        atomic_store(&im->o->progress->guest_size, im->look.reader->guest_size);
    return 0;
}

static int transfer(struct import *im, struct sw_err *err)
{
    if (sw_digests_open(&im->pipe.digests, im->o, err) < 0)
        return -1;
    im->pipe.xz_parallel = im->look.wraps[0] == SW_WRAP_XZ &&
                           sw_xz_parallel_possible(
                               (struct sw_span){ im->look.head, im->look.head_len });
    if (im->target && (find_capacity(im, err) < 0 || prepare(im, err) < 0))
        return -1;
    fill_pipe(im);
    set_phase(im->o, SW_PHASE_TRANSFER);
    if (run_pipe(im, err) < 0)
        return -1;
    describe(im);
    im->result->source_size = atomic_load(&im->pipe.source_end);
    return verify_and_publish(im, err);
}

/* What a later run of the same work could use is kept. The rest would only take up space. */
static bool worth_keeping(const struct sw_err *err)
{
    return err->kind == SW_ERR_TRANSIENT || err->kind == SW_ERR_CANCELLED ||
           err->kind == SW_ERR_DENIED;
}

/* A device is cleared before it is written: it must not be what is read. (A file may replace itself:
 * the new one comes under another name.) */
static int refuse_same_device(const struct sw_source *source, const char *target,
                              struct sw_err *err)
{
    struct stat from, to;

    if (!source->url || stat(source->url, &from) < 0 || stat(target, &to) < 0 ||
        !S_ISBLK(from.st_mode) || !S_ISBLK(to.st_mode) || from.st_rdev != to.st_rdev)
        return 0;
    return sw_err_set(err, SW_ERR_USAGE, "source and target are the same device '%s'", target);
}

static int run(struct sw_source *source, const char *target, const struct sw_import_options *o,
               struct sw_import_result *ret, struct sw_err *err)
{
    struct import im = { .source = source, .o = o, .result = ret };
    int64_t start = sw_now_ns();

    *ret = (struct sw_import_result){ 0 };
    int rc = look(&im, err);
    if (rc == 0 && target)
        rc = refuse_same_device(source, target, err);
    if (rc == 0 && target)
        rc = sw_target_open(target, o, &im.target, err);
    if (rc == 0)
        rc = transfer(&im, err);
    if (rc < 0 && im.target)
        sw_target_abandon(im.target, im.prepared && im.pipe.resumable && worth_keeping(err));
    sw_target_close(im.target);
    sw_park_close(im.pipe.park); /* opened for a pipe that was not built */
    sw_table_log_close(im.pipe.tables);
    sw_digests_close(&im.pipe.digests);
    sw_look_done(&im.look);
    ret->elapsed_ns = sw_now_ns() - start;
    if (rc == 0)
        set_phase(o, SW_PHASE_DONE);
    return rc;
}

int sw_import_run(struct sw_source *source, const char *target,
                  const struct sw_import_options *options, struct sw_import_result *ret,
                  struct sw_err *err)
{
    return run(source, target, options, ret, err);
}

int sw_import_verify(struct sw_source *source, const struct sw_import_options *options,
                     struct sw_import_result *ret, struct sw_err *err)
{
    return run(source, NULL, options, ret, err);
}

int sw_import_blank(const char *target, const struct sw_import_options *options,
                    struct sw_import_result *ret, struct sw_err *err)
{
    struct sw_target *t;
    uint64_t room;
    int64_t start = sw_now_ns();

    *ret = (struct sw_import_result){ .format = SW_FORMAT_RAW };
    if (sw_target_open(target, options, &t, err) < 0)
        return -1;

    uint64_t size = options->size;
    int rc = sw_target_capacity(t, &room, err);
    if (rc == 0 && !sw_target_is_file(t) && !size)
        size = room;
    if (rc == 0 && !size)
        rc = sw_err_set(err, SW_ERR_USAGE, "a blank disk needs a size");
    if (rc == 0 && size > room && (!sw_target_is_file(t) || options->prealloc != SW_PREALLOC_OFF))
        rc = too_small(size, room, err);
    if (rc == 0)
        rc = sw_target_prepare(t, size, NULL, err);
    if (rc == 0)
        rc = sw_target_publish(t, size, err);
    if (rc < 0)
        sw_target_abandon(t, false);
    sw_target_close(t);
    ret->guest_size = ret->image_size = size;
    ret->elapsed_ns = sw_now_ns() - start;
    if (rc == 0)
        set_phase(options, SW_PHASE_DONE);
    return rc;
}
