/* SPDX-License-Identifier: Apache-2.0 */
/* Describe an image from its metadata and the first sectors of its guest. */
#include <stdlib.h>
#include <string.h>

#include "formats/inflate.h"
#include "transfer/look.h"

struct view {
    struct sw_source *source;
    struct sw_look *look;
    struct sw_inflater *inflater;
    uint8_t *cluster; /* decoded: guest bytes [cluster_off, cluster_off + cluster_len) */
    uint64_t cluster_off;
    size_t cluster_len;
};

/* Below a wrapper only the first bytes can be had without reading on and on. */
static int read_wrapped(const struct view *v, const struct sw_placement *p, uint64_t skip,
                        void *buf, size_t len, struct sw_err *err)
{
    if (p->file_off + skip + len > v->look->inner_len)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "beyond what was decoded of the %s stream",
                          sw_wrap_name(v->look->wraps[0]));
    memcpy(buf, v->look->inner + p->file_off + skip, len);
    return 0;
}

static int load_cluster(struct view *v, const struct sw_placement *p, struct sw_err *err)
{
    sw_autofree uint8_t *in = malloc(p->file_len);
    uint8_t *out = realloc(v->cluster, p->guest_len);

    if (out)
        v->cluster = out;
    if (!in || !out)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    v->cluster_len = 0;
    if (v->source->ops->read_at(v->source, 0, in, p->file_len, p->file_off, err) < 0 ||
        sw_inflate(v->inflater, p->codec, (struct sw_span){ in, p->file_len }, v->cluster,
                   p->guest_len, err) < 0)
        return -1;
    v->cluster_off = p->guest_off;
    v->cluster_len = p->guest_len;
    return 0;
}

static int read_placement(struct view *v, const struct sw_placement *p, uint64_t off, void *buf,
                          size_t len, struct sw_err *err)
{
    uint64_t skip = off - p->guest_off;

    if (v->look->n_wraps || !v->source->seekable)
        return read_wrapped(v, p, skip, buf, len, err);
    if (p->codec == SW_CODEC_NONE)
        return v->source->ops->read_at(v->source, 0, buf, len, p->file_off + skip, err);
    if ((v->cluster_len == 0 || v->cluster_off != p->guest_off) && load_cluster(v, p, err) < 0)
        return -1;
    memcpy(buf, v->cluster + skip, len);
    return 0;
}

static int read_guest(void *ctx, uint64_t off, void *buf, size_t len, struct sw_err *err)
{
    struct view *v = ctx;
    struct sw_reader *r = v->look->reader;
    uint8_t *to = buf;

    while (len) {
        struct sw_placement p;
        uint64_t zero_end = off + len;
        bool data = r->ops->lookup(r, off, &p, &zero_end);
        uint64_t end = data ? p.guest_off + p.guest_len : zero_end;
        size_t n = (size_t)sw_min_u64(len, end > off ? end - off : len);

        if (!data)
            memset(to, 0, n);
        else if (read_placement(v, &p, off, to, n, err) < 0)
            return -1;
        to += n;
        off += n;
        len -= n;
    }
    return 0;
}

/* Offer the reader what the head of a stream shows of its metadata: enough for the header. */
static int feed_head(struct sw_look *l, struct sw_err *err)
{
    struct sw_reader *r = l->reader;
    uint64_t off;
    size_t len;

    while (r->ops->want(r, 0, &off, &len) && off + len <= l->inner_len) {
        if (r->ops->give(r, (struct sw_span){ l->inner + off, len }, err) < 0)
            return -1;
    }
    return 0;
}

static void check_boot(struct view *v, struct sw_import_result *ret)
{
    struct sw_look *l = v->look;
    struct sw_err err = { 0 };
    uint64_t off;
    size_t len;
    struct sw_disk_reader disk = { .read = read_guest, .ctx = v, .size = l->reader->guest_size };

    if (l->reader->ops->want(l->reader, 0, &off, &len)) {
        snprintf(ret->boot.note, sizeof(ret->boot.note),
                 "not looked at: the image's tables are inside a compressed stream");
        return;
    }
    if (!l->reader->has_header) /* a raw stream: its end is not known yet */
        disk.size = INT64_MAX;
    if (sw_bootcheck(&disk, &ret->boot, &err) < 0) {
        ret->boot.checked = false;
        snprintf(ret->boot.note, sizeof(ret->boot.note), "not looked at: %.120s", err.msg);
    }
}

int sw_import_probe(struct sw_source *source, const struct sw_import_options *options,
                    struct sw_import_result *ret, struct sw_err *err)
{
    struct sw_limits limits = sw_look_limits(options);
    struct sw_look l;
    struct view v = { .source = source, .look = &l };
    int rc;

    *ret = (struct sw_import_result){ 0 };
    if (sw_look_open(source, options, &limits, &l, err) < 0)
        return -1;
    rc = source->seekable && !l.n_wraps ? sw_look_load_map(source, &l, err) : feed_head(&l, err);
    if (rc == 0)
        rc = sw_inflater_open(SW_INFLATE_FAST, &v.inflater, err);
    if (rc == 0) {
        ret->format = l.format;
        memcpy(ret->wraps, l.wraps, sizeof(ret->wraps));
        snprintf(ret->detail, sizeof(ret->detail), "%s", l.reader->detail);
        ret->image_size = ret->guest_size = l.reader->has_header ? l.reader->guest_size : 0;
        ret->source_size = source->size;
        ret->data_bytes = l.reader->data_size;
        check_boot(&v, ret);
        ret->fetched = __atomic_load_n(&source->fetched, __ATOMIC_RELAXED);
    }
    sw_inflater_close(v.inflater);
    free(v.cluster);
    sw_look_done(&l);
    return rc;
}
