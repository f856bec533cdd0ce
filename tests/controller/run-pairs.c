/* SPDX-License-Identifier: Apache-2.0 */
/* Runs pairs (README.md): for each file the plan's answer to the world as it is given; the same answer
 * to objects cut down to the fields that controller/kind.h lists; and nothing more to do once the answer
 * is performed. TAP on stdout. Arguments: files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fileio.h"
#include "controller/object.h"
#include "kube/projection.h"
#include "tests/controller/world.h"

#define PAIR_MAX (1 << 20)

/* What a pair fails with; the answer is printed beside it. */
static const char *check(const struct sw_json *pair, struct sw_buf *answer, struct sw_err *err);

static bool matches(const struct sw_json *want, const struct sw_json *have);

struct matching {
    const struct sw_json *other;
    bool ok;
    size_t n;
};

static int match_member(void *ctx, const char *key, const struct sw_json *want)
{
    struct matching *m = ctx;

    if (strcmp(key, "...") == 0)
        return 0;
    m->n++;
    m->ok = m->ok && matches(want, sw_json_member(m->other, key));
    return 0;
}

static int count_member(void *ctx, const char *key, const struct sw_json *value)
{
    ++*(size_t *)ctx;
    return 0;
}

/* Equal, but that objects with "..." may have more members. A null in want is a null or nothing. */
static bool matches(const struct sw_json *want, const struct sw_json *have)
{
    struct matching m = { .other = have, .ok = true };
    size_t n = 0;

    if (sw_json_type(want) != sw_json_type(have))
        return false;
    if (sw_json_type(want) == SW_JSON_ARRAY) {
        bool ok = sw_json_length(want) == sw_json_length(have);

        for (size_t i = 0; ok && i < sw_json_length(want); i++)
            ok = matches(sw_json_at(want, i), sw_json_at(have, i));
        return ok;
    }
    if (sw_json_type(want) != SW_JSON_OBJECT)
        return sw_json_equal(want, have);
    sw_json_each(want, match_member, &m);
    sw_json_each(have, count_member, &n);
    return m.ok && (sw_json_member(want, "...") || m.n == n);
}

static void open_world(struct world *w, const struct sw_json *pair, const struct sw_json *objects)
{
    uint64_t progress;
    struct sw_err ignored;

    world_init(w, objects);
    w->last_error = sw_json_copy(&w->m, sw_json_find(pair, "lastError"));
    if (sw_json_get_u64(pair, "progress", &progress, &ignored) == 1)
        w->view.progress_centi = (int64_t)progress;
}

static int run_plan(struct world *w, const struct sw_json *pair, struct sw_json **ret,
                    struct sw_err *err)
{
    const char *plan = sw_json_text(pair, "plan"), *key = sw_json_text(pair, "key");

    if (!plan || !key)
        return sw_err_set(err, SW_ERR_USAGE, "no plan or no key");
    return world_plan(w, plan, key, ret, err);
}

/* The objects with nothing but the fields of their kind's list. */
static int cut_down(const struct sw_json *objects, struct sw_json **ret, struct sw_err *err)
{
    struct sw_json_maker m = { 0 };
    sw_auto_json struct sw_json *out = sw_json_new_array(&m);

    for (size_t i = 0; i < sw_json_length(objects); i++) {
        const struct sw_json *o = sw_json_at(objects, i);
        enum sw_kind kind = sw_kind_find(sw_json_text(o, "kind"));
        sw_autobuf struct sw_buf text = SW_BUF_INIT(PAIR_MAX);
        struct sw_kube_projection *p = NULL;
        struct sw_json *cut = NULL;
        size_t rest;

        if (kind == SW_KIND_COUNT_)
            return sw_err_set(err, SW_ERR_USAGE, "an object of kind %s", sw_json_text(o, "kind"));
        if (sw_kube_projection_compile(sw_kind_info(kind)->keep, &p, err) < 0)
            return -1;
        int done = sw_kube_project(p, o, &text, &rest, err);
        sw_kube_projection_free(p);
        if (done < 0 || sw_json_parse(sw_buf_str(&text), text.n, PAIR_MAX, &cut, err) < 0)
            return -1;
        sw_json_set_str(&m, cut, "kind", sw_kind_info(kind)->name);
        sw_json_set(&m, out, NULL, cut);
    }
    *ret = sw_steal(out);
    return 0;
}

