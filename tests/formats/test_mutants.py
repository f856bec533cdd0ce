#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every truncation of small images and every single-bit flip of their headers and tables: refused, or
what two oracles read. The first is qcow2lib.py or imagelib.py, for every mutant that was accepted; the
second is qemu-img, for a sample (SLIPWAY_MUTANTS_QEMU of them, 60), where it opens the image at all
(it also refuses for the refcounts, which an import never looks at).

    test_mutants.py IMAGE-MUTANTS SEED-DIR FORMAT NAME..."""
import os
import random
import subprocess
import sys
import tempfile
import zlib

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import imagelib  # noqa: E402
import qcow2lib  # noqa: E402

SAMPLE = int(os.environ.get("SLIPWAY_MUTANTS_QEMU", "60"))


def mutate(data, words):
    if words[0] == "cut":
        return data[:int(words[1])]
    changed = bytearray(data)
    changed[int(words[1])] ^= 1 << int(words[2])
    return bytes(changed)


def by_hand(kind, image):
    return qcow2lib.Image(image).guest() if kind == "qcow2" else imagelib.read(kind, image)


def ranges_of(kind, data):
    if kind == "qcow2":
        return qcow2lib.table_ranges(data)
    ranges = imagelib.table_ranges(data)
    return [(off + i % 8, 1) for off, n in ranges for i in range(0, n, 9)] if kind == "vhdx" else ranges


def read_seed(folder, kind, name):
    """The image, and how far apart the lengths are that it is cut to. A VHDX is large: it is made here,
    and cut and flipped at fewer places."""
    if kind == "vhdx":
        return imagelib.build(kind, name), 32768
    with open(os.path.join(folder, name), "rb") as f:
        data = f.read()
    return data, -(-len(data) // 20000)


def by_qemu(kind, image):
    """The disk as qemu-img reads it, or None."""
    with tempfile.TemporaryDirectory() as work:
        with open(work + "/mutant", "wb") as f:
            f.write(image)
        done = subprocess.run(["qemu-img", "convert", "-f", imagelib.QEMU.get(kind, kind), "-O", "raw",
                               work + "/mutant", work + "/disk"], check=False,
                              capture_output=True, timeout=60)
        if done.returncode:
            return None
        with open(work + "/disk", "rb") as f:
            return f.read()


def check(kind, data, name, line, ask_qemu):
    """One accepted mutant. Returns whether qemu-img read it, too (None: it was not asked)."""
    words = line.split()
    image, size, crc = mutate(data, words), int(words[-2]), int(words[-1], 16)
    try:
        disk = by_hand(kind, image)
    except (qcow2lib.Bad, imagelib.Bad) as e:
        raise SystemExit(f"FAILED {name} {line}: accepted, but not legal: {e}") from e
    if (len(disk), zlib.crc32(disk)) != (size, crc):
        raise SystemExit(f"FAILED {name} {line}: the oracle reads another disk")
    if not ask_qemu:
        return None
    theirs = by_qemu(kind, image)
    # qemu-img leaves out the end of a disk that is not a multiple of 512 bytes.
    if theirs is not None and theirs != disk[:size // 512 * 512]:
        raise SystemExit(f"FAILED {name} {line}: qemu-img reads another disk")
    return theirs is not None


def main():
    tool, folder, kind, *names = sys.argv[1:]
    rng = random.Random(7)
    for name in names:
        data, step = read_seed(folder, kind, name)
        ranges = [f"{off}:{n}" for off, n in ranges_of(kind, data)]
        with tempfile.NamedTemporaryFile() as image:
            image.write(data)
            image.flush()
            done = subprocess.run([tool, kind, image.name, str(step), *ranges],
                                  stdout=subprocess.PIPE, text=True, check=False)
        *accepted, last = done.stdout.splitlines() or [""]
        if done.returncode or not last.startswith("total "):
            raise SystemExit(f"FAILED {name}: exit {done.returncode} after: {last}")
        sample = set(rng.sample(range(len(accepted)), min(SAMPLE // len(names), len(accepted))))
        verdicts = [check(kind, data, name, line, i in sample) for i, line in enumerate(accepted)]
        total, peak = last.split()[1:]
        print(f"{kind} {name}: {total} mutants, {len(accepted)} accepted and right, "
              f"{verdicts.count(True)} also by qemu-img, which refused {verdicts.count(False)}; "
              f"peak {int(peak) // 1024} MiB")
        if not accepted:
            raise SystemExit(f"FAILED {name}: nothing was accepted, nothing was compared")


if __name__ == "__main__":
    main()
