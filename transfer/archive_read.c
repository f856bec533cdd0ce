/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/archive_read.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* libarchive is given this much at a time, so that what stands in front of a member is counted
 * finely enough. */
#define SLICE ((size_t)64 << 10)
#define TAR_BLOCK 512

struct sw_archive {
    struct archive *lib;
    struct sw_archive_feed feed;
    struct sw_span rest; /* of what the feed gave last, not handed on yet */
    uint64_t head_max;
    uint64_t head; /* bytes handed on while a header is looked for */
    bool in_head;
    locale_t locale, locale_before;
    struct sw_err failure; /* of a callback */
};

/* ---- callbacks ------------------------------------------------------------------------------- */

static int take(struct sw_archive *a, struct sw_span *ret)
{
    if (!a->rest.n) {
        int rc = a->feed.more(a->feed.ctx, &a->rest, &a->failure);

        if (rc <= 0)
            return rc;
    }
    ret->p = a->rest.p;
    ret->n = a->rest.n < SLICE ? a->rest.n : SLICE;
    a->rest.p += ret->n;
    a->rest.n -= ret->n;
    return 1;
}

static la_ssize_t on_read(struct archive *lib SW_UNUSED, void *ctx, const void **ret)
{
    struct sw_archive *a = ctx;
    struct sw_span slice = { NULL, 0 };
    int rc = take(a, &slice);

    if (rc <= 0)
        return rc;
    /* The slice that a header begins in may hold data in front of it. */
    if (a->in_head && a->head > a->head_max)
        return sw_err_set(&a->failure, SW_ERR_UNSUPPORTED,
                          "tar: more than %llu bytes of names and tables in front of a member",
                          (unsigned long long)a->head_max);
    a->head += slice.n;
    *ret = slice.p;
    return (la_ssize_t)slice.n;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Names are converted from and to the locale's character set: with UTF-8 on both sides they stay
 * what they are. The library looks at the thread's locale. */
static int use_utf8(struct sw_archive *a, struct sw_err *err)
{
    a->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (a->locale == (locale_t)0)
        return sw_err_sys(err, errno, "use the locale C.UTF-8");
    a->locale_before = uselocale(a->locale);
    return 0;
}

static int open_lib(struct sw_archive *a, struct sw_err *err)
{
    a->lib = archive_read_new();
    if (!a->lib)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (archive_read_support_format_tar(a->lib) != ARCHIVE_OK ||
        archive_read_open(a->lib, a, NULL, on_read, NULL) != ARCHIVE_OK) {
        if (a->failure.kind) {
            *err = a->failure;
            return -1;
        }
        return sw_err_set(err, SW_ERR_BAD_DATA, "tar: %s", archive_error_string(a->lib));
    }
    return 0;
}

int sw_archive_open(const struct sw_archive_feed *feed, const struct sw_limits *limits,
                    struct sw_archive **ret, struct sw_err *err)
{
    struct sw_archive *a = calloc(1, sizeof(*a));

    if (!a)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    a->feed = *feed;
    a->head_max = limits->member_head;
    a->in_head = true;
    if (use_utf8(a, err) < 0 || open_lib(a, err) < 0) {
        sw_archive_close(a);
        return -1;
    }
    *ret = a;
    return 0;
}

void sw_archive_close(struct sw_archive *a)
{
    if (!a)
        return;
    if (a->lib)
        archive_read_free(a->lib);
    if (a->locale != (locale_t)0) {
        uselocale(a->locale_before);
        freelocale(a->locale);
    }
    free(a);
}

/* ---- members --------------------------------------------------------------------------------- */

static int fail(const struct sw_archive *a, struct sw_err *err)
{
    const char *why = archive_error_string(a->lib);

    if (a->failure.kind) {
        *err = a->failure;
        return -1;
    }
    if (archive_errno(a->lib) == ENOMEM)
        return sw_err_set(err, SW_ERR_INTERNAL, "tar: out of memory");
    return sw_err_set(err, SW_ERR_BAD_DATA, "tar: %.200s",
                      why ? why : "the archive is damaged or no tar archive");
}

static enum sw_member_kind kind_of(struct archive_entry *e)
{
    if (archive_entry_hardlink(e))
        return SW_MEMBER_HARDLINK;
    switch (archive_entry_filetype(e)) {
    case AE_IFREG:
        return SW_MEMBER_FILE;
    case AE_IFDIR:
        return SW_MEMBER_DIR;
    case AE_IFLNK:
        return SW_MEMBER_SYMLINK;
    default:
        return SW_MEMBER_SPECIAL;
    }
}

/* Bytes of data that a sparse member has in the archive. */
static uint64_t stored_of(struct archive_entry *e, uint64_t size)
{
    la_int64_t off, len;
    uint64_t sum = 0;

    if (archive_entry_sparse_reset(e) == 0)
        return size;
    while (archive_entry_sparse_next(e, &off, &len) == ARCHIVE_OK) {
        if (sw_add_overflows(sum, len, &sum))
            return size;
    }
    return sw_min_u64(sum, size);
}

static int describe(struct archive_entry *e, struct sw_member *ret, struct sw_err *err)
{
    *ret = (struct sw_member){ .kind = kind_of(e), .name = archive_entry_pathname(e) };
    if (!ret->name || !*ret->name)
        return sw_err_set(err, SW_ERR_BAD_DATA, "tar: a member without a readable name");
    if (archive_entry_size(e) < 0)
        return sw_err_set(err, SW_ERR_BAD_DATA, "tar: a member with a negative size");
    ret->size = (uint64_t)archive_entry_size(e);
    ret->stored = stored_of(e, ret->size);
    ret->mode = archive_entry_mode(e) & 07777;
    ret->mtime.tv_sec = archive_entry_mtime(e);
    ret->mtime.tv_nsec = archive_entry_mtime_nsec(e);
    ret->link = ret->kind == SW_MEMBER_HARDLINK  ? archive_entry_hardlink(e)
                : ret->kind == SW_MEMBER_SYMLINK ? archive_entry_symlink(e)
                                                 : NULL;
    if (ret->kind == SW_MEMBER_SYMLINK && !ret->link)
        return sw_err_set(err, SW_ERR_BAD_DATA, "tar: a link without a readable target");
    return 0;
}

/* The library takes the end of the stream between two members for the end of the archive. It is not:
 * an archive ends with blocks of zeroes (POSIX pax, "ustar Interchange Format"). */
static int check_end(const struct sw_archive *a, la_int64_t before, struct sw_err *err)
{
    if (archive_filter_bytes(a->lib, 0) >= before + TAR_BLOCK)
        return 0;
    return sw_err_set(err, SW_ERR_BAD_DATA, "tar: truncated: the mark at its end is missing");
}

int sw_archive_next(struct sw_archive *a, struct sw_member *ret, struct sw_err *err)
{
    struct archive_entry *e;
    la_int64_t before;

    if (archive_file_count(a->lib) && archive_read_data_skip(a->lib) < ARCHIVE_WARN)
        return fail(a, err);
    before = archive_filter_bytes(a->lib, 0);
    a->in_head = true;
    a->head = 0;
    int rc = archive_read_next_header(a->lib, &e);
    a->in_head = false;
    if (rc == ARCHIVE_EOF)
        return check_end(a, before, err);
    if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
        return fail(a, err);
    return describe(e, ret, err) < 0 ? -1 : 1;
}

int sw_archive_data(struct sw_archive *a, struct sw_span *ret, uint64_t *ret_off,
                    struct sw_err *err)
{
    const void *p;
    size_t n;
    la_int64_t off;
    int rc = archive_read_data_block(a->lib, &p, &n, &off);

    if (rc == ARCHIVE_EOF)
        return 0;
    if (rc != ARCHIVE_OK || off < 0)
        return fail(a, err);
    *ret = (struct sw_span){ p, n };
    *ret_off = (uint64_t)off;
    return 1;
}
