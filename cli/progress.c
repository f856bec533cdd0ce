/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <string.h>
#include <sys/ioctl.h>

#include "cli/human.h"
#include "cli/ticker.h"
#include "common/clock.h"
#include "common/fileio.h"
#include "common/json.h"

#define BAR_PERIOD (250 * SW_NS_PER_MS)
#define JSON_PERIOD SW_NS_PER_SEC
#define SAMPLES 20          /* the rate is averaged over so many periods: 5 s of a bar */
#define COLUMNS_DEFAULT 80U /* when the terminal does not say */

struct cli_progress_view {
    struct sw_progress *progress;
    struct cli_ticker *ticker;
    bool is_bar;
    uint64_t done[SAMPLES]; /* ring of (source_done, when)                            */
    int64_t when[SAMPLES];
    unsigned n; /* samples taken so far; the oldest kept is n - SAMPLES   */
};

static const char *const phase_names[] = {
    [SW_PHASE_OPEN] = "open",
    [SW_PHASE_TRANSFER] = "transfer",
    [SW_PHASE_VERIFY] = "verify",
    [SW_PHASE_DONE] = "done",
};

static const char *phase_name(int phase)
{
    return phase >= 0 && phase < (int)SW_COUNT(phase_names) ? phase_names[phase] : "unknown";
}

double cli_percent(const struct cli_sample *s)
{
    if (s->phase == SW_PHASE_DONE)
        return 100;
    if (s->total == SW_SIZE_UNKNOWN || !s->total)
        return -1;
    double v = 100.0 * (double)s->done / (double)s->total;
    return v > 99.99 ? 99.99 : v;
}

/* Seconds left, or -1. */
static int64_t eta_seconds(const struct cli_sample *s)
{
    if (s->total == SW_SIZE_UNKNOWN || s->done > s->total || !s->rate)
        return -1;
    return (int64_t)((s->total - s->done + s->rate - 1) / s->rate);
}

/* --- The bar --------------------------------------------------------------------------------- */

static void put_amount(struct sw_buf *out, const struct cli_sample *s)
{
    sw_buf_puts(out, " ");
    cli_put_bytes(out, s->done);
    if (s->total != SW_SIZE_UNKNOWN) {
        sw_buf_puts(out, " of ");
        cli_put_bytes(out, s->total);
    }
}

static void put_speed(struct sw_buf *out, const struct cli_sample *s)
{
    sw_buf_puts(out, "  ");
    cli_put_rate(out, s->rate);
}

static void put_eta(struct sw_buf *out, const struct cli_sample *s)
{
    int64_t left = eta_seconds(s);

    if (left >= 0)
        sw_buf_printf(out, "  ETA %lld:%02lld", (long long)(left / 60), (long long)(left % 60));
}

/* Append what `part` writes if that still fits. */
static void put_if_fits(struct sw_buf *out, const struct cli_sample *s, size_t room,
                        void (*part)(struct sw_buf *, const struct cli_sample *))
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(128);

    part(&text, s);
    if (out->n + text.n <= room)
        sw_buf_puts(out, sw_buf_str(&text));
}

static void put_gauge(struct sw_buf *out, double percent, size_t cells)
{
    size_t full = (size_t)(percent / 100 * (double)cells);

    sw_buf_puts(out, " [");
    for (size_t i = 0; i < cells; i++)
        sw_buf_puts(out, i < full ? "=" : i == full ? ">" : " ");
    sw_buf_puts(out, "]");
}

void cli_progress_bar(const struct cli_sample *s, unsigned columns, struct sw_buf *out)
{
    sw_autobuf struct sw_buf tail = SW_BUF_INIT(256);
    size_t room = columns > 1 ? columns - 1 : 0;
    double percent = cli_percent(s);

    if (s->phase == SW_PHASE_OPEN || s->phase == SW_PHASE_VERIFY) {
        sw_buf_puts(&tail, s->phase == SW_PHASE_OPEN ? "opening" : "verifying, syncing");
        sw_buf_append(out, sw_buf_str(&tail), tail.n < room ? tail.n : room);
        return;
    }
    if (percent >= 0 && room >= 4)
        sw_buf_printf(out, "%3.0f%%", percent);

    size_t used = out->n;
    put_if_fits(&tail, s, room - used, put_amount);
    put_if_fits(&tail, s, room - used, put_speed);
    put_if_fits(&tail, s, room - used, put_eta);

    size_t free_cells = room - used - tail.n;
    if (percent >= 0 && free_cells >= 13)
        put_gauge(out, percent, free_cells - 3 < 40 ? free_cells - 3 : 40);
    sw_buf_puts(out, sw_buf_str(&tail));
}

