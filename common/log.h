/* SPDX-License-Identifier: Apache-2.0 */
/* One event, one line on standard error:
 *
 *   {"ts":"2026-01-31T11:44:13.120Z","lvl":"info","ev":"import.done","bytes":1073741824,"ms":5120}
 *
 * or, for people at a terminal:
 *
 *   11:44:13 info  import.done bytes=1073741824 ms=5120
 *
 * An event has a stable dotted name, which docs/events.md lists (tests/house compares the two), and
 * typed fields instead of a format string. A name is a literal at the call, so that it can be found:
 *
 *   sw_log_info("import.done", SW_U64("bytes", n), SW_MS("ms", elapsed_ns));
 *   sw_log_warn("metrics.off", SW_ERR(&err));
 *   sw_log_debug("import.idle", SW_NO_FIELDS);
 *
 * Levels: error = the operator acts; warn = degraded and carried on, says so; info = a state
 * changed; debug = off unless asked for. Libraries (common formats net transfer) do not log above
 * debug: they return errors, and whoever handles one logs it, once. Never in per-block code. No
 * secret may enter a field.
 *
 * A line is one write(2), so lines of several threads and processes do not mix (up to PIPE_BUF for
 * pipes). A line that would be longer than 8 KiB loses its fields and says "truncated":true. What
 * cannot be written is lost: a log never fails its caller, and errno is preserved.
 *
 * Thread rule: log from any thread; sw_log_setup() before there are several. */
#ifndef SW_COMMON_LOG_H
#define SW_COMMON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/error.h"

enum sw_log_level { SW_LOG_ERROR, SW_LOG_WARN, SW_LOG_INFO, SW_LOG_DEBUG, SW_LOG_LEVEL_COUNT_ };

enum sw_log_style {
    SW_LOG_AUTO, /* text when the descriptor is a terminal, else JSON */
    SW_LOG_JSON,
    SW_LOG_TEXT,
};

enum sw_field_type {
    SW_FIELD_END, /* ends the list */
    SW_FIELD_U64,
    SW_FIELD_I64,
    SW_FIELD_STR,
    SW_FIELD_BOOL,
    SW_FIELD_ERR,
};

/* Borrowed for the time of the call. Made by the macros below. */
struct sw_field {
    enum sw_field_type type;
    const char *key;
    union {
        uint64_t u64;
        int64_t i64;
        const char *str;
        bool flag;
        const struct sw_err *err;
    } v;
};

#define SW_NO_FIELDS ((struct sw_field){ .type = SW_FIELD_END })
#define SW_U64(k, n) ((struct sw_field){ .type = SW_FIELD_U64, .key = (k), .v.u64 = (n) })
#define SW_I64(k, n) ((struct sw_field){ .type = SW_FIELD_I64, .key = (k), .v.i64 = (n) })
#define SW_STR(k, s) ((struct sw_field){ .type = SW_FIELD_STR, .key = (k), .v.str = (s) })
#define SW_BOOL(k, b) ((struct sw_field){ .type = SW_FIELD_BOOL, .key = (k), .v.flag = (b) })
/* A duration in nanoseconds, logged as whole milliseconds. */
#define SW_MS(k, ns) SW_I64(k, (ns) / SW_NS_PER_MS)
/* Two fields: "kind" with the kind's name and "err" with the message. */
#define SW_ERR(e) ((struct sw_field){ .type = SW_FIELD_ERR, .key = "err", .v.err = (e) })

#define SW_LOG_AT(level, event, ...)                                                               \
    sw_log_write((level), (event), (const struct sw_field[]){ __VA_ARGS__, SW_NO_FIELDS })

#define sw_log_error(event, ...) SW_LOG_AT(SW_LOG_ERROR, event, __VA_ARGS__)
#define sw_log_warn(event, ...) SW_LOG_AT(SW_LOG_WARN, event, __VA_ARGS__)
#define sw_log_info(event, ...) SW_LOG_AT(SW_LOG_INFO, event, __VA_ARGS__)
#define sw_log_debug(event, ...) SW_LOG_AT(SW_LOG_DEBUG, event, __VA_ARGS__)

/* Where lines go, in which style, and the last level that is written. Without a call: standard
 * error, SW_LOG_AUTO, SW_LOG_INFO. fd is borrowed. */
void sw_log_setup(int fd, enum sw_log_style style, enum sw_log_level threshold);

/* "error", "warn", "info", "debug" to the enum; -1 with SW_ERR_USAGE that lists them. */
SW_MUST_CHECK
int sw_log_level_parse(const char *name, enum sw_log_level *ret, struct sw_err *err);

/* Behind the macros. fields ends with SW_FIELD_END. */
void sw_log_write(enum sw_log_level level, const char *event, const struct sw_field *fields);

/* The line itself, with its newline, appended to out; style is not SW_LOG_AUTO, `when` is wall-clock
 * time (UTC in JSON, local in text). Pure. */
void sw_log_format(struct sw_buf *out, enum sw_log_style style, const struct timespec *when,
                   enum sw_log_level level, const char *event, const struct sw_field *fields);

#endif
