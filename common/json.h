/* SPDX-License-Identifier: Apache-2.0 */
/* JSON in and out. Reading gives a tree behind typed, bounded accessors; writing goes straight into
 * a struct sw_buf and needs no tree. json-c stays behind this header: no other file includes it.
 *
 * Reading is for untrusted text: RFC 8259 strictly (no comments, no trailing bytes, valid UTF-8),
 * nested at most SW_JSON_MAX_DEPTH deep, never longer than the caller allows. Where a key appears
 * twice the last one counts. Fuzzed by tests/fuzz/fuzz-json.c.
 *
 * Thread rule: a tree that nobody frees may be read by many threads; a writer belongs to one. */
#ifndef SW_COMMON_JSON_H
#define SW_COMMON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"

#define SW_JSON_MAX_DEPTH 32

/* A value of any type: a whole document, or a part of one, which lives as long as the document. */
struct sw_json;

/* Parse n bytes of text, at most max. The caller frees *ret. -1 with SW_ERR_BAD_DATA (longer than
 * max < 512 MiB, not JSON, too deep; the message has the offset, in which a character outside ASCII
 * counts as its \u escape) or SW_ERR_INTERNAL (memory). */
SW_MUST_CHECK
int sw_json_parse(const char *text, size_t n, size_t max, struct sw_json **ret, struct sw_err *err);

/* Only for what sw_json_parse() gave; NULL is fine. */
void sw_json_free(struct sw_json *doc);

static inline void sw_cleanup_json(struct sw_json **doc)
{
    sw_json_free(*doc);
}
#define sw_auto_json __attribute__((cleanup(sw_cleanup_json)))

/* The part of `from` that a dotted path names ("spec.source.http.url", "items.0.name": a number
 * indexes an array; "" is `from` itself), borrowed. NULL when a step is not there or the value is
 * null. A key that contains a dot is reached with sw_json_member(). from may be NULL. */
const struct sw_json *sw_json_find(const struct sw_json *from, const char *path);

/* The member of an object with exactly this key; NULL as above, or when it is not an object. */
const struct sw_json *sw_json_member(const struct sw_json *object, const char *key);

/* Number of elements of an array; 0 for every other value and NULL. */
size_t sw_json_length(const struct sw_json *array);

/* Call each(ctx, key, value) for every member of an object in the order of the text (value is NULL
 * for null), until it returns other than 0, which is then returned; 0 when there is no object. */
int sw_json_each(const struct sw_json *object,
                 int (*each)(void *ctx, const char *key, const struct sw_json *value), void *ctx);

/* Same type and content; the order of members does not matter. NULL (null) equals only itself. */
bool sw_json_equal(const struct sw_json *a, const struct sw_json *b);

/* Element i < sw_json_length(), borrowed; NULL when it is null. */
const struct sw_json *sw_json_at(const struct sw_json *array, size_t i);

/* The typed accessors: 1 and *ret, 0 when the path leads nowhere or to null (*ret is left alone),
 * -1 with SW_ERR_BAD_DATA, naming the path, when the value has another type or is out of bounds.
 *
 * get_str copies at most max bytes (the caller frees *ret); a string with a NUL inside is refused,
 * as C could only see half of it. get_u64 takes whole numbers from 0 to 2^64-1 that are written
 * without fraction and exponent. */
SW_MUST_CHECK
int sw_json_get_str(const struct sw_json *from, const char *path, size_t max, char **ret,
                    struct sw_err *err);
SW_MUST_CHECK
int sw_json_get_u64(const struct sw_json *from, const char *path, uint64_t *ret,
                    struct sw_err *err);
SW_MUST_CHECK
int sw_json_get_bool(const struct sw_json *from, const char *path, bool *ret, struct sw_err *err);

/* A writer appends to a buffer that it borrows. It puts the commas; failure is the buffer's (see
 * sw_buf_check). Inside an array, and for the outermost value, key is NULL. */
struct sw_json_writer {
    struct sw_buf *out;
    unsigned depth;
    bool in_array[SW_JSON_MAX_DEPTH];
    bool has_member[SW_JSON_MAX_DEPTH + 1];
};

void sw_json_writer_init(struct sw_json_writer *w, struct sw_buf *out);

/* Nested deeper than SW_JSON_MAX_DEPTH is a bug of the caller (assert). */
void sw_json_begin_object(struct sw_json_writer *w, const char *key);
void sw_json_begin_array(struct sw_json_writer *w, const char *key);
void sw_json_end(struct sw_json_writer *w); /* of whichever was begun last */

void sw_json_put_str(struct sw_json_writer *w, const char *key, const char *text); /* NULL: null */
void sw_json_put_u64(struct sw_json_writer *w, const char *key, uint64_t v);
void sw_json_put_i64(struct sw_json_writer *w, const char *key, int64_t v);
void sw_json_put_bool(struct sw_json_writer *w, const char *key, bool v);
void sw_json_put_value(struct sw_json_writer *w, const char *key, const struct sw_json *v);

/* Append text as a JSON string with its quotes. Control characters (C1 and DEL too) are escaped, so
 * that the result is safe on a terminal; bytes that are not UTF-8 become U+FFFD. */
void sw_json_quote(struct sw_buf *out, const char *text);

/* The code point that starts at text, of which n > 0 bytes are there, into *ret, and its length in
 * bytes; or 0 when that is not valid UTF-8 (too long a form, a surrogate, past U+10FFFF, cut).
 * Source: RFC 3629 section 4. */
size_t sw_utf8_decode(const char *text, size_t n, uint32_t *ret);

#endif
