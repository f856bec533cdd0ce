/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/write_behind.h"

#include <errno.h>
#include <fcntl.h>

#include "common/bytes.h"

#define PAGE UINT64_C(4096) /* larger pages only make the advice cover less, never wrong */

/* sync_file_range() for every range of a window. */
static int sync_window(struct sw_write_behind *wb, const struct sw_wb_window *w, unsigned flags,
                       struct sw_err *err)
{
    for (unsigned i = 0; i < w->n; i++) {
        uint64_t off = w->range[i].off, len = w->range[i].end - off;

        if (sync_file_range(wb->fd, (off_t)off, (off_t)len, flags) == 0)
            continue;
        if (errno == ENOSYS || errno == EINVAL || errno == ESPIPE || errno == EOPNOTSUPP) {
            atomic_store(&wb->refused, true);
            return 0;
        }
        return sw_err_sys(err, errno, "write back %llu bytes at offset %llu",
                          (unsigned long long)len, (unsigned long long)off);
    }
    return 0;
}

/* Pages that a range shares with a neighbour are advised away too: the kernel keeps dirty ones. */
static void drop_window(const struct sw_write_behind *wb, const struct sw_wb_window *w)
{
    for (unsigned i = 0; i < w->n; i++) {
        uint64_t off = sw_align_down(w->range[i].off, PAGE);
        uint64_t end = sw_align_up(w->range[i].end, PAGE);

        (void)posix_fadvise(wb->fd, (off_t)off, (off_t)(end - off), POSIX_FADV_DONTNEED);
    }
}

static int turn_window(struct sw_write_behind *wb, struct sw_wb_lane *lane, struct sw_err *err)
{
    const unsigned wait = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                          SYNC_FILE_RANGE_WAIT_AFTER;

    if (sync_window(wb, &lane->now, SYNC_FILE_RANGE_WRITE, err) < 0 ||
        sync_window(wb, &lane->before, wait, err) < 0)
        return -1;
    drop_window(wb, &lane->before);
    lane->before = lane->now;
    lane->now.n = 0;
    lane->now.bytes = 0;
    return 0;
}

int sw_write_behind_add(struct sw_write_behind *wb, struct sw_wb_lane *lane, uint64_t off,
                        uint64_t len, struct sw_err *err)
{
    struct sw_wb_window *w = &lane->now;

    if (atomic_load_explicit(&wb->refused, memory_order_relaxed))
        return 0;
    if (w->n && w->range[w->n - 1].end == off) {
        w->range[w->n - 1].end = off + len;
    } else {
        w->range[w->n].off = off;
        w->range[w->n].end = off + len;
        w->n++;
    }
    w->bytes += len;
    if (w->bytes < wb->window && w->n < SW_WB_RANGES)
        return 0;
    return turn_window(wb, lane, err);
}
