/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing JSON builds a tree. Its cost per input byte is large (an empty object takes two bytes of
 * text and nearly one KiB of memory), so the text's structure is counted before it is parsed. */
#include <ctype.h>

#include "common/base64.h"
#include "common/json.h"
#include "common/parse.h"
#include "formats/digest_manifest_int.h"

/* Debian's files have a few hundred containers and a few thousand values (one object per package).
 * At the ceilings the tree was measured to take 18 MiB, freed before the transfer begins. */
#define CONTAINERS_MAX 16384
#define VALUES_MAX 65536

/* Characters inside strings are counted too: the result is a ceiling, not a parse. */
static bool is_affordable(struct sw_span text)
{
    size_t containers = 0, values = 0;

    for (size_t i = 0; i < text.n; i++) {
        containers += text.p[i] == '{' || text.p[i] == '[';
        values += text.p[i] == ',';
    }
    return containers <= CONTAINERS_MAX && values <= VALUES_MAX;
}

/* "sha512:<base64>"; the algorithm's name and the length of the digest must agree. */
static bool parse_annotation(const char *text, struct sw_manifest_digest *ret)
{
    static const struct {
        const char *prefix;
        size_t bytes;
    } algs[] = { { "md5:", 16 }, { "sha1:", 20 }, { "sha256:", 32 }, { "sha512:", 64 } };

    for (size_t i = 0; i < SW_COUNT(algs); i++) {
        size_t skip = strlen(algs[i].prefix);

        if (strncmp(text, algs[i].prefix, skip) != 0)
            continue;
        struct sw_span value = { (const uint8_t *)text + skip, strlen(text + skip) };
        ret->n = algs[i].bytes;
        if (value.n == 2 * ret->n)
            return sw_hex_decode(text + skip, ret->bytes, ret->n);
        size_t n = 0;
        return sw_base64_decode(value, ret->bytes, sizeof(ret->bytes), &n) && n == ret->n;
    }
    return false;
}

/* The length of a "-YYYYMMDD-SERIAL" at s, 0 when there is none. */
static size_t stamp_length(const char *s)
{
    size_t n = 1;

    if (s[0] != '-')
        return 0;
    while (isdigit((unsigned char)s[n]))
        n++;
    if (n != 9 || s[n] != '-')
        return 0;
    for (n++; isdigit((unsigned char)s[n]); n++)
        ;
    return n > 10 ? n : 0;
}

/* Whether `file` is `name` with a stamp in it. */
static bool is_stamped(const char *file, const char *name)
{
    size_t same = 0;

    while (file[same] && file[same] == name[same])
        same++;

    size_t stamp = stamp_length(file + same);
    return stamp && strcmp(file + same + stamp, name + same) == 0;
}

static enum manifest_rank rank_ref(const struct manifest_search *s, const char *ref)
{
    const char *slash = strrchr(ref, '/');
    const char *file = slash ? slash + 1 : ref;

    if (strcmp(file, s->name) == 0)
        return RANK_EXACT;
    return is_stamped(file, s->name) ? RANK_LAST_PART : RANK_NONE;
}

/* Long enough for any path or digest; longer ones are of another layout. */
#define STRING_MAX 1024

/* Of another layout, or with a value of another type: not an entry, but no error either. */
static void read_item(const struct sw_json *item, struct manifest_search *s)
{
    struct sw_manifest_digest digest = { 0 };
    sw_autofree char *text = NULL, *ref = NULL;
    struct sw_err ignored = { 0 };
    const struct sw_json *annotations = sw_json_find(item, "metadata.annotations");

    if (sw_json_get_str(sw_json_member(annotations, "cloud.debian.org/digest"), "", STRING_MAX,
                        &text, &ignored) <= 0 ||
        sw_json_get_str(item, "data.ref", STRING_MAX, &ref, &ignored) < 0 ||
        !parse_annotation(text, &digest))
        return;

    const char *path = ref ? ref : "";
    struct sw_span name = { (const uint8_t *)path, strlen(path) };
    sw_manifest_add(s, name, rank_ref(s, path), &digest);
}

int sw_manifest_read_debian(struct sw_span text, struct manifest_search *s, struct sw_err *err)
{
    sw_auto_json struct sw_json *root = NULL;

    if (!is_affordable(text))
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "JSON with more than %d objects or %d values is no "
                          "digest manifest",
                          CONTAINERS_MAX, VALUES_MAX);
    if (sw_json_parse((const char *)text.p, text.n, SW_MANIFEST_MAX, &root, err) < 0)
        return sw_err_wrap(err, "digest manifest");

    const struct sw_json *items = sw_json_member(root, "items");
    if (!items)
        return sw_err_set(err, SW_ERR_BAD_DATA, "the JSON is not in Debian's layout: no \"items\"");
    for (size_t i = 0; i < sw_json_length(items); i++)
        read_item(sw_json_at(items, i), s);
    return 0;
}
