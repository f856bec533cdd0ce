/* SPDX-License-Identifier: Apache-2.0 */
#include "common/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int exit_code;
} kinds[SW_ERR_KIND_COUNT_] = {
    [SW_ERR_NONE] = { "none", 0 },         [SW_ERR_INTERNAL] = { "internal", 1 },
    [SW_ERR_USAGE] = { "usage", 2 },       [SW_ERR_TRANSIENT] = { "transient", 3 },
    [SW_ERR_DENIED] = { "denied", 4 },     [SW_ERR_NOT_FOUND] = { "not_found", 5 },
    [SW_ERR_BAD_DATA] = { "bad_data", 6 }, [SW_ERR_UNSUPPORTED] = { "unsupported", 7 },
    [SW_ERR_NO_SPACE] = { "no_space", 8 }, [SW_ERR_CANCELLED] = { "cancelled", 9 },
};

static enum sw_err_kind kind_of_errno(int sys)
{
    switch (sys) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return SW_ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return SW_ERR_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return SW_ERR_NO_SPACE;
    case ECANCELED:
        return SW_ERR_CANCELLED;
    case ECONNREFUSED:
    case ECONNRESET:
    case ETIMEDOUT:
    case EPIPE:
    case EAGAIN:
        return SW_ERR_TRANSIENT;
    default:
        return SW_ERR_INTERNAL;
    }
}

int(sw_err_set)(struct sw_err *err, enum sw_err_kind kind, const char *fmt, ...)
{
    va_list ap;

    err->kind = kind;
    err->sys = 0;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    return -1;
}

int(sw_err_sys)(struct sw_err *err, int sys, const char *fmt, ...)
{
    char reason[96];
    va_list ap;

    /* The GNU strerror_r may return a static string instead of filling the buffer. */
    const char *why = strerror_r(sys, reason, sizeof(reason));

    err->kind = kind_of_errno(sys);
    err->sys = sys;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);

    size_t used = strlen(err->msg);
    size_t need = strlen(why) + 2;
    if (used + need >= sizeof(err->msg))
        used = sizeof(err->msg) - 1 - need;
    snprintf(err->msg + used, sizeof(err->msg) - used, ": %s", why);
    return -1;
}

int(sw_err_wrap)(struct sw_err *err, const char *fmt, ...)
{
    char context[sizeof(err->msg)];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(context, sizeof(context), fmt, ap);
    va_end(ap);

    size_t root = strlen(err->msg);
    size_t room = sizeof(err->msg) - 1 - root;
    if (room < 3) /* not even one letter of context and ": " */
        return -1;

    size_t n = strlen(context);
    if (n > room - 2)
        n = room - 2;
    memmove(err->msg + n + 2, err->msg, root + 1);
    memcpy(err->msg, context, n);
    memcpy(err->msg + n, ": ", 2);
    return -1;
}

const char *sw_err_kind_name(enum sw_err_kind kind)
{
    return (unsigned)kind < SW_ERR_KIND_COUNT_ ? kinds[kind].name : "unknown";
}

int sw_err_exit_code(enum sw_err_kind kind)
{
    return (unsigned)kind < SW_ERR_KIND_COUNT_ ? kinds[kind].exit_code : 1;
}

int sw_err_is_transient(const struct sw_err *err)
{
    return err->kind == SW_ERR_TRANSIENT;
}
