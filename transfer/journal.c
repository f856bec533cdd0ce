/* SPDX-License-Identifier: Apache-2.0 */
/* A record is lines of "key value", the last one the CRC-32 of everything before it. One table
 * drives writing and reading. */
#include "transfer/journal.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "common/buf.h"
#include "common/fileio.h"
#include "common/parse.h"

#define MAGIC "slipway-journal 1\n"

enum field_type { FIELD_TEXT, FIELD_U64, FIELD_U32, FIELD_ENUM, FIELD_BOOL };

static const struct field {
    const char *key;
    enum field_type type;
    size_t offset, size;
} fields[] = {
#define FIELD(name, type)                                                                          \
    {                                                                                              \
#name, type, offsetof(struct sw_journal, name), sizeof(((struct sw_journal *)0)->name)     \
    }
    FIELD(url, FIELD_TEXT),
    FIELD(validator, FIELD_TEXT),
    FIELD(source_size, FIELD_U64),
    FIELD(boot_id, FIELD_TEXT),
    FIELD(durable, FIELD_BOOL),
    FIELD(format, FIELD_ENUM),
    { "wrap0", FIELD_ENUM, offsetof(struct sw_journal, wraps[0]), sizeof(enum sw_wrap) },
    { "wrap1", FIELD_ENUM, offsetof(struct sw_journal, wraps[1]), sizeof(enum sw_wrap) },
    FIELD(guest_size, FIELD_U64),
    FIELD(disk_size, FIELD_U64),
    FIELD(watermark, FIELD_U64),
    FIELD(decode_in, FIELD_U64),
    FIELD(decode_out, FIELD_U64),
    FIELD(digest_at, FIELD_U64),
    FIELD(n_digests, FIELD_U32),
    FIELD(head_len, FIELD_U64),
    FIELD(head_off, FIELD_U64),
    FIELD(head_crc, FIELD_U32),
#undef FIELD
};

static void put_field(struct sw_buf *b, const struct field *f, const void *p)
{
    uint64_t u64;
    uint32_t u32;

    switch (f->type) {
    case FIELD_TEXT:
        sw_buf_printf(b, "%s %s\n", f->key, (const char *)p);
        return;
    case FIELD_U64:
        memcpy(&u64, p, sizeof(u64));
        sw_buf_printf(b, "%s %llu\n", f->key, (unsigned long long)u64);
        return;
    case FIELD_U32:
    case FIELD_ENUM:
        memcpy(&u32, p, sizeof(u32));
        sw_buf_printf(b, "%s %u\n", f->key, u32);
        return;
    case FIELD_BOOL:
        sw_buf_printf(b, "%s %d\n", f->key, *(const bool *)p);
        return;
    }
}

static uint32_t crc_of(const char *p, size_t n)
{
    return (uint32_t)crc32(0, (const Bytef *)p, (uInt)n);
}

size_t sw_journal_format(const struct sw_journal *j, char *text)
{
    sw_autobuf struct sw_buf b = SW_BUF_INIT(SW_JOURNAL_MAX - 16);

    sw_buf_puts(&b, MAGIC);
    for (size_t i = 0; i < SW_COUNT(fields); i++)
        put_field(&b, &fields[i], (const char *)j + fields[i].offset);
    for (unsigned i = 0; i < j->n_digests; i++) {
        char hex[2 * SW_DIGEST_STATE_MAX + 1];

        sw_hex_encode(j->digests[i].bytes, j->digests[i].n, hex);
        sw_buf_printf(&b, "digest %s\n", hex);
    }

    size_t n = b.n;
    memcpy(text, sw_buf_str(&b), n);
    n += (size_t)snprintf(text + n, 16, "crc %08x\n", crc_of(text, n));
    return n;
}

static int get_field(const struct field *f, const char *value, void *p, struct sw_err *err)
{
    uint64_t v = 0;
    size_t n = strlen(value);

    if (f->type == FIELD_TEXT) {
        if (n >= f->size)
            return sw_err_set(err, SW_ERR_BAD_DATA, "journal: '%s' is too long", f->key);
        memcpy(p, value, n + 1);
        return 0;
    }
    if (sw_parse_u64(value, 0, f->type == FIELD_U64 ? UINT64_MAX : UINT32_MAX, &v, err) < 0) {
        err->kind = SW_ERR_BAD_DATA; /* nobody typed it */
        return sw_err_wrap(err, "journal: '%s'", f->key);
    }
    if (f->type == FIELD_U64) {
        memcpy(p, &v, sizeof(v));
    } else if (f->type == FIELD_BOOL) {
        *(bool *)p = v != 0;
    } else {
        uint32_t u32 = (uint32_t)v;

        memcpy(p, &u32, sizeof(u32));
    }
    return 0;
}

