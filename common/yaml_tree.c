/* SPDX-License-Identifier: Apache-2.0 */
/* DESIGN: libyaml's events go straight into a JSON writer, and the JSON parser makes the tree: two
 * parsers that already exist, and no third one that builds nodes. The JSON text is at most a few
 * times longer than the YAML, which is bounded. */
#include "common/yaml_tree.h"

#include <string.h>
#include <yaml.h>

#include "common/parse.h"

/* The escaped text of 1 MiB of control characters: six bytes each. */
#define JSON_MAX (6 * SW_YAML_MAX_BYTES)

/* One open mapping or sequence. */
struct level {
    bool is_mapping;
    bool has_key;       /* the key was read, its value comes next */
    char *key;          /* that key; owned                        */
    struct sw_buf keys; /* all keys so far, each with its NUL     */
    unsigned n_keys;
};

struct builder {
    struct sw_yaml *out;
    struct sw_buf json;
    struct sw_json_writer writer;
    struct level levels[SW_JSON_MAX_DEPTH];
    unsigned depth;
    unsigned nodes;
    bool has_content; /* the document holds something else than null */
    yaml_mark_t at;   /* of the current event                        */
};

static int refuse(const struct builder *b, const char *what, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_USAGE, "line %zu column %zu: %s", b->at.line + 1,
                      b->at.column + 1, what);
}

static struct level *top(struct builder *b)
{
    return b->depth ? &b->levels[b->depth - 1] : NULL;
}

static void level_done(struct level *l)
{
    free(l->key);
    sw_buf_done(&l->keys);
    *l = (struct level){ 0 };
}

/* --- Scalars --------------------------------------------------------------------------------- */

static bool is_one_of(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

static bool is_null(const char *t)
{
    static const char *const words[] = { "", "~", "null", "Null", "NULL" };

    return is_one_of(t, words, SW_COUNT(words));
}

static bool is_true(const char *t)
{
    static const char *const words[] = {
        "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON",
    };

    return is_one_of(t, words, SW_COUNT(words));
}

static bool is_false(const char *t)
{
    static const char *const words[] = {
        "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF",
    };

    return is_one_of(t, words, SW_COUNT(words));
}

/* A whole number that JSON writes the same way and 63 bits hold. */
static bool parse_integer(const char *t, int64_t *ret)
{
    bool is_negative = t[0] == '-';
    const char *digits = t + is_negative;
    struct sw_err ignored = { 0 };
    uint64_t v;

    if ((digits[0] == '0' && digits[1]) || sw_parse_u64(digits, 0, INT64_MAX, &v, &ignored) < 0)
        return false;
    *ret = is_negative ? -(int64_t)v : (int64_t)v;
    return true;
}

/* The JSON type of a scalar. Fractions stay strings: the only place where manifests have them is
 * quantities ("1.5Gi", 0.5), and those are read as text anyway. */
static void put_scalar(struct sw_json_writer *w, const char *key, const char *text, bool is_plain)
{
    int64_t number;

    if (is_plain && is_null(text))
        sw_json_put_str(w, key, NULL);
    else if (is_plain && (is_true(text) || is_false(text)))
        sw_json_put_bool(w, key, is_true(text));
    else if (is_plain && parse_integer(text, &number))
        sw_json_put_i64(w, key, number);
    else
        sw_json_put_str(w, key, text);
}

/* --- Structure ------------------------------------------------------------------------------- */

static bool is_key_known(const struct level *l, const char *key)
{
    for (size_t at = 0; at < l->keys.n; at += strlen(l->keys.p + at) + 1) {
        if (strcmp(l->keys.p + at, key) == 0)
            return true;
    }
    return false;
}

static int take_key(struct builder *b, struct level *l, const char *key, struct sw_err *err)
{
    if (strcmp(key, "<<") == 0)
        return refuse(b, "merge keys ('<<') are not taken", err);
    if (is_key_known(l, key))
        return refuse(b, "this key is already in the mapping", err);
    if (++l->n_keys > SW_YAML_MAX_KEYS)
        return refuse(b, "too many keys in one mapping", err);
    sw_buf_append(&l->keys, key, strlen(key) + 1);
    l->key = strdup(key);
    if (!l->key)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    l->has_key = true;
    return 0;
}

/* The key that the value at hand belongs to; NULL in a sequence and for the document itself. */
static const char *use_key(struct builder *b)
{
    struct level *l = top(b);

    if (!l || !l->is_mapping)
        return NULL;
    l->has_key = false;
    return l->key;
}

static void forget_key(struct builder *b)
{
    struct level *l = top(b);

    if (l && !l->has_key) {
        free(l->key);
        l->key = NULL;
    }
}

static int on_scalar(struct builder *b, const yaml_event_t *e, struct sw_err *err)
{
    const char *text = (const char *)e->data.scalar.value;
    struct level *l = top(b);
    bool is_plain = e->data.scalar.plain_implicit;

    if (strlen(text) != e->data.scalar.length)
        return refuse(b, "a NUL inside a text", err);
    if (e->data.scalar.tag && strcmp((const char *)e->data.scalar.tag, YAML_STR_TAG) != 0)
        return refuse(b, "tags are not taken", err);
    if (l && l->is_mapping && !l->has_key)
        return take_key(b, l, text, err);
    b->has_content |= b->depth > 0 || !is_plain || !is_null(text);
    put_scalar(&b->writer, use_key(b), text, is_plain);
    forget_key(b);
    return 0;
}

static int on_begin(struct builder *b, bool is_mapping, const yaml_char_t *tag, struct sw_err *err)
{
    struct level *l = top(b);

    if (tag && strcmp((const char *)tag, is_mapping ? YAML_MAP_TAG : YAML_SEQ_TAG) != 0)
        return refuse(b, "tags are not taken", err);
    if (l && l->is_mapping && !l->has_key)
        return refuse(b, "a key must be a plain text", err);
    if (b->depth == SW_JSON_MAX_DEPTH)
        return refuse(b, "nested too deep", err);
    if (is_mapping)
        sw_json_begin_object(&b->writer, use_key(b));
    else
        sw_json_begin_array(&b->writer, use_key(b));
    forget_key(b);
    b->has_content = true;
    b->levels[b->depth++] = (struct level){ .is_mapping = is_mapping,
                                            .keys = SW_BUF_INIT(SW_YAML_MAX_BYTES) };
    return 0;
}

static void on_end(struct builder *b)
{
    level_done(&b->levels[--b->depth]);
    sw_json_end(&b->writer);
}

static void begin_document(struct builder *b)
{
    sw_buf_reset(&b->json);
    sw_json_writer_init(&b->writer, &b->json);
    b->has_content = false;
}

static int end_document(struct builder *b, struct sw_err *err)
{
    struct sw_yaml *y = b->out;

    if (!b->has_content)
        return 0;
    if (y->n == SW_YAML_MAX_DOCUMENTS)
        return refuse(b, "too many documents in one file", err);
    if (sw_buf_check(&b->json, "the manifest", err) < 0)
        return -1;
    if (!y->docs)
        y->docs = calloc(SW_YAML_MAX_DOCUMENTS, sizeof(struct sw_json *));
    if (!y->docs)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (sw_json_parse(b->json.p, b->json.n, JSON_MAX, &y->docs[y->n], err) < 0)
        return refuse(b, "text that is not UTF-8 or not a manifest", err);
    y->n++;
    return 0;
}

static int on_event(struct builder *b, const yaml_event_t *e, struct sw_err *err)
{
    b->at = e->start_mark;
    if (++b->nodes > SW_YAML_MAX_NODES)
        return refuse(b, "too many values", err);
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        begin_document(b);
        return 0;
    case YAML_DOCUMENT_END_EVENT:
        return end_document(b, err);
    case YAML_ALIAS_EVENT:
        return refuse(b, "aliases are not taken", err);
    case YAML_SCALAR_EVENT:
        return on_scalar(b, e, err);
    case YAML_MAPPING_START_EVENT:
        return on_begin(b, true, e->data.mapping_start.tag, err);
    case YAML_SEQUENCE_START_EVENT:
        return on_begin(b, false, e->data.sequence_start.tag, err);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        on_end(b);
        return 0;
    default:
        return 0;
    }
}