static const char *check_cut(const struct sw_json *pair, const struct world *whole,
                             const struct sw_json *actions, struct sw_err *err)
{
    sw_auto_json struct sw_json *objects = NULL;
    sw_auto_json struct sw_json *again = NULL;
    struct world w;

    if (cut_down(whole->objects, &objects, err) < 0)
        return "cannot cut the objects down";
    open_world(&w, pair, objects);
    int done = run_plan(&w, pair, &again, err);
    world_done(&w);
    if (done < 0)
        return "the plan fails with objects cut down";
    return sw_json_equal(actions, again)
               ? NULL
               : "the plan reads a field that controller/kind.h does not list";
}

/* Whichever look at the view fails, the plan fails with it, and leaks nothing (for the sanitizers). */
static const char *check_failures(struct world *w, const struct sw_json *pair, struct sw_err *err)
{
    for (unsigned n = 1; n < WORLD_LISTS_MAX; n++) {
        struct sw_json *actions = NULL;

        world_forget(w);
        w->fail_at = n;
        int done = run_plan(w, pair, &actions, err);
        bool has_failed = w->fail_at == 0;
        w->fail_at = 0;
        sw_json_free(actions);
        if (!has_failed)
            return done < 0 ? "the plan fails" : NULL;
        if (done == 0 || err->kind != SW_ERR_INTERNAL || actions)
            return "the plan goes on when the view fails";
    }
    return "the plan looks too often";
}

/* Performed, the answer has to be an end: what is still said then changes nothing. */
static const char *check_settled(struct world *w, const struct sw_json *pair,
                                 const struct sw_json *actions, struct sw_err *err)
{
    int changed = world_apply(w, actions, err);

    sw_json_free(sw_steal(w->last_error)); /* what failed before has now been done */
    for (int round = 0; changed > 0 && round < 4; round++) {
        sw_auto_json struct sw_json *next = NULL;

        world_forget(w);
        if (run_plan(w, pair, &next, err) < 0)
            return "the plan fails on the world that it made";
        changed = world_apply(w, next, err);
    }
    if (changed < 0)
        return "an action cannot be performed";
    return changed ? "the plan never comes to an end" : NULL;
}

static const char *check(const struct sw_json *pair, struct sw_buf *answer, struct sw_err *err)
{
    sw_auto_json struct sw_json *actions = NULL;
    const struct sw_json *want = sw_json_find(pair, "want");
    const char *wrong;
    struct world w;

    if (sw_json_type(want) != SW_JSON_ARRAY || sw_json_length(sw_json_find(pair, "covers")) == 0)
        return "a pair needs \"want\" and \"covers\"";
    open_world(&w, pair, sw_json_find(pair, "given"));
    if (run_plan(&w, pair, &actions, err) < 0) {
        world_done(&w);
        return "the plan fails";
    }
    sw_json_print(answer, actions);
    wrong = matches(want, actions) ? NULL : "another answer";
    if (!wrong)
        wrong = check_cut(pair, &w, actions, err);
    if (!wrong)
        wrong = check_failures(&w, pair, err);
    if (!wrong)
        wrong = check_settled(&w, pair, actions, err);
    world_done(&w);
    return wrong;
}

static bool run(const char *path, unsigned number)
{
    sw_autofree char *text = NULL;
    sw_auto_json struct sw_json *pair = NULL;
    sw_autobuf struct sw_buf answer = SW_BUF_INIT(PAIR_MAX);
    struct sw_err err = { .msg = "" };
    const char *name = strrchr(path, '/'), *wrong;

    if (sw_file_slurp(path, PAIR_MAX, &text, NULL, &err) < 0 ||
        sw_json_parse(text, strlen(text), PAIR_MAX, &pair, &err) < 0)
        wrong = "cannot be read";
    else
        wrong = check(pair, &answer, &err);
    printf("%sok %u - %s\n", wrong ? "not " : "", number, name ? name + 1 : path);
    if (wrong)
        printf("# %s: %s %s\n# %s\n", path, wrong, err.msg, sw_buf_str(&answer));
    return !wrong;
}

int main(int argc, char **argv)
{
    bool ok = argc > 1;

    printf("1..%d\n", argc - 1);
    for (int i = 1; i < argc; i++)
        ok = run(argv[i], (unsigned)i) && ok;
    return ok ? 0 : 1;
}
