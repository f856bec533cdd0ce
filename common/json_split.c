/* SPDX-License-Identifier: Apache-2.0 */
/* DESIGN: only strings and brackets are looked at, to find where an object ends; whether it is JSON is
 * the parser's judgement on the whole. What lies between objects (commas, blanks) no parser sees, so
 * that is checked here. */
#include "common/json_split.h"

#include <string.h>

/* Lists carry little beside their items. */
#define REST_MAX ((size_t)64 << 10)
/* A buffer that one large object has stretched is not kept for the small ones. */
#define KEPT_MAX ((size_t)64 << 10)

struct pushing {
    struct sw_json_split *s;
    int (*each)(void *ctx, const struct sw_json *object, struct sw_err *err);
    void *ctx;
};

void sw_json_split_init(struct sw_json_split *s, const char *array, size_t max)
{
    *s = (struct sw_json_split){ .array = array, .max = max };
    sw_buf_init(&s->value, max);
    sw_buf_init(&s->rest, REST_MAX);
}

void sw_json_split_done(struct sw_json_split *s)
{
    sw_buf_done(&s->value);
    sw_buf_done(&s->rest);
}

/* Depth at which the wanted objects lie. */
static unsigned base(const struct sw_json_split *s)
{
    return s->array ? 2 : 0;
}

/* Where the byte at hand belongs: to an object that is wanted, or around them. */
static bool in_value(const struct sw_json_split *s)
{
    return s->array ? s->in_array && s->depth > 2 : s->depth > 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int bad(const char *what, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_BAD_DATA, "not JSON: %s", what);
}

static int hand_out(struct pushing *p, struct sw_err *err)
{
    sw_auto_json struct sw_json *doc = NULL;
    struct sw_buf *b = &p->s->value;

    if (b->failed)
        return sw_err_set(err, SW_ERR_BAD_DATA, "an object of more than %zu bytes", p->s->max);
    if (sw_json_parse(b->p, b->n, p->s->max, &doc, err) < 0)
        return -1;
    if (b->cap > KEPT_MAX)
        sw_buf_done(b);
    sw_buf_reset(b);
    return p->each(p->ctx, doc, err);
}

/* A byte of a string: only its end matters, and whether it spells the member's name. */
static void in_string(struct sw_json_split *s, char c)
{
    if (s->is_escaped) {
        s->is_escaped = false;
    } else if (c == '\\') {
        s->is_escaped = true;
    } else if (c == '"') {
        s->in_string = false;
        s->is_key = s->array && s->depth == 1 && s->key_n == strlen(s->array);
        return;
    }
    if (!s->array || s->depth != 1)
        return;
    /* An escape in the name makes it another one: nobody writes it so. */
    if (s->key_n < strlen(s->array) && s->array[s->key_n] == c)
        s->key_n++;
    else
        s->key_n = SIZE_MAX / 2;
}

/* A byte between the wanted objects. */
static int between(struct sw_json_split *s, char c, struct sw_err *err)
{
    if (is_blank(c))
        return 0;
    if (c == '{' && !s->needs_comma)
        return 0;
    if (c == ',' && s->needs_comma) {
        s->needs_comma = false;
        s->had_comma = true;
        return 0;
    }
    if (c == ']' && s->array && !s->had_comma)
        return 0;
    return bad("something else than an object in a sequence of objects", err);
}

/* Whether the array begins with this byte; c is outside of strings, at depth 1. */
static bool begins_array(struct sw_json_split *s, char c)
{
    bool is_begin = s->is_value_next && c == '[';

    if (is_blank(c))
        return false;
    s->is_value_next = s->is_key && c == ':';
    s->is_key = false;
    return is_begin;
}

/* Brackets and quotes. Returns 1 when the byte ended a wanted object. */
static int outside_string(struct sw_json_split *s, char c, struct sw_err *err)
{
    switch (c) {
    case '"':
        s->in_string = true;
        s->key_n = 0;
        s->is_key = false;
        return 0;
    case '{':
    case '[':
        s->depth++;
        return 0;
    case '}':
    case ']':
        if (s->depth == 0)
            return bad("a bracket that was never opened", err);
        s->depth--;
        return in_value(s) || s->depth != base(s) || (s->array && !s->in_array) ? 0 : 1;
    default:
        return 0;
    }
}

