/* SPDX-License-Identifier: Apache-2.0 */
/* DESIGN: a set of paths becomes a tree of steps ("metadata" -> "annotations" -> ...), and an object is
 * walked together with it: one pass, no matter how many paths. A node says keep (the whole subtree,
 * but for what nodes below it drop) or drop, or nothing (only what nodes below it keep). */
#include "kube/projection.h"

#include <string.h>

#include "common/json_tree.h"
#include "common/parse.h"

enum verdict { INHERIT, KEEP, DROP };

struct step {
    char *key; /* owned */
    bool is_prefix;
    enum verdict verdict;
    struct step *child, *next;
};

struct sw_kube_projection {
    struct step root;
};

struct sw_kube_selector {
    char *text; /* the steps, NUL-separated */
    const char *keys[SW_KUBE_PATH_STEPS];
    bool is_prefix[SW_KUBE_PATH_STEPS];
    unsigned n;
};

/* --- Paths --------------------------------------------------------------------------------------- */

static int bad_path(const char *path, const char *what, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_USAGE, "path '%s': %s", path, what);
}

/* The first step of `at`: a name up to '.' or '[', or what stands in brackets; NULL when a bracket is
 * not closed. *ret_n is its length, *ret_next where the next one begins. */
static const char *first_step(const char *at, size_t *ret_n, const char **ret_next)
{
    bool is_bracket = *at == '[';
    const char *step = at + is_bracket;
    const char *end = is_bracket ? strchr(step, ']') : step + strcspn(step, ".[");

    if (!end || (is_bracket && end[1] && end[1] != '.' && end[1] != '['))
        return NULL;
    *ret_n = (size_t)(end - step);
    end += is_bracket;
    *ret_next = *end == '.' ? end + 1 : end;
    return step;
}

static int parse_path(const char *path, struct sw_kube_selector *s, struct sw_err *err)
{
    size_t n = strlen(path);
    char *to;

    s->text = to = malloc(2 * n + 1); /* each step and its NUL */
    if (!to)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (n == 0 || path[n - 1] == '.')
        return bad_path(path, "a step is empty", err);
    for (const char *at = path; *at;) {
        size_t len;
        const char *step = first_step(at, &len, &at);

        if (!step || len == 0)
            return bad_path(path, step ? "a step is empty" : "a bracket is not closed", err);
        if (s->n == SW_KUBE_PATH_STEPS)
            return bad_path(path, "too many steps", err);
        s->is_prefix[s->n] = step[len - 1] == '*';
        s->keys[s->n] = to;
        len -= s->is_prefix[s->n++];
        memcpy(to, step, len);
        to[len] = '\0';
        to += len + 1;
    }
    return 0;
}

int sw_kube_selector_compile(const char *path, struct sw_kube_selector **ret, struct sw_err *err)
{
    struct sw_kube_selector *s = calloc(1, sizeof(*s));

    if (!s)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (parse_path(path, s, err) < 0) {
        sw_kube_selector_free(s);
        return -1;
    }
    *ret = s;
    return 0;
}

void sw_kube_selector_free(struct sw_kube_selector *s)
{
    if (!s)
        return;
    free(s->text);
    free(s);
}

static bool matches(const char *key, bool is_prefix, const char *name)
{
    return is_prefix ? strncmp(name, key, strlen(key)) == 0 : strcmp(name, key) == 0;
}

/* --- Selecting ----------------------------------------------------------------------------------- */

struct selecting {
    const struct sw_kube_selector *s;
    unsigned at; /* step that comes next */
    void (*each)(void *ctx, const char *text);
    void *ctx;
};

static void select_from(struct selecting *w, const struct sw_json *value);

static int select_member(void *ctx, const char *key, const struct sw_json *value)
{
    struct selecting *w = ctx;
    unsigned at = w->at;

    if (matches(w->s->keys[at], w->s->is_prefix[at], key)) {
        w->at = at + 1;
        select_from(w, value);
        w->at = at;
    }
    return 0;
}

static void select_scalar(struct selecting *w, const struct sw_json *value)
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(64);
    enum sw_json_type type = sw_json_type(value);

    if (type == SW_JSON_STRING) {
        const char *string = sw_json_text(value, "");

        if (string)
            w->each(w->ctx, string);
    } else if (type == SW_JSON_NUMBER || type == SW_JSON_BOOL) {
        sw_json_print(&text, value);
        w->each(w->ctx, sw_buf_str(&text));
    }
}

