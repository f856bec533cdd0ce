/* SPDX-License-Identifier: Apache-2.0 */
/* The tables behind kube/cache.h: entries by namespace and name, and nodes of indexes. Knows nothing of
 * JSON. Inside kube/ only; one thread at a time. */
#ifndef SW_KUBE_STORE_H
#define SW_KUBE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SW_KUBE_STORE_INDEXES 8

/* One object, one allocation: `data` is namespace, name, uid and text, each with its NUL. */
struct sw_kube_entry {
    struct sw_kube_entry *next; /* in its bucket */
    struct sw_kube_node *nodes; /* in indexes, owned */
    uint64_t hash;
    uint64_t version;                  /* resourceVersion                                    */
    uint32_t list_no;                  /* number of the last list that named it              */
    uint32_t rest;                     /* of the text: where it is free of resourceVersion   */
    uint32_t text_n;                   /* bytes of the text, without its NUL                 */
    uint16_t name_at, uid_at, text_at; /* in data */
    char data[];
};

/* One value of one index. */
struct sw_kube_node {
    struct sw_kube_node *next;     /* in its bucket     */
    struct sw_kube_node *next_own; /* of the same entry */
    struct sw_kube_entry *entry;
    uint64_t hash;
    unsigned index;
    char value[];
};

struct sw_kube_table {
    void **buckets; /* heads of chains */
    size_t n_buckets, n;
};

struct sw_kube_store {
    struct sw_kube_table entries;
    struct sw_kube_table indexes[SW_KUBE_STORE_INDEXES];
    uint64_t seed;
    size_t bytes; /* allocated for entries and nodes */
};

/* What an entry is made of; borrowed. ns, name and uid are shorter than 16 KiB each. */
struct sw_kube_entry_parts {
    const char *ns, *name, *uid, *text;
    size_t text_n, rest;
    uint64_t version;
};

void sw_kube_store_init(struct sw_kube_store *s);
void sw_kube_store_done(struct sw_kube_store *s);

/* NULL: out of memory. Not in the store yet; belongs to the caller. */
struct sw_kube_entry *sw_kube_entry_make(const struct sw_kube_entry_parts *parts);
/* Only for one that is in no store; NULL is fine. */
void sw_kube_entry_free(struct sw_kube_entry *e);

static inline const char *sw_kube_entry_ns(const struct sw_kube_entry *e)
{
    return e->data;
}
static inline const char *sw_kube_entry_name(const struct sw_kube_entry *e)
{
    return e->data + e->name_at;
}
static inline const char *sw_kube_entry_uid(const struct sw_kube_entry *e)
{
    return e->data + e->uid_at;
}
static inline const char *sw_kube_entry_text(const struct sw_kube_entry *e)
{
    return e->data + e->text_at;
}

struct sw_kube_entry *sw_kube_store_find(const struct sw_kube_store *s, const char *ns,
                                         const char *name);

/* Takes e; there must be none of its name. False (and e still the caller's): out of memory. */
bool sw_kube_store_insert(struct sw_kube_store *s, struct sw_kube_entry *e);

/* Out of the table and all indexes; e is the caller's again. */
void sw_kube_store_take(struct sw_kube_store *s, struct sw_kube_entry *e);

/* Make e, which is in the store, findable by value. False: out of memory. A value twice is one. */
bool sw_kube_store_index(struct sw_kube_store *s, struct sw_kube_entry *e, unsigned index,
                         const char *value);

/* Nodes with this value: first one, next one; NULL: no more. */
struct sw_kube_node *sw_kube_store_first(const struct sw_kube_store *s, unsigned index,
                                         const char *value);
struct sw_kube_node *sw_kube_store_next(const struct sw_kube_node *node);

/* All entries: the first after `before` (NULL: the first of all). The one that was returned last may be
 * taken out only after the next was asked for. */
struct sw_kube_entry *sw_kube_store_after(const struct sw_kube_store *s,
                                          const struct sw_kube_entry *before);

/* All memory: entries, nodes, tables. */
size_t sw_kube_store_bytes(const struct sw_kube_store *s);

#endif
