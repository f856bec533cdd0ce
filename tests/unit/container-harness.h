/* SPDX-License-Identifier: Apache-2.0 */
/* What both container decoders must do, over seeds that tests/fuzz/make-container-seeds.py wrote. */
#ifndef SW_TESTS_CONTAINER_HARNESS_H
#define SW_TESTS_CONTAINER_HARNESS_H

#include "tests/unit/decode-harness.h"

static inline void assert_is_disk(const struct bytes *out, const char *name)
{
    auto_bytes disk = load_seed("tar", strncmp(name, "sparse-", 7) == 0 ? "disk-sparse" : "disk");

    if (strcmp(name, "nvram") == 0)
        memcpy(disk.p, "QFI\xfb\0\0\0\3", 8);
    if (out->n != disk.n || memcmp(out->p, disk.p, disk.n) != 0)
        fail_msg("%s: %zu bytes came out, not the %zu of the disk", name, out->n, disk.n);
}

static inline void check_disk_in_pieces(const struct sw_decoder_ops *ops, const char *folder,
                                        const char *name, struct pieces pieces)
{
    auto_bytes in = load_seed(folder, name);
    auto_bytes out = { 0 };
    struct sw_err err = { 0 };

    if (decode(ops, span_of(&in), pieces, &out, &err) < 0)
        fail_msg("%s, pieces of %zu and %zu: %s", name, pieces.in, pieces.out, err.msg);
    assert_is_disk(&out, name);
}

static inline void check_disks(const struct sw_decoder_ops *ops, const char *folder,
                               const char *const *names)
{
    for (; *names; names++) {
        check_disk_in_pieces(ops, folder, *names, (struct pieces){ 0, 0 });
        check_disk_in_pieces(ops, folder, *names, (struct pieces){ 1, 1 });
        for (size_t n = 1; n < 600; n += n < 40 ? 1 : 37) {
            check_disk_in_pieces(ops, folder, *names, (struct pieces){ n, 0 });
            check_disk_in_pieces(ops, folder, *names, (struct pieces){ 0, n });
        }
    }
}

/* Every cut before byte `whole` of a seed is refused as truncated; from there on it is whole. */
static inline void check_cuts(const struct sw_decoder_ops *ops, const char *folder,
                              const char *name, size_t whole)
{
    auto_bytes in = load_seed(folder, name);

    assert_in_range(whole, 1, in.n);
    for (size_t cut = 0; cut <= in.n; cut++) {
        struct sw_err err = { 0 };
        auto_bytes out = { 0 };
        int rc = decode(ops, (struct sw_span){ in.p, cut }, (struct pieces){ 0, 0 }, &out, &err);

        if (cut < whole)
            assert_refused(ops, rc, &err, SW_ERR_BAD_DATA, "truncated");
        else if (rc < 0)
            fail_msg("%s, %zu bytes: %s", name, cut, err.msg);
    }
}

/* Each bit of the first `most` bytes flipped: refused as one thing or the other, or accepted. Returns how often the disk came
 * out as it is. */
static inline unsigned check_container_flips(const struct sw_decoder_ops *ops, const char *folder,
                                             const char *name, size_t most)
{
    auto_bytes in = load_seed(folder, name);
    auto_bytes disk = load_seed("tar", "disk");
    unsigned same = 0;

    for (size_t bit = 0; bit < in.n * 8 && bit < most * 8; bit++) {
        struct sw_err err = { 0 };
        auto_bytes out = { 0 };

        in.p[bit / 8] ^= (uint8_t)(1 << (bit % 8));
        if (decode(ops, span_of(&in), (struct pieces){ 0, 0 }, &out, &err) == 0)
            same += out.n == disk.n && memcmp(out.p, disk.p, disk.n) == 0;
        else if (err.kind != SW_ERR_BAD_DATA && err.kind != SW_ERR_UNSUPPORTED)
            fail_msg("%s, bit %zu: kind %d: %s", name, bit, err.kind, err.msg);
        in.p[bit / 8] ^= (uint8_t)(1 << (bit % 8));
    }
    return same;
}

static inline int decode_within(const struct sw_decoder_ops *ops, struct sw_span in,
                                const struct sw_limits *limits, struct sw_err *err)
{
    struct sw_decoder *d = NULL;
    auto_bytes out = { 0 };

    *err = (struct sw_err){ 0 };
    assert_int_equal(ops->open(limits, &d, err), 0);
    int rc = decode_with(ops, d, in, (struct pieces){ 0, 0 }, &out, err);
    ops->close(d);
    return rc;
}

#endif