/* One byte around the elements of the array. Returns whether it belongs to the rest. */
static int around(struct sw_json_split *s, char c, struct sw_err *err)
{
    if (s->depth == 0 && !s->in_string && !is_blank(c) && (s->is_over || c != '{'))
        return bad("not an object", err);
    if (s->in_string) {
        in_string(s, c);
        return 1;
    }
    if (s->depth == 1 && begins_array(s, c)) {
        s->in_array = s->had_array = true;
        s->needs_comma = s->had_comma = false;
        s->depth = 2;
        return 1;
    }
    if (outside_string(s, c, err) < 0)
        return -1;
    s->is_over |= s->depth == 0 && c == '}';
    return 1;
}

/* One byte of the array, or of a sequence. 1: it belongs to an object, which ends with it when
 * *ret_ends; 0: it lies between two; 2: it ends the array. */
static int inside(struct sw_json_split *s, char c, bool *ret_ends, struct sw_err *err)
{
    int ended;

    *ret_ends = false;
    if (s->in_string) {
        in_string(s, c);
        return 1;
    }
    if (!in_value(s)) {
        if (between(s, c, err) < 0)
            return -1;
        if (c == ']') {
            s->in_array = false;
            s->depth--;
            return 2;
        }
        if (c != '{')
            return 0;
        s->had_comma = false;
    }
    ended = outside_string(s, c, err);
    if (ended < 0)
        return -1;
    *ret_ends = ended;
    s->needs_comma = ended && s->array;
    return 1;
}

/* Consume the bytes of one kind, those of an object or those around them, up to where the kind changes.
 * Returns how many, or -1. */
static ssize_t push_object_bytes(struct pushing *p, const char *bytes, size_t n, struct sw_err *err)
{
    struct sw_json_split *s = p->s;
    size_t from = in_value(s) ? 0 : n;

    for (size_t i = 0; i < n; i++) {
        bool ends;
        int where = inside(s, bytes[i], &ends, err);

        if (where < 0)
            return -1;
        if (where == 1 && from == n)
            from = i;
        if (ends || where == 2) {
            if (where == 2)
                sw_buf_puts(&s->rest, "]");
            else
                sw_buf_append(&s->value, bytes + from, i + 1 - from);
            return ends && hand_out(p, err) < 0 ? -1 : (ssize_t)i + 1;
        }
    }
    sw_buf_append(&s->value, bytes + from, n - from);
    if (s->value.failed)
        return sw_err_set(err, SW_ERR_BAD_DATA, "an object of more than %zu bytes", s->max);
    return (ssize_t)n;
}

static ssize_t push_rest_bytes(struct sw_json_split *s, const char *bytes, size_t n,
                               struct sw_err *err)
{
    size_t i = 0;

    while (i < n && !s->in_array) {
        if (around(s, bytes[i++], err) < 0)
            return -1;
    }
    sw_buf_append(&s->rest, bytes, i);
    return sw_buf_check(&s->rest, "what is around a list's items", err) < 0 ? -1 : (ssize_t)i;
}

int sw_json_split_push(struct sw_json_split *s, const char *bytes, size_t n,
                       int (*each)(void *ctx, const struct sw_json *object, struct sw_err *err),
                       void *ctx, struct sw_err *err)
{
    struct pushing p = { s, each, ctx };

    while (n) {
        ssize_t took = s->array && !s->in_array ? push_rest_bytes(s, bytes, n, err)
                                                : push_object_bytes(&p, bytes, n, err);

        if (took < 0)
            return -1;
        bytes += took;
        n -= (size_t)took;
    }
    return 0;
}

int sw_json_split_end(struct sw_json_split *s, struct sw_json **ret_rest, struct sw_err *err)
{
    if (s->array && !s->is_over)
        return bad("it ends early", err);
    if (!s->array)
        return s->depth || s->in_string ? bad("it ends early", err) : 0;
    return sw_json_parse(sw_buf_str(&s->rest), s->rest.n, REST_MAX, ret_rest, err);
}
