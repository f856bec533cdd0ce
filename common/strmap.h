/* SPDX-License-Identifier: Apache-2.0 */
/* Strings to pointers: a hash table with chains that doubles when it is full. Keys are copied, values
 * are the caller's. Not for keys that an attacker chooses freely to be slow (FNV-1a, no seed).
 *
 * One thread. An empty map takes no memory; SW_STRMAP_INIT needs no call. */
#ifndef SW_COMMON_STRMAP_H
#define SW_COMMON_STRMAP_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct sw_strmap_node;

struct sw_strmap {
    struct sw_strmap_node **buckets;
    size_t n_buckets; /* 0 or a power of two */
    size_t n;         /* keys                */
};

#define SW_STRMAP_INIT                                                                             \
    {                                                                                              \
        0                                                                                          \
    }

/* The value, or NULL. */
void *sw_strmap_get(const struct sw_strmap *map, const char *key);

/* Set the value (not NULL) of a key; *ret_old, where it is not NULL, becomes the one it had before or
 * NULL. -1 with SW_ERR_INTERNAL (memory): nothing has changed. */
SW_MUST_CHECK
int sw_strmap_set(struct sw_strmap *map, const char *key, void *value, void **ret_old,
                  struct sw_err *err);

/* Forget the key and give its value, or NULL. */
void *sw_strmap_take(struct sw_strmap *map, const char *key);

/* Call each() for every key in no particular order; it may take that key, but change nothing else. */
void sw_strmap_each(const struct sw_strmap *map,
                    void (*each)(void *ctx, const char *key, void *value), void *ctx);

/* Free the keys; drop(value) is called for every value where it is not NULL. */
void sw_strmap_done(struct sw_strmap *map, void (*drop)(void *value));

#endif
