/* SPDX-License-Identifier: Apache-2.0 */
/* What a DataVolume must be like. The order of the checks is that of the reference's webhook; the first
 * that fails is reported. */
#include <string.h>

#include "common/parse.h"
#include "controller/datavolume.h"
#include "controller/names.h"
#include "controller/object.h"
#include "controller/quantity.h"
#include "net/url.h"

#define NAME_MAX_BYTES 253
#define SOURCE_NOT_VALID "ErrSourceNotValid"
#define SOURCE_NOT_SUPPORTED "ErrSourceNotSupported"

/* Every member of spec.source that the API knows, and whether we do it. */
static const struct {
    const char *name;
    enum sw_dv_source is;
} sources[] = {
    { "blank", SW_DV_BLANK },   { "gcs", SW_DV_OTHER },      { "http", SW_DV_HTTP },
    { "imageio", SW_DV_OTHER }, { "pvc", SW_DV_OTHER },      { "registry", SW_DV_OTHER },
    { "s3", SW_DV_OTHER },      { "snapshot", SW_DV_OTHER }, { "upload", SW_DV_OTHER },
    { "vddk", SW_DV_OTHER },
};

/* How many sources there are, and the last of them. */
static unsigned count_sources(const struct sw_json *dv, size_t *ret_which)
{
    const struct sw_json *source = sw_json_find(dv, "spec.source");
    unsigned n = 0;

    for (size_t i = 0; i < SW_COUNT(sources); i++)
        if (sw_json_member(source, sources[i].name)) {
            *ret_which = i;
            n++;
        }
    return n;
}

enum sw_dv_source sw_dv_source(const struct sw_json *dv)
{
    size_t which;

    return count_sources(dv, &which) == 1 ? sources[which].is : SW_DV_NONE;
}

static void check_access_modes(struct sw_dv *d)
{
    static const char *const known[] = { "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce",
                                         "ReadWriteOncePod" };
    bool is_pvc = sw_json_find(d->obj, "spec.pvc") != NULL;
    const struct sw_json *modes = sw_json_find(d->obj, is_pvc ? "spec.pvc.accessModes"
                                                              : "spec.storage.accessModes");

    if (is_pvc && sw_json_length(modes) != 1)
        sw_problem_set(&d->problem, SW_REASON_CLAIM_NOT_VALID,
                       sw_json_length(modes)
                           ? "PVC multiple accessModes"
                           : "Required value: at least 1 access mode is required");
    for (size_t i = 0; i < sw_json_length(modes) && !d->problem.reason; i++) {
        const char *mode = sw_json_text(sw_json_at(modes, i), "");
        bool is_known = false;

        for (size_t k = 0; k < SW_COUNT(known); k++)
            is_known = is_known || sw_text_equal(mode, known[k]);
        if (!is_known)
            sw_problem_set(&d->problem, SW_REASON_CLAIM_NOT_VALID,
                           "Unsupported value: access mode %.64s", mode ? mode : "(no text)");
    }
}

static void check_size(struct sw_dv *d, const struct sw_json *storage)
{
    struct sw_err err = { 0 };
    uint64_t size = 0;
    int found = sw_quantity_get(storage, "resources.requests.storage", &size, &err);

    if (found < 0)
        sw_problem_set(&d->problem, SW_REASON_CLAIM_NOT_VALID, "PVC size: %s", err.msg);
    else if (found == 0)
        sw_problem_set(&d->problem, SW_REASON_CLAIM_NOT_VALID, "PVC size is missing");
    else if (size == 0)
        sw_problem_set(&d->problem, SW_REASON_CLAIM_NOT_VALID,
                       "PVC size can't be equal or less than zero");
    else if (size < SW_MIB)
        sw_problem_set(&d->problem, SW_REASON_CLAIM_NOT_VALID,
                       "storage size should be at least 1MiB");
}

static void check_claim(struct sw_dv *d)
{
    const struct sw_json *pvc = sw_json_find(d->obj, "spec.pvc");
    const struct sw_json *storage = sw_json_find(d->obj, "spec.storage");
    const struct sw_json *one = pvc ? pvc : storage;
    const char *class = sw_json_text(one, "storageClassName");

    if (!one || sw_json_type(one) != SW_JSON_OBJECT)
        sw_problem_set(&d->problem, SW_REASON_CLAIM_NOT_VALID, "Missing Data volume PVC");
    else if (pvc && storage)
        sw_problem_set(&d->problem, SW_REASON_CLAIM_NOT_VALID,
                       "Duplicate storage definition, both target storage and target pvc defined");
    else
        check_size(d, one);
    if (!d->problem.reason && class && strlen(class) > NAME_MAX_BYTES)
        sw_problem_set(&d->problem, SW_REASON_CLAIM_NOT_VALID,
                       "storageClassName cannot be longer than %d characters", NAME_MAX_BYTES);
    if (!d->problem.reason)
        check_access_modes(d);
}

