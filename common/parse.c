/* SPDX-License-Identifier: Apache-2.0 */
#include "common/parse.h"

#include <string.h>

#include "common/bytes.h"

int sw_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct sw_err *err)
{
    uint64_t v = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++) {
        if (sw_mul_overflows(v, 10, &v) || sw_add_overflows(v, *p - '0', &v))
            break;
    }
    if (p == text || *p || v < min || v > max)
        return sw_err_set(err, SW_ERR_USAGE, "'%.64s' is not a whole number from %llu to %llu",
                          text, (unsigned long long)min, (unsigned long long)max);
    *ret = v;
    return 0;
}

/* The multiplier of a quantity's suffix, or 0. Plain "e9" exponents are handled by the caller. */
static uint64_t suffix_factor(const char *s)
{
    static const struct {
        const char *text;
        uint64_t factor;
    } table[] = {
        { "", 1 },
        { "Ki", UINT64_C(1) << 10 },
        { "Mi", UINT64_C(1) << 20 },
        { "Gi", UINT64_C(1) << 30 },
        { "Ti", UINT64_C(1) << 40 },
        { "Pi", UINT64_C(1) << 50 },
        { "Ei", UINT64_C(1) << 60 },
        { "k", UINT64_C(1000) },
        { "M", UINT64_C(1000000) },
        { "G", UINT64_C(1000000000) },
        { "T", UINT64_C(1000000000000) },
        { "P", UINT64_C(1000000000000000) },
        { "E", UINT64_C(1000000000000000000) },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        if (strcmp(s, table[i].text) == 0)
            return table[i].factor;
    }
    if ((s[0] == 'e' || s[0] == 'E') && s[1] >= '0' && s[1] <= '9') {
        unsigned exp = 0;
        uint64_t factor = 1;

        for (s++; *s >= '0' && *s <= '9' && exp < 100; s++)
            exp = exp * 10 + (unsigned)(*s - '0');
        if (*s || exp > 18)
            return 0;
        while (exp--)
            factor *= 10;
        return factor;
    }
    return 0;
}

/* The digits after a decimal point: up to nine count, the others only round up. */
struct fraction {
    uint64_t digits;
    uint64_t scale; /* power of ten, 1 when there is no fraction */
    bool rest;      /* a non-zero digit beyond the ninth         */
};

static const char *parse_fraction(const char *p, struct fraction *f)
{
    for (; *p >= '0' && *p <= '9'; p++) {
        if (f->scale < UINT64_C(1000000000)) {
            f->digits = f->digits * 10 + (uint64_t)(*p - '0');
            f->scale *= 10;
        } else if (*p != '0') {
            f->rest = true;
        }
    }
    return p;
}

int sw_parse_size(const char *text, uint64_t *ret, struct sw_err *err)
{
    struct fraction f = { .scale = 1 };
    const char *p = text;
    uint64_t whole = 0;
    bool bad = false;

    for (; *p >= '0' && *p <= '9'; p++)
        bad |= sw_mul_overflows(whole, 10, &whole) || sw_add_overflows(whole, *p - '0', &whole);
    bad |= p == text;
    if (*p == '.')
        p = parse_fraction(p + 1, &f);

    uint64_t factor = suffix_factor(p);
    __extension__ typedef unsigned __int128 u128;
    u128 v = (u128)whole * factor + ((u128)f.digits * factor + f.scale - 1) / f.scale +
             (f.rest ? 1 : 0);
    if (bad || !factor || v > INT64_MAX)
        return sw_err_set(err, SW_ERR_USAGE,
                          "'%.64s' is not a size: use bytes or a quantity such as 10Gi or 500M",
                          text);
    *ret = (uint64_t)v;
    return 0;
}

int sw_parse_bool(const char *text, bool *ret, struct sw_err *err)
{
    static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
    static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };

    for (size_t i = 0; i < SW_COUNT(yes); i++) {
        if (strcmp(text, yes[i]) == 0) {
            *ret = true;
            return 0;
        }
        if (strcmp(text, no[i]) == 0) {
            *ret = false;
            return 0;
        }
    }
    return sw_err_set(err, SW_ERR_USAGE, "'%.64s' is not true or false", text);
}

void sw_hex_encode(const uint8_t *bytes, size_t n, char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * n] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool sw_hex_decode(const char *text, uint8_t *bytes, size_t n)
{
    if (strlen(text) != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int hi = hex_digit(text[2 * i]);
        int lo = hex_digit(text[2 * i + 1]);

        if (hi < 0 || lo < 0)
            return false;
        bytes[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}
