/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/event_series.h"

#include <string.h>

#define BUCKETS 4096U /* a power of two */
#define NONE UINT16_MAX

_Static_assert(SW_EVENT_TABLE < NONE, "entries are numbered with 16 bits");

/* What an entry remembers; part of its hash, so one table serves all three. */
enum about { ABOUT_SERIES = 1, ABOUT_SIMILAR, ABOUT_OBJECT };

struct entry {
    uint64_t hash; /* 0: unused */
    uint16_t bucket_next, newer, older;
    union {
        struct {
            int64_t first_ns, written_ns;
            uint64_t count;
        } series;
        struct {
            int64_t last_ns;
            unsigned n; /* different messages */
        } similar;
        struct {
            int64_t refilled_ns;
            unsigned tokens;
        } object;
    } u;
};

struct sw_event_series {
    struct entry entries[SW_EVENT_TABLE];
    uint16_t buckets[BUCKETS];
    uint16_t newest, oldest;
    uint16_t n_used;
};

/* FNV-1a, 64 bit, with the end of each string as one more byte. */
static uint64_t mix(uint64_t h, const char *text)
{
    do {
        h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    } while (*text++);
    return h;
}

static uint64_t hash_of(enum about about, const struct sw_event_id *id, bool has_message)
{
    uint64_t h = (UINT64_C(14695981039346656037) ^ about) * UINT64_C(1099511628211);

    h = mix(h, id->uid);
    if (about != ABOUT_OBJECT)
        h = mix(mix(h, id->type), id->reason);
    if (has_message)
        h = mix(h, id->message);
    return h ? h : 1;
}

/* --- The table ------------------------------------------------------------------------------- */

static void unlink_age(struct sw_event_series *s, uint16_t at)
{
    const struct entry *e = &s->entries[at];

    if (e->newer == NONE)
        s->newest = e->older;
    else
        s->entries[e->newer].older = e->older;
    if (e->older == NONE)
        s->oldest = e->newer;
    else
        s->entries[e->older].newer = e->newer;
}

static void link_newest(struct sw_event_series *s, uint16_t at)
{
    struct entry *e = &s->entries[at];

    e->newer = NONE;
    e->older = s->newest;
    if (s->newest == NONE)
        s->oldest = at;
    else
        s->entries[s->newest].newer = at;
    s->newest = at;
}

static uint16_t *slot_of(struct sw_event_series *s, uint64_t hash)
{
    uint16_t *at = &s->buckets[hash & (BUCKETS - 1)];

    while (*at != NONE && s->entries[*at].hash != hash)
        at = &s->entries[*at].bucket_next;
    return at;
}

/* Take an entry out of its bucket; it stays in the list of ages. */
static void unhash(struct sw_event_series *s, uint16_t at)
{
    uint16_t *slot = slot_of(s, s->entries[at].hash);

    *slot = s->entries[at].bucket_next;
    s->entries[at].hash = 0;
}

/* The entry, made the newest one. *ret_is_new: it holds zeroes. */
static struct entry *touch(struct sw_event_series *s, uint64_t hash, bool *ret_is_new)
{
    uint16_t at = *slot_of(s, hash);

    *ret_is_new = at == NONE;
    if (at != NONE) {
        unlink_age(s, at);
        link_newest(s, at);
        return &s->entries[at];
    }
    if (s->n_used < SW_EVENT_TABLE) {
        at = s->n_used++;
    } else {
        at = s->oldest;
        unlink_age(s, at);
        if (s->entries[at].hash)
            unhash(s, at);
    }
    struct entry *e = &s->entries[at];
    memset(e, 0, sizeof(*e));
    e->hash = hash;
    e->bucket_next = s->buckets[hash & (BUCKETS - 1)];
    s->buckets[hash & (BUCKETS - 1)] = at;
    link_newest(s, at);
    return e;
}

int sw_event_series_new(struct sw_event_series **ret, struct sw_err *err)
{
    struct sw_event_series *s = calloc(1, sizeof(*s));

    if (!s)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for events");
    memset(s->buckets, 0xff, sizeof(s->buckets));
    s->newest = NONE;
    s->oldest = NONE;
    *ret = s;
    return 0;
}

void sw_event_series_free(struct sw_event_series *s)
{
    free(s);
}

/* --- The rules ------------------------------------------------------------------------------- */

static bool may_write(struct sw_event_series *s, const struct sw_event_id *id, int64_t now_ns)
{
    bool is_new;
    struct entry *e = touch(s, hash_of(ABOUT_OBJECT, id, false), &is_new);

    if (is_new) {
        e->u.object.tokens = SW_EVENT_BURST;
        e->u.object.refilled_ns = now_ns;
    }
    while (e->u.object.tokens < SW_EVENT_BURST &&
           now_ns - e->u.object.refilled_ns >= SW_EVENT_REFILL_NS) {
        e->u.object.tokens++;
        e->u.object.refilled_ns += SW_EVENT_REFILL_NS;
    }
    if (e->u.object.tokens == SW_EVENT_BURST)
        e->u.object.refilled_ns = now_ns;
    if (!e->u.object.tokens)
        return false;
    e->u.object.tokens--;
    return true;
}

/* Whether this message, new among those of its object and reason, is one too many. */
static bool is_one_of_many(struct sw_event_series *s, const struct sw_event_id *id, int64_t now_ns)
{
    bool is_new;
    bool knows_message = *slot_of(s, hash_of(ABOUT_SERIES, id, true)) != NONE;
    struct entry *e = touch(s, hash_of(ABOUT_SIMILAR, id, false), &is_new);

    if (now_ns - e->u.similar.last_ns > SW_EVENT_SIMILAR_NS)
        e->u.similar.n = 0;
    e->u.similar.last_ns = now_ns;
    if (!knows_message)
        e->u.similar.n++;
    return !knows_message && e->u.similar.n > SW_EVENT_SIMILAR_MAX;
}

struct sw_event_decision sw_event_series_record(struct sw_event_series *s,
                                                const struct sw_event_id *id, int64_t now_ns,
                                                int64_t wall_ns)
{
    struct sw_event_decision d = { .is_combined = is_one_of_many(s, id, now_ns) };
    bool is_new;
    struct entry *e = touch(s, hash_of(ABOUT_SERIES, id, !d.is_combined), &is_new);

    if (is_new)
        e->u.series.first_ns = wall_ns;
    e->u.series.count++;
    d.first_ns = e->u.series.first_ns;
    d.count = e->u.series.count;
    if (!is_new && now_ns - e->u.series.written_ns < SW_EVENT_COUNT_NS)
        return d; /* SW_EVENT_DROP for now: counted */
    if (!may_write(s, id, now_ns)) {
        if (is_new)
            sw_event_series_forget(s, id); /* it has no Event that could be counted */
        return d;
    }
    e->u.series.written_ns = now_ns;
    d.verdict = is_new ? SW_EVENT_CREATE : SW_EVENT_COUNT;
    return d;
}

static void forget(struct sw_event_series *s, uint64_t hash)
{
    uint16_t at = *slot_of(s, hash);

    if (at != NONE)
        unhash(s, at);
}

void sw_event_series_forget(struct sw_event_series *s, const struct sw_event_id *id)
{
    forget(s, hash_of(ABOUT_SERIES, id, true));
    forget(s, hash_of(ABOUT_SERIES, id, false));
}
