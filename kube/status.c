/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/status.h"

#include <string.h>

#include "common/json_tree.h"

/* A Status with hundreds of causes is still far below this. */
#define STATUS_MAX ((size_t)256 << 10)

/* Copies as much as fits, never half of a character. */
static void copy_text(char *to, size_t size, const char *from)
{
    size_t n = from ? strlen(from) : 0;

    if (n >= size) {
        n = size - 1;
        while (n && ((unsigned char)from[n] & 0xc0) == 0x80)
            n--;
    }
    if (n)
        memcpy(to, from, n);
    to[n] = '\0';
}

/* What the apiserver's own helpers call these codes. Source: the constants StatusReason* of
 * k8s.io/apimachinery/pkg/apis/meta/v1. */
static const char *reason_of(unsigned code)
{
    static const struct {
        unsigned code;
        const char *reason;
    } table[] = {
        { 400, "BadRequest" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "NotFound" },
        { 405, "MethodNotAllowed" },
        { 406, "NotAcceptable" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 413, "RequestEntityTooLarge" },
        { 415, "UnsupportedMediaType" },
        { 422, "Invalid" },
        { 429, "TooManyRequests" },
        { 500, "InternalError" },
        { 503, "ServiceUnavailable" },
        { 504, "Timeout" },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        if (table[i].code == code)
            return table[i].reason;
    }
    return "";
}

static uint64_t retry_after(const struct sw_json *object)
{
    struct sw_err ignored;
    uint64_t s = 0;

    if (sw_json_get_u64(object, "details.retryAfterSeconds", &s, &ignored) < 1)
        return 0;
    return s;
}

void sw_kube_status_from(const struct sw_json *object, unsigned http, struct sw_kube_status *ret)
{
    struct sw_err ignored;
    uint64_t code = 0;

    *ret = (struct sw_kube_status){ 0 };
    if (sw_json_get_u64(object, "code", &code, &ignored) < 1 || code < 100 || code > 599)
        code = http;
    ret->code = (unsigned)code;
    copy_text(ret->reason, sizeof(ret->reason), sw_json_text(object, "reason"));
    if (!*ret->reason)
        copy_text(ret->reason, sizeof(ret->reason), reason_of(ret->code));
    copy_text(ret->message, sizeof(ret->message), sw_json_text(object, "message"));
    copy_text(ret->details_group, sizeof(ret->details_group),
              sw_json_text(object, "details.group"));
    copy_text(ret->details_kind, sizeof(ret->details_kind), sw_json_text(object, "details.kind"));
    copy_text(ret->details_name, sizeof(ret->details_name), sw_json_text(object, "details.name"));
    copy_text(ret->details_uid, sizeof(ret->details_uid), sw_json_text(object, "details.uid"));
    ret->retry_after_s = retry_after(object);
    ret->is_not_performed = ret->code == 429;
}

/* The first 200 bytes in printable ASCII: it may be anything. */
static void quote_start(const char *text, size_t n, char *to)
{
    n = n < 200 ? n : 200;
    for (size_t i = 0; i < n; i++)
        to[i] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : ' ';
    to[n] = '\0';
}

void sw_kube_status_parse(const char *text, size_t n, unsigned http, struct sw_kube_status *ret)
{
    sw_auto_json struct sw_json *doc = NULL;
    const char *kind = NULL;
    struct sw_err ignored;

    if (n && sw_json_parse(text, n, STATUS_MAX, &doc, &ignored) == 0)
        kind = sw_json_text(doc, "kind");
    if (kind && strcmp(kind, "Status") == 0) {
        sw_kube_status_from(doc, http, ret);
        return;
    }
    *ret = (struct sw_kube_status){ .code = http, .is_not_performed = http == 429 };
    copy_text(ret->reason, sizeof(ret->reason), reason_of(http));
    quote_start(text, n, ret->message);
}

void sw_kube_status_set_reason(struct sw_kube_status *status, const char *reason)
{
    copy_text(status->reason, sizeof(status->reason), reason);
}

static enum sw_err_kind kind_of(unsigned code)
{
    switch (code) {
    case 401:
    case 403:
        return SW_ERR_DENIED;
    case 404:
    case 410:
        return SW_ERR_NOT_FOUND;
    case 408:
    case 409:
    case 429:
        return SW_ERR_TRANSIENT;
    case 405:
    case 406:
    case 415:
    case 501:
    case 505:
        return SW_ERR_UNSUPPORTED;
    default:
        return code >= 500 ? SW_ERR_TRANSIENT : SW_ERR_USAGE;
    }
}

int sw_kube_status_err(const struct sw_kube_status *status, struct sw_err *err)
{
    return sw_err_set(err, kind_of(status->code), "%u%s%s: %.350s", status->code,
                      *status->reason ? " " : "", status->reason, status->message);
}
