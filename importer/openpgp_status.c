/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/openpgp_status.h"

#include <ctype.h>
#include <string.h>

#include "common/macros.h"
#include "common/parse.h"

#define PREFIX "[GNUPG:] "
#define WORDS_MAX 12

/* One status line in words. Pointers go into the line's copy. */
struct status_line {
    char text[1024];
    const char *word[WORDS_MAX];
    unsigned n;
};

/* What is known of the signature whose lines are being read, and of the whole. */
struct judge {
    struct sw_pgp_signer now; /* valid when good && valid */
    bool good, valid;
    struct sw_pgp_signer best;
    bool has_best, has_bad;
    unsigned plaintexts;
    char why[256]; /* the first reason why a signature does not count */
};

/* Every word but the last is cut at a blank; the last (of GOODSIG, the user id) runs to the end of
 * the line, if there are that many. */
static bool split_line(struct sw_span *status, struct status_line *ret)
{
    const uint8_t *lf = status->n ? memchr(status->p, '\n', status->n) : NULL;

    if (!lf)
        return false; /* gpgv ends each line: an unfinished one is not believed */

    size_t n = (size_t)(lf - status->p), keep = n < sizeof(ret->text) ? n : sizeof(ret->text) - 1;
    memcpy(ret->text, status->p, keep);
    ret->text[keep] = '\0';
    status->p += n + 1;
    status->n -= n + 1;

    ret->n = 0;
    if (strncmp(ret->text, PREFIX, strlen(PREFIX)) != 0)
        return true;
    char *rest = ret->text + strlen(PREFIX);
    while (rest && ret->n < WORDS_MAX)
        ret->word[ret->n++] = strsep(&rest, " ");
    return true;
}

static void reason(struct judge *j, const char *text, const char *key)
{
    if (!j->why[0])
        snprintf(j->why, sizeof(j->why), "%s %.64s", text, key);
}

static bool copy_fingerprint(const char *word, char out[65])
{
    size_t n = strspn(word, "0123456789ABCDEF");

    if (word[n] || (n != 40 && n != 64))
        return false;
    memcpy(out, word, n + 1);
    return true;
}

/* MD5, SHA-1, RIPEMD-160 (RFC 9580 section 9.5). */
static bool is_weak_hash(uint64_t alg)
{
    return alg <= 3;
}

/* VALIDSIG fingerprint date seconds expires version reserved pubkey-alg hash-alg class primary */
static void read_validsig(const struct status_line *l, struct judge *j)
{
    struct sw_err ignored;
    uint64_t when, hash;

    if (l->n < 11 || !copy_fingerprint(l->word[1], j->now.fingerprint) ||
        !copy_fingerprint(l->word[10], j->now.primary) ||
        sw_parse_u64(l->word[3], 0, INT64_MAX, &when, &ignored) < 0 ||
        sw_parse_u64(l->word[8], 0, 255, &hash, &ignored) < 0)
        return;
    /* 00: a signature of a binary document, 01: of a text. Others sign keys. */
    if (strcmp(l->word[9], "00") != 0 && strcmp(l->word[9], "01") != 0) {
        reason(j, "it is no signature of a document, by key", l->word[1]);
        return;
    }
    if (is_weak_hash(hash)) {
        reason(j, "it uses a digest that is too weak (MD5, SHA-1 or RIPEMD-160), by key",
               l->word[1]);
        return;
    }
    j->now.time = (int64_t)when;
    j->valid = true;
}

/* GOODSIG keyid user id (in percent escapes) */
static void read_goodsig(const struct status_line *l, struct judge *j)
{
    size_t n = 0;

    j->good = true;
    for (unsigned i = 2; i < l->n; i++) {
        for (const char *p = i > 2 ? " " : ""; *p && n + 1 < sizeof(j->now.user); p++)
            j->now.user[n++] = *p;
        for (const char *p = l->word[i]; *p && n + 1 < sizeof(j->now.user); p++)
            j->now.user[n++] = *p >= 0x20 && *p < 0x7f ? *p : '?';
    }
    j->now.user[n] = '\0';
}

static void end_signature(struct judge *j)
{
    if (j->good && j->valid && !j->has_best) {
        j->best = j->now;
        j->has_best = true;
    }
    memset(&j->now, 0, sizeof(j->now));
    j->good = j->valid = false;
}

static void read_line(const struct status_line *l, struct judge *j)
{
    static const struct {
        const char *word, *why;
    } refusals[] = {
        { "NO_PUBKEY", "the keyring does not have the key" },
        { "EXPSIG", "the signature has expired, by key" },
        { "EXPKEYSIG", "the key has expired:" },
        { "REVKEYSIG", "the key was revoked:" },
        { "BADSIG", "the content is not what was signed, by key" },
        { "NODATA", "there is no OpenPGP signature" },
    };
    const char *arg = l->n > 1 ? l->word[1] : "";

    if (l->n == 0)
        return;
    if (strcmp(l->word[0], "NEWSIG") == 0)
        end_signature(j);
    else if (strcmp(l->word[0], "GOODSIG") == 0)
        read_goodsig(l, j);
    else if (strcmp(l->word[0], "VALIDSIG") == 0)
        read_validsig(l, j);
    else if (strcmp(l->word[0], "PLAINTEXT") == 0)
        j->plaintexts++;
    for (size_t i = 0; i < SW_COUNT(refusals); i++) {
        if (strcmp(l->word[0], refusals[i].word) == 0)
            reason(j, refusals[i].why, strcmp(l->word[0], "NODATA") == 0 ? "" : arg);
    }
    if (strcmp(l->word[0], "BADSIG") == 0)
        j->has_bad = true;
}

int sw_pgp_judge_status(struct sw_span status, struct sw_pgp_signer *ret, unsigned *ret_plaintexts,
                        struct sw_err *err)
{
    struct judge j = { 0 };
    struct status_line line;

    while (split_line(&status, &line))
        read_line(&line, &j);
    end_signature(&j);
    if (!j.has_best || j.has_bad)
        return sw_err_set(err, SW_ERR_DENIED, "no valid OpenPGP signature: %s",
                          j.why[0] ? j.why : "gpgv found none");
    *ret = j.best;
    if (ret_plaintexts)
        *ret_plaintexts = j.plaintexts;
    return 0;
}
