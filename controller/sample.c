/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/sample.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* If the text begins so: what follows it, else NULL. */
static const char *after(const char *text, const char *begin)
{
    size_t n = strlen(begin);

    return strncmp(text, begin, n) == 0 ? text + n : NULL;
}

/* The value of a line that is this sample: NULL or where the number begins. */
static const char *value_of(const char *line, const char *metric, const char *owner)
{
    const char *at = after(line, metric);

    if (at)
        at = after(at, "{ownerUID=\"");
    if (at)
        at = after(at, owner);
    return at ? after(at, "\"} ") : NULL;
}

/* strtod also takes blanks, "nan", "inf" and hexadecimal numbers: they are none here. */
static bool read_percent(const char *number, int64_t *ret_centi)
{
    char *end = NULL;

    if (!isdigit((unsigned char)*number) || (number[0] == '0' && tolower(number[1]) == 'x'))
        return false;
    double v = strtod(number, &end);
    if (!(v >= 0 && v <= 100) || (*end && !isspace((unsigned char)*end)))
        return false;
    *ret_centi = (int64_t)(v * 100 + 0.5);
    return true;
}

bool sw_sample_find(const char *page, const char *metric, const char *owner, int64_t *ret_centi)
{
    for (const char *line = page; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *number = value_of(line, metric, owner);

        if (number)
            return read_percent(number, ret_centi);
    }
    return false;
}
