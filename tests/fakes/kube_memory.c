/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/kube_memory.h"

#include <assert.h>
#include <string.h>

#include "common/strmap.h"
#include "kube/watch.h"
#include "net/loop.h"

/* News on its way to a watch. */
struct news {
    struct news *next;
    struct sw_json *object;
    bool is_deleted;
};

struct sw_kube_watch {
    struct sw_kube_watch *next, **link;
    struct sw_kube_client *client;
    struct sw_kube_watch_config c;
    struct news *head, **tail;
    struct sw_loop_call call;
    bool is_synced;
};

struct sw_kube_call {
    struct sw_kube_call *next, **link;
    struct sw_kube_client *client;
    void *ctx;
    void (*on_done)(void *ctx, const struct sw_kube_answer *answer);
    unsigned status;
    struct sw_json *object;
    struct sw_kube_status failure;
    struct sw_loop_call call;
};

struct sw_kube_client {
    struct sw_kube_client *next, **link;
    struct fake_kube *server;
    struct sw_kube_watch *watches;
    struct sw_kube_call *calls;
    struct sw_kube_stats stats;
};

struct fake_kube {
    struct sw_loop *loop;
    const struct fake_kube_script *script;
    struct sw_strmap objects; /* path to struct sw_json */
    struct sw_kube_client *clients;
    uint64_t rv, n_uids, n_requests;
};

static struct sw_json_maker maker;

static void free_json(void *value)
{
    sw_json_free(value);
}

/* --- The store ------------------------------------------------------------------------------- */

static void expect_memory(void)
{
    struct sw_err err = { 0 };

    assert(sw_json_maker_check(&maker, "the fake server", &err) == 0);
}

/* Whether the object at this path is one that the watch selects. */
static bool selects(const struct sw_kube_watch *w, const char *path)
{
    sw_autobuf struct sw_buf all = SW_BUF_INIT(4096);
    const struct sw_kube_resource *r = w->c.resource;
    struct sw_err err = { 0 };
    const char *last = strrchr(path, '/');
    size_t n = strlen(r->plural);

    assert(sw_kube_path(&all, &(struct sw_kube_where){ .resource = r }, &err) == 0);
    size_t group = all.n - n; /* "/apis/GROUP/VERSION/" */
    return strncmp(path, all.p, group) == 0 && (size_t)(last - path) > n &&
           memcmp(last - n, r->plural, n) == 0 && last[-(ptrdiff_t)n - 1] == '/';
}

static void on_news(void *ctx);

static void tell(struct sw_kube_watch *w, const struct sw_json *object, bool is_deleted)
{
    struct news *news = calloc(1, sizeof(*news));

    assert(news);
    news->object = sw_json_copy(&maker, object);
    news->is_deleted = is_deleted;
    *w->tail = news;
    w->tail = &news->next;
    sw_loop_post(w->client->server->loop, &w->call);
}

static void tell_all(struct fake_kube *f, const char *path, const struct sw_json *object,
                     bool is_deleted)
{
    for (struct sw_kube_client *c = f->clients; c; c = c->next) {
        for (struct sw_kube_watch *w = c->watches; w; w = w->next) {
            if (w->is_synced && selects(w, path))
                tell(w, object, is_deleted);
        }
    }
}

static void stamp(struct fake_kube *f, struct sw_json *object)
{
    struct sw_json *meta = sw_json_enter_object(&maker, object, "metadata");
    char text[32];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)++f->rv);
    sw_json_set_str(&maker, meta, "resourceVersion", text);
    if (!sw_json_member(meta, "uid")) {
        (void)snprintf(text, sizeof(text), "uid-%llu", (unsigned long long)++f->n_uids);
        sw_json_set_str(&maker, meta, "uid", text);
    }
}

/* Takes the object. */
static void store(struct fake_kube *f, const char *path, struct sw_json *object)
{
    struct sw_err err = { 0 };
    void *old = NULL;

    stamp(f, object);
    expect_memory();
    assert(sw_strmap_set(&f->objects, path, object, &old, &err) == 0);
    sw_json_free(old);
    tell_all(f, path, object, false);
    if (f->script->on_write)
        f->script->on_write(f->script->ctx, path, object);
}

