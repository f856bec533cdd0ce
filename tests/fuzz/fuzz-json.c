/* SPDX-License-Identifier: Apache-2.0 */
/* JSON reading: any bytes are refused or give a tree on which every accessor returns. What is
 * accepted and is a string is written again and must parse to the same string. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const char *text)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(1 << 20);
    sw_auto_json struct sw_json *doc = NULL;
    sw_autofree char *again = NULL;
    struct sw_err err = { 0 };

    sw_json_quote(&out, text);
    if (sw_json_parse(out.p, out.n, 1 << 20, &doc, &err) < 0 ||
        sw_json_get_str(doc, "", 1 << 20, &again, &err) != 1 || strcmp(again, text) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = { "", "a", "a.b", "items.0.name", "0", "0.0", "spec.url" };
    sw_auto_json struct sw_json *doc = NULL;
    struct sw_err err = { 0 };

    if (sw_json_parse((const char *)data, size, 65536, &doc, &err) < 0)
        return 0;
    for (size_t i = 0; i < SW_COUNT(paths); i++) {
        sw_autofree char *text = NULL;
        uint64_t n;
        bool b;

        if (sw_json_get_str(doc, paths[i], 4096, &text, &err) == 1)
            check_round_trip(text);
        if (sw_json_get_u64(doc, paths[i], &n, &err) < 0 ||
            sw_json_get_bool(doc, paths[i], &b, &err) < 0)
            continue;
    }
    return 0;
}
