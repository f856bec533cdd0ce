/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/unpack.h"

#include "common/clock.h"
#include "formats/member_name.h"
#include "transfer/archive_read.h"

struct unpack {
    struct sw_pipe *p;
    struct sw_unpack *u;
    struct sw_queue *in;
    struct sw_chunk *chunk; /* what the archive reader looks at */
    struct sw_archive *archive;
    uint64_t stored; /* bytes of data so far, as the members' headers tell them */
};

/* ---- input ----------------------------------------------------------------------------------- */

/* Let go of the chunk at hand and wait for the next: 1, 0 at the end of the stream, -1. */
static int next_chunk(struct unpack *s, struct sw_err *err)
{
    void *item;

    if (s->chunk) {
        if (!s->p->n_wraps)
            atomic_store(&s->p->consumed, sw_chunk_end(s->chunk));
        sw_chunk_unref(s->chunk);
        s->chunk = NULL;
    }
    int rc = sw_queue_pop(s->in, &item);
    if (rc < 0)
        return sw_err_set(err, SW_ERR_CANCELLED, "the pipe was stopped");
    if (rc > 0)
        s->chunk = item;
    return rc;
}

static int more(void *ctx, struct sw_span *ret, struct sw_err *err)
{
    struct unpack *s = ctx;
    int rc = next_chunk(s, err);

    if (rc > 0)
        *ret = (struct sw_span){ s->chunk->data, s->chunk->len };
    return rc;
}

/* ---- members --------------------------------------------------------------------------------- */

/* Before a byte of it is written: does what the archive says of itself still fit? */
static int check_room(struct unpack *s, const struct sw_member *m, struct sw_err *err)
{
    char shown[SW_MEMBER_SHOWN_MAX];

    if (!sw_add_overflows(s->stored, m->stored, &s->stored) && s->stored <= s->u->room)
        return 0;
    /* The wording is what the contract's controllers look for. */
    return sw_err_set(err, SW_ERR_NO_SPACE,
                      "the archive's size of at least %llu is larger than the reported available "
                      "storage %llu. A larger PVC is required (member '%s' has %llu)",
                      (unsigned long long)s->stored, (unsigned long long)s->u->room,
                      sw_member_shown(m->name, shown), (unsigned long long)m->stored);
}

static int unpack_file(struct unpack *s, const struct sw_member *m, const char *path,
                       const struct sw_tree_attr *attr, struct sw_err *err)
{
    const uint64_t size = m->size;
    struct sw_span bytes;
    uint64_t off, n;
    int rc;

    if (check_room(s, m, err) < 0 || sw_tree_file(s->u->tree, path, err) < 0)
        return -1;
    while ((rc = sw_archive_data(s->archive, &bytes, &off, err)) > 0) {
        if (off > size || bytes.n > size - off)
            return sw_err_set(err, SW_ERR_BAD_DATA, "tar: data behind the end of a member");
        if (sw_tree_write(s->u->tree, bytes, off, &n, err) < 0)
            return -1;
        atomic_fetch_add(&s->u->written, n);
    }
    return rc < 0 ? -1 : sw_tree_file_end(s->u->tree, size, attr, err);
}

static int unpack_symlink(struct unpack *s, const struct sw_member *m, const char *path,
                          const struct sw_tree_attr *attr, struct sw_err *err)
{
    if (sw_member_link(path, m->link, &s->p->limits, err) < 0)
        return -1;
    return sw_tree_symlink(s->u->tree, path, m->link, attr, err);
}

static int unpack_hardlink(struct unpack *s, const struct sw_member *m, const char *path,
                           struct sw_err *err)
{
    char target[SW_MEMBER_PATH_MAX];

    if (sw_member_path(m->link, &s->p->limits, target, err) < 0)
        return -1;
    return sw_tree_hardlink(s->u->tree, path, target, err);
}

static int refuse_special(const struct sw_member *m, struct sw_err *err)
{
    char shown[SW_MEMBER_SHOWN_MAX];

    return sw_err_set(
        err, SW_ERR_UNSUPPORTED,
        "member '%s' is a device node, a fifo or a socket: leave it out of the archive",
        sw_member_shown(m->name, shown));
}

static int unpack_member(struct unpack *s, const struct sw_member *m, struct sw_err *err)
{
    const struct sw_tree_attr attr = { .mode = m->mode, .mtime = m->mtime };
    char path[SW_MEMBER_PATH_MAX];

    if (++s->u->members > s->p->limits.members)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "the archive has more members than the limit of %llu",
                          (unsigned long long)s->p->limits.members);
    if (sw_member_path(m->name, &s->p->limits, path, err) < 0)
        return -1;
    switch (m->kind) {
    case SW_MEMBER_FILE:
        return unpack_file(s, m, path, &attr, err);
    case SW_MEMBER_DIR:
        return *path ? sw_tree_dir(s->u->tree, path, &attr, err) : 0; /* the target itself stays */
    case SW_MEMBER_SYMLINK:
        return unpack_symlink(s, m, path, &attr, err);
    case SW_MEMBER_HARDLINK:
        return unpack_hardlink(s, m, path, err);
    case SW_MEMBER_SPECIAL:
        break;
    }
    return refuse_special(m, err);
}

static int unpack_all(struct unpack *s, struct sw_err *err)
{
    const struct sw_archive_feed feed = { .more = more, .ctx = s };
    struct sw_member m;
    int rc;

    if (sw_archive_open(&feed, &s->p->limits, &s->archive, err) < 0)
        return -1;
    while ((rc = sw_archive_next(s->archive, &m, err)) > 0) {
        if (unpack_member(s, &m, err) < 0)
            return -1;
    }
    /* What stands behind the archive's end counts for the digest, and has to decode. */
    while (rc == 0 && (rc = next_chunk(s, err)) > 0)
        rc = 0;
    return rc;
}

void *sw_unpack_thread(void *pipe)
{
    struct sw_pipe *p = pipe;
    struct unpack s = { .p = p, .u = p->unpack, .in = &p->to_stage[p->n_wraps] };
    struct sw_queue_stats waits = { 0 };
    struct sw_err err = { 0 };
    int64_t start = sw_now_ns();

    if (unpack_all(&s, &err) < 0) {
        if (!sw_pipe_failed(p))
            sw_err_wrap(&err, "unable to untar files from endpoint");
        sw_pipe_fail(p, &err);
    }
    sw_archive_close(s.archive);
    sw_chunk_unref(s.chunk);
    sw_queue_stats(s.in, &waits);
    sw_pipe_add_time(p, SW_STAGE_UNPACK, sw_now_ns() - start - waits.starved_ns);
    return NULL;
}
