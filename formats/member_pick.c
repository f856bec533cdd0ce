/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/member_pick.h"

#include <inttypes.h>
#include <string.h>

#include "formats/decoder.h"
#include "formats/reader.h"

/* How much has to be text for all of it to be taken for text. */
#define TEXT_BYTES 512

int sw_pick_count(struct sw_pick *p, struct sw_err *err)
{
    if (++p->members <= p->max_members)
        return 0;
    return sw_err_set(err, SW_ERR_UNSUPPORTED, "%s: more members than the limit of %" PRIu64,
                      p->format, p->max_members);
}

static const char *base_name(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash ? slash + 1 : name;
}

/* Twins that tools put beside a file: AppleDouble attributes, whiteouts of overlay layers. */
static bool is_twin(const char *name)
{
    const char *base = base_name(name);

    return strncmp(base, "._", 2) == 0 || strncmp(base, ".wh.", 4) == 0;
}

/* Printable ASCII, blanks, and whatever else UTF-8 may hold: no disk begins like that. */
static bool is_text(struct sw_span head)
{
    size_t n = head.n < TEXT_BYTES ? head.n : TEXT_BYTES;

    for (size_t i = 0; i < n; i++) {
        uint8_t c = head.p[i];

        if (c < ' ' ? c < '\t' || c > '\r' : c == 0x7f)
            return false;
    }
    return true;
}

static bool is_partitioned(struct sw_span head)
{
    return (head.n >= 512 && head.p[510] == 0x55 && head.p[511] == 0xaa) ||
           (head.n >= 520 && memcmp(head.p + 512, "EFI PART", 8) == 0);
}

/* containerDisk images hold their disk there, and nothing else (KubeVirt user guide). */
static bool is_in_disk_directory(const char *name)
{
    while (*name == '/' || (name[0] == '.' && name[1] == '/'))
        name++;
    return strncmp(name, "disk/", 5) == 0 && !strchr(name + 5, '/');
}

/* A format that is refused by name counts: the message about it says more than "no disk". */
static bool is_disk_format(struct sw_span head)
{
    enum sw_format format = SW_FORMAT_RAW;
    struct sw_err refused = { 0 };

    return sw_format_sniff(head, &format, &refused) < 0 || format != SW_FORMAT_RAW;
}

static enum sw_pick_rank rank_of(const char *name, struct sw_span head)
{
    if (head.n == 0 || is_twin(name))
        return SW_PICK_NONE;
    if (sw_wrap_sniff(head) != SW_WRAP_NONE)
        return SW_PICK_SURELY;
    if (is_text(head))
        return SW_PICK_NONE;
    if (is_disk_format(head) || is_partitioned(head) || is_in_disk_directory(name))
        return SW_PICK_SURELY;
    return SW_PICK_PERHAPS;
}

int sw_pick_file(struct sw_pick *p, const char *name, struct sw_span head, struct sw_err *err)
{
    enum sw_pick_rank rank = rank_of(name, head);
    char shown[SW_MEMBER_SHOWN_MAX];

    if (rank == SW_PICK_NONE || (p->rank == SW_PICK_SURELY && rank == SW_PICK_PERHAPS))
        return 0;
    if (p->rank != SW_PICK_NONE)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "%s: more than one disk inside: '%s' and '%s'; unpack the one you want",
                          p->format, p->taken, sw_member_shown(name, shown));
    p->rank = rank;
    (void)sw_member_shown(name, p->taken);
    return 1;
}

int sw_pick_finish(const struct sw_pick *p, struct sw_err *err)
{
    if (p->rank != SW_PICK_NONE)
        return 0;
    return sw_err_set(err, SW_ERR_UNSUPPORTED,
                      "%s: none of the %" PRIu64 " members looks like a disk image", p->format,
                      p->members);
}
