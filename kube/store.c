/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/store.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_BUCKETS 16

/* --- Hashing ------------------------------------------------------------------------------------- */

/* FNV-1a from a random beginning: names are chosen by users, and should not meet in one bucket because
 * somebody wants them to. */
static uint64_t hash_text(uint64_t h, const char *text)
{
    do {
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    } while (*text++); /* with the NUL, so that "a" "bc" is not "ab" "c" */
    return h;
}

static uint64_t hash_key(const struct sw_kube_store *s, const char *ns, const char *name)
{
    return hash_text(hash_text(s->seed, ns), name);
}

static size_t bucket_of(const struct sw_kube_table *t, uint64_t hash)
{
    return (size_t)(hash ^ hash >> 32) & (t->n_buckets - 1);
}

static size_t allocated(void *p)
{
    return p ? malloc_usable_size(p) + sizeof(size_t) : 0;
}

/* --- Life ---------------------------------------------------------------------------------------- */

void sw_kube_store_init(struct sw_kube_store *s)
{
    *s = (struct sw_kube_store){ 0 };
    /* Without entropy the tables still work. */
    (void)!getrandom(&s->seed, sizeof(s->seed), GRND_NONBLOCK);
}

void sw_kube_store_done(struct sw_kube_store *s)
{
    struct sw_kube_entry *e;

    while ((e = sw_kube_store_after(s, NULL)) != NULL) {
        sw_kube_store_take(s, e);
        sw_kube_entry_free(e);
    }
    free(s->entries.buckets);
    for (size_t i = 0; i < SW_KUBE_STORE_INDEXES; i++)
        free(s->indexes[i].buckets);
}

static size_t put_text(char *to, size_t at, const char *text, size_t n)
{
    memcpy(to + at, text, n);
    to[at + n] = '\0';
    return at + n + 1;
}

struct sw_kube_entry *sw_kube_entry_make(const struct sw_kube_entry_parts *p)
{
    size_t ns_n = strlen(p->ns), name_n = strlen(p->name), uid_n = strlen(p->uid);
    struct sw_kube_entry *e;

    assert(ns_n < 16384 && name_n < 16384 && uid_n < 16384 && p->text_n < UINT32_MAX);
    e = malloc(sizeof(*e) + ns_n + name_n + uid_n + p->text_n + 4);
    if (!e)
        return NULL;
    *e = (struct sw_kube_entry){
        .version = p->version,
        .rest = (uint32_t)p->rest,
        .text_n = (uint32_t)p->text_n,
    };
    e->name_at = (uint16_t)put_text(e->data, 0, p->ns, ns_n);
    e->uid_at = (uint16_t)put_text(e->data, e->name_at, p->name, name_n);
    e->text_at = (uint16_t)put_text(e->data, e->uid_at, p->uid, uid_n);
    put_text(e->data, e->text_at, p->text, p->text_n);
    return e;
}

void sw_kube_entry_free(struct sw_kube_entry *e)
{
    free(e);
}

/* --- Entries ------------------------------------------------------------------------------------- */

/* Twice as many buckets, once there is more than one entry for each. Without memory the chains just
 * grow longer, unless there is no bucket at all. */
static bool make_room(struct sw_kube_table *t,
                      void (*rehash)(struct sw_kube_table *t, void **old, size_t n_old))
{
    size_t n = t->n_buckets ? 2 * t->n_buckets : FIRST_BUCKETS;
    void **old = t->buckets;
    size_t n_old = t->n_buckets;

    if (t->n < t->n_buckets)
        return true;
    void **buckets = calloc(n, sizeof(*buckets));
    if (!buckets)
        return n_old > 0;
    t->buckets = buckets;
    t->n_buckets = n;
    rehash(t, old, n_old);
    free(old);
    return true;
}

static void link_entry(struct sw_kube_table *t, struct sw_kube_entry *e)
{
    void **head = &t->buckets[bucket_of(t, e->hash)];

    e->next = *head;
    *head = e;
}

static void rehash_entries(struct sw_kube_table *t, void **old, size_t n_old)
{
    for (size_t i = 0; i < n_old; i++) {
        for (struct sw_kube_entry *e = old[i], *next; e; e = next) {
            next = e->next;
            link_entry(t, e);
        }
    }
}

struct sw_kube_entry *sw_kube_store_find(const struct sw_kube_store *s, const char *ns,
                                         const char *name)
{
    uint64_t hash = hash_key(s, ns, name);
    struct sw_kube_entry *e;

    if (!s->entries.n)
        return NULL;
    for (e = s->entries.buckets[bucket_of(&s->entries, hash)]; e; e = e->next) {
        if (e->hash == hash && strcmp(sw_kube_entry_name(e), name) == 0 &&
            strcmp(sw_kube_entry_ns(e), ns) == 0)
            break;
    }
    return e;
}

