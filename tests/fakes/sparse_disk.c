/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/sparse_disk.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/bytes.h"
#include "common/fileio.h"

#define HEADER 8
#define RECORD 516
#define SECTOR 512
#define SECTORS_MAX (1u << 24)

static uint8_t *find(struct sparse_disk *d, uint64_t sector)
{
    for (size_t i = d->n_records; i-- > 0;) {
        if (sw_le32(d->records + i * RECORD) == sector)
            return d->records + i * RECORD + 4;
    }
    return NULL;
}

static uint8_t *find_or_add(struct sparse_disk *d, uint64_t sector)
{
    uint8_t *have = find(d, sector);

    if (have)
        return have;
    if (d->n_records == d->cap) {
        d->cap = d->cap ? 2 * d->cap : 16;
        d->records = realloc(d->records, d->cap * RECORD);
        if (!d->records)
            abort();
    }
    uint8_t *r = d->records + d->n_records++ * RECORD;
    memset(r, 0, RECORD);
    sw_put_le32(r, (uint32_t)sector);
    return r + 4;
}

void sparse_disk_read(struct sparse_disk *d, uint64_t off, void *bytes, size_t n)
{
    for (uint8_t *to = bytes; n;) {
        size_t in = off % SECTOR, part = n < SECTOR - in ? n : SECTOR - in;
        const uint8_t *from = find(d, off / SECTOR);

        if (from)
            memcpy(to, from + in, part);
        else
            memset(to, 0, part);
        to += part;
        off += part;
        n -= part;
    }
}

void sparse_disk_write(struct sparse_disk *d, uint64_t off, const void *bytes, size_t n)
{
    for (const uint8_t *from = bytes; n;) {
        size_t in = off % SECTOR, part = n < SECTOR - in ? n : SECTOR - in;

        memcpy(find_or_add(d, off / SECTOR) + in, from, part);
        from += part;
        off += part;
        n -= part;
    }
}

/* Reading outside the disk breaks the reader's promise, so it ends the test. */
static int read_reader(void *ctx, uint64_t off, void *buf, size_t len, struct sw_err *err)
{
    struct sparse_disk *d = ctx;

    if (off > d->reader.size || len > d->reader.size - off || len == 0)
        abort();
    if (++d->n_reads == d->fail_at)
        return sw_err_set(err, SW_ERR_TRANSIENT, "read %u failed on purpose", d->n_reads);
    sparse_disk_read(d, off, buf, len);
    return 0;
}

void sparse_disk_new(struct sparse_disk *d, uint64_t size)
{
    *d = (struct sparse_disk){ .reader = { read_reader, d, size } };
}

void sparse_disk_fix_gpt(struct sparse_disk *d, uint64_t off)
{
    uint8_t header[SECTOR], crc_text[4] = { 0 };

    sparse_disk_read(d, off, header, sizeof(header));
    uint64_t bytes = (uint64_t)sw_le32(header + 80) * sw_le32(header + 84);
    uint64_t sector_size = off >= 4096 && off % 4096 == 0 && sw_le64(header + 24) == off / 4096
                               ? 4096
                               : 512;
    uint64_t entries = sw_le64(header + 72) * sector_size;
    if (memcmp(header, "EFI PART", 8) != 0 || bytes > SW_MIB || entries > d->reader.size)
        return;

    uint8_t *table = malloc(bytes + 1);
    if (!table)
        abort();
    sparse_disk_read(d, entries, table, bytes);
    sw_put_le32(header + 88, (uint32_t)crc32(0, table, (uInt)bytes));
    free(table);

    uint32_t size = sw_le32(header + 12);
    memcpy(header + 16, crc_text, 4);
    sw_put_le32(header + 16, (uint32_t)crc32(0, header, size < SECTOR ? size : SECTOR));
    sparse_disk_write(d, off, header, sizeof(header));
}

bool sparse_disk_parse(struct sparse_disk *d, const uint8_t *bytes, size_t n)
{
    if (n < HEADER || sw_le32(bytes) > SECTORS_MAX)
        return false;
    sparse_disk_new(d, (uint64_t)sw_le32(bytes) * SECTOR);
    for (size_t at = HEADER; at + RECORD <= n; at += RECORD)
        memcpy(find_or_add(d, sw_le32(bytes + at)), bytes + at + 4, SECTOR);
    if (bytes[4] & 1) {
        sparse_disk_fix_gpt(d, 512);
        sparse_disk_fix_gpt(d, 4096);
        if (d->reader.size >= 1024)
            sparse_disk_fix_gpt(d, d->reader.size - 512);
    }
    return true;
}

void sparse_disk_load(struct sparse_disk *d, const char *path)
{
    struct sw_err err = { 0 };
    char *text = NULL;
    size_t n;

    if (sw_file_slurp(path, 1 << 20, &text, &n, &err) < 0 ||
        !sparse_disk_parse(d, (const uint8_t *)text, n)) {
        fprintf(stderr, "%s: %s\n", path, err.msg);
        abort();
    }
    free(text);
}

void sparse_disk_done(struct sparse_disk *d)
{
    free(d->records);
    d->records = NULL;
}