/* As deep as the path is long, plus arrays in arrays, which the parser bounds. */
static void select_from(struct selecting *w, const struct sw_json *value)
{
    if (sw_json_type(value) == SW_JSON_ARRAY) {
        for (size_t i = 0; i < sw_json_length(value); i++)
            select_from(w, sw_json_at(value, i));
    } else if (w->at == w->s->n) {
        select_scalar(w, value);
    } else if (w->s->is_prefix[w->at]) {
        sw_json_each(value, select_member, w);
    } else {
        const struct sw_json *member = sw_json_member(value, w->s->keys[w->at]);

        w->at++;
        if (member)
            select_from(w, member);
        w->at--;
    }
}

void sw_kube_select(const struct sw_kube_selector *s, const struct sw_json *object,
                    void (*each)(void *ctx, const char *text), void *ctx)
{
    struct selecting w = { .s = s, .each = each, .ctx = ctx };

    select_from(&w, object);
}

/* --- Compiling a projection ---------------------------------------------------------------------- */

static struct step *make_step(const char *key, bool is_prefix)
{
    struct step *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->key = strdup(key);
    s->is_prefix = is_prefix;
    if (!s->key) {
        free(s);
        return NULL;
    }
    return s;
}

static struct step *enter_step(struct step *in, const char *key, bool is_prefix)
{
    struct step **at = &in->child;

    while (*at && ((*at)->is_prefix != is_prefix || strcmp((*at)->key, key) != 0))
        at = &(*at)->next;
    if (!*at)
        *at = make_step(key, is_prefix);
    return *at;
}

static int add_path(struct sw_kube_projection *p, const char *path, struct sw_err *err)
{
    bool is_drop = *path == '-';
    struct sw_kube_selector steps = { 0 };
    int done = parse_path(path + is_drop, &steps, err);
    struct step *s = &p->root;

    for (unsigned i = 0; done == 0 && i < steps.n; i++) {
        s = enter_step(s, steps.keys[i], steps.is_prefix[i]);
        if (!s)
            done = sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    }
    if (done == 0)
        s->verdict = is_drop ? DROP : KEEP;
    free(steps.text);
    return done;
}

int sw_kube_projection_compile(const char *const *keep, struct sw_kube_projection **ret,
                               struct sw_err *err)
{
    /* After the caller's, so that they win. */
    static const char *const always[] = {
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "-metadata.managedFields",
        "-metadata.resourceVersion", /* stands in front, see sw_kube_project() */
        "-metadata.annotations[kubectl.kubernetes.io/last-applied-configuration]",
    };
    struct sw_kube_projection *p = calloc(1, sizeof(*p));
    int done = p ? 0 : sw_err_set(err, SW_ERR_INTERNAL, "out of memory");

    for (; done == 0 && *keep; keep++)
        done = add_path(p, *keep, err);
    for (size_t i = 0; done == 0 && i < SW_COUNT(always); i++)
        done = add_path(p, always[i], err);
    if (done < 0) {
        sw_kube_projection_free(p);
        return -1;
    }
    *ret = p;
    return 0;
}

static void free_steps(struct step *s)
{
    while (s) {
        struct step *next = s->next;

        free_steps(s->child); /* at most SW_KUBE_PATH_STEPS deep */
        free(s->key);
        free(s);
        s = next;
    }
}

void sw_kube_projection_free(struct sw_kube_projection *p)
{
    if (!p)
        return;
    free_steps(p->root.child);
    free(p);
}

/* --- Projecting ---------------------------------------------------------------------------------- */

struct walk {
    struct sw_buf *out;
    const struct step *step; /* NULL: no path goes further than here */
    bool is_kept;            /* by this step or one above it          */
    bool is_first;           /* no member was written yet             */
};

static bool put_value(const struct walk *w, const struct sw_json *value);

static void put_scalar(struct sw_buf *out, const struct sw_json *value)
{
    const char *text = sw_json_text(value, "");

    if (text)
        sw_json_quote(out, text);
    else
        sw_json_print(out, value);
}

/* An exact key counts before a prefix, a longer prefix before a shorter one. */
static const struct step *step_of(const struct step *in, const char *key)
{
    const struct step *best = NULL;

    for (const struct step *s = in ? in->child : NULL; s; s = s->next) {
        if (!matches(s->key, s->is_prefix, key))
            continue;
        if (!s->is_prefix)
            return s;
        if (!best || strlen(s->key) > strlen(best->key))
            best = s;
    }
    return best;
}

