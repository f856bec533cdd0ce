#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make-qcow2-seeds.py [DIR]: write the hand-made qcow2 images of tests/fuzz/qcow2 (small, each with
one unusual layout). The committed files came from here; test-formats-qcow2 knows their contents."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "formats"))
sys.dont_write_bytecode = True
from qcow2lib import COPIED, Writer  # noqa: E402


def pattern(cluster, size):
    """What guest cluster `cluster` holds: never two alike, never zero."""
    return bytes((cluster * 7 + i * 13 + (i >> 8) + 1) % 255 + 1 for i in range(size))


def plain(version=3, bits=9):
    w = Writer(20 * 512 + 512, bits, version)
    w.place_l1()
    w.place_l2(0)
    for i in (0, 1, 2, 5, 9):
        w.data(i, pattern(i, w.cluster))
    return w


def v2():
    return plain(version=2)


def tables_last():
    """Everything is parked: data first, then L2, then L1."""
    w = Writer(40 << 10, 9)
    for i in range(0, 80, 3):
        w.data(i, pattern(i, 512))
    w.place_l2(0)
    w.place_l2(1)
    w.place_l1()
    return w


def reverse():
    """Clusters in descending guest order, L2 tables in descending order, in the middle."""
    w = Writer(80 << 10, 9)
    w.place_l1()
    for i in range(159, 100, -1):
        w.data(i, pattern(i, 512))
    for index in (2, 1, 0):
        w.place_l2(index)
    for i in range(60, -1, -1):
        w.data(i, pattern(i, 512))
    return w


def shared_sectors():
    """Byte-packed compressed clusters of two L2 tables in turn: neighbours share sectors, and the
    second table stands between them."""
    w = Writer(64 << 10, 9)
    w.place_l1()
    w.place_l2(0)
    for i in range(8):
        w.compressed(i, pattern(i, 100))
        w.compressed(64 + i, pattern(64 + i, 100))
    w.place_l2(1)
    for i in range(8, 16):
        w.compressed(64 + i, pattern(64 + i, 100))
        w.compressed(i, pattern(i, 100))
    return w


def between():
    """Three compressed clusters in one sector; the table of the one in the middle comes later."""
    w = Writer(64 << 10, 9)
    w.place_l1()
    w.place_l2(0)
    w.compressed(0, pattern(0, 20))
    w.compressed(64, pattern(64, 20))
    w.compressed(5, pattern(5, 20))
    w.place_l2(1)
    return w


def extended():
    w = Writer(128 << 10, 14, extended=True)
    w.place_l1()
    w.place_l2(0)
    w.data(0, pattern(0, w.cluster), 0x0000FFFF)
    w.data(2, pattern(2, w.cluster), 0x55555555)
    w.data(3, pattern(3, w.cluster), 0xFFFFFFFF)
    w.data(5, pattern(5, w.cluster), 0x0000000F << 32 | 0xF0)
    w.entry(6, 0, 0xFFFFFFFF << 32)
    return w


def zeroes():
    w = plain()
    off = w.data(12, pattern(12, 512))
    w.entry(12, off | COPIED | 1)
    w.entry(13, 1)
    return w


def one_l2_twice():
    """Two L1 entries name one table (legal in a snapshot's image): both halves read alike."""
    w = Writer(64 << 10, 9)
    w.place_l1()
    w.place_l2(0)
    for i in range(4):
        w.data(i, pattern(i, 512))
    w.l2[1] = w.l2[0]
    return w


def one_cluster_twice():
    """Two guest clusters read the same file cluster."""
    w = plain()
    off = w.data(15, pattern(15, 512))
    w.entry(16, off)
    return w


def data_over_table():
    """Guest cluster 3 reads the second L2 table's own bytes."""
    w = Writer(64 << 10, 9)
    w.place_l1()
    w.place_l2(0)
    w.data(0, pattern(0, 512))
    w.place_l2(1)
    w.data(64, pattern(64, 512))
    w.entry(3, w.l2[1][0])
    return w


def empty():
    w = Writer(64 << 10, 9)
    w.place_l1()
    return w


def backing():
    """A version 2 header is short: the name of the backing file stands inside the first 112 bytes."""
    w = plain(version=2)
    data = bytearray(w.image())
    data[8:20] = (88).to_bytes(8, "big") + (8).to_bytes(4, "big")
    data[88:96] = b"base.img"
    return bytes(data)


def cut_tail():
    """The file ends inside its last cluster, which a guest reads as zero from there on."""
    w = Writer(20 * 512, 12)
    w.place_l1()
    w.place_l2(0)
    w.refcounts = lambda: (4096, 1)     # none: data stands last
    w.data(0, pattern(0, 4096))
    w.data(1, pattern(1, 4096))
    return w.image()[:-1000]


SEEDS = [plain, v2, tables_last, reverse, shared_sectors, between, extended, zeroes, one_l2_twice,
         one_cluster_twice, data_over_table, empty, backing, cut_tail]


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "qcow2")
    os.makedirs(out, exist_ok=True)
    for seed in SEEDS:
        made = seed()
        with open(os.path.join(out, seed.__name__), "wb") as f:
            f.write(made if isinstance(made, bytes) else made.image())


if __name__ == "__main__":
    main()