static int get_digest(const char *hex, unsigned *n, struct sw_journal *j, struct sw_err *err)
{
    size_t len = strlen(hex) / 2;

    if (*n >= SW_JOURNAL_DIGESTS || len > SW_DIGEST_STATE_MAX ||
        !sw_hex_decode(hex, j->digests[*n].bytes, len))
        return sw_err_set(err, SW_ERR_BAD_DATA, "journal: bad digest state");
    j->digests[(*n)++].n = len;
    return 0;
}

static int get_line(char *line, unsigned *n_digests, struct sw_journal *j, struct sw_err *err)
{
    char *value = strchr(line, ' ');

    if (!value)
        return sw_err_set(err, SW_ERR_BAD_DATA, "journal: a line without a value");
    *value++ = '\0';
    if (strcmp(line, "digest") == 0)
        return get_digest(value, n_digests, j, err);
    for (size_t i = 0; i < SW_COUNT(fields); i++) {
        if (strcmp(line, fields[i].key) == 0)
            return get_field(&fields[i], value, (char *)j + fields[i].offset, err);
    }
    return sw_err_set(err, SW_ERR_BAD_DATA, "journal: unknown key '%.32s'", line);
}

/* The record proper, without its CRC line: its length, or 0 when it is not intact. */
static size_t intact_length(const char *text, size_t n)
{
    const char *crc = NULL;
    uint8_t want[4];
    char hex[9];

    if (n < sizeof(MAGIC) + 13 || memcmp(text, MAGIC, sizeof(MAGIC) - 1) != 0)
        return 0;
    for (size_t i = sizeof(MAGIC) - 1; i + 13 <= n && !crc; i++) {
        if (text[i - 1] == '\n' && memcmp(text + i, "crc ", 4) == 0)
            crc = text + i;
    }
    if (!crc)
        return 0;
    memcpy(hex, crc + 4, 8);
    hex[8] = '\0';
    if (!sw_hex_decode(hex, want, 4) || sw_be32(want) != crc_of(text, (size_t)(crc - text)))
        return 0;
    return (size_t)(crc - text);
}

int sw_journal_parse(const char *text, size_t n, struct sw_journal *ret, struct sw_err *err)
{
    struct sw_journal j = { 0 };
    unsigned n_digests = 0;
    size_t len = intact_length(text, n < SW_JOURNAL_MAX ? n : SW_JOURNAL_MAX);

    if (!len || memchr(text, '\0', len))
        return sw_err_set(err, SW_ERR_BAD_DATA, "journal: not an intact record");

    sw_autofree char *copy = strndup(text, len);
    if (!copy)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    char *next = copy + sizeof(MAGIC) - 1;
    while (next && *next) {
        char *line = strsep(&next, "\n");

        if (get_line(line, &n_digests, &j, err) < 0)
            return -1;
    }
    if (n_digests != j.n_digests)
        return sw_err_set(err, SW_ERR_BAD_DATA, "journal: %u digest states of %u", n_digests,
                          j.n_digests);
    *ret = j;
    return 0;
}

bool sw_journal_same_work(const struct sw_journal *a, const struct sw_journal *b)
{
    return strcmp(a->url, b->url) == 0 && a->validator[0] &&
           strcmp(a->validator, b->validator) == 0 && a->source_size == b->source_size &&
           a->format == b->format && a->wraps[0] == b->wraps[0] && a->wraps[1] == b->wraps[1] &&
           a->guest_size == b->guest_size && a->disk_size == b->disk_size &&
           a->n_digests == b->n_digests;
}

void sw_boot_id(char id[40])
{
    struct sw_err err = { 0 };
    sw_autofree char *text = NULL;

    id[0] = '\0';
    if (sw_file_slurp("/proc/sys/kernel/random/boot_id", 39, &text, NULL, &err) < 0)
        return;
    text[strcspn(text, "\n")] = '\0';
    snprintf(id, 40, "%s", text);
}