static int run(yaml_parser_t *parser, struct builder *b, struct sw_err *err)
{
    for (bool at_end = false; !at_end;) {
        yaml_event_t e;

        if (!yaml_parser_parse(parser, &e)) {
            b->at = parser->problem_mark;
            return refuse(b, parser->problem ? parser->problem : "not YAML", err);
        }
        int done = on_event(b, &e, err);
        at_end = e.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&e);
        if (done < 0)
            return -1;
    }
    return 0;
}

static void free_builder(struct builder **b)
{
    if (!*b)
        return;
    while ((*b)->depth)
        level_done(&(*b)->levels[--(*b)->depth]);
    sw_buf_done(&(*b)->json);
    free(*b);
}

int sw_yaml_parse(const char *text, size_t n, struct sw_yaml *ret, struct sw_err *err)
{
    __attribute__((cleanup(free_builder))) struct builder *b = calloc(1, sizeof(*b));
    yaml_parser_t parser;

    *ret = (struct sw_yaml){ 0 };
    if (n > SW_YAML_MAX_BYTES)
        return sw_err_set(err, SW_ERR_USAGE, "%zu bytes of YAML, at most %zu are taken", n,
                          SW_YAML_MAX_BYTES);
    if (!b || !yaml_parser_initialize(&parser))
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    b->out = ret;
    sw_buf_init(&b->json, JSON_MAX);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);

    int done = run(&parser, b, err);
    yaml_parser_delete(&parser);
    if (done < 0)
        sw_yaml_done(ret);
    return done;
}

void sw_yaml_done(struct sw_yaml *y)
{
    for (size_t i = 0; i < y->n; i++)
        sw_json_free(y->docs[i]);
    free(y->docs);
    *y = (struct sw_yaml){ 0 };
}
