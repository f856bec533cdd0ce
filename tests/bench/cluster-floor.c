/* SPDX-License-Identifier: Apache-2.0 */
/* cluster-floor IMAGE [THREADS]: decompress every compressed cluster of a qcow2 image and throw the
 * result away, on two threads unless told otherwise. The least time in which any program can read
 * such an image with libdeflate (zlib clusters) or libzstd: no network, no order, no writing. For
 * images of qemu-img: what is wrong in one ends the program. */
#include <fcntl.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "common/macros.h"
#include "formats/qcow2_header.h"

#define THREADS_MAX 64

struct cluster {
    uint64_t off;
    uint32_t len; /* of the compressed bytes, up to 511 too many */
};

struct floor {
    struct sw_span file;
    struct sw_qcow2_header header;
    struct cluster *clusters;
    size_t n_clusters;
    _Atomic size_t next; /* the first cluster that no thread has taken */
};

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "cluster-floor: %s\n", what);
    exit(1);
}

static struct sw_span map_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        die("cannot open the image");
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        die("cannot map the image");
    close(fd);
    return (struct sw_span){ .p = p, .n = (size_t)st.st_size };
}

static const uint8_t *at(const struct floor *f, uint64_t off, uint64_t len)
{
    if (off > f->file.n || len > f->file.n - off)
        die("the image refers to bytes behind its end");
    return f->file.p + off;
}

static void add_cluster(struct floor *f, const struct sw_qcow2_cluster *c)
{
    /* Grows by doubling: the capacity is the power of two at or above the number. */
    if (!(f->n_clusters & (f->n_clusters - 1))) {
        size_t capacity = f->n_clusters ? f->n_clusters * 2 : 1;

        f->clusters = realloc(f->clusters, capacity * sizeof(*f->clusters));
        if (!f->clusters)
            die("out of memory");
    }
    /* The last sectors of the file need not be complete. */
    f->clusters[f->n_clusters++] = (struct cluster){
        .off = c->file_off,
        .len = (uint32_t)sw_min_u64(c->file_len, f->file.n - c->file_off),
    };
}

static void list_clusters(struct floor *f)
{
    const struct sw_qcow2_header *h = &f->header;
    const uint8_t *l1 = at(f, h->l1_off, UINT64_C(8) * h->l1_entries);
    uint32_t step = h->extended_l2 ? 16 : 8;
    struct sw_err err = { 0 };

    for (uint32_t i = 0; i < h->l1_entries; i++) {
        struct sw_qcow2_cluster c;
        uint64_t off;

        if (sw_qcow2_decode_l1(h, sw_be64(l1 + UINT64_C(8) * i), &off, &err) < 0)
            die(err.msg);
        for (uint32_t j = 0; off && j < sw_qcow2_l2_entries(h); j++) {
            const uint8_t *entry = at(f, off + UINT64_C(1) * step * j, step);

            if (sw_qcow2_decode_l2(h, sw_be64(entry), step == 16 ? sw_be64(entry + 8) : 0, &c,
                                   &err) < 0)
                die(err.msg);
            if (c.kind == SW_QCOW2_COMPRESSED)
                add_cluster(f, &c);
        }
    }
}

static void inflate_clusters(struct floor *f, uint8_t *out, size_t size)
{
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    size_t i;

    if (!d)
        die("out of memory");
    while ((i = atomic_fetch_add(&f->next, 1)) < f->n_clusters) {
        const struct cluster *c = &f->clusters[i];

        if (libdeflate_deflate_decompress(d, at(f, c->off, c->len), c->len, out, size, NULL) !=
            LIBDEFLATE_SUCCESS)
            die("a cluster does not inflate");
    }
    libdeflate_free_decompressor(d);
}

static void unzstd_clusters(struct floor *f, uint8_t *out, size_t size)
{
    ZSTD_DCtx *d = ZSTD_createDCtx();
    size_t i;

    if (!d)
        die("out of memory");
    while ((i = atomic_fetch_add(&f->next, 1)) < f->n_clusters) {
        const struct cluster *c = &f->clusters[i];
        ZSTD_outBuffer to = { .dst = out, .size = size };
        ZSTD_inBuffer from = { .src = at(f, c->off, c->len), .size = c->len };

        ZSTD_DCtx_reset(d, ZSTD_reset_session_only);
        while (to.pos < size)
            if (ZSTD_isError(ZSTD_decompressStream(d, &to, &from)) || from.pos == from.size)
                break;
        if (to.pos < size)
            die("a cluster does not decompress");
    }
    ZSTD_freeDCtx(d);
}

static void *work(void *ctx)
{
    struct floor *f = ctx;
    size_t size = sw_qcow2_cluster_size(&f->header);
    uint8_t *out = malloc(size);

    if (!out)
        die("out of memory");
    if (f->header.codec == SW_CODEC_ZSTD)
        unzstd_clusters(f, out, size);
    else
        inflate_clusters(f, out, size);
    free(out);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sw_limits limits = SW_LIMITS_DEFAULT;
    struct sw_err err = { 0 };
    struct floor f = { 0 };
    pthread_t threads[THREADS_MAX];
    long n = argc > 2 ? strtol(argv[2], NULL, 10) : 2;

    if (argc < 2 || n < 1 || n > THREADS_MAX)
        die("usage: cluster-floor IMAGE [THREADS]");
    f.file = map_file(argv[1]);
    if (sw_qcow2_parse_header(f.file, &limits, &f.header, &err) < 0)
        die(err.msg);
    list_clusters(&f);
    for (long i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, work, &f) != 0)
            die("cannot start a thread");
    for (long i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    printf("%zu clusters\n", f.n_clusters);
    free(f.clusters);
    return 0;
}
