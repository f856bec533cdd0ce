/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a running digest has to survive `kill -9`, and OpenSSL's EVP contexts cannot be
 * written down. The low-level contexts are plain public structs with the same assembly behind them
 * (SHA extensions, AVX2, Zvknh, picked by OpenSSL at run time). They are deprecated since 3.0 but
 * present unless OpenSSL was built without them, which the check below turns into a clear message;
 * the deprecation warnings are silenced for this file alone.
 *
 * A saved state, all integers little endian:
 *   0   4  "SWD" and the version, 1
 *   4   1  enum sw_digest_alg; 3 reserved bytes, zero
 *   8   8  bytes digested so far
 *   16     the chaining words: 4, 5 or 8 of 4 bytes, or 8 of 8 bytes for SHA-512
 *   ..     the bytes of the last, incomplete block: (bytes so far) modulo the block size of them */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "transfer/digest.h"

#include <assert.h>
#include <openssl/md5.h>
#include <openssl/opensslconf.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"
#include "common/parse.h"

#if defined(OPENSSL_NO_DEPRECATED_3_0) || defined(OPENSSL_NO_MD5)
#error "this OpenSSL was built without the low-level digests that resumable digests need"
#endif

struct sw_digest {
    enum sw_digest_alg alg;
    union {
        MD5_CTX md5;
        SHA_CTX sha1;
        SHA256_CTX sha256;
        SHA512_CTX sha512;
    } u;
};

static const struct {
    const char *name, *dashed;
    size_t size;  /* bytes of the result      */
    size_t block; /* bytes of one input block */
    size_t words; /* chaining words           */
    size_t word_bytes;
} algs[SW_DIGEST_COUNT_] = {
    [SW_DIGEST_NONE] = { "none", "none", 0, 0, 0, 0 },
    [SW_DIGEST_MD5] = { "md5", "md-5", 16, 64, 4, 4 },
    [SW_DIGEST_SHA1] = { "sha1", "sha-1", 20, 64, 5, 4 },
    [SW_DIGEST_SHA256] = { "sha256", "sha-256", 32, 64, 8, 4 },
    [SW_DIGEST_SHA512] = { "sha512", "sha-512", 64, 128, 8, 8 },
};

/* The fields that all four contexts have, wherever each keeps them. */
struct parts {
    uint32_t *word32[8];
    SHA_LONG64 *word64; /* 8 of them; NULL for the 32-bit digests */
    uint8_t *block;     /* the incomplete block, in input order   */
    unsigned *n_block;
};

const char *sw_digest_alg_name(enum sw_digest_alg alg)
{
    return (unsigned)alg < SW_DIGEST_COUNT_ ? algs[alg].name : "unknown";
}

size_t sw_digest_size(enum sw_digest_alg alg)
{
    return (unsigned)alg < SW_DIGEST_COUNT_ ? algs[alg].size : 0;
}

enum sw_digest_alg sw_digest_alg_parse(const char *name)
{
    for (unsigned i = SW_DIGEST_NONE + 1; i < SW_DIGEST_COUNT_; i++) {
        if (strcasecmp(name, algs[i].name) == 0 || strcasecmp(name, algs[i].dashed) == 0)
            return (enum sw_digest_alg)i;
    }
    return SW_DIGEST_NONE;
}

enum sw_digest_alg sw_digest_alg_by_size(size_t n)
{
    for (unsigned i = SW_DIGEST_NONE + 1; i < SW_DIGEST_COUNT_; i++) {
        if (algs[i].size == n)
            return (enum sw_digest_alg)i;
    }
    return SW_DIGEST_NONE;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The bytes from p to end without blanks around them, lower-cased and NUL-terminated. A part longer
 * than room is cut: no valid one is. */
static void copy_part(const char *p, const char *end, char *text, size_t room)
{
    size_t n = 0;

    while (p < end && is_blank(*p))
        p++;
    while (end > p && is_blank(end[-1]))
        end--;
    for (; p < end && n + 1 < room; p++)
        text[n++] = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    text[n] = '\0';
}

static int parse_hex(enum sw_digest_alg alg, const char *hex, struct sw_digest_value *ret,
                     struct sw_err *err)
{
    size_t want = 2 * algs[alg].size;

    if (strlen(hex) != want)
        return sw_err_set(err, SW_ERR_USAGE,
                          "invalid %s hash length: expected %zu hex characters, got %zu",
                          algs[alg].name, want, strlen(hex));