struct orphan {
    const char *uid;
    char *path;
};

static void find_orphan(void *ctx, const char *path, void *value)
{
    const struct sw_json *owners = sw_json_find(value, "metadata.ownerReferences");
    struct orphan *o = ctx;

    for (size_t i = 0; i < sw_json_length(owners) && !o->path; i++) {
        const char *uid = sw_json_text(sw_json_at(owners, i), "uid");

        if (uid && strcmp(uid, o->uid) == 0)
            o->path = strdup(path);
    }
}

void fake_kube_delete(struct fake_kube *f, const char *path)
{
    sw_auto_json struct sw_json *object = sw_strmap_take(&f->objects, path);
    const char *uid = sw_json_text(object, "metadata.uid");

    if (!object)
        return;
    stamp(f, object);
    tell_all(f, path, object, true);
    if (f->script->on_write)
        f->script->on_write(f->script->ctx, path, NULL);
    for (;;) {
        struct orphan o = { .uid = uid };

        sw_strmap_each(&f->objects, find_orphan, &o);
        if (!o.path)
            return;
        fake_kube_delete(f, o.path);
        free(o.path);
    }
}

const struct sw_json *fake_kube_get(const struct fake_kube *f, const char *path)
{
    return sw_strmap_get(&f->objects, path);
}

void fake_kube_set(struct fake_kube *f, const char *path, const char *text, bool is_patch)
{
    struct sw_json *object = NULL;
    struct sw_err err = { 0 };

    if (sw_json_parse(text, strlen(text), 1 << 20, &object, &err) < 0) {
        (void)fprintf(stderr, "%s: %s: %s\n", path, err.msg, text);
        abort();
    }
    if (is_patch) {
        struct sw_json *patch = object;

        object = sw_json_copy(&maker, fake_kube_get(f, path));
        assert(object);
        sw_json_merge(&maker, &object, patch);
        sw_json_free(patch);
    }
    store(f, path, object);
}

struct visit {
    void (*each)(void *ctx, const char *path, const struct sw_json *object);
    void *ctx;
    const char *in_path;
    size_t n;
};

static void visit(void *ctx, const char *path, void *value)
{
    struct visit *v = ctx;

    if (v->each)
        v->each(v->ctx, path, value);
    if (v->in_path && strstr(path, v->in_path))
        v->n++;
}

void fake_kube_each(const struct fake_kube *f,
                    void (*each)(void *ctx, const char *path, const struct sw_json *object),
                    void *ctx)
{
    struct visit v = { .each = each, .ctx = ctx };

    sw_strmap_each(&f->objects, visit, &v);
}

size_t fake_kube_count(const struct fake_kube *f, const char *in_path)
{
    struct visit v = { .in_path = in_path };

    sw_strmap_each(&f->objects, visit, &v);
    return v.n;
}

uint64_t fake_kube_requests(const struct fake_kube *f)
{
    return f->n_requests;
}

const char *sw_kube_verb_name(enum sw_kube_verb verb)
{
    static const char *const names[SW_KUBE_VERB_COUNT_] = { "get",   "list",  "create", "update",
                                                            "patch", "patch", "patch",  "delete" };

    return names[verb];
}

/* --- Requests -------------------------------------------------------------------------------- */

static void refuse(struct sw_kube_call *c, unsigned status, const char *reason, const char *message)
{
    c->status = status;
    c->failure.code = status;
    (void)snprintf(c->failure.reason, sizeof(c->failure.reason), "%s", reason);
    (void)snprintf(c->failure.message, sizeof(c->failure.message), "%s", message);
}

static bool differs(const char *want, const struct sw_json *object, const char *path)
{
    const char *is = sw_json_text(object, path);

    return want && (!is || strcmp(want, is) != 0);
}

static void create(struct sw_kube_call *c, const char *collection, struct sw_json *body)
{
    struct fake_kube *f = c->client->server;
    sw_autobuf struct sw_buf path = SW_BUF_INIT(4096);

    sw_buf_printf(&path, "%s/%s", collection, sw_json_text(body, "metadata.name"));
    if (fake_kube_get(f, path.p)) {
        refuse(c, 409, "AlreadyExists", "it exists already");
        sw_json_free(body);
        return;
    }
    c->status = 201;
    store(f, path.p, body);
    c->object = sw_json_copy(&maker, fake_kube_get(f, path.p));
}

