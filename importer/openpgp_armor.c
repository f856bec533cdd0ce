/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/base64.h"
#include "common/macros.h"
#include "importer/openpgp.h"

#define ARMOR "-----BEGIN PGP "
#define ARMOR_KEYS "-----BEGIN PGP PUBLIC KEY BLOCK-----"
#define ARMOR_END "-----END PGP "
#define ARMOR_SIGNATURE "-----BEGIN PGP SIGNATURE-----"
#define ARMOR_CLEAR "-----BEGIN PGP SIGNED MESSAGE-----"

#define LINE_MAX_BYTES 1024 /* of base64; RFC 9580 says 76 characters */

/* RFC 9580 section 6.1. */
#define CRC24_INIT 0xb704ceu
#define CRC24_POLY 0x1864cfbu

static uint32_t crc24(const uint8_t *p, size_t n)
{
    uint32_t crc = CRC24_INIT;

    for (size_t i = 0; i < n; i++) {
        crc ^= (uint32_t)p[i] << 16;
        for (int bit = 0; bit < 8; bit++) {
            crc <<= 1;
            if (crc & 0x1000000)
                crc ^= CRC24_POLY;
        }
    }
    return crc & 0xffffff;
}

static bool starts_with(struct sw_span s, const char *text)
{
    return s.n >= strlen(text) && memcmp(s.p, text, strlen(text)) == 0;
}

/* The next line without its end and without blanks at its end. */
static bool next_line(struct sw_span *text, struct sw_span *ret)
{
    if (!text->n)
        return false;

    const uint8_t *lf = memchr(text->p, '\n', text->n);
    size_t n = lf ? (size_t)(lf - text->p) : text->n;
    *ret = (struct sw_span){ text->p, n };
    text->p += n + (lf ? 1 : 0);
    text->n -= n + (lf ? 1 : 0);
    while (ret->n && strchr(" \t\r", ret->p[ret->n - 1]) && ret->p[ret->n - 1])
        ret->n--;
    return true;
}

static struct sw_span skip_blank(struct sw_span s)
{
    while (s.n && s.p[0] && strchr(" \t\r\n", s.p[0])) {
        s.p++;
        s.n--;
    }
    return s;
}

bool sw_pgp_is_clear_signed(struct sw_span text)
{
    return starts_with(skip_blank(text), ARMOR_CLEAR);
}

/* Binary: a packet header with the tag of a signature (2), old or new format (RFC 9580, 4.2). */
bool sw_pgp_is_signature(struct sw_span bytes)
{
    if (bytes.n && ((bytes.p[0] & 0xfc) == 0x88 || bytes.p[0] == 0xc2))
        return true;
    return starts_with(skip_blank(bytes), ARMOR_SIGNATURE);
}

struct sink {
    uint8_t *p;
    size_t n, max;
};

/* The body of one armored block, from after its BEGIN line to its END line, appended to out. */
static bool read_block(struct sw_span *text, struct sink *out)
{
    struct sw_span line;
    size_t start = out->n, got;
    bool has_crc = false;
    uint8_t crc[3];

    while (next_line(text, &line) && line.n)
        ; /* armor headers, up to the empty line */
    while (next_line(text, &line)) {
        if (starts_with(line, ARMOR_END))
            return !has_crc || crc24(out->p + start, out->n - start) ==
                                   ((uint32_t)crc[0] << 16 | (uint32_t)crc[1] << 8 | crc[2]);
        if (has_crc || line.n > LINE_MAX_BYTES)
            return false;
        if (line.n == 5 && line.p[0] == '=') {
            line.p++;
            line.n--;
            has_crc = sw_base64_decode(line, crc, sizeof(crc), &got) && got == 3;
            if (!has_crc)
                return false;
        } else if (line.n % 4 ||
                   !sw_base64_decode(line, out->p + out->n, out->max - out->n, &got)) {
            return false;
        } else {
            out->n += got;
        }
    }
    return false; /* no END line: cut short */
}

/* A packet header, or the key box that newer gpg keeps (gpgv reads both). */
static bool is_binary(struct sw_span s)
{
    return (s.n && s.p[0] & 0x80) || (s.n > 12 && memcmp(s.p + 8, "KBXf", 4) == 0);
}

static int read_blocks(struct sw_span text, struct sink *out, struct sw_err *err)
{
    struct sw_span line;

    while (next_line(&text, &line)) {
        if (!starts_with(line, ARMOR))
            continue;
        if (!starts_with(line, ARMOR_KEYS))
            return sw_err_set(err, SW_ERR_USAGE,
                              "the keyring holds something other than public keys");
        if (!read_block(&text, out))
            return sw_err_set(err, SW_ERR_USAGE, "the armored keyring is damaged or cut short");
    }
    return 0;
}

int sw_pgp_dearmor(struct sw_span keyring, uint8_t **ret, size_t *ret_len, struct sw_err *err)
{
    sw_autofree uint8_t *out = malloc(keyring.n + 1);
    struct sink sink = { out, 0, keyring.n };

    if (!out)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (is_binary(keyring)) {
        memcpy(out, keyring.p, keyring.n);
        sink.n = keyring.n;
    } else if (read_blocks(keyring, &sink, err) < 0) {
        return -1;
    }
    if (!sink.n)
        return sw_err_set(err, SW_ERR_USAGE,
                          "the keyring holds no OpenPGP public keys (make one "
                          "with 'gpg --export')");
    *ret = sw_steal(out);
    *ret_len = sink.n;
    return 0;
}
