/* SPDX-License-Identifier: Apache-2.0 */
/* JSON that arrives in pieces, one object at a time: either objects one after another (a watch), or the
 * elements of one array of a large object (a list's "items"), so that neither the text nor the tree of
 * the whole has to be in memory.
 *
 * Bytes are pushed in pieces of any size. An object is handed out when its last byte has come and it
 * has parsed as JSON (strictly, see common/json.h); there are no halves of one.
 *
 * One thread at a time. Fuzzed by tests/fuzz/fuzz-json_split.c, with random borders. */
#ifndef SW_COMMON_JSON_SPLIT_H
#define SW_COMMON_JSON_SPLIT_H

#include "common/json.h"

struct sw_json_split {
    const char
        *array; /* NULL: a sequence of objects; else the member whose elements are wanted    */
    size_t max; /* longest object, bytes                                                     */

    /* ours */
    struct sw_buf
        value; /* the object at hand                                                      */
    struct sw_buf
        rest; /* with `array`: the text around the elements                              */
    unsigned depth;
    bool in_string, is_escaped;
    bool in_array;  /* between the elements, or in one of them                                */
    bool had_array; /* there was one                                                          */
    bool needs_comma, had_comma;
    bool is_key,
        is_value_next; /* the string that just ended is the member's name; its ':' came    */
    size_t key_n;      /* bytes of the present string that equal the member's name         */
    bool is_over;      /* with `array`: the outermost object has ended                     */
};

/* array is borrowed. The caller owes sw_json_split_done(). */
void sw_json_split_init(struct sw_json_split *s, const char *array, size_t max);
void sw_json_split_done(struct sw_json_split *s);

/* Take n bytes and call each(ctx, object, err) for every object that they complete; object is borrowed.
 * -1: what each() said, SW_ERR_BAD_DATA (not JSON, not an object, longer than max), or
 * SW_ERR_INTERNAL. After that only sw_json_split_done() is allowed. */
SW_MUST_CHECK
int sw_json_split_push(struct sw_json_split *s, const char *bytes, size_t n,
                       int (*each)(void *ctx, const struct sw_json *object, struct sw_err *err),
                       void *ctx, struct sw_err *err);

/* The bytes have ended. With `array`, *ret_rest is the outermost object with an empty array in its
 * place (an array that is null or missing is up to the caller), which the caller frees; else it may be
 * NULL. -1: SW_ERR_BAD_DATA when they ended in the middle. */
SW_MUST_CHECK
int sw_json_split_end(struct sw_json_split *s, struct sw_json **ret_rest, struct sw_err *err);

#endif
