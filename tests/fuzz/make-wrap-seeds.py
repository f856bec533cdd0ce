#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the seeds of the wrapper decoders with the real tools.

    tests/fuzz/make-wrap-seeds.py

Writes tests/fuzz/{gzip,xz,zstd,bzip2,inflate,xz_blocks}/ next to itself. The unit tests decode the
same files: `plain` in tests/fuzz/gzip is what is inside each of them, once, unless the name begins
with two- (twice) or empty-. Needs gzip pigz igzip xz pixz zstd pzstd bzip2 lbzip2. The seeds are
committed, so that tests need none of these; run it again only to add some.
"""
import os
import random
import subprocess
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))


def plain():
    """Text that compresses, zeroes, and bytes that do not compress."""
    rng = random.Random(1)
    words = [b"sector", b"cluster", b"riscv64", b"boot", b"/dev/vda1", b"\n", b" "]
    text = b"".join(rng.choice(words) for _ in range(250))
    return text + bytes(700) + rng.randbytes(300) + text[:400]


def pipe(data, *argv):
    return subprocess.run(argv, input=data, stdout=subprocess.PIPE, check=True).stdout


def put(folder, name, data):
    with open(os.path.join(HERE, folder, name), "wb") as f:
        f.write(data)


def gzip_header(flags, rest):
    head = bytes([0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 3]) + rest
    if flags & 2:
        head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    return head


def raw_deflate(data, level=9, wbits=-15):
    z = zlib.compressobj(level, zlib.DEFLATED, wbits)
    return z.compress(data) + z.flush()


def gzip_seeds(p):
    one = pipe(p, "gzip", "-9", "-n", "-c")
    trailer = zlib.crc32(p).to_bytes(4, "little") + len(p).to_bytes(4, "little")
    put("gzip", "plain", p)
    put("gzip", "gzip.gz", one)
    put("gzip", "pigz.gz", pipe(p, "pigz", "-c", "-b", "128"))
    put("gzip", "igzip.gz", pipe(p, "igzip", "-c"))
    put("gzip", "stored.gz", gzip_header(0, b"") + raw_deflate(p, 0) + trailer)
    put("gzip", "all-fields.gz", gzip_header(0x1F, b"\x05\0extra" b"name\0" b"comment\0")
        + raw_deflate(p) + trailer)
    put("gzip", "two-members.gz", one + pipe(p, "igzip", "-c"))
    put("gzip", "padded.gz", one + bytes(512))
    put("gzip", "empty-gzip.gz", pipe(b"", "gzip", "-n", "-c"))


def xz_seeds(p):
    def xz(*opts):
        return pipe(p, "xz", "-c", *opts)
    seeds = {
        "xz.xz": xz("-0"),
        "threads.xz": xz("-0", "-T2", "--block-size=1024"),
        "flushed.xz": xz("-0", "-T1", "--block-size=1024"),
        "pixz.xz": pipe(p, "pixz", "-1", "-t"),
        "crc32.xz": xz("-0", "-C", "crc32"),
        "sha256.xz": xz("-0", "-C", "sha256"),
        "no-check.xz": xz("-0", "-C", "none"),
        "filters.xz": xz("--delta=dist=4", "--x86", "--lzma2=preset=0"),
        "two-streams.xz": xz("-0") + bytes(8) + xz("-0", "-T2", "--block-size=700", "-C", "crc32"),
        "padded.xz": xz("-0") + bytes(4),
        "empty-xz.xz": pipe(b"", "xz", "-0", "-c"),
    }
    for name, data in seeds.items():
        put("xz", name, data)
        put("xz_blocks", name, data)


def zstd_seeds(p):
    def zstd(*opts):
        return pipe(p, "zstd", "-q", "-c", *opts)
    skippable = (0x184D2A53).to_bytes(4, "little") + (5).to_bytes(4, "little") + b"notes"
    put("zstd", "zstd.zst", zstd("-19"))
    put("zstd", "sized.zst", zstd("-3", "--stream-size=%d" % len(p)))
    put("zstd", "no-check.zst", zstd("--no-check"))
    put("zstd", "long.zst", zstd("--long=20"))
    put("zstd", "pzstd.zst", pipe(p, "pzstd", "-q", "-c", "-p", "2"))
    put("zstd", "two-frames.zst", zstd("-1") + zstd("-5"))
    put("zstd", "skippable.zst", skippable + zstd("-3") + skippable)
    put("zstd", "empty-zstd.zst", pipe(b"", "zstd", "-q", "-c"))


def bzip2_seeds(p):
    put("bzip2", "bzip2.bz2", pipe(p, "bzip2", "-c"))
    put("bzip2", "small.bz2", pipe(p, "bzip2", "-1", "-c"))
    put("bzip2", "lbzip2.bz2", pipe(p, "lbzip2", "-c"))
    put("bzip2", "two-streams.bz2", pipe(p, "bzip2", "-c") + pipe(p, "bzip2", "-1", "-c"))
    put("bzip2", "empty-bzip2.bz2", pipe(b"", "bzip2", "-c"))


def inflate_seeds(p):
    """First byte: bit 0 is the codec (0 deflate, 1 zstd); then the output's length - 1, 16 bits."""
    size = (len(p) - 1).to_bytes(2, "little")
    frames = pipe(p[:1000], "zstd", "-q", "-c") + pipe(p[1000:], "zstd", "-q", "-c", "--no-check")
    put("inflate", "deflate", b"\0" + size + raw_deflate(p, 9, -12))
    put("inflate", "deflate-garbage", b"\0" + size + raw_deflate(p, 9, -12) + b"\xa5" * 100)
    put("inflate", "deflate-stored", b"\0" + size + raw_deflate(p, 0))
    put("inflate", "deflate-too-long", b"\0" + (999).to_bytes(2, "little") + raw_deflate(p))
    put("inflate", "zstd", b"\1" + size + pipe(p, "zstd", "-q", "-c"))
    put("inflate", "zstd-frames", b"\1" + size + frames + b"\xa5" * 100)


def main():
    p = plain()
    for make in (gzip_seeds, xz_seeds, zstd_seeds, bzip2_seeds, inflate_seeds):
        make(p)


main()
