/* SPDX-License-Identifier: Apache-2.0 */
#include "common/strmap.h"

#include <string.h>

#define BUCKETS_MIN ((size_t)16)

struct sw_strmap_node {
    struct sw_strmap_node *next;
    void *value;
    uint32_t hash;
    char key[];
};

static uint32_t hash_of(const char *key)
{
    uint32_t h = 2166136261U;

    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * 16777619U;
    return h;
}

/* Where the pointer to the node stands or would stand; NULL in a map without buckets. */
static struct sw_strmap_node **slot_of(const struct sw_strmap *m, const char *key, uint32_t hash)
{
    if (!m->n_buckets)
        return NULL;
    struct sw_strmap_node **at = &m->buckets[hash & (m->n_buckets - 1)];
    while (*at && ((*at)->hash != hash || strcmp((*at)->key, key) != 0))
        at = &(*at)->next;
    return at;
}

/* Without memory for more buckets the chains grow; there has to be one, though. */
static int grow(struct sw_strmap *m, struct sw_err *err)
{
    size_t n = m->n_buckets ? m->n_buckets * 2 : BUCKETS_MIN;
    struct sw_strmap_node **bigger = calloc(n, sizeof(struct sw_strmap_node *));

    if (!bigger)
        return m->n_buckets ? 0 : sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a table");
    for (size_t i = 0; i < m->n_buckets; i++) {
        while (m->buckets[i]) {
            struct sw_strmap_node *node = m->buckets[i];

            m->buckets[i] = node->next;
            node->next = bigger[node->hash & (n - 1)];
            bigger[node->hash & (n - 1)] = node;
        }
    }
    free(m->buckets);
    m->buckets = bigger;
    m->n_buckets = n;
    return 0;
}

void *sw_strmap_get(const struct sw_strmap *map, const char *key)
{
    struct sw_strmap_node **at = slot_of(map, key, hash_of(key));

    return at && *at ? (*at)->value : NULL;
}

int sw_strmap_set(struct sw_strmap *map, const char *key, void *value, void **ret_old,
                  struct sw_err *err)
{
    uint32_t hash = hash_of(key);
    size_t n = strlen(key);
    struct sw_strmap_node **at = slot_of(map, key, hash);

    if (at && *at) {
        if (ret_old)
            *ret_old = (*at)->value;
        (*at)->value = value;
        return 0;
    }
    if (map->n >= map->n_buckets && grow(map, err) < 0)
        return -1;
    struct sw_strmap_node *node = malloc(sizeof(*node) + n + 1);
    if (!node)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a table");
    node->value = value;
    node->hash = hash;
    memcpy(node->key, key, n + 1);
    node->next = map->buckets[hash & (map->n_buckets - 1)];
    map->buckets[hash & (map->n_buckets - 1)] = node;
    map->n++;
    if (ret_old)
        *ret_old = NULL;
    return 0;
}

void *sw_strmap_take(struct sw_strmap *map, const char *key)
{
    struct sw_strmap_node **at = slot_of(map, key, hash_of(key));

    if (!at || !*at)
        return NULL;
    struct sw_strmap_node *node = *at;
    void *value = node->value;
    *at = node->next;
    map->n--;
    free(node);
    return value;
}

void sw_strmap_each(const struct sw_strmap *map,
                    void (*each)(void *ctx, const char *key, void *value), void *ctx)
{
    for (size_t i = 0; i < map->n_buckets; i++) {
        for (struct sw_strmap_node *node = map->buckets[i], *next; node; node = next) {
            next = node->next;
            each(ctx, node->key, node->value);
        }
    }
}

void sw_strmap_done(struct sw_strmap *map, void (*drop)(void *value))
{
    for (size_t i = 0; i < map->n_buckets; i++) {
        while (map->buckets[i]) {
            struct sw_strmap_node *node = map->buckets[i];

            map->buckets[i] = node->next;
            if (drop)
                drop(node->value);
            free(node);
        }
    }
    free(map->buckets);
    *map = (struct sw_strmap)SW_STRMAP_INIT;
}
