/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json.h"

#include <assert.h>
#include <json-c/json.h>
#include <limits.h>
#include <string.h>

#include "common/parse.h"

/* struct sw_json is never defined: the pointers are json-c's own. */
static struct json_object *inside(const struct sw_json *j)
{
    return (struct json_object *)j;
}

static const struct sw_json *outside(struct json_object *o)
{
    return (const struct sw_json *)o;
}

static void free_tokener(struct json_tokener **t)
{
    if (*t)
        json_tokener_free(*t);
}

size_t sw_utf8_decode(const char *text, size_t n, uint32_t *ret)
{
    static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char *p = (const unsigned char *)text;
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (len == 0 || len > n || p[0] > 0xf4)
        return 0;

    uint32_t c = len == 1 ? p[0] : p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < lowest[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret = c;
    return len;
}

/* The same JSON with everything outside ASCII as \u escapes (outside of strings that is as wrong as
 * the character itself was). json-c 0.18 in strict mode takes every byte above 0x7f for a control
 * character where char is signed, and 0.16 does not notice overlong forms and surrogates. */
static int to_ascii(const char *text, size_t n, struct sw_buf *out, struct sw_err *err)
{
    for (size_t at = 0; at < n;) {
        uint32_t c;
        size_t len = sw_utf8_decode(text + at, n - at, &c);

        if (len == 0)
            return sw_err_set(err, SW_ERR_BAD_DATA, "not JSON: invalid UTF-8 at byte %zu", at);
        if (c < 0x80)
            sw_buf_append(out, text + at, 1);
        else if (c < 0x10000)
            sw_buf_printf(out, "\\u%04x", (unsigned)c);
        else
            sw_buf_printf(out, "\\u%04x\\u%04x", (unsigned)(0xd7c0 + (c >> 10)),
                          (unsigned)(0xdc00 + (c & 0x3ff)));
        at += len;
    }
    return sw_buf_check(out, "the JSON text", err);
}

static int parse_ascii(const char *text, size_t n, struct sw_json **ret, struct sw_err *err)
{
    __attribute__((cleanup(free_tokener))) struct json_tokener *t = NULL;

    /* json-c counts the innermost scalar as a level of its own. */
    t = json_tokener_new_ex(SW_JSON_MAX_DEPTH + 1);
    if (!t)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for JSON");
    json_tokener_set_flags(t, JSON_TOKENER_STRICT);

    struct json_object *o = json_tokener_parse_ex(t, text, (int)n);
    size_t end = json_tokener_get_parse_end(t);
    if (json_tokener_get_error(t) == json_tokener_continue)
        o = json_tokener_parse_ex(t, "", 1); /* the NUL ends a number at the very end */

    enum json_tokener_error e = json_tokener_get_error(t);
    if (e != json_tokener_success || end != n) {
        json_object_put(o);
        return sw_err_set(err, SW_ERR_BAD_DATA, "not JSON: %s at byte %zu",
                          e == json_tokener_continue || n == 0 ? "it ends early"
                          : e == json_tokener_success          ? "something follows the end"
                                                               : json_tokener_error_desc(e),
                          end);
    }
    *ret = (struct sw_json *)o;
    return 0;
}

static bool is_ascii(const char *text, size_t n)
{
    size_t i = 0;

    while (i < n && (unsigned char)text[i] < 0x80)
        i++;
    return i == n;
}

int sw_json_parse(const char *text, size_t n, size_t max, struct sw_json **ret, struct sw_err *err)
{
    assert(max < INT_MAX / 3);
    if (n > max)
        return sw_err_set(err, SW_ERR_BAD_DATA, "JSON text of %zu bytes, at most %zu are taken", n,
                          max);
    if (is_ascii(text, n))
        return parse_ascii(text, n, ret, err);

    /* The worst case: two bytes of UTF-8 become six of ASCII. */
    sw_autobuf struct sw_buf ascii = SW_BUF_INIT(3 * max);
    if (to_ascii(text, n, &ascii, err) < 0)
        return -1;
    return parse_ascii(ascii.p, ascii.n, ret, err);
}

void sw_json_free(struct sw_json *doc)
{
    json_object_put(inside(doc));
}

const struct sw_json *sw_json_member(const struct sw_json *object, const char *key)
{
    struct json_object *o = NULL;

    if (!json_object_is_type(inside(object), json_type_object))
        return NULL;
    json_object_object_get_ex(inside(object), key, &o);
    return outside(o);
}

int sw_json_each(const struct sw_json *object,
                 int (*each)(void *ctx, const char *key, const struct sw_json *value), void *ctx)
{
    struct json_object *o = inside(object);

    if (!json_object_is_type(o, json_type_object))
        return 0;
    for (struct lh_entry *e = json_object_get_object(o)->head; e; e = e->next) {
        int done = each(ctx, lh_entry_k(e), outside(lh_entry_v(e)));

        if (done)
            return done;
    }
    return 0;
}

bool sw_json_equal(const struct sw_json *a, const struct sw_json *b)
{
    return json_object_equal(inside(a), inside(b));
}

size_t sw_json_length(const struct sw_json *array)
{
    if (!json_object_is_type(inside(array), json_type_array))
        return 0;
    return json_object_array_length(inside(array));
}

const struct sw_json *sw_json_at(const struct sw_json *array, size_t i)
{
    assert(i < sw_json_length(array));
    return outside(json_object_array_get_idx(inside(array), i));
}

/* One step of a path: a member of an object, an element of an array. */
static const struct sw_json *step_into(const struct sw_json *from, const char *name)
{
    struct sw_err ignored;
    uint64_t i;
    size_t n = sw_json_length(from);

    if (n == 0)
        return sw_json_member(from, name);
    if (sw_parse_u64(name, 0, n - 1, &i, &ignored) < 0)
        return NULL;
    return sw_json_at(from, (size_t)i);
}

const struct sw_json *sw_json_find(const struct sw_json *from, const char *path)
{
    sw_autofree char *steps = *path ? strdup(path) : NULL;
    char *rest = steps;

    if (*path && !steps)
        return NULL;
    while (rest && from) {
        const char *name = strsep(&rest, ".");

        from = step_into(from, name);
    }
    return from;
}

static int wrong_type(const char *path, const char *wanted, const struct sw_json *j,
                      struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_BAD_DATA, "'%s' is not %s but of type %s", path, wanted,
                      json_type_to_name(json_object_get_type(inside(j))));
}

