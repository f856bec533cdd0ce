/* SPDX-License-Identifier: Apache-2.0 */
/* json-c builds a tree. Its cost per input byte is large (an empty object takes two bytes of text
 * and nearly one KiB of memory), so the text's structure is counted before it is parsed. */
#include <ctype.h>
#include <json-c/json.h>

#include "common/parse.h"
#include "formats/base64.h"
#include "formats/digest_manifest_int.h"

/* Debian's files have a few hundred containers and a few thousand values (one object per package).
 * At the ceilings the tree takes about 24 MiB. */
#define CONTAINERS_MAX 16384
#define VALUES_MAX 65536
#define DEPTH_MAX 16

#define DIGEST_ANNOTATION "cloud.debian.org/digest"

static void cleanup_json(struct json_object **o)
{
    json_object_put(*o);
}

static void cleanup_tokener(struct json_tokener **t)
{
    if (*t)
        json_tokener_free(*t);
}

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

/* The string under obj.a.b (b may be NULL); NULL when there is none. Borrowed from obj. */
static const char *string_at(struct json_object *obj, const char *a, const char *b, const char *c)
{
    const char *path[] = { a, b, c };

    for (size_t i = 0; i < SW_COUNT(path) && path[i]; i++) {
        struct json_object *next;

        if (!json_object_is_type(obj, json_type_object) ||
            !json_object_object_get_ex(obj, path[i], &next))
            return NULL;
        obj = next;
    }
    return json_object_is_type(obj, json_type_string) ? json_object_get_string(obj) : NULL;
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

static void read_item(struct json_object *item, struct manifest_search *s)
{
    struct sw_manifest_digest digest = { 0 };
    const char *text = string_at(item, "metadata", "annotations", DIGEST_ANNOTATION);
    const char *ref = string_at(item, "data", "ref", NULL);

    if (!text || !parse_annotation(text, &digest))
        return;
    if (!ref)
        ref = "";
    struct sw_span name = { (const uint8_t *)ref, strlen(ref) };
    sw_manifest_add(s, name, rank_ref(s, ref), &digest);
}

int sw_manifest_read_debian(struct sw_span text, struct manifest_search *s, struct sw_err *err)
{
    __attribute__((cleanup(cleanup_tokener))) struct json_tokener *tokener = NULL;
    __attribute__((cleanup(cleanup_json))) struct json_object *root = NULL;
    struct json_object *items;

    if (!is_affordable(text))
        return sw_err_set(err, SW_ERR_BAD_DATA, "JSON with more than %d objects or %d values is no "
                                                "digest manifest",
                          CONTAINERS_MAX, VALUES_MAX);
    tokener = json_tokener_new_ex(DEPTH_MAX);
    if (!tokener)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    root = json_tokener_parse_ex(tokener, (const char *)text.p, (int)text.n);
    if (!root)
        return sw_err_set(err, SW_ERR_BAD_DATA, "the digest manifest is broken JSON: %s",
                          json_tokener_error_desc(json_tokener_get_error(tokener)));
    if (!json_object_object_get_ex(root, "items", &items) ||
        !json_object_is_type(items, json_type_array))
        return sw_err_set(err, SW_ERR_BAD_DATA, "the JSON is not in Debian's layout: no \"items\"");
    for (size_t i = 0; i < json_object_array_length(items); i++)
        read_item(json_object_array_get_idx(items, i), s);
    return 0;
}
