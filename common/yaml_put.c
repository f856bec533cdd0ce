/* SPDX-License-Identifier: Apache-2.0 */
#include "common/yaml_put.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/json_tree.h"
#include "common/macros.h"

struct put {
    struct sw_buf *out;
    unsigned depth;
    bool after_dash; /* the line was begun by "- ": no indentation, no newline before a mapping */
};

static void put_value(struct put *p, const struct sw_json *value);

/* Words that some reader takes for a boolean or null; numbers never begin with a letter. */
static bool is_word_of_yaml(const char *text)
{
    static const char *const words[] = {
        "true", "false", "yes", "no", "on", "off", "y", "n", "null"
    };

    for (size_t i = 0; i < SW_COUNT(words); i++) {
        if (strcasecmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

/* Whether text means itself without quotes: begins with a letter, '/' or '_', and holds nothing
 * that means anything in YAML (a colon does only at the end or before a blank). */
static bool is_plain(const char *text)
{
    static const char inside[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "_./:+-";
    size_t n = strlen(text);

    if (!n || !(isalpha((unsigned char)text[0]) || text[0] == '/' || text[0] == '_'))
        return false;
    return strspn(text, inside) == n && text[n - 1] != ':' && !is_word_of_yaml(text);
}

static void put_text(struct sw_buf *out, const char *text)
{
    if (is_plain(text))
        sw_buf_puts(out, text);
    else
        sw_json_quote(out, text);
}

static void begin_line(struct put *p)
{
    for (unsigned i = 0; i < p->depth && !p->after_dash; i++)
        sw_buf_puts(p->out, "  ");
    p->after_dash = false;
}

/* What stands on the line of its key or dash: all but filled mappings and lists. */
static void put_scalar(struct put *p, const struct sw_json *value)
{
    const char *text = sw_json_type(value) == SW_JSON_STRING ? sw_json_text(value, "") : NULL;

    if (text)
        put_text(p->out, text);
    else
        sw_json_print(p->out, value);
    sw_buf_puts(p->out, "\n");
}

static int has_one(void *ctx, const char *key, const struct sw_json *value)
{
    (void)ctx;
    (void)key;
    (void)value;
    return 1;
}

static bool is_filled(const struct sw_json *value, enum sw_json_type type)
{
    return type == SW_JSON_ARRAY ? sw_json_length(value) > 0
                                 : type == SW_JSON_OBJECT && sw_json_each(value, has_one, NULL);
}

static int put_member(void *ctx, const char *key, const struct sw_json *value)
{
    struct put *p = ctx;
    enum sw_json_type type = sw_json_type(value);

    begin_line(p);
    put_text(p->out, key);
    if (!is_filled(value, type)) {
        sw_buf_puts(p->out, ": ");
        put_scalar(p, value);
        return 0;
    }
    sw_buf_puts(p->out, ":\n");
    p->depth += type == SW_JSON_OBJECT; /* a list stands under its key, as kubectl has it */
    put_value(p, value);
    p->depth -= type == SW_JSON_OBJECT;
    return 0;
}

static void put_list(struct put *p, const struct sw_json *list)
{
    for (size_t i = 0; i < sw_json_length(list); i++) {
        begin_line(p);
        sw_buf_puts(p->out, "- ");
        p->after_dash = true;
        p->depth++;
        put_value(p, sw_json_at(list, i));
        p->depth--;
        p->after_dash = false;
    }
}

/* As deep as the reader allows: SW_JSON_MAX_DEPTH. */
static void put_value(struct put *p, const struct sw_json *value)
{
    enum sw_json_type type = sw_json_type(value);

    if (!is_filled(value, type))
        put_scalar(p, value);
    else if (type == SW_JSON_OBJECT)
        (void)sw_json_each(value, put_member, p);
    else
        put_list(p, value);
}

void sw_yaml_put(struct sw_buf *out, const struct sw_json *value)
{
    struct put p = { .out = out };

    put_value(&p, value);
}
