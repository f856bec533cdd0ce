/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/digest_manifest_int.h"

#include <ctype.h>
#include <strings.h>

#include "common/parse.h"

static const struct {
    size_t bytes;
    const char *name;
    const char *labels[3]; /* in BSD lines */
    bool weak, computed;
} slots[SLOT_COUNT_] = {
    [SLOT_MD5] = { 16, "MD5", { "MD5" }, true, true },
    [SLOT_SHA1] = { 20, "SHA-1", { "SHA1", "SHA-1", "SHA" }, true, true },
    [SLOT_SHA224] = { 28, "SHA-224", { "SHA224", "SHA2-224", "SHA-224" }, false, false },
    [SLOT_SHA256] = { 32, "SHA-256", { "SHA256", "SHA2-256", "SHA-256" }, false, true },
    [SLOT_SHA384] = { 48, "SHA-384", { "SHA384", "SHA2-384", "SHA-384" }, false, false },
    [SLOT_SHA512] = { 64, "SHA-512", { "SHA512", "SHA2-512", "SHA-512" }, false, true },
};

int sw_manifest_slot(size_t n)
{
    for (int i = 0; i < SLOT_COUNT_; i++) {
        if (slots[i].bytes == n)
            return i;
    }
    return -1;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct sw_span trim(struct sw_span s)
{
    while (s.n && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

static bool starts_with(struct sw_span s, const char *text)
{
    size_t n = strlen(text);

    return s.n >= n && memcmp(s.p, text, n) == 0;
}

/* The next line without its end (LF or CRLF); false at the end of the text. */
static bool next_line(struct sw_span *text, struct sw_span *ret)
{
    if (!text->n)
        return false;

    const uint8_t *lf = memchr(text->p, '\n', text->n);
    size_t n = lf ? (size_t)(lf - text->p) : text->n;
    *ret = (struct sw_span){ text->p, n };
    text->p += n + (lf ? 1 : 0);
    text->n -= n + (lf ? 1 : 0);
    if (ret->n && ret->p[ret->n - 1] == '\r')
        ret->n--;
    return true;
}

/* ---- names ---- */

/* How alike two names are: the characters they share at both ends. Enough to point at the same
 * image of another version or architecture, and linear in the name's length. */
static size_t likeness(struct sw_span a, const char *b, size_t b_len)
{
    size_t max = a.n < b_len ? a.n : b_len, head = 0, tail = 0;

    while (head < max && a.p[head] == (uint8_t)b[head])
        head++;
    while (tail < max - head && a.p[a.n - 1 - tail] == (uint8_t)b[b_len - 1 - tail])
        tail++;
    return head + tail;
}

static void remember_nearest(struct manifest_search *s, struct sw_span name)
{
    size_t score = 1 + likeness(name, s->name, s->name_len);
    unsigned at = MANIFEST_NEAREST;

    while (at > 0 && score > s->nearest[at - 1].score)
        at--;
    if (at == MANIFEST_NEAREST)
        return;
    for (unsigned i = MANIFEST_NEAREST - 1; i > at; i--)
        s->nearest[i] = s->nearest[i - 1];

    size_t n = 0;
    for (; n < name.n && n < sizeof(s->nearest[at].name) - 1; n++)
        s->nearest[at].name[n] = name.p[n] > 0x20 && name.p[n] < 0x7f ? (char)name.p[n] : '?';
    s->nearest[at].name[n] = '\0';
    s->nearest[at].score = score;
}

static enum manifest_rank rank_name(const struct manifest_search *s, struct sw_span name)
{
    while (starts_with(name, "./")) {
        name.p += 2;
        name.n -= 2;
    }
    if (name.n < s->name_len || memcmp(name.p + name.n - s->name_len, s->name, s->name_len) != 0)
        return RANK_NONE;
    if (name.n == s->name_len)
        return RANK_EXACT;
    return name.p[name.n - s->name_len - 1] == '/' ? RANK_LAST_PART : RANK_NONE;
}

void sw_manifest_add(struct manifest_search *s, struct sw_span name, enum manifest_rank rank,
                     const struct sw_manifest_digest *digest)
{
    int slot = sw_manifest_slot(digest->n);
    struct sw_manifest_digest *have = &s->found[rank][slot];

    s->n_entries++;
    s->only = *digest;
    s->only_is_bare = name.n == 0;
    if (rank == RANK_NONE) {
        if (name.n)
            remember_nearest(s, name);
        return;
    }
    if (have->n && memcmp(have->bytes, digest->bytes, digest->n) != 0)
        s->conflict[rank][slot] = true;
    *have = *digest;
}

/* ---- lines ---- */

/* The digest at the start of s: its hex digits must end at a blank or at the end of s. Returns how
 * many characters it takes; 0 when there is none. */
static size_t take_hex(struct sw_span s, struct sw_manifest_digest *ret)
{
    char hex[2 * sizeof(ret->bytes) + 1];
    size_t n = 0;

    while (n < s.n && n < sizeof(hex) && isxdigit(s.p[n]))
        n++;
    if (n % 2 || n >= sizeof(hex) || sw_manifest_slot(n / 2) < 0 || (n < s.n && !is_blank(s.p[n])))
        return 0;
    memcpy(hex, s.p, n);
    hex[n] = '\0';
    ret->n = n / 2;
    return sw_hex_decode(hex, ret->bytes, ret->n) ? n : 0;
}

/* Undo the escapes of a GNU line in a copy that can hold what a name we look for can be; longer
 * names are cut, and then match nothing. */
static struct sw_span unescape(struct sw_span name, uint8_t *copy, size_t room)
{
    size_t n = 0;

    for (size_t i = 0; i < name.n && n < room; i++) {
        uint8_t c = name.p[i];

        if (c == '\\' && i + 1 < name.n) {
            c = name.p[++i];
            c = c == 'n' ? '\n' : c == 'r' ? '\r' : c;
        }
        copy[n++] = c;
    }
    return (struct sw_span){ copy, n };
}

static bool read_gnu(struct sw_span line, struct manifest_search *s)
{
    struct sw_manifest_digest digest = { 0 };
    bool escaped = starts_with(line, "\\");
    uint8_t copy[1024];

    if (escaped) {
        line.p++;
        line.n--;
    }
    size_t n = take_hex(line, &digest);
    if (!n)
        return false;

    struct sw_span name = trim((struct sw_span){ line.p + n, line.n - n });
    bool binary = name.n > 1 && name.p[0] == '*';
    if (binary) {
        name.p++;
        name.n--;
    }
    if (escaped)
        name = unescape(name, copy, sizeof(copy));
    sw_manifest_add(s, name, name.n ? rank_name(s, name) : RANK_NONE, &digest);
    return true;
}

/* The slot that a BSD label means; -1 when it is none of ours. */
static int slot_of_label(struct sw_span label)
{
    for (int i = 0; i < SLOT_COUNT_; i++) {
        for (size_t k = 0; k < SW_COUNT(slots[i].labels) && slots[i].labels[k]; k++) {
            if (strlen(slots[i].labels[k]) == label.n &&
                strncasecmp((const char *)label.p, slots[i].labels[k], label.n) == 0)
                return i;
        }
    }
    return -1;
}

static void read_bsd(struct sw_span line, struct manifest_search *s)
{
    struct sw_manifest_digest digest = { 0 };
    const uint8_t *open = memchr(line.p, '(', line.n);
    const uint8_t *close = memrchr(line.p, ')', line.n);

    if (!open || !close || close < open)
        return;

    struct sw_span label = trim((struct sw_span){ line.p, (size_t)(open - line.p) });
    struct sw_span name = { open + 1, (size_t)(close - open - 1) };
    struct sw_span rest = trim(
        (struct sw_span){ close + 1, (size_t)(line.p + line.n - close - 1) });
    int slot = slot_of_label(label);
    if (slot < 0 || !name.n || !rest.n || rest.p[0] != '=')
        return;
    rest = trim((struct sw_span){ rest.p + 1, rest.n - 1 });
    if (take_hex(rest, &digest) == rest.n && digest.n == slots[slot].bytes)
        sw_manifest_add(s, name, rank_name(s, name), &digest);
}

/* ---- texts ---- */

/* When text is a clear-signed document, narrow it to the signed lines (still dash-escaped). */
static bool enter_signed_part(struct sw_span *text)
{
    struct sw_span rest = *text, line;

    while (next_line(&rest, &line)) {
        if (!starts_with(line, "-----BEGIN PGP SIGNED MESSAGE-----"))
            continue;
        while (next_line(&rest, &line) && line.n)
            ; /* armor headers, up to the empty line */
        *text = rest;
        return true;
    }
    return false;
}

static void read_lines(struct sw_span text, struct manifest_search *s)
{
    bool is_signed = enter_signed_part(&text);
    struct sw_span line;

    while (next_line(&text, &line)) {
        if (is_signed && starts_with(line, "-----BEGIN PGP"))
            return;
        if (is_signed && starts_with(line, "- ")) {
            line.p += 2;
            line.n -= 2;
        }
        line = trim(line);
        if (!line.n || line.p[0] == '#')
            continue;
        if (!read_gnu(line, s))
            read_bsd(line, s);
    }
}

/* ---- the answer ---- */

static int no_entry(const struct manifest_search *s, struct sw_err *err)
{
    if (!s->nearest[0].name[0])
        return sw_err_set(err, SW_ERR_NOT_FOUND, "no digest of '%.128s' among %zu entries", s->name,
                          s->n_entries);
    if (!s->nearest[1].name[0])
        return sw_err_set(err, SW_ERR_NOT_FOUND,
                          "no digest of '%.128s' among %zu entries; the nearest name is '%s'",
                          s->name, s->n_entries, s->nearest[0].name);
    return sw_err_set(
        err, SW_ERR_NOT_FOUND,
        "no digest of '%.128s' among %zu entries; the nearest names are '%s' and '%s'", s->name,
        s->n_entries, s->nearest[0].name, s->nearest[1].name);
}

static int pick(const struct manifest_search *s, const struct sw_manifest_digest *found,
                const bool *conflict, struct sw_manifest_digest *ret, struct sw_err *err)
{
    int unusable = 0; /* the caller has found at least one */

    for (int i = SLOT_COUNT_ - 1; i >= 0; i--) {
        if (!found[i].n)
            continue;
        if (!slots[i].computed || (slots[i].weak && !(s->flags & SW_MANIFEST_ALLOW_WEAK))) {
            unusable = i;
            continue;
        }
        if (conflict[i])
            return sw_err_set(err, SW_ERR_BAD_DATA, "two different %s digests for '%.128s'",
                              slots[i].name, s->name);
        *ret = found[i];
        return 0;
    }
    return sw_err_set(err, SW_ERR_UNSUPPORTED, "only a %s digest is listed for '%.128s', which %s",
                      slots[unusable].name, s->name,
                      slots[unusable].weak ? "is too weak to prove anything: give another one with "
                                             "--checksum"
                                           : "is not supported");
}

static int answer(const struct manifest_search *s, struct sw_manifest_digest *ret,
                  struct sw_err *err)
{
    struct sw_manifest_digest only[SLOT_COUNT_] = { 0 };
    const bool no_conflict[SLOT_COUNT_] = { 0 };

    for (int rank = RANK_EXACT; rank > RANK_NONE; rank--) {
        for (int i = 0; i < SLOT_COUNT_; i++) {
            if (s->found[rank][i].n)
                return pick(s, s->found[rank], s->conflict[rank], ret, err);
        }
    }
    if (s->n_entries == 0)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "this is not a digest manifest: no line of it is "
                          "\"<hex>  name\" or \"SHA256 (name) = <hex>\"");
    if (s->n_entries > 1 || (!s->only_is_bare && !(s->flags & SW_MANIFEST_SIDECAR)))
        return no_entry(s, err);
    only[sw_manifest_slot(s->only.n)] = s->only;
    return pick(s, only, no_conflict, ret, err);
}

int sw_digest_manifest_find(struct sw_span text, const char *name, unsigned flags,
                            struct sw_manifest_digest *ret, struct sw_err *err)
{
    struct manifest_search s = { .name = name, .name_len = strlen(name), .flags = flags };
    struct sw_span head = text;

    if (text.n > SW_MANIFEST_MAX)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "the digest manifest has %zu bytes, more than the %llu allowed", text.n,
                          (unsigned long long)SW_MANIFEST_MAX);
    if (!s.name_len)
        return sw_err_set(err, SW_ERR_NOT_FOUND,
                          "the source has no file name to look for in the "
                          "digest manifest: use --checksum");
    while (head.n && isspace(head.p[0])) {
        head.p++;
        head.n--;
    }
    if (head.n && head.p[0] == '<')
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "this is a web page, not a digest manifest: check the URL");
    if (head.n && head.p[0] == '{') {
        if (sw_manifest_read_debian(head, &s, err) < 0)
            return -1;
    } else {
        read_lines(text, &s);
    }
    return answer(&s, ret, err);
}