bool sw_kube_store_insert(struct sw_kube_store *s, struct sw_kube_entry *e)
{
    if (!make_room(&s->entries, rehash_entries))
        return false;
    e->hash = hash_key(s, sw_kube_entry_ns(e), sw_kube_entry_name(e));
    link_entry(&s->entries, e);
    s->entries.n++;
    s->bytes += allocated(e);
    return true;
}

static void unlink_node(struct sw_kube_store *s, struct sw_kube_node *node)
{
    struct sw_kube_table *t = &s->indexes[node->index];
    void **head = &t->buckets[bucket_of(t, node->hash)];

    if (*head == node) {
        *head = node->next;
    } else {
        struct sw_kube_node *before = *head;

        while (before->next != node)
            before = before->next;
        before->next = node->next;
    }
    t->n--;
}

void sw_kube_store_take(struct sw_kube_store *s, struct sw_kube_entry *e)
{
    void **head = &s->entries.buckets[bucket_of(&s->entries, e->hash)];

    if (*head == e) {
        *head = e->next;
    } else {
        struct sw_kube_entry *before = *head;

        while (before->next != e)
            before = before->next;
        before->next = e->next;
    }
    e->next = NULL;
    s->entries.n--;
    s->bytes -= allocated(e);
    while (e->nodes) {
        struct sw_kube_node *node = e->nodes;

        e->nodes = node->next_own;
        unlink_node(s, node);
        s->bytes -= allocated(node);
        free(node);
    }
}

struct sw_kube_entry *sw_kube_store_after(const struct sw_kube_store *s,
                                          const struct sw_kube_entry *before)
{
    size_t i = before ? bucket_of(&s->entries, before->hash) + 1 : 0;

    if (before && before->next)
        return before->next;
    while (i < s->entries.n_buckets && !s->entries.buckets[i])
        i++;
    return i < s->entries.n_buckets ? s->entries.buckets[i] : NULL;
}

/* --- Indexes ------------------------------------------------------------------------------------- */

static void link_node(struct sw_kube_table *t, struct sw_kube_node *node)
{
    void **head = &t->buckets[bucket_of(t, node->hash)];

    node->next = *head;
    *head = node;
}

static void rehash_nodes(struct sw_kube_table *t, void **old, size_t n_old)
{
    for (size_t i = 0; i < n_old; i++) {
        for (struct sw_kube_node *node = old[i], *next; node; node = next) {
            next = node->next;
            link_node(t, node);
        }
    }
}

static bool has_value(const struct sw_kube_entry *e, unsigned index, const char *value)
{
    for (const struct sw_kube_node *node = e->nodes; node; node = node->next_own) {
        if (node->index == index && strcmp(node->value, value) == 0)
            return true;
    }
    return false;
}

bool sw_kube_store_index(struct sw_kube_store *s, struct sw_kube_entry *e, unsigned index,
                         const char *value)
{
    size_t n = strlen(value) + 1;
    struct sw_kube_node *node;

    if (has_value(e, index, value))
        return true;
    node = malloc(sizeof(*node) + n);
    if (!node || !make_room(&s->indexes[index], rehash_nodes)) {
        free(node);
        return false;
    }
    *node = (struct sw_kube_node){
        .next_own = e->nodes,
        .entry = e,
        .hash = hash_text(s->seed, value),
        .index = index,
    };
    memcpy(node->value, value, n);
    e->nodes = node;
    link_node(&s->indexes[index], node);
    s->indexes[index].n++;
    s->bytes += allocated(node);
    return true;
}

static struct sw_kube_node *with_value(struct sw_kube_node *node, uint64_t hash, const char *value)
{
    while (node && (node->hash != hash || strcmp(node->value, value) != 0))
        node = node->next;
    return node;
}

struct sw_kube_node *sw_kube_store_first(const struct sw_kube_store *s, unsigned index,
                                         const char *value)
{
    const struct sw_kube_table *t = &s->indexes[index];
    uint64_t hash = hash_text(s->seed, value);

    return t->n ? with_value(t->buckets[bucket_of(t, hash)], hash, value) : NULL;
}

struct sw_kube_node *sw_kube_store_next(const struct sw_kube_node *node)
{
    return with_value(node->next, node->hash, node->value);
}

size_t sw_kube_store_bytes(const struct sw_kube_store *s)
{
    size_t bytes = s->bytes + allocated(s->entries.buckets);

    for (size_t i = 0; i < SW_KUBE_STORE_INDEXES; i++)
        bytes += allocated(s->indexes[i].buckets);
    return bytes;
}
