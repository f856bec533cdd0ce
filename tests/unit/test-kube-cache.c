/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_tree.h"

static const struct sw_kube_resource pods = { "", "v1", "pods", "Pod", false };
static const char *const keep[] = { "metadata.labels", "metadata.ownerReferences.uid",
                                    "status.phase", NULL };
static const struct sw_kube_index indexes[] = {
    { "owner", "metadata.ownerReferences.uid", false },
    { "claim", "spec.volumes.persistentVolumeClaim.claimName", true },
    { NULL, NULL, false },
};

struct fixture {
    struct sw_kube_cache *cache;
    struct sw_buf log; /* what on_change was told, one a line */
    struct sw_err err;
};

static void note(void *ctx, const struct sw_kube_change *change)
{
    static const char *const names[] = { "added", "updated", "deleted" };
    struct fixture *f = ctx;
    const char *now = sw_json_text(change->object, "status.phase");
    const char *before = sw_json_text(change->before, "status.phase");

    sw_buf_printf(&f->log, "%s %s/%s %s", names[change->kind], change->ns, change->name,
                  change->uid);
    sw_buf_printf(&f->log, " %s%s%s\n", before ? before : "", before ? ">" : "", now ? now : "-");
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const struct sw_kube_cache_config config = {
        .resource = &pods, .keep = keep, .indexes = indexes, .ctx = f, .on_change = note
    };

    if (!f || sw_kube_cache_open(&config, &f->cache, &f->err) < 0)
        return -1;
    sw_buf_init(&f->log, 1 << 20);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    sw_kube_cache_close(f->cache);
    sw_buf_done(&f->log);
    free(f);
    return 0;
}

/* What was told since the last time. */
static void assert_told(struct fixture *f, const char *want)
{
    assert_string_equal(sw_buf_str(&f->log), want);
    sw_buf_reset(&f->log);
}

static struct sw_json *parse(const char *text)
{
    struct sw_json *doc = NULL;
    struct sw_err err = { 0 };

    if (sw_json_parse(text, strlen(text), 65536, &doc, &err) < 0)
        fail_msg("%s: %s", err.msg, text);
    return doc;
}

/* A pod of namespace n; owner and claim may be "". */
static struct sw_json *pod(const char *name, const char *uid, unsigned version, const char *phase,
                           const char *owner)
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(65536);

    sw_buf_printf(
        &text,
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\",\"namespace\":\"n\",\"uid\":\"%s\","
        "\"resourceVersion\":\"%u\",\"managedFields\":[1],\"ownerReferences\":[",
        name, uid, version);
    if (*owner)
        sw_buf_printf(&text, "{\"uid\":\"%s\"},{\"uid\":\"%s\"}", owner, owner);
    sw_buf_printf(&text,
                  "]},\"spec\":{\"volumes\":[{\"emptyDir\":{}},{\"persistentVolumeClaim\":"
                  "{\"claimName\":\"claim-%s\"}}]},\"status\":{\"phase\":\"%s\"}}",
                  name, phase);
    return parse(sw_buf_str(&text));
}

static void put(struct fixture *f, const char *name, unsigned version, const char *phase)
{
    sw_auto_json struct sw_json *p = pod(name, "u", version, phase, "o");

    assert_int_equal(sw_kube_cache_put(f->cache, p, &f->err), 0);
}

static int feed(struct fixture *f, const char *name, unsigned version, const char *phase)
{
    sw_auto_json struct sw_json *p = pod(name, "u", version, phase, "o");

    return sw_kube_cache_feed(f->cache, p, &f->err);
}

static void take_out(struct fixture *f, const char *name, unsigned version)
{
    sw_auto_json struct sw_json *p = pod(name, "u", version, "Gone", "");

    assert_int_equal(sw_kube_cache_remove(f->cache, p, &f->err), 0);
}

/* The phase of a pod, or "" when it is not there. */
static void assert_phase(struct fixture *f, const char *name, const char *want)
{
    sw_auto_json struct sw_json *p = NULL;
    int found = sw_kube_cache_get(f->cache, "n", name, &p, &f->err);

    assert_int_equal(found, *want ? 1 : 0);
    if (*want)
        assert_string_equal(sw_json_text(p, "status.phase"), want);
}

static void keeps_the_newest_version_of_each_object(void **state)
{
    struct fixture *f = *state;

    put(f, "a", 5, "Pending");
    put(f, "a", 7, "Running");
    put(f, "a", 6, "Pending"); /* late */
    assert_phase(f, "a", "Running");
    assert_phase(f, "b", "");
    assert_told(f, "added n/a u Pending\nupdated n/a u Pending>Running\n");
    assert_int_equal(sw_kube_cache_count(f->cache), 1);
    assert_string_equal(sw_kube_cache_uid(f->cache, "n", "a"), "u");
    assert_null(sw_kube_cache_uid(f->cache, NULL, "a"));
    take_out(f, "a", 6); /* an older object of this name */
    assert_phase(f, "a", "Running");
    take_out(f, "a", 8);
    take_out(f, "a", 8);
    assert_phase(f, "a", "");
    assert_told(f, "deleted n/a u Running\n");
}