/* Status through /status only, and nothing else there, for kinds of a custom resource. */
static void patch(struct sw_kube_call *c, const char *path, const struct sw_kube_request *r,
                  struct sw_json *body)
{
    struct fake_kube *f = c->client->server;
    struct sw_json *object = sw_json_copy(&maker, fake_kube_get(f, path));

    if (r->where.subresource) {
        struct sw_json *only = sw_json_new_object(&maker);

        sw_json_set_copy(&maker, only, "status", sw_json_member(body, "status"));
        sw_json_free(body);
        body = only;
    }
    sw_json_merge(&maker, &object, body);
    sw_json_free(body);
    c->status = 200;
    store(f, path, object);
    c->object = sw_json_copy(&maker, fake_kube_get(f, path));
}

static void perform_on(struct sw_kube_call *c, const char *path, const struct sw_kube_request *r)
{
    struct fake_kube *f = c->client->server;
    const struct sw_json *object = fake_kube_get(f, path);
    struct sw_json *body = NULL;
    struct sw_err err = { 0 };

    if (!object) {
        refuse(c, 404, "NotFound", "there is none");
    } else if (differs(r->uid, object, "metadata.uid") ||
               differs(r->resource_version, object, "metadata.resourceVersion")) {
        refuse(c, 409, "Conflict", "a precondition does not hold");
    } else if (r->verb == SW_KUBE_GET) {
        c->status = 200;
        c->object = sw_json_copy(&maker, object);
    } else if (r->verb == SW_KUBE_DELETE) {
        c->status = 200;
        fake_kube_delete(f, path);
    } else {
        assert(r->verb == SW_KUBE_MERGE_PATCH);
        assert(sw_json_parse(r->body, r->body_n, 1 << 20, &body, &err) == 0);
        patch(c, path, r, body);
    }
}

static void perform(struct sw_kube_call *c, const struct sw_kube_request *r)
{
    struct fake_kube *f = c->client->server;
    sw_autobuf struct sw_buf path = SW_BUF_INIT(4096);
    struct sw_kube_where where = r->where;
    const char *reason = "", *message = "";
    struct sw_json *body = NULL;
    struct sw_err err = { 0 };
    unsigned status = 0;

    where.subresource = NULL;
    assert(sw_kube_path(&path, &where, &err) == 0);
    f->n_requests++;
    if (f->script->refuse)
        status = f->script->refuse(f->script->ctx, r->verb, path.p, &reason, &message);
    if (status) {
        refuse(c, status, reason, message);
    } else if (r->verb == SW_KUBE_CREATE) {
        assert(sw_json_parse(r->body, r->body_n, 1 << 20, &body, &err) == 0);
        create(c, path.p, body);
    } else {
        perform_on(c, path.p, r);
    }
    expect_memory();
}

static void drop_call(struct sw_kube_call *c)
{
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    sw_loop_unpost(c->client->server->loop, &c->call);
    sw_json_free(c->object);
    free(c);
}

static void on_answer(void *ctx)
{
    struct sw_kube_call *c = ctx;
    bool failed = c->status >= 300;
    struct sw_err err = { 0 };
    struct sw_kube_answer a = {
        .status = c->status, .object = c->object, .text = "", .attempts = 1
    };

    if (failed) {
        (void)sw_kube_status_err(&c->failure, &err);
        a.failure = &c->failure;
        a.err = &err;
    }
    /* The callback may start other calls, which may be the next in the list. */
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->on_done(c->ctx, &a);
    sw_json_free(c->object);
    free(c);
}

int sw_kube_call_start(struct sw_kube_client *client, const struct sw_kube_request *request,
                       struct sw_kube_call **ret, struct sw_err *err)
{
    struct sw_kube_call *c = calloc(1, sizeof(*c));

