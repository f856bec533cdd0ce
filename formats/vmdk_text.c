/* SPDX-License-Identifier: Apache-2.0 */
/* VMDK descriptors: lines of text, inside an image or instead of one. Source: VMware, "Virtual Disk
 * Format 5.0", "The Descriptor File". */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "formats/vmdk.h"
#include "formats/vmdk_impl.h"

#define NAME_MAX_SHOWN 80

struct descriptor {
    char type[NAME_MAX_SHOWN];        /* createType                    */
    char parent[16];                  /* parentCID                     */
    char extent_type[16];             /* of the first extent           */
    char extent_file[NAME_MAX_SHOWN]; /* of the first extent that has one */
    unsigned n_extents;
};

/* Copy up to a closing quote or blank, with '?' for what is not printable. */
static void copy_value(char *to, size_t cap, const char *from, const char *end)
{
    size_t n = 0;
    char stop = '\0';

    if (from < end && *from == '"') {
        stop = '"';
        from++;
    }
    for (; from < end && *from != stop && n + 1 < cap; from++) {
        if (!stop && (*from == ' ' || *from == '\t'))
            break;
        to[n++] = *from >= 0x20 && *from < 0x7f ? *from : '?';
    }
    to[n] = '\0';
}

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    return p;
}

static const char *skip_word(const char *p, const char *end)
{
    while (p < end && *p != ' ' && *p != '\t')
        p++;
    return skip_blanks(p, end);
}

static bool begins(const char *p, const char *end, const char *word)
{
    size_t n = strlen(word);

    return (size_t)(end - p) >= n && strncasecmp(p, word, n) == 0;
}

/* "RW 4192256 SPARSE "name" 0" */
static void parse_extent(struct descriptor *d, const char *p, const char *end)
{
    const char *type = skip_word(skip_word(p, end), end);
    const char *file = skip_word(type, end);

    if (d->n_extents++ == 0)
        copy_value(d->extent_type, sizeof(d->extent_type), type, end);
    if (!d->extent_file[0])
        copy_value(d->extent_file, sizeof(d->extent_file), file, end);
}

static void parse_line(struct descriptor *d, const char *p, const char *end)
{
    const char *equals = memchr(p, '=', (size_t)(end - p));
    const char *value = equals ? skip_blanks(equals + 1, end) : end;

    if (begins(p, end, "RW ") || begins(p, end, "RDONLY ") || begins(p, end, "NOACCESS "))
        parse_extent(d, p, end);
    else if (equals && begins(p, end, "createType"))
        copy_value(d->type, sizeof(d->type), value, end);
    else if (equals && begins(p, end, "parentCID"))
        copy_value(d->parent, sizeof(d->parent), value, end);
}

static struct descriptor parse(struct sw_span text)
{
    struct descriptor d = { .parent = "ffffffff" };
    const char *p = (const char *)text.p, *end = p + strnlen(p, text.n);

    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *stop = newline ? newline : end;
        const char *last = stop > p && stop[-1] == '\r' ? stop - 1 : stop;

        parse_line(&d, skip_blanks(p, last), last);
        p = newline ? newline + 1 : end;
    }
    return d;
}

int sw_vmdk_check_descriptor(struct sw_span text, struct sw_err *err)
{
    struct descriptor d = parse(text);

    if (strcasecmp(d.parent, "ffffffff") != 0)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "descriptor: the image needs its parent (CID %s), which is never opened: "
                          "consolidate the snapshots or use 'qemu-img convert -O qcow2'",
                          d.parent);
    if (d.type[0] && strcasecmp(d.type, "monolithicSparse") != 0 &&
        strcasecmp(d.type, "streamOptimized") != 0)
        return sw_err_set(
            err, SW_ERR_UNSUPPORTED,
            "descriptor: the disk is of type '%s', of which this file is only a part: "
            "use 'qemu-img convert -O qcow2'",
            d.type);
    if (d.n_extents > 1)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "descriptor: the disk is spread over %u files: use 'qemu-img convert -O "
                          "qcow2'",
                          d.n_extents);
    return 0;
}

int sw_vmdk_refuse_descriptor(struct sw_span text, struct sw_err *err)
{
    struct descriptor d = parse(text);

    if (d.n_extents == 1 && strcasecmp(d.extent_type, "FLAT") == 0)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "vmdk: this is only the descriptor of a '%s' disk, whose content is in "
                          "'%s': import that file with --format raw",
                          d.type, d.extent_file);
    return sw_err_set(
        err, SW_ERR_UNSUPPORTED,
        "vmdk: this is only the descriptor of a '%s' disk of %u files ('%s'...), which "
        "are never opened: join them with 'qemu-img convert -O qcow2'",
        d.type[0] ? d.type : "?", d.n_extents, d.extent_file);
}