static void says_nothing_when_only_the_version_is_new(void **state)
{
    struct fixture *f = *state;
    sw_auto_json struct sw_json *p = NULL;

    put(f, "a", 9, "Running");
    put(f, "a", 10, "Running"); /* a digit more */
    assert_told(f, "added n/a u Running\n");
    assert_int_equal(sw_kube_cache_get(f->cache, "n", "a", &p, &f->err), 1);
    assert_string_equal(sw_json_text(p, "metadata.resourceVersion"), "10");
    assert_null(sw_json_find(p, "spec"));
    assert_null(sw_json_find(p, "metadata.managedFields"));
}

static void another_object_of_the_same_name_is_another_object(void **state)
{
    struct fixture *f = *state;
    sw_auto_json struct sw_json *again = pod("a", "u2", 9, "Pending", "");

    put(f, "a", 5, "Running");
    assert_int_equal(sw_kube_cache_put(f->cache, again, &f->err), 0);
    assert_told(f, "added n/a u Running\ndeleted n/a u Running\nadded n/a u2 Pending\n");
    assert_null(sw_json_find(again, "spec.none"));
    assert_int_equal(sw_kube_cache_count(f->cache), 1);
}

static void our_own_writes_enter_at_once_and_never_undo_the_watch(void **state)
{
    struct fixture *f = *state;

    sw_kube_cache_seen(f->cache, 100);
    assert_int_equal(feed(f, "a", 100, "Old"), 0); /* the watch has passed that */
    assert_int_equal(feed(f, "a", 105, "Pending"), 1);
    assert_int_equal(feed(f, "a", 105, "Pending"), 0); /* twice */
    put(f, "a", 103, "Old");                           /* an echo that we are ahead of */
    assert_phase(f, "a", "Pending");
    sw_kube_cache_seen(f->cache, 103);
    take_out(f, "a", 110);
    sw_kube_cache_seen(f->cache, 110);
    assert_int_equal(feed(f, "a", 108, "Ghost"), 0); /* an answer that comes after the end */
    assert_phase(f, "a", "");
    assert_int_equal(feed(f, "a", 111, "Pending"), 1); /* created again */
    take_out(f, "a", 110);                             /* the old one's end */
    assert_phase(f, "a", "Pending");
}

static void a_list_takes_out_what_it_does_not_name(void **state)
{
    struct fixture *f = *state;

    put(f, "gone", 3, "Running");
    put(f, "kept", 4, "Running");
    put(f, "changed", 5, "Running");
    assert_false(sw_kube_cache_is_synced(f->cache));
    sw_buf_reset(&f->log);
    sw_kube_cache_list_begin(f->cache);
    put(f, "kept", 4, "Running");
    put(f, "changed", 9, "Failed");
    put(f, "new", 8, "Pending");
    assert_int_equal(feed(f, "fed", 21, "Pending"), 1);   /* created after the list was made   */
    assert_int_equal(feed(f, "ghost", 19, "Pending"), 1); /* created and deleted before it was */
    sw_buf_reset(&f->log);
    assert_true(sw_kube_cache_list_end(f->cache, 20));
    assert_true(sw_kube_cache_is_synced(f->cache));
    assert_phase(f, "gone", "");
    assert_phase(f, "ghost", "");
    assert_phase(f, "kept", "Running");
    assert_phase(f, "changed", "Failed");
    assert_phase(f, "new", "Pending");
    assert_phase(f, "fed", "Pending");
    assert_int_equal(sw_kube_cache_count(f->cache), 4);
}

static void a_list_that_broke_off_takes_out_nothing(void **state)
{
    struct fixture *f = *state;

    put(f, "a", 3, "Running");
    put(f, "b", 4, "Running");
    sw_kube_cache_list_begin(f->cache);
    put(f, "a", 3, "Running");
    sw_kube_cache_list_begin(f->cache); /* again from the start */
    put(f, "b", 4, "Running");
    assert_true(sw_kube_cache_list_end(f->cache, 9));
    assert_phase(f, "a", ""); /* the second list alone counts */
    assert_phase(f, "b", "Running");
}

