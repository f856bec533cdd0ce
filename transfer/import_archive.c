/* SPDX-License-Identifier: Apache-2.0 */
/* One archive from end to end: the front half of the pipe is that of a disk, the back half unpacks. */
#include <string.h>

#include "common/clock.h"
#include "transfer/decode_xz.h"
#include "transfer/look.h"
#include "transfer/pipe_run.h"
#include "transfer/unpack.h"

struct import {
    struct sw_source *source;
    const struct sw_import_options *o;
    struct sw_import_result *result;
    struct sw_look look;
    struct sw_unpack unpack;
    struct sw_pipe pipe;
};

static void set_phase(const struct sw_import_options *o, enum sw_import_phase phase)
{
    if (o->progress)
        atomic_store(&o->progress->phase, (int)phase);
}

/* Only the compressions are looked at: what is inside has to be a tar archive, which is its reader's
 * business. For the stages in front it is plain bytes in order. */
static int look(struct import *im, struct sw_err *err)
{
    struct sw_import_options o = *im->o;

    set_phase(im->o, SW_PHASE_OPEN);
    o.format = SW_FORMAT_RAW;
    im->pipe.limits = sw_look_limits(im->o);
    if (im->o->progress)
        atomic_store(&im->o->progress->source_total, im->source->size);
    return sw_look_open(im->source, &o, &im->pipe.limits, &im->look, err);
}

static int open_tree(struct import *im, const char *dir, struct sw_err *err)
{
    if (sw_tree_open(dir, &im->pipe.limits, &im->unpack.tree, err) < 0 ||
        sw_tree_room(im->unpack.tree, &im->unpack.room, err) < 0)
        return -1;
    if (im->o->max_size)
        im->unpack.room = sw_min_u64(im->unpack.room, im->o->max_size);
    return 0;
}

static void fill_pipe(struct import *im)
{
    struct sw_pipe *p = &im->pipe;

    p->o = im->o;
    p->source = im->source;
    p->reader = im->look.reader;
    p->format = im->look.format;
    p->unpack = &im->unpack;
    p->n_wraps = im->look.n_wraps;
    memcpy(p->wraps, im->look.wraps, sizeof(p->wraps));
    p->xz_parallel = p->wraps[0] == SW_WRAP_XZ &&
                     sw_xz_parallel_possible((struct sw_span){ im->look.head, im->look.head_len });
    p->far = im->look.far;
    p->prefix = im->look.head;
    p->prefix_len = im->source->seekable ? 0 : im->look.head_len;
    p->prefix_is_all = im->look.head_is_all;
    p->hash_all = p->digests.n || im->o->tee;
    p->read_all = true;
}

static int run_pipe(struct import *im, struct sw_err *err)
{
    struct sw_import_result *r = im->result;
    int rc = sw_pipe_open(&im->pipe, err);

    if (rc == 0)
        rc = sw_pipe_run(&im->pipe, err);
    r->is_archive = true;
    r->members = im->unpack.members;
    r->fetched = __atomic_load_n(&im->source->fetched, __ATOMIC_RELAXED);
    r->written = r->data_bytes = atomic_load(&im->unpack.written);
    r->source_size = atomic_load(&im->pipe.source_end);
    memcpy(r->wraps, im->look.wraps, sizeof(r->wraps));
    if (rc == 0)
        sw_stages_report(&im->pipe, r);
    sw_pipe_close(&im->pipe);
    return rc;
}

static int transfer(struct import *im, struct sw_err *err)
{
    if (sw_digests_open(&im->pipe.digests, im->o, err) < 0)
        return -1;
    fill_pipe(im);
    set_phase(im->o, SW_PHASE_TRANSFER);
    if (run_pipe(im, err) < 0)
        return -1;
    set_phase(im->o, SW_PHASE_VERIFY);
    if (sw_digests_check(&im->pipe.digests, im->o, im->result, err) < 0)
        return -1;
    if (im->o->approve && im->o->approve(im->o->tee_ctx, err) < 0)
        return -1;
    return sw_tree_publish(im->unpack.tree, err);
}

int sw_import_archive(struct sw_source *source, const char *dir,
                      const struct sw_import_options *options, struct sw_import_result *ret,
                      struct sw_err *err)
{
    struct import im = { .source = source, .o = options, .result = ret };
    int64_t start = sw_now_ns();

    *ret = (struct sw_import_result){ 0 };
    int rc = look(&im, err);
    if (rc == 0)
        rc = open_tree(&im, dir, err);
    if (rc == 0)
        rc = transfer(&im, err);
    sw_tree_close(im.unpack.tree);
    sw_digests_close(&im.pipe.digests);
    sw_look_done(&im.look);
    ret->elapsed_ns = sw_now_ns() - start;
    if (rc == 0)
        set_phase(options, SW_PHASE_DONE);
    return rc;
}
