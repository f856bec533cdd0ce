/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/quantity.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "common/json_tree.h"
#include "common/parse.h"
#include "controller/names.h"

bool sw_overhead_parse(const char *text, double *ret)
{
    uint64_t thousandths;
    size_t n = text ? strlen(text) : 0;
    struct sw_err ignored;

    if (n == 1 && (*text == '0' || *text == '1')) {
        *ret = *text - '0';
        return true;
    }
    if (n < 3 || n > 5 || text[0] != '0' || text[1] != '.' ||
        sw_parse_u64(text + 2, 0, 999, &thousandths, &ignored) < 0)
        return false;
    for (; n < 5; n++)
        thousandths *= 10;
    *ret = (double)thousandths / 1000.0; /* correctly rounded, as parsing the decimal would be */
    return true;
}

uint64_t sw_required_size(uint64_t n, double overhead)
{
    double need = ceil(ceil((double)n / SW_MIB) * SW_MIB * (1 + overhead));

    return need < 9223372036854775808.0 ? (uint64_t)need : UINT64_MAX;
}

int sw_quantity_get(const struct sw_json *from, const char *path, uint64_t *ret, struct sw_err *err)
{
    const struct sw_json *at = sw_json_find(from, path);
    const char *text = sw_json_text(from, path);

    if (!at)
        return 0;
    if (!text)
        return sw_json_get_u64(from, path, ret, err);
    if (sw_parse_size(text, ret, err) < 0) {
        err->kind = SW_ERR_BAD_DATA;
        return sw_err_wrap(err, "'%s'", path);
    }
    return 1;
}
