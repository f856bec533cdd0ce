/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"

#define LINE_MAX_BYTES 8192

/* Written by sw_log_setup() before there are threads; atomic so that a late call is no data race. */
static atomic_int log_fd = STDERR_FILENO;
static atomic_int log_style = SW_LOG_AUTO;
static atomic_int log_threshold = SW_LOG_INFO;

static const char *const level_names[SW_LOG_LEVEL_COUNT_] = {
    [SW_LOG_ERROR] = "error",
    [SW_LOG_WARN] = "warn",
    [SW_LOG_INFO] = "info",
    [SW_LOG_DEBUG] = "debug",
};

void sw_log_setup(int fd, enum sw_log_style style, enum sw_log_level threshold)
{
    log_fd = fd;
    log_style = (int)style;
    log_threshold = (int)threshold;
}

int sw_log_level_parse(const char *name, enum sw_log_level *ret, struct sw_err *err)
{
    for (size_t i = 0; i < SW_LOG_LEVEL_COUNT_; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *ret = (enum sw_log_level)i;
            return 0;
        }
    }
    return sw_err_set(err, SW_ERR_USAGE, "'%.64s' is not a log level: error, warn, info or debug",
                      name);
}

static void put_json_field(struct sw_json_writer *w, const struct sw_field *f)
{
    switch (f->type) {
    case SW_FIELD_U64:
        sw_json_put_u64(w, f->key, f->v.u64);
        break;
    case SW_FIELD_I64:
        sw_json_put_i64(w, f->key, f->v.i64);
        break;
    case SW_FIELD_STR:
        sw_json_put_str(w, f->key, f->v.str);
        break;
    case SW_FIELD_BOOL:
        sw_json_put_bool(w, f->key, f->v.flag);
        break;
    case SW_FIELD_ERR:
        sw_json_put_str(w, "kind", sw_err_kind_name(f->v.err->kind));
        sw_json_put_str(w, f->key, f->v.err->msg);
        break;
    case SW_FIELD_END:
        break;
    }
}

static void format_json(struct sw_buf *out, const struct timespec *when, enum sw_log_level level,
                        const char *event, const struct sw_field *fields)
{
    struct sw_json_writer w;
    struct tm tm;
    char date[sizeof("2026-01-31T11:44:13")] = "";
    char ts[sizeof(date) + sizeof(".120Z")];

    gmtime_r(&when->tv_sec, &tm);
    (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(ts, sizeof(ts), "%s.%03uZ", date, (unsigned)(when->tv_nsec / 1000000) % 1000);

    sw_json_writer_init(&w, out);
    sw_json_begin_object(&w, NULL);
    sw_json_put_str(&w, "ts", ts);
    sw_json_put_str(&w, "lvl", level_names[level]);
    sw_json_put_str(&w, "ev", event);
    for (; fields->type != SW_FIELD_END; fields++)
        put_json_field(&w, fields);
    sw_json_end(&w);
    sw_buf_puts(out, "\n");
}

/* A word is printed as it is; anything else in quotes, escaped, so that a field cannot forge
 * another one or drive the terminal. */
static void put_text(struct sw_buf *out, const char *text)
{
    const char *p = text;

    while (isgraph((unsigned char)*p) && *p != '"' && *p != '\\' && *p != '=')
        p++;
    if (*text && !*p)
        sw_buf_puts(out, text);
    else
        sw_json_quote(out, text);
}

static void put_text_field(struct sw_buf *out, const struct sw_field *f)
{
    if (f->type == SW_FIELD_ERR)
        sw_buf_printf(out, " kind=%s", sw_err_kind_name(f->v.err->kind));
    sw_buf_printf(out, " %s=", f->key);

    switch (f->type) {
    case SW_FIELD_U64:
        sw_buf_printf(out, "%llu", (unsigned long long)f->v.u64);
        break;
    case SW_FIELD_I64:
        sw_buf_printf(out, "%lld", (long long)f->v.i64);
        break;
    case SW_FIELD_STR:
        put_text(out, f->v.str ? f->v.str : "-");
        break;
    case SW_FIELD_BOOL:
        sw_buf_puts(out, f->v.flag ? "true" : "false");
        break;
    case SW_FIELD_ERR:
        put_text(out, f->v.err->msg);
        break;
    case SW_FIELD_END:
        break;
    }
}

static void format_text(struct sw_buf *out, const struct timespec *when, enum sw_log_level level,
                        const char *event, const struct sw_field *fields)
{
    struct tm tm;
    char clock[sizeof("11:44:13")] = "";

    localtime_r(&when->tv_sec, &tm);
    (void)strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
    sw_buf_printf(out, "%s %-5s %s", clock, level_names[level], event);
    for (; fields->type != SW_FIELD_END; fields++)
        put_text_field(out, fields);
    sw_buf_puts(out, "\n");
}

void sw_log_format(struct sw_buf *out, enum sw_log_style style, const struct timespec *when,
                   enum sw_log_level level, const char *event, const struct sw_field *fields)
{
    if (style == SW_LOG_TEXT)
        format_text(out, when, level, event, fields);
    else
        format_json(out, when, level, event, fields);
}

static enum sw_log_style style_for(int fd)
{
    enum sw_log_style style = (enum sw_log_style)atomic_load(&log_style);

    if (style != SW_LOG_AUTO)
        return style;
    return isatty(fd) ? SW_LOG_TEXT : SW_LOG_JSON;
}

void sw_log_write(enum sw_log_level level, const char *event, const struct sw_field *fields)
{
    static const struct sw_field too_long[] = {
        { .type = SW_FIELD_BOOL, .key = "truncated", .v.flag = true },
        { .type = SW_FIELD_END },
    };
    sw_autobuf struct sw_buf line = SW_BUF_INIT(LINE_MAX_BYTES);
    int saved = errno;
    int fd = atomic_load(&log_fd);
    struct timespec now;

    if ((int)level > atomic_load(&log_threshold))
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    sw_log_format(&line, style_for(fd), &now, level, event, fields);
    if (line.failed) {
        sw_buf_reset(&line);
        sw_log_format(&line, style_for(fd), &now, level, event, too_long);
    }
    (void)!write(fd, line.p, line.n);
    errno = saved;
}
