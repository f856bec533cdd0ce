#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Legal qcow2 layouts that no tool writes today, made by hand: tables behind all data, in reverse,
compressed clusters that share sectors, large ones that are parked whole, and a source full of holes.
Read as a file and as a stream, plain and in a wrapper; parked bytes are counted and their side file
is gone afterwards.

    test_layouts.py IMPORT-MANY"""
import gzip
import os
import random
import subprocess
import sys
import zlib

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "formats")]
from common import ENV, KIB, MIB, leftovers, need, scratch  # noqa: E402
from qcow2lib import Image, Writer  # noqa: E402

RNG = random.Random(11)


def tables_last():
    w = Writer(24 * MIB, 16)
    for i in range(0, 380, 3):
        w.data(i, RNG.randbytes(64 * KIB))
    return w, True


def reverse_order():
    w = Writer(12 * MIB, 12)
    w.place_l1()
    for i in range(1500, 0, -1):
        w.data(i, RNG.randbytes(4096))
        if i in (1200, 600):
            w.place_l2(i // w.entries)
    return w, True


def shared_across_tables():
    """Byte-packed clusters of many L2 tables in turn; every table stands behind some of its own."""
    w = Writer(40 * MIB, 12)
    w.place_l1()
    per = w.entries
    for step in range(60):
        for table in range(0, 20):
            if step == 30 and table % 2:
                w.align()
                w.place_l2(table)
            w.compressed(table * per + step, RNG.randbytes(RNG.randrange(10, 900)))
    return w, True


def large_parked_clusters():
    """Compressed clusters of 2 MiB that hardly shrink, before their table."""
    w = Writer(12 * MIB, 21)
    for i in range(6):
        w.compressed(i, RNG.randbytes(MIB * 3 // 2))
    return w, True


def stored_zeroes():
    """A compressed cluster whose deflate stream is stored blocks of mostly zeroes: as a sparse file
    it is made of many holes."""
    w = Writer(8 * MIB, 21)
    w.place_l1()
    w.place_l2(0)
    for i in range(4):
        content = bytearray(2 * MIB)
        for at in range(0, 2 * MIB - 70000, 64 * KIB):
            content[at:at + 100] = RNG.randbytes(100)
        # Stored blocks cost 5 bytes each: the stream is longer than the cluster, which is legal as
        # long as the sectors that follow can be counted.
        deflate = zlib.compressobj(0, zlib.DEFLATED, -15)
        stream = deflate.compress(bytes(content[:2 * MIB])) + deflate.flush()
        w.compressed(i, bytes(content), stream=stream)
    return w, False


LAYOUTS = (tables_last, reverse_order, shared_across_tables, large_parked_clusters, stored_zeroes)


def write_sparse(path, data):
    """The file with every zero block of 4 KiB as a hole."""
    with open(path, "wb") as f:
        f.truncate(len(data))
        for at in range(0, len(data), 4096):
            part = data[at:at + 4096]
            if part.strip(b"\0"):
                f.seek(at)
                f.write(part)


def main():
    need("qemu-img")
    jobs, must_park = [], {}
    with scratch() as work:
        target = work + "/disk.img"
        for layout in LAYOUTS:
            name, path = layout.__name__, f"{work}/{layout.__name__}.qcow2"
            w, must_park[name] = layout()
            image = w.image()
            write_sparse(path, image)
            with gzip.open(path + ".gz", "wb", 1) as f:
                f.write(image)
            with open(f"{work}/{name}.raw", "wb") as f:
                f.write(Image(image).guest())
            theirs = subprocess.run(["qemu-img", "compare", path, f"{work}/{name}.raw"], check=False,
                                    capture_output=True, text=True)
            if theirs.returncode:
                print(f"FAILED {name}: qemu-img reads it differently: {theirs.stdout}{theirs.stderr}")
                return 1
            raw = f"{work}/{name}.raw"
            for how, source, memory in (("open", path, "0"), ("open", path, "16"), ("pipe", path, "0"),
                                        ("pipe", path, "16"), ("pipe", path + ".gz", "0"),
                                        ("open", path + ".gz", "16")):
                jobs.append((f"{name}/{how}/{os.path.basename(source)[len(name):]}/{memory}", how,
                             source, target, raw, memory))
        return run(jobs, must_park, target)


def run(jobs, must_park, target):
    process = subprocess.run([sys.argv[1]], input="".join("\t".join(j) + "\n" for j in jobs),
                             text=True, stdout=subprocess.PIPE, env=ENV, check=False)
    lines, failed = process.stdout.splitlines(), 0
    for line in lines:
        label, kind, same, parked, _, message = line.split("\t", 5)
        is_stream = label.split("/")[1] == "pipe" or label.split("/")[2].endswith(".gz")
        good = kind == "none" and same == "same"
        if is_stream and must_park[label.split("/")[0]]:
            good = good and int(parked) > 0
        elif not is_stream:
            good = good and int(parked) == 0
        failed += not good
        print(f"{'ok' if good else 'FAILED'} {label}: {kind} {same} parked {parked} {message}")
    if process.returncode or len(lines) != len(jobs) or leftovers(target):
        print(f"FAILED import-many: exit {process.returncode} after {len(lines)} of {len(jobs)}; "
              f"left: {leftovers(target)}")
        return 1
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
