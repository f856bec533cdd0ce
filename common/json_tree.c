/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json_tree.h"

#include <assert.h>
#include <json-c/json.h>
#include <string.h>

/* struct sw_json is never defined: the pointers are json-c's own, as in json.c. */
static struct json_object *inside(const struct sw_json *j)
{
    return (struct json_object *)j;
}

static struct sw_json *outside(struct json_object *o)
{
    return (struct sw_json *)o;
}

int sw_json_maker_check(const struct sw_json_maker *m, const char *what, struct sw_err *err)
{
    if (m->failed)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for %s", what);
    return 0;
}

/* Notes the failure of a constructor. */
static struct sw_json *made(struct sw_json_maker *m, struct json_object *o)
{
    if (!o)
        m->failed = true;
    return outside(o);
}

struct sw_json *sw_json_new_object(struct sw_json_maker *m)
{
    return made(m, json_object_new_object());
}

struct sw_json *sw_json_new_array(struct sw_json_maker *m)
{
    return made(m, json_object_new_array());
}

/* Text as a JSON string, of valid UTF-8 whatever it was. */
static struct json_object *new_string(const char *text)
{
    size_t n = strlen(text), bad = 0;
    uint32_t c;

    for (size_t at = 0, len; at < n; at += len) {
        len = (unsigned char)text[at] < 0x80 ? 1 : sw_utf8_decode(text + at, n - at, &c);
        if (len == 0) {
            bad++;
            len = 1;
        }
    }
    if (bad == 0)
        return json_object_new_string(text);

    sw_autobuf struct sw_buf out = SW_BUF_INIT(n + 2 * bad);
    for (size_t at = 0, len; at < n; at += len) {
        len = sw_utf8_decode(text + at, n - at, &c);
        if (len == 0)
            sw_buf_puts(&out, "\xef\xbf\xbd");
        else
            sw_buf_append(&out, text + at, len);
        len = len ? len : 1;
    }
    return out.failed ? NULL : json_object_new_string(sw_buf_str(&out));
}

struct sw_json *sw_json_new_str(struct sw_json_maker *m, const char *text)
{
    return made(m, new_string(text));
}

struct sw_json *sw_json_copy(struct sw_json_maker *m, const struct sw_json *from)
{
    struct json_object *to = NULL;

    if (from && json_object_deep_copy(inside(from), &to, NULL) < 0)
        m->failed = true;
    return outside(to);
}

static void put(struct sw_json_maker *m, struct sw_json *parent, const char *key,
                struct json_object *value)
{
    int rc;

    if (m->failed || !parent) {
        json_object_put(value);
        return;
    }
    if (key) {
        assert(json_object_is_type(inside(parent), json_type_object));
        rc = json_object_object_add(inside(parent), key, value);
    } else {
        assert(json_object_is_type(inside(parent), json_type_array));
        rc = json_object_array_add(inside(parent), value);
    }
    if (rc < 0) {
        json_object_put(value);
        m->failed = true;
    }
}

void sw_json_set(struct sw_json_maker *m, struct sw_json *parent, const char *key,
                 struct sw_json *value)
{
    put(m, parent, key, inside(value));
}

/* A value that could not be made must not be put as null. */
static void put_made(struct sw_json_maker *m, struct sw_json *parent, const char *key,
                     struct json_object *value)
{
    if (!value)
        m->failed = true;
    put(m, parent, key, value);
}

void sw_json_set_str(struct sw_json_maker *m, struct sw_json *parent, const char *key,
                     const char *text)
{
    put_made(m, parent, key, new_string(text));
}

void sw_json_set_i64(struct sw_json_maker *m, struct sw_json *parent, const char *key, int64_t v)
{
    put_made(m, parent, key, json_object_new_int64(v));
}

void sw_json_set_bool(struct sw_json_maker *m, struct sw_json *parent, const char *key, bool v)
{
    put_made(m, parent, key, json_object_new_boolean(v));
}

void sw_json_set_null(struct sw_json_maker *m, struct sw_json *parent, const char *key)
{
    put(m, parent, key, NULL);
}

void sw_json_set_copy(struct sw_json_maker *m, struct sw_json *parent, const char *key,
                      const struct sw_json *from)
{
    put(m, parent, key, inside(sw_json_copy(m, from)));
}

static struct sw_json *enter(struct sw_json_maker *m, struct sw_json *parent, const char *key,
                             enum json_type type)
{
    struct json_object *child = NULL;

