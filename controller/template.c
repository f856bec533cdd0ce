/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/template.h"

#include <string.h>

#define HOLE_NAME_MAX 64

/* The name in "${name}", or in "${...name}" if is_spread; false when text is no such hole. */
static bool read_hole(const char *text, bool is_spread, char name[HOLE_NAME_MAX])
{
    const char *open = is_spread ? "${..." : "${";
    size_t n = text ? strlen(text) : 0, skip = strlen(open);

    if (n < skip + 2 || n - skip >= HOLE_NAME_MAX || strncmp(text, open, skip) != 0 ||
        text[n - 1] != '}' || (!is_spread && text[skip] == '.'))
        return false;
    memcpy(name, text + skip, n - skip - 1);
    name[n - skip - 1] = '\0';
    return true;
}

struct filling {
    struct sw_json_maker *m;
    const struct sw_json *values;
    struct sw_json *to; /* the object that is being filled */
};

static struct sw_json *fill(struct sw_json_maker *m, const struct sw_json *from,
                            const struct sw_json *values);

static bool is_left_out(const struct sw_json *from, const struct sw_json *values)
{
    const char *condition = sw_json_member_text(from, "?");
    char name[HOLE_NAME_MAX];

    if (condition)
        return !sw_json_member(values, condition);
    return read_hole(sw_json_text(from, ""), false, name) && !sw_json_member(values, name);
}

static int fill_member(void *ctx, const char *key, const struct sw_json *value)
{
    struct filling *f = ctx;

    if (strcmp(key, "?") != 0 && !is_left_out(value, f->values))
        sw_json_set(f->m, f->to, key, fill(f->m, value, f->values));
    return 0;
}

static void fill_element(struct filling *f, const struct sw_json *element)
{
    char name[HOLE_NAME_MAX];

    if (read_hole(sw_json_text(element, ""), true, name)) {
        const struct sw_json *list = sw_json_member(f->values, name);

        for (size_t i = 0; i < sw_json_length(list); i++)
            sw_json_set_copy(f->m, f->to, NULL, sw_json_at(list, i));
    } else if (!is_left_out(element, f->values)) {
        sw_json_set(f->m, f->to, NULL, fill(f->m, element, f->values));
    }
}

/* Recursion is bounded by the depth of the template, which is ours. */
static struct sw_json *fill(struct sw_json_maker *m, const struct sw_json *from,
                            const struct sw_json *values)
{
    struct filling f = { .m = m, .values = values };
    char name[HOLE_NAME_MAX];

    if (sw_json_type(from) == SW_JSON_OBJECT) {
        f.to = sw_json_new_object(m);
        sw_json_each(from, fill_member, &f);
        return f.to;
    }
    if (sw_json_type(from) == SW_JSON_ARRAY) {
        f.to = sw_json_new_array(m);
        for (size_t i = 0; i < sw_json_length(from); i++)
            fill_element(&f, sw_json_at(from, i));
        return f.to;
    }
    if (read_hole(sw_json_text(from, ""), false, name))
        return sw_json_copy(m, sw_json_member(values, name));
    return sw_json_copy(m, from);
}

struct sw_json *sw_template_fill(struct sw_json_maker *m, const struct sw_json *template,
                                 const struct sw_json *values)
{
    return fill(m, template, values);
}