int sw_json_get_str(const struct sw_json *from, const char *path, size_t max, char **ret,
                    struct sw_err *err)
{
    const struct sw_json *j = sw_json_find(from, path);

    if (!j)
        return 0;
    if (!json_object_is_type(inside(j), json_type_string))
        return wrong_type(path, "a string", j, err);

    const char *text = json_object_get_string(inside(j));
    size_t n = (size_t)json_object_get_string_len(inside(j));
    if (n > max)
        return sw_err_set(err, SW_ERR_BAD_DATA, "'%s' is %zu bytes long, at most %zu are taken",
                          path, n, max);
    if (memchr(text, '\0', n))
        return sw_err_set(err, SW_ERR_BAD_DATA, "'%s' contains a NUL character", path);

    char *copy = strdup(text);
    if (!copy)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for '%s'", path);
    *ret = copy;
    return 1;
}

int sw_json_get_u64(const struct sw_json *from, const char *path, uint64_t *ret, struct sw_err *err)
{
    const struct sw_json *j = sw_json_find(from, path);

    if (!j)
        return 0;
    if (!json_object_is_type(inside(j), json_type_int))
        return wrong_type(path, "a whole number", j, err);

    /* json-c clamps what does not fit: negative to 0 here, too large to UINT64_MAX when parsing. */
    uint64_t v = json_object_get_uint64(inside(j));
    if (v == UINT64_MAX || (v == 0 && json_object_get_int64(inside(j)) != 0))
        return sw_err_set(err, SW_ERR_BAD_DATA, "'%s' is out of range", path);
    *ret = v;
    return 1;
}

int sw_json_get_bool(const struct sw_json *from, const char *path, bool *ret, struct sw_err *err)
{
    const struct sw_json *j = sw_json_find(from, path);

    if (!j)
        return 0;
    if (!json_object_is_type(inside(j), json_type_boolean))
        return wrong_type(path, "true or false", j, err);
    *ret = json_object_get_boolean(inside(j));
    return 1;
}

/* --- Writing ----------------------------------------------------------------------------------- */

void sw_json_writer_init(struct sw_json_writer *w, struct sw_buf *out)
{
    *w = (struct sw_json_writer){ .out = out };
}

/* The comma and the key in front of a value. */
static void put_key(struct sw_json_writer *w, const char *key)
{
    assert(!key == (w->depth == 0 || w->in_array[w->depth - 1]));

    if (w->has_member[w->depth])
        sw_buf_puts(w->out, ",");
    w->has_member[w->depth] = true;
    if (key) {
        sw_json_quote(w->out, key);
        sw_buf_puts(w->out, ":");
    }
}

static void begin(struct sw_json_writer *w, const char *key, bool is_array)
{
    assert(w->depth < SW_JSON_MAX_DEPTH);

    put_key(w, key);
    sw_buf_puts(w->out, is_array ? "[" : "{");
    w->in_array[w->depth++] = is_array;
    w->has_member[w->depth] = false;
}

void sw_json_begin_object(struct sw_json_writer *w, const char *key)
{
    begin(w, key, false);
}

void sw_json_begin_array(struct sw_json_writer *w, const char *key)
{
    begin(w, key, true);
}

void sw_json_end(struct sw_json_writer *w)
{
    assert(w->depth > 0);

    w->depth--;
    sw_buf_puts(w->out, w->in_array[w->depth] ? "]" : "}");
}

void sw_json_put_str(struct sw_json_writer *w, const char *key, const char *text)
{
    put_key(w, key);
    if (text)
        sw_json_quote(w->out, text);
    else
        sw_buf_puts(w->out, "null");
}

void sw_json_put_u64(struct sw_json_writer *w, const char *key, uint64_t v)
{
    put_key(w, key);
    sw_buf_printf(w->out, "%llu", (unsigned long long)v);
}

void sw_json_put_i64(struct sw_json_writer *w, const char *key, int64_t v)
{
    put_key(w, key);
    sw_buf_printf(w->out, "%lld", (long long)v);
}

void sw_json_put_bool(struct sw_json_writer *w, const char *key, bool v)
{
    put_key(w, key);
    sw_buf_puts(w->out, v ? "true" : "false");
}

void sw_json_put_value(struct sw_json_writer *w, const char *key, const struct sw_json *v)
{
    put_key(w, key);
    sw_buf_puts(w->out, json_object_to_json_string_ext(
                            inside(v), JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

void sw_json_quote(struct sw_buf *out, const char *text)
{
    size_t left = strlen(text);

    sw_buf_puts(out, "\"");
    while (left) {
        uint32_t c;
        size_t n = sw_utf8_decode(text, left, &c);

        if (n == 0)
            sw_buf_puts(out, "\xef\xbf\xbd");
        else if (c == '"' || c == '\\')
            sw_buf_printf(out, "\\%c", (int)c);
        else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
            sw_buf_printf(out, "\\u%04x", (unsigned)c);
        else
            sw_buf_append(out, text, n);
        text += n ? n : 1;
        left -= n ? n : 1;
    }
    sw_buf_puts(out, "\"");
}
