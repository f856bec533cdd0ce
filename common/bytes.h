/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed byte ranges, fixed-endian loads, alignment and overflow-checked arithmetic. Everything
 * here is pure, inline and callable from any thread. On-disk structures are always read through
 * these loads, never by casting a struct over the file: the same code then runs on little and big
 * endian and on machines that fault on unaligned access. */
#ifndef SW_COMMON_BYTES_H
#define SW_COMMON_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SW_KIB (UINT64_C(1) << 10)
#define SW_MIB (UINT64_C(1) << 20)
#define SW_GIB (UINT64_C(1) << 30)

/* n bytes at p, owned by somebody else. */
struct sw_span {
    const uint8_t *p;
    size_t n;
};

static inline uint16_t sw_be16(const uint8_t *p)
{
    return (uint16_t)((p[0] << 8) | p[1]);
}

static inline uint32_t sw_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t sw_be64(const uint8_t *p)
{
    return (uint64_t)sw_be32(p) << 32 | sw_be32(p + 4);
}

static inline uint16_t sw_le16(const uint8_t *p)
{
    return (uint16_t)((p[1] << 8) | p[0]);
}

static inline uint32_t sw_le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static inline uint64_t sw_le64(const uint8_t *p)
{
    return (uint64_t)sw_le32(p + 4) << 32 | sw_le32(p);
}

static inline void sw_put_le32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline void sw_put_le64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

/* `to` is a power of two. Rounding up can overflow for values near 2^64: callers bound v first. */
static inline uint64_t sw_align_down(uint64_t v, uint64_t to)
{
    return v & ~(to - 1);
}

static inline uint64_t sw_align_up(uint64_t v, uint64_t to)
{
    return (v + to - 1) & ~(to - 1);
}

static inline bool sw_is_pow2(uint64_t v)
{
    return v && !(v & (v - 1));
}

static inline uint64_t sw_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t sw_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* True when the sum or product does not fit 64 bits; *ret is then unspecified. */
#define sw_add_overflows(a, b, ret) __builtin_add_overflow((uint64_t)(a), (uint64_t)(b), (ret))
#define sw_mul_overflows(a, b, ret) __builtin_mul_overflow((uint64_t)(a), (uint64_t)(b), (ret))

/* Whether all n bytes at p are zero. Compares the buffer with itself shifted by 16 bytes, which
 * libc's memcmp does with the widest vectors of the machine; real data fails in the first bytes. */
static inline bool sw_is_zero(const void *p, size_t n)
{
    const uint8_t *b = p;

    for (size_t i = 0; i < 16; i++) {
        if (i == n)
            return true;
        if (b[i])
            return false;
    }
    return n == 16 || memcmp(b, b + 16, n - 16) == 0;
}

#endif