    struct sw_digest_value v = { .alg = alg };
    if (!sw_hex_decode(hex, v.bytes, algs[alg].size)) {
        char bad = hex[strspn(hex, "0123456789abcdef")];
        return sw_err_set(err, SW_ERR_USAGE,
                          "checksum hash is not valid hexadecimal: invalid byte 0x%02x",
                          (unsigned char)bad);
    }
    *ret = v;
    return 0;
}

int sw_digest_parse(const char *text, struct sw_digest_value *ret, struct sw_err *err)
{
    const char *colon = strchr(text, ':');
    char alg_text[64], hex[256];

    if (!colon)
        return sw_err_set(err, SW_ERR_USAGE,
                          "invalid checksum format: expected 'algorithm:hash', got '%.200s'", text);
    copy_part(text, colon, alg_text, sizeof(alg_text));
    copy_part(colon + 1, colon + strlen(colon), hex, sizeof(hex));
    if (!hex[0])
        return sw_err_set(err, SW_ERR_USAGE, "checksum hash value cannot be empty");

    enum sw_digest_alg alg = sw_digest_alg_parse(alg_text);
    if (alg == SW_DIGEST_NONE)
        return sw_err_set(err, SW_ERR_USAGE,
                          "unsupported hash algorithm '%s': supported algorithms are: md5, sha1, "
                          "sha256, sha512",
                          alg_text);
    return parse_hex(alg, hex, ret, err);
}

void sw_digest_format(const struct sw_digest_value *v, char text[SW_DIGEST_TEXT_MAX])
{
    int n = snprintf(text, SW_DIGEST_TEXT_MAX, "%s:", sw_digest_alg_name(v->alg));

    sw_hex_encode(v->bytes, sw_digest_size(v->alg), text + n);
}

int sw_digest_equal(const struct sw_digest_value *a, const struct sw_digest_value *b)
{
    return a->alg == b->alg && memcmp(a->bytes, b->bytes, sw_digest_size(a->alg)) == 0;
}

int sw_digest_open(enum sw_digest_alg alg, struct sw_digest **ret, struct sw_err *err)
{
    if (alg <= SW_DIGEST_NONE || alg >= SW_DIGEST_COUNT_)
        return sw_err_set(err, SW_ERR_INTERNAL, "no digest number %d", (int)alg);

    struct sw_digest *d = calloc(1, sizeof(*d));
    if (!d)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    d->alg = alg;
    if (alg == SW_DIGEST_MD5)
        MD5_Init(&d->u.md5);
    else if (alg == SW_DIGEST_SHA1)
        SHA1_Init(&d->u.sha1);
    else if (alg == SW_DIGEST_SHA256)
        SHA256_Init(&d->u.sha256);
    else
        SHA512_Init(&d->u.sha512);
    *ret = d;
    return 0;
}

void sw_digest_update(struct sw_digest *d, const void *bytes, size_t n)
{
    if (d->alg == SW_DIGEST_MD5)
        MD5_Update(&d->u.md5, bytes, n);
    else if (d->alg == SW_DIGEST_SHA1)
        SHA1_Update(&d->u.sha1, bytes, n);
    else if (d->alg == SW_DIGEST_SHA256)
        SHA256_Update(&d->u.sha256, bytes, n);
    else
        SHA512_Update(&d->u.sha512, bytes, n);
}

void sw_digest_final(struct sw_digest *d, struct sw_digest_value *ret)
{
    *ret = (struct sw_digest_value){ .alg = d->alg };
    if (d->alg == SW_DIGEST_MD5)
        MD5_Final(ret->bytes, &d->u.md5);
    else if (d->alg == SW_DIGEST_SHA1)
        SHA1_Final(ret->bytes, &d->u.sha1);
    else if (d->alg == SW_DIGEST_SHA256)
        SHA256_Final(ret->bytes, &d->u.sha256);
    else
        SHA512_Final(ret->bytes, &d->u.sha512);
}

void sw_digest_close(struct sw_digest *d)
{
    free(d);
}

static struct parts parts_of(struct sw_digest *d)
{
    MD5_CTX *md5 = &d->u.md5;
    SHA_CTX *sha1 = &d->u.sha1;
    SHA256_CTX *sha256 = &d->u.sha256;