static bool is_hex(const char *text)
{
    return strspn(text, "0123456789abcdefABCDEF") == strlen(text);
}

/* "algorithm:hex" (contract api-types 2.2). */
static void check_checksum(struct sw_dv *d, const char *text)
{
    static const struct {
        const char *name;
        size_t digits;
    } algorithms[] = { { "md5", 32 }, { "sha1", 40 }, { "sha256", 64 }, { "sha512", 128 } };
    const char *colon = strchr(text, ':');
    size_t start = strspn(text, " \t");

    for (size_t i = 0; colon && i < SW_COUNT(algorithms); i++) {
        const char *name = algorithms[i].name;
        const char *after = text + start + strlen(name);
        const char *hex = colon + 1 + strspn(colon + 1, " \t");

        if (strncasecmp(text + start, name, strlen(name)) == 0 &&
            after + strspn(after, " \t") == colon && strcspn(hex, " \t") == algorithms[i].digits &&
            strspn(hex + algorithms[i].digits, " \t") == strlen(hex + algorithms[i].digits)) {
            sw_autofree char *digits = strndup(hex, algorithms[i].digits);

            if (digits && is_hex(digits))
                return;
        }
    }
    sw_problem_set(&d->problem, SOURCE_NOT_VALID,
                   "Invalid checksum format: md5, sha1, sha256 or sha512, a colon, and as many "
                   "hexadecimal digits as that has");
}

static void check_http(struct sw_dv *d)
{
    const char *url = sw_json_text(d->obj, "spec.source.http.url");
    const char *checksum = sw_json_text(d->obj, "spec.source.http.checksum");
    sw_autourl struct sw_url parsed = { 0 };
    struct sw_err err = { 0 };

    if (!url || !*url)
        sw_problem_set(&d->problem, SOURCE_NOT_VALID, "source URL is empty");
    else if (sw_url_parse(url, &parsed, &err) < 0)
        sw_problem_set(&d->problem, SOURCE_NOT_VALID, "Invalid source URL: %s", err.msg);
    else if (checksum && *checksum)
        check_checksum(d, checksum);
}

static void check_source(struct sw_dv *d)
{
    const char *type = sw_content_type(d->obj);
    size_t which = 0;
    unsigned n = count_sources(d->obj, &which);

    if (n != 1)
        sw_problem_set(&d->problem, SOURCE_NOT_VALID,
                       n ? "Multiple Data volume sources" : "Missing Data volume source");
    else if (strcmp(type, "kubevirt") != 0 && strcmp(type, "archive") != 0)
        sw_problem_set(&d->problem, SOURCE_NOT_VALID, "ContentType not one of: kubevirt, archive");
    else if (sources[which].is == SW_DV_OTHER)
        sw_problem_set(&d->problem, SOURCE_NOT_SUPPORTED, "source %s is not supported yet",
                       sources[which].name);
    else if (sources[which].is == SW_DV_HTTP)
        check_http(d);
    else if (strcmp(type, "archive") == 0)
        sw_problem_set(&d->problem, SOURCE_NOT_VALID,
                       "SourceType cannot be blank and the contentType be archive");
}

static bool has_data_source(const struct sw_json *dv)
{
    return sw_json_find(dv, "spec.pvc.dataSource") || sw_json_find(dv, "spec.pvc.dataSourceRef") ||
           sw_json_find(dv, "spec.storage.dataSource") ||
           sw_json_find(dv, "spec.storage.dataSourceRef");
}

void sw_dv_check(struct sw_dv *d)
{
    const struct sw_json *source = sw_json_find(d->obj, "spec.source");
    const struct sw_json *ref = sw_json_find(d->obj, "spec.sourceRef");

    if (has_data_source(d->obj)) {
        sw_problem_set(&d->problem, SOURCE_NOT_SUPPORTED, "%s",
                       source || ref
                           ? "External population is incompatible with Source and SourceRef"
                           : "external population is not supported yet");
    } else if (ref) {
        sw_problem_set(&d->problem, source ? SOURCE_NOT_VALID : SOURCE_NOT_SUPPORTED, "%s",
                       source ? "Data volume should have either Source or SourceRef, or be "
                                "externally populated"
                              : "source sourceRef is not supported yet");
    } else {
        check_claim(d);
        if (!d->problem.reason)
            check_source(d);
    }
}