/* --- JSON ------------------------------------------------------------------------------------ */

void cli_progress_json(const struct cli_sample *s, struct sw_buf *out)
{
    struct sw_json_writer w;
    double percent = cli_percent(s);
    int64_t left = eta_seconds(s);

    sw_json_writer_init(&w, out);
    sw_json_begin_object(&w, NULL);
    sw_json_put_str(&w, "event", "progress");
    sw_json_put_str(&w, "phase", phase_name(s->phase));
    if (percent >= 0)
        sw_json_put_u64(&w, "percent", (uint64_t)percent);
    sw_json_put_u64(&w, "source_done", s->done);
    if (s->total != SW_SIZE_UNKNOWN)
        sw_json_put_u64(&w, "source_total", s->total);
    sw_json_put_u64(&w, "written", s->written);
    sw_json_put_u64(&w, "bytes_per_second", s->rate);
    if (left >= 0)
        sw_json_put_i64(&w, "eta_seconds", left);
    sw_json_end(&w);
}

/* --- Sampling -------------------------------------------------------------------------------- */

static uint64_t average_rate(const struct cli_progress_view *v)
{
    unsigned newest = (v->n - 1) % SAMPLES;
    unsigned oldest = v->n > SAMPLES ? v->n % SAMPLES : 0;
    uint64_t before = v->done[oldest];
    uint64_t now = v->done[newest];

    return now > before ? cli_rate(now - before, v->when[newest] - v->when[oldest]) : 0;
}

static struct cli_sample take_sample(struct cli_progress_view *v)
{
    const struct sw_progress *p = v->progress;
    struct cli_sample s = {
        .phase = p->phase,
        .done = p->source_done,
        .total = p->source_total,
        .written = p->written,
    };

    v->done[v->n % SAMPLES] = s.done;
    v->when[v->n % SAMPLES] = sw_now_ns();
    v->n++;
    s.rate = average_rate(v);
    return s;
}

static unsigned terminal_columns(void)
{
    struct winsize size = { 0 };

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col)
        return COLUMNS_DEFAULT;
    return size.ws_col;
}

/* One write per line, so that lines of several processes do not mix. A closed standard error is
 * nobody's reason to stop an import. */
static void write_stderr(const struct sw_buf *text)
{
    struct sw_err ignored = { 0 };

    if (sw_write_full(STDERR_FILENO, sw_buf_str(text), text->n, &ignored) < 0)
        return;
}

static void show(void *ctx)
{
    struct cli_progress_view *v = ctx;
    sw_autobuf struct sw_buf line = SW_BUF_INIT(1024);
    struct cli_sample s = take_sample(v);

    if (v->is_bar) {
        sw_buf_puts(&line, "\r");
        sw_autobuf struct sw_buf bar = SW_BUF_INIT(512);
        cli_progress_bar(&s, terminal_columns(), &bar);
        sw_buf_puts(&line, sw_buf_str(&bar));
        sw_buf_puts(&line, "\033[K"); /* erase what a longer line left */
    } else {
        cli_progress_json(&s, &line);
        sw_buf_puts(&line, "\n");
    }
    write_stderr(&line);
}

int cli_progress_start(unsigned mode, struct sw_progress *progress, struct cli_progress_view **ret,
                       struct sw_err *err)
{
    bool is_bar = mode == CLI_PROGRESS_BAR || (mode == CLI_PROGRESS_AUTO && isatty(STDERR_FILENO));

    *ret = NULL;
    if (mode == CLI_PROGRESS_NONE)
        return 0;
    sw_autofree struct cli_progress_view *v = calloc(1, sizeof(*v));
    if (!v)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    v->progress = progress;
    v->is_bar = is_bar;
    if (cli_ticker_start(is_bar ? BAR_PERIOD : JSON_PERIOD, show, v, &v->ticker, err) < 0)
        return -1;
    *ret = sw_steal(v);
    return 0;
}

void cli_progress_stop(struct cli_progress_view *v)
{
    sw_autobuf struct sw_buf wipe = SW_BUF_INIT(8);

    if (!v)
        return;
    cli_ticker_stop(v->ticker);
    if (v->is_bar) {
        sw_buf_puts(&wipe, "\r\033[K");
        write_stderr(&wipe);
    } else {
        show(v);
    }
    free(v);
}