    if (m->failed || !parent)
        return NULL;
    if (key && json_object_object_get_ex(inside(parent), key, &child) &&
        json_object_is_type(child, type))
        return outside(child);

    child = type == json_type_object ? json_object_new_object() : json_object_new_array();
    put_made(m, parent, key, child);
    return m->failed ? NULL : outside(child);
}

struct sw_json *sw_json_enter_object(struct sw_json_maker *m, struct sw_json *parent,
                                     const char *key)
{
    return enter(m, parent, key, json_type_object);
}

struct sw_json *sw_json_enter_array(struct sw_json_maker *m, struct sw_json *parent,
                                    const char *key)
{
    return enter(m, parent, key, json_type_array);
}

void sw_json_remove(struct sw_json *object, const char *key)
{
    if (object)
        json_object_object_del(inside(object), key);
}

/* The depth of both is bounded by SW_JSON_MAX_DEPTH, as they were parsed or written by hand. */
void sw_json_merge(struct sw_json_maker *m, struct sw_json **target, const struct sw_json *patch)
{
    if (!json_object_is_type(inside(patch), json_type_object)) {
        sw_json_free(*target);
        *target = sw_json_copy(m, patch);
        return;
    }
    if (!json_object_is_type(inside(*target), json_type_object)) {
        sw_json_free(*target);
        *target = sw_json_new_object(m);
    }
    for (struct lh_entry *e = json_object_get_object(inside(patch))->head; e && !m->failed;
         e = e->next) {
        const char *key = lh_entry_k(e);
        struct json_object *old = NULL;

        if (!lh_entry_v(e)) {
            sw_json_remove(*target, key);
            continue;
        }
        json_object_object_get_ex(inside(*target), key, &old);
        struct sw_json *member = outside(
            json_object_get(old)); /* kept alive while it is replaced */
        sw_json_merge(m, &member, outside(lh_entry_v(e)));
        put(m, *target, key, inside(member));
    }
}

static bool is_object(const struct sw_json *value)
{
    return json_object_is_type(inside(value), json_type_object);
}

/* The depth of both is bounded as for merging. */
struct sw_json *sw_json_diff(struct sw_json_maker *m, const struct sw_json *from,
                             const struct sw_json *to)
{
    struct sw_json *patch = NULL;

    if (is_object(from))
        for (struct lh_entry *e = json_object_get_object(inside(from))->head; e; e = e->next) {
            if (lh_entry_v(e) && !sw_json_member(to, lh_entry_k(e))) {
                patch = patch ? patch : sw_json_new_object(m);
                sw_json_set_null(m, patch, lh_entry_k(e));
            }
        }
    if (!is_object(to))
        return patch;
    for (struct lh_entry *e = json_object_get_object(inside(to))->head; e; e = e->next) {
        const struct sw_json *was = sw_json_member(from, lh_entry_k(e));
        const struct sw_json *is = outside(lh_entry_v(e));

        if (sw_json_equal(was, is))
            continue;
        patch = patch ? patch : sw_json_new_object(m);
        if (is_object(was) && is_object(is))
            sw_json_set(m, patch, lh_entry_k(e), sw_json_diff(m, was, is));
        else
            sw_json_set_copy(m, patch, lh_entry_k(e), is);
    }
    return patch;
}

enum sw_json_type sw_json_type(const struct sw_json *value)
{
    switch (json_object_get_type(inside(value))) {
    case json_type_boolean:
        return SW_JSON_BOOL;
    case json_type_int:
    case json_type_double:
        return SW_JSON_NUMBER;
    case json_type_string:
        return SW_JSON_STRING;
    case json_type_array:
        return SW_JSON_ARRAY;
    case json_type_object:
        return SW_JSON_OBJECT;
    case json_type_null:
        break;
    }
    return SW_JSON_NULL;
}

static const char *text_of(const struct sw_json *value)
{
    if (!json_object_is_type(inside(value), json_type_string))
        return NULL;

    const char *text = json_object_get_string(inside(value));
    return strlen(text) == (size_t)json_object_get_string_len(inside(value)) ? text : NULL;
}

const char *sw_json_text(const struct sw_json *from, const char *path)
{
    return text_of(sw_json_find(from, path));
}

const char *sw_json_member_text(const struct sw_json *object, const char *key)
{
    return text_of(sw_json_member(object, key));
}

void sw_json_print(struct sw_buf *out, const struct sw_json *value)
{
    sw_buf_puts(out, json_object_to_json_string_ext(
                         inside(value), JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}