    switch (d->alg) {
    case SW_DIGEST_MD5:
        return (struct parts){ .word32 = { &md5->A, &md5->B, &md5->C, &md5->D },
                               .block = (uint8_t *)md5->data,
                               .n_block = &md5->num };
    case SW_DIGEST_SHA1:
        return (struct parts){ .word32 = { &sha1->h0, &sha1->h1, &sha1->h2, &sha1->h3, &sha1->h4 },
                               .block = (uint8_t *)sha1->data,
                               .n_block = &sha1->num };
    case SW_DIGEST_SHA256:
        return (struct parts){ .word32 = { &sha256->h[0], &sha256->h[1], &sha256->h[2],
                                           &sha256->h[3], &sha256->h[4], &sha256->h[5],
                                           &sha256->h[6], &sha256->h[7] },
                               .block = (uint8_t *)sha256->data,
                               .n_block = &sha256->num };
    default:
        return (struct parts){ .word64 = d->u.sha512.h,
                               .block = d->u.sha512.u.p,
                               .n_block = &d->u.sha512.num };
    }
}

/* OpenSSL counts bits: in two 32-bit halves, or two 64-bit ones for SHA-512. */
static uint64_t total_bytes(const struct sw_digest *d)
{
    if (d->alg == SW_DIGEST_SHA512)
        return d->u.sha512.Nl >> 3 | d->u.sha512.Nh << 61;
    if (d->alg == SW_DIGEST_SHA256)
        return ((uint64_t)d->u.sha256.Nh << 32 | d->u.sha256.Nl) >> 3;
    if (d->alg == SW_DIGEST_SHA1)
        return ((uint64_t)d->u.sha1.Nh << 32 | d->u.sha1.Nl) >> 3;
    return ((uint64_t)d->u.md5.Nh << 32 | d->u.md5.Nl) >> 3;
}

static void set_total_bytes(struct sw_digest *d, uint64_t bytes)
{
    uint32_t low = (uint32_t)(bytes << 3), high = (uint32_t)(bytes >> 29);

    if (d->alg == SW_DIGEST_SHA512) {
        d->u.sha512.Nl = bytes << 3;
        d->u.sha512.Nh = bytes >> 61;
    } else if (d->alg == SW_DIGEST_SHA256) {
        d->u.sha256.Nl = low;
        d->u.sha256.Nh = high;
    } else if (d->alg == SW_DIGEST_SHA1) {
        d->u.sha1.Nl = low;
        d->u.sha1.Nh = high;
    } else {
        d->u.md5.Nl = low;
        d->u.md5.Nh = high;
    }
}

#define STATE_HEADER 16

size_t sw_digest_save(const struct sw_digest *d, uint8_t state[SW_DIGEST_STATE_MAX])
{
    struct sw_digest copy = *d;
    struct parts p = parts_of(&copy);
    size_t n = STATE_HEADER;

    memset(state, 0, STATE_HEADER);
    memcpy(state, "SWD\1", 4);
    state[4] = (uint8_t)d->alg;
    sw_put_le64(state + 8, total_bytes(d));
    for (size_t i = 0; i < algs[d->alg].words; i++, n += algs[d->alg].word_bytes) {
        if (p.word64)
            sw_put_le64(state + n, p.word64[i]);
        else
            sw_put_le32(state + n, *p.word32[i]);
    }
    memcpy(state + n, p.block, *p.n_block);
    return n + *p.n_block;
}

/* The algorithm of a well-formed state of exactly n bytes, or SW_DIGEST_NONE. */
static enum sw_digest_alg state_alg(const uint8_t *state, size_t n)
{
    if (n < STATE_HEADER || memcmp(state, "SWD\1", 4) != 0 || state[4] <= SW_DIGEST_NONE ||
        state[4] >= SW_DIGEST_COUNT_ || state[5] || state[6] || state[7])
        return SW_DIGEST_NONE;

    enum sw_digest_alg alg = (enum sw_digest_alg)state[4];
    uint64_t total = sw_le64(state + 8);
    if (total >> 61 || n != STATE_HEADER + algs[alg].words * algs[alg].word_bytes +
                                (size_t)(total % algs[alg].block))
        return SW_DIGEST_NONE;
    return alg;
}

int sw_digest_restore(const uint8_t *state, size_t n, struct sw_digest **ret, struct sw_err *err)
{
    enum sw_digest_alg alg = state_alg(state, n);
    struct sw_digest *d = NULL;

    if (alg == SW_DIGEST_NONE)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "%zu bytes are not a saved digest state of this version", n);
    if (sw_digest_open(alg, &d, err) < 0)
        return -1;
    assert(d);

    struct parts p = parts_of(d);
    uint64_t total = sw_le64(state + 8);
    const uint8_t *at = state + STATE_HEADER;
    for (size_t i = 0; i < algs[alg].words; i++, at += algs[alg].word_bytes) {
        if (p.word64)
            p.word64[i] = sw_le64(at);
        else
            *p.word32[i] = sw_le32(at);
    }
    set_total_bytes(d, total);
    *p.n_block = (unsigned)(total % algs[alg].block);
    memcpy(p.block, at, *p.n_block);
    *ret = d;
    return 0;
}