    (void)err;
    assert(c);
    c->client = client;
    c->ctx = request->ctx;
    c->on_done = request->on_done;
    c->call = (struct sw_loop_call){ .fn = on_answer, .ctx = c };
    c->next = client->calls;
    c->link = &client->calls;
    if (c->next)
        c->next->link = &c->next;
    client->calls = c;
    perform(c, request);
    sw_loop_post(client->server->loop, &c->call);
    if (ret)
        *ret = c;
    return 0;
}

void sw_kube_call_cancel(struct sw_kube_call *call)
{
    if (call)
        drop_call(call);
}

/* --- Watches --------------------------------------------------------------------------------- */

static void list_one(void *ctx, const char *path, void *value)
{
    struct sw_kube_watch *w = ctx;
    struct sw_err err = { 0 };

    if (selects(w, path))
        assert(sw_kube_cache_put(w->c.cache, value, &err) >= 0);
}

static void on_news(void *ctx)
{
    struct sw_kube_watch *w = ctx;
    struct sw_err err = { 0 };

    if (!w->is_synced) {
        sw_kube_cache_list_begin(w->c.cache);
        sw_strmap_each(&w->client->server->objects, list_one, w);
        sw_kube_cache_list_end(w->c.cache, w->client->server->rv);
        w->is_synced = true;
        if (w->c.on_synced)
            w->c.on_synced(w->c.ctx);
        return;
    }
    while (w->head) {
        struct news *n = w->head;

        w->head = n->next;
        if (!w->head)
            w->tail = &w->head;
        int done = n->is_deleted ? sw_kube_cache_remove(w->c.cache, n->object, &err)
                                 : sw_kube_cache_put(w->c.cache, n->object, &err);
        assert(done >= 0);
        sw_json_free(n->object);
        free(n);
    }
}

int sw_kube_watch_open(struct sw_kube_client *client, const struct sw_kube_watch_config *config,
                       struct sw_kube_watch **ret, struct sw_err *err)
{
    struct sw_kube_watch *w = calloc(1, sizeof(*w));

    (void)err;
    assert(w);
    w->client = client;
    w->c = *config;
    w->tail = &w->head;
    w->call = (struct sw_loop_call){ .fn = on_news, .ctx = w };
    w->next = client->watches;
    w->link = &client->watches;
    if (w->next)
        w->next->link = &w->next;
    client->watches = w;
    sw_loop_post(client->server->loop, &w->call);
    *ret = w;
    return 0;
}

bool sw_kube_watch_is_synced(const struct sw_kube_watch *watch)
{
    return watch->is_synced;
}

void sw_kube_watch_close(struct sw_kube_watch *w)
{
    if (!w)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    sw_loop_unpost(w->client->server->loop, &w->call);
    while (w->head) {
        struct news *n = w->head;

        w->head = n->next;
        sw_json_free(n->object);
        free(n);
    }
    free(w);
}

/* --- Connections ----------------------------------------------------------------------------- */

struct sw_kube_client *fake_kube_connect(struct fake_kube *f)
{
    struct sw_kube_client *c = calloc(1, sizeof(*c));

    assert(c);
    c->server = f;
    c->next = f->clients;
    c->link = &f->clients;
    if (c->next)
        c->next->link = &c->next;
    f->clients = c;
    return c;
}

void sw_kube_client_close(struct sw_kube_client *client)
{
    if (!client)
        return;
    assert(!client->watches);
    while (client->calls)
        drop_call(client->calls);
    *client->link = client->next;
    if (client->next)
        client->next->link = client->link;
    free(client);
}

struct sw_loop *sw_kube_client_loop(const struct sw_kube_client *client)
{
    return client->server->loop;
}

const struct sw_kube_stats *sw_kube_client_stats(const struct sw_kube_client *client)
{
    return &client->stats;
}

struct fake_kube *fake_kube_new(struct sw_loop *loop, const struct fake_kube_script *script)
{
    struct fake_kube *f = calloc(1, sizeof(*f));

    assert(f);
    f->loop = loop;
    f->script = script;
    return f;
}

void fake_kube_free(struct fake_kube *f)
{
    assert(!f->clients);
    sw_strmap_done(&f->objects, free_json);
    free(f);
}