static struct walk enter(const struct walk *w, const struct step *step)
{
    struct walk inner = *w;

    inner.step = step;
    if (step && step->verdict != INHERIT)
        inner.is_kept = step->verdict == KEEP;
    inner.is_first = true;
    return inner;
}

static bool is_wanted(const struct walk *w)
{
    return w->is_kept || (w->step && w->step->child);
}

/* Write key and value, or nothing of either. */
static int put_member(void *ctx, const char *key, const struct sw_json *value)
{
    struct walk *w = ctx;
    struct walk inner = enter(w, step_of(w->step, key));
    size_t before = w->out->n;

    if (!is_wanted(&inner))
        return 0;
    if (!w->is_first)
        sw_buf_puts(w->out, ",");
    sw_json_quote(w->out, key);
    sw_buf_puts(w->out, ":");
    if (put_value(&inner, value))
        w->is_first = false;
    else
        w->out->n = before;
    return 0;
}

/* An object that is kept stays even if it is empty: "emptyDir": {} says something. */
static bool put_object(const struct walk *w, const struct sw_json *object)
{
    struct walk inner = *w;

    inner.is_first = true;
    sw_buf_puts(w->out, "{");
    sw_json_each(object, put_member, &inner);
    sw_buf_puts(w->out, "}");
    return w->is_kept || !inner.is_first;
}

static bool put_array(const struct walk *w, const struct sw_json *array)
{
    bool is_empty = true;

    sw_buf_puts(w->out, "[");
    for (size_t i = 0; i < sw_json_length(array); i++) {
        size_t before = w->out->n;

        if (!is_empty)
            sw_buf_puts(w->out, ",");
        if (put_value(w, sw_json_at(array, i)))
            is_empty = false;
        else
            w->out->n = before;
    }
    sw_buf_puts(w->out, "]");
    return w->is_kept || !is_empty;
}

/* As deep as the parsed text, which is bounded. False: nothing of it is kept, and what was written
 * is the caller's to take back. */
static bool put_value(const struct walk *w, const struct sw_json *value)
{
    switch (sw_json_type(value)) {
    case SW_JSON_OBJECT:
        return put_object(w, value);
    case SW_JSON_ARRAY:
        return put_array(w, value);
    default:
        if (w->is_kept)
            put_scalar(w->out, value);
        return w->is_kept;
    }
}

/* metadata comes first and begins with the resourceVersion, so that everything else is one piece. */
static void put_metadata(struct walk *root, const struct sw_json *metadata)
{
    struct walk inner = enter(root, step_of(root->step, "metadata"));
    const char *version = sw_json_text(metadata, "resourceVersion");

    sw_buf_puts(root->out, "{\"metadata\":{\"resourceVersion\":");
    sw_json_quote(root->out, version ? version : "");
    inner.is_first = false;
    sw_json_each(metadata, put_member, &inner);
    sw_buf_puts(root->out, "}");
    root->is_first = false;
}

static int put_other(void *ctx, const char *key, const struct sw_json *value)
{
    return strcmp(key, "metadata") == 0 ? 0 : put_member(ctx, key, value);
}

int sw_kube_project(const struct sw_kube_projection *p, const struct sw_json *object,
                    struct sw_buf *out, size_t *ret_rest, struct sw_err *err)
{
    const struct sw_json *metadata = sw_json_member(object, "metadata");
    const char *version = sw_json_text(metadata, "resourceVersion");
    struct walk root = { .out = out, .step = &p->root };
    uint64_t number;

    if (!sw_json_text(metadata, "name"))
        return sw_err_set(err, SW_ERR_BAD_DATA, "an object without metadata.name");
    if (version && sw_parse_u64(version, 0, UINT64_MAX, &number, err) < 0) {
        err->kind = SW_ERR_BAD_DATA;
        return sw_err_wrap(err, "metadata.resourceVersion");
    }
    /* The quoted number is what differs in length: the rest begins behind its closing quote. */
    *ret_rest = strlen("{\"metadata\":{\"resourceVersion\":\"\"") + (version ? strlen(version) : 0);
    put_metadata(&root, metadata);
    sw_json_each(object, put_other, &root);
    sw_buf_puts(out, "}");
    return sw_buf_check(out, "the object", err);
}