static void a_server_that_was_set_back_is_believed(void **state)
{
    struct fixture *f = *state;

    put(f, "a", 500, "Running");
    sw_kube_cache_seen(f->cache, 510);
    sw_buf_reset(&f->log);
    sw_kube_cache_list_begin(f->cache);
    put(f, "a", 100, "Pending");
    assert_false(sw_kube_cache_list_end(f->cache, 120));
    assert_told(f, "deleted n/a u Running\n");
    sw_kube_cache_list_begin(f->cache);
    put(f, "a", 100, "Pending");
    assert_true(sw_kube_cache_list_end(f->cache, 120));
    assert_phase(f, "a", "Pending");
    assert_told(f, "added n/a u Pending\n");
}

static int join(void *ctx, const char *ns, const char *name)
{
    struct sw_buf *names = ctx;

    sw_buf_printf(names, "%s/%s ", ns, name);
    return strcmp(name, "stop") == 0 ? 7 : 0;
}

static void assert_listed(struct fixture *f, const char *index, const char *value, const char *want)
{
    sw_autobuf struct sw_buf names = SW_BUF_INIT(4096);
    struct sw_json **all = NULL;
    size_t n = 0;

    assert_int_equal(sw_kube_cache_list(f->cache, index, value, &all, &n, &f->err), 0);
    for (size_t i = 0; i < n; i++)
        sw_buf_printf(&names, "%s ", sw_json_text(all[i], "metadata.name"));
    sw_kube_objects_free(all, n);
    assert_string_equal(sw_buf_str(&names), want);
}

static void finds_objects_by_every_value_of_an_index(void **state)
{
    struct fixture *f = *state;
    sw_auto_json struct sw_json *c = pod("c", "u", 1, "Running", "o2");
    sw_auto_json struct sw_json *moved = pod("c", "u", 2, "Running", "o");
    sw_autobuf struct sw_buf names = SW_BUF_INIT(4096);

    put(f, "b", 1, "Running");
    put(f, "a", 1, "Running");
    assert_int_equal(sw_kube_cache_put(f->cache, c, &f->err), 0);
    assert_listed(f, "owner", "o", "a b ");
    assert_listed(f, "owner", "o2", "c ");
    assert_listed(f, "owner", "o3", "");
    assert_listed(f, "claim", "n/claim-b", "b ");
    assert_listed(f, "claim", "claim-b", "");
    assert_listed(f, NULL, NULL, "a b c ");
    assert_int_equal(sw_kube_cache_put(f->cache, moved, &f->err), 0);
    assert_listed(f, "owner", "o2", "");
    assert_listed(f, "owner", "o", "a b c ");
    take_out(f, "a", 9);
    assert_listed(f, "owner", "o", "b c ");
    assert_listed(f, "claim", "n/claim-a", "");
    put(f, "stop", 9, "Running");
    assert_int_equal(sw_kube_cache_each(f->cache, "claim", "n/claim-stop", join, &names), 7);
    assert_string_equal(sw_buf_str(&names), "n/stop ");
}

static void refuses_objects_without_identity(void **state)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"metadata\":{\"name\":\"a\"}}",
        "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"x\"}}",
        "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":1}}",
        "{\"metadata\":{\"resourceVersion\":\"1\"}}",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < SW_COUNT(texts); i++) {
        sw_auto_json struct sw_json *object = parse(texts[i]);

        assert_int_equal(sw_kube_cache_put(f->cache, object, &f->err), -1);
        assert_int_equal(f->err.kind, SW_ERR_BAD_DATA);
        assert_int_equal(sw_kube_cache_feed(f->cache, object, &f->err), -1);
        assert_int_equal(sw_kube_cache_remove(f->cache, object, &f->err), -1);
    }
    assert_int_equal(sw_kube_cache_count(f->cache), 0);
}

/* --- Any order ----------------------------------------------------------------------------------- */

#define NAMES 8
#define STEPS 20000

/* A server's history: each write has the next version. Answers of our own writes arrive before or after
 * the watch's event for them, or never; the watch may fall behind and be replaced by a list. Once it has
 * caught up, the cache is what the server has. */
struct server {
    unsigned version;
    unsigned at[NAMES]; /* version of each object; 0: not there */
    struct {
        unsigned version, name;
        bool is_end;
    } log[STEPS + 1];
    unsigned n_log, told; /* events, and how many of them the watch has told */
};

static unsigned dice(uint32_t *seed, unsigned n)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 8) % n;
}

static void write_one(struct server *s, uint32_t *seed)
{
    unsigned name = dice(seed, NAMES);
    bool is_end = s->at[name] && dice(seed, 3) == 0;

    s->version++;
    s->at[name] = is_end ? 0 : s->version;
    s->log[s->n_log].version = s->version;
    s->log[s->n_log].name = name;
    s->log[s->n_log++].is_end = is_end;
}

static const char *name_of(unsigned i)
{
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };

    return names[i];
}

