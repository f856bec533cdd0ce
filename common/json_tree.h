/* SPDX-License-Identifier: Apache-2.0 */
/* JSON trees under construction: for documents whose parts are compared, merged and filled in before
 * anybody reads them. What is only written belongs to the writer in common/json.h.
 *
 * A struct sw_json_maker collects the one failure that there is (memory), as struct sw_buf does:
 * after it every call does nothing, a NULL that an earlier call returned is accepted everywhere, and
 * one check at the end (sw_json_maker_check) reports it. Callers append dozens of members without a
 * check each.
 *
 * Ownership: sw_json_new_...() and sw_json_copy() give a tree to the caller (sw_auto_json frees it);
 * every other pointer is borrowed from the tree that it is part of. One thread at a time. */
#ifndef SW_COMMON_JSON_TREE_H
#define SW_COMMON_JSON_TREE_H

#include "common/json.h"

struct sw_json_maker {
    bool failed;
};

/* 0, or -1 with SW_ERR_INTERNAL when memory ran out: `what` names the document. */
SW_MUST_CHECK
int sw_json_maker_check(const struct sw_json_maker *m, const char *what, struct sw_err *err);

struct sw_json *sw_json_new_object(struct sw_json_maker *m);
struct sw_json *sw_json_new_array(struct sw_json_maker *m);
struct sw_json *sw_json_new_str(struct sw_json_maker *m, const char *text);

/* A deep copy; NULL (null) for NULL. Numbers keep how they were written. */
struct sw_json *sw_json_copy(struct sw_json_maker *m, const struct sw_json *from);

/* The setters put a member into an object, replacing one of that key; where `parent` is an array, key
 * is NULL and the value is appended. `key` is taken literally (it may contain dots). A parent of
 * another type is a bug of the caller (assert). set() takes the value, on failure too. Text that is
 * not UTF-8 (cut in the middle of a character, say) gets U+FFFD where it is not. */
void sw_json_set(struct sw_json_maker *m, struct sw_json *parent, const char *key,
                 struct sw_json *value);
void sw_json_set_str(struct sw_json_maker *m, struct sw_json *parent, const char *key,
                     const char *text);
void sw_json_set_i64(struct sw_json_maker *m, struct sw_json *parent, const char *key, int64_t v);
void sw_json_set_bool(struct sw_json_maker *m, struct sw_json *parent, const char *key, bool v);
void sw_json_set_null(struct sw_json_maker *m, struct sw_json *parent, const char *key);
void sw_json_set_copy(struct sw_json_maker *m, struct sw_json *parent, const char *key,
                      const struct sw_json *from);

/* The member of that key if it is an object (an array), else a new empty one in its place. Borrowed. */
struct sw_json *sw_json_enter_object(struct sw_json_maker *m, struct sw_json *parent,
                                     const char *key);
struct sw_json *sw_json_enter_array(struct sw_json_maker *m, struct sw_json *parent,
                                    const char *key);

/* Remove a member; nothing happens when it is not there. */
void sw_json_remove(struct sw_json *object, const char *key);

/* Apply an RFC 7386 merge patch to *target, which may be replaced as a whole (a patch that is no
 * object replaces it). The patch is copied from, never kept. */
void sw_json_merge(struct sw_json_maker *m, struct sw_json **target, const struct sw_json *patch);

/* The RFC 7386 merge patch that makes `to` of `from`, a new tree; NULL when they are equal (or the maker
 * failed). Both are objects without null members; NULL is an empty one. */
struct sw_json *sw_json_diff(struct sw_json_maker *m, const struct sw_json *from,
                             const struct sw_json *to);

/* What a value is, for code that walks trees it did not make. NULL is null. */
enum sw_json_type {
    SW_JSON_NULL,
    SW_JSON_BOOL,
    SW_JSON_NUMBER,
    SW_JSON_STRING,
    SW_JSON_ARRAY,
    SW_JSON_OBJECT,
};
enum sw_json_type sw_json_type(const struct sw_json *value);

/* The text of a string without a copy, as long as its document lives and is not changed; NULL when
 * the path leads to no string, or to one with a NUL inside. path as in sw_json_find(). */
const char *sw_json_text(const struct sw_json *from, const char *path);
/* The same for one member, whose key may contain dots. */
const char *sw_json_member_text(const struct sw_json *object, const char *key);

/* The value as one line of JSON, appended to out. */
void sw_json_print(struct sw_buf *out, const struct sw_json *value);

#endif
