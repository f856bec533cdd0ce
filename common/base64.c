/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base64.h"

static int sextet(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* The text without its padding; false when there is padding that does not fill a group of four. */
static bool strip_padding(struct sw_span *text)
{
    size_t n = text->n;

    while (n > 0 && text->p[n - 1] == '=')
        n--;
    if (n != text->n && (text->n - n > 2 || text->n % 4 != 0))
        return false;
    text->n = n;
    return n % 4 != 1;
}

bool sw_base64_decode(struct sw_span text, uint8_t *out, size_t max, size_t *ret_n)
{
    uint32_t bits = 0;
    unsigned have = 0; /* bits of `bits` that are not yet bytes: 0, 2, 4 or 6 between groups */
    size_t n = 0;

    if (!strip_padding(&text))
        return false;
    for (size_t i = 0; i < text.n; i++) {
        int six = sextet(text.p[i]);

        if (six < 0)
            return false;
        bits = bits << 6 | (uint32_t)six;
        have += 6;
        if (have >= 8) {
            if (n == max)
                return false;
            have -= 8;
            out[n++] = (uint8_t)(bits >> have);
        }
    }
    *ret_n = n;
    return (bits & ((1u << have) - 1)) == 0;
}