static void tell_one(struct fixture *f, struct server *s)
{
    if (s->told == s->n_log)
        return;
    if (s->log[s->told].is_end)
        take_out(f, name_of(s->log[s->told].name), s->log[s->told].version);
    else
        put(f, name_of(s->log[s->told].name), s->log[s->told].version, "Running");
    sw_kube_cache_seen(f->cache, s->log[s->told++].version);
}

/* The answer of any write that was made, however late. */
static void answer_one(struct fixture *f, struct server *s, uint32_t *seed)
{
    unsigned i = s->n_log - 1 - dice(seed, s->n_log < 30 ? s->n_log : 30);

    if (!s->log[i].is_end)
        assert_in_range(feed(f, name_of(s->log[i].name), s->log[i].version, "Running"), 0, 1);
}

static void list_all(struct fixture *f, struct server *s, uint32_t *seed)
{
    unsigned at[NAMES], version = s->version;

    memcpy(at, s->at, sizeof(at));
    sw_kube_cache_list_begin(f->cache);
    for (unsigned i = 0; i < NAMES; i++) {
        if (dice(seed, 2) && s->n_log < STEPS)
            write_one(s, seed); /* while the pages are on their way */
        if (dice(seed, 2))
            answer_one(f, s, seed);
        if (at[i])
            put(f, name_of(i), at[i], "Running");
    }
    assert_true(sw_kube_cache_list_end(f->cache, version));
    for (s->told = s->n_log; s->told && s->log[s->told - 1].version > version;)
        s->told--;
}

static void assert_equal_to_server(struct fixture *f, const struct server *s)
{
    for (unsigned i = 0; i < NAMES; i++) {
        sw_auto_json struct sw_json *p = NULL;
        char version[16];

        assert_int_equal(sw_kube_cache_get(f->cache, "n", name_of(i), &p, &f->err), !!s->at[i]);
        snprintf(version, sizeof(version), "%u", s->at[i]);
        if (s->at[i])
            assert_string_equal(sw_json_text(p, "metadata.resourceVersion"), version);
    }
}

static void whatever_the_order_the_cache_ends_as_the_server(void **state)
{
    struct fixture *f = *state;
    struct server *s = calloc(1, sizeof(*s));
    uint32_t seed = 4711;

    assert_non_null(s);
    write_one(s, &seed);
    while (s->n_log < STEPS - NAMES) {
        unsigned what = dice(&seed, 100);

        if (what < 40)
            write_one(s, &seed);
        else if (what < 80)
            tell_one(f, s);
        else if (what < 99)
            answer_one(f, s, &seed);
        else
            list_all(f, s, &seed);
        if (what == 50) {
            while (s->told < s->n_log)
                tell_one(f, s);
            assert_equal_to_server(f, s);
        }
        sw_buf_reset(&f->log);
    }
    free(s);
}

/* --- Feeding inside of on_change ------------------------------------------------------------------ */

struct nested {
    struct sw_kube_cache *cache;
    unsigned depth;
};

static void feed_again(void *ctx, const struct sw_kube_change *change)
{
    struct nested *n = ctx;
    sw_auto_json struct sw_json *next = NULL;
    struct sw_err err = { 0 };

    if (n->depth++ < 5 && change->kind != SW_KUBE_DELETED) {
        next = pod(change->name, change->uid, 100 + n->depth, n->depth % 2 ? "odd" : "even", "o");
        assert_int_equal(sw_kube_cache_feed(n->cache, next, &err), 1);
    }
    assert_string_equal(change->name, "a"); /* still there, though its entry was replaced */
}

static void the_cache_may_change_while_it_tells_of_a_change(void **state)
{
    struct nested n = { 0 };
    const struct sw_kube_cache_config config = {
        .resource = &pods, .keep = keep, .indexes = indexes, .ctx = &n, .on_change = feed_again
    };
    struct sw_err err = { 0 };
    sw_auto_json struct sw_json *first = pod("a", "u", 1, "first", "o");

    assert_int_equal(sw_kube_cache_open(&config, &n.cache, &err), 0);
    assert_int_equal(sw_kube_cache_put(n.cache, first, &err), 0);
    assert_int_equal(n.depth, 6);
    assert_int_equal(sw_kube_cache_count(n.cache), 1);
    sw_kube_cache_close(n.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_the_newest_version_of_each_object, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_nothing_when_only_the_version_is_new, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(another_object_of_the_same_name_is_another_object, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(our_own_writes_enter_at_once_and_never_undo_the_watch,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_list_takes_out_what_it_does_not_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_list_that_broke_off_takes_out_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_that_was_set_back_is_believed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_objects_by_every_value_of_an_index, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(refuses_objects_without_identity, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whatever_the_order_the_cache_ends_as_the_server, set_up,
                                        tear_down),
        cmocka_unit_test(the_cache_may_change_while_it_tells_of_a_change),
    };
    return cmocka_run_group_tests_name("kube/cache", tests, NULL, NULL);
}
