#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile containers and bombs: refused, in time and memory that the input bounds, and no disk.

    test_hostile_disks.py SLIPWAY [unittest arguments]
"""
import gzip
import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import zlib

import hostile_disks
from hostile_disks import RAW
from tarlib import END, gnu_sparse, member, symlink

SLIPWAY = sys.argv[1]
SANITIZED = os.environ.get("SANITIZED") == "true"
LONG = os.environ.get("SLIPWAY_LONG_TESTS") == "1"
MIB = 1 << 20
ZSTD_HEAD = b"\x28\xb5\x2f\xfd\0\x38"       # a frame with a window of 128 KiB ...
ZSTD_ZEROES = b"\2\0\x10\0"                  # ... and a block of 128 KiB of zeroes
ZSTD_LAST = b"\1\0\0"                        # ... and its last, empty one


def pack(tool, data):
    return subprocess.run(tool.split() + ["-c"], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


# Runs commands, one JSON line each, and answers with exit code, KiB of memory, seconds of CPU and
# output. A process inherits the memory peak of the one that starts it: this one is small.
RUNNER = """
import json, os, subprocess, sys
for line in sys.stdin:
    p = subprocess.Popen(json.loads(line), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = p.stdout.read().decode("utf-8", "replace")
    _, status, used = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    print(json.dumps([p.returncode, text, used.ru_maxrss, used.ru_utime + used.ru_stime]), flush=True)
"""


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.runner = subprocess.Popen([sys.executable, "-S", "-c", RUNNER], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    @classmethod
    def tearDownClass(cls):
        cls.runner.stdin.close()
        cls.runner.stdout.close()
        cls.runner.wait()

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="slipway-hostile-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.out = os.path.join(self.dir, "disk.img")

    def write(self, *pieces):
        path = os.path.join(self.dir, "source")
        with open(path, "wb") as f:
            for piece in pieces:
                f.write(piece)
        return path

    def run_it(self, source, *options):
        """(exit code, message, KiB of memory, seconds of CPU) of an import."""
        command = [SLIPWAY, "import", "--progress", "none", *options, source, self.out]
        self.runner.stdin.write(json.dumps(command) + "\n")
        self.runner.stdin.flush()
        return json.loads(self.runner.stdout.readline())

    def refused(self, source, code, words, *options, seconds=60.0, mib=64):
        got, message, kib, used = self.run_it(source, *options)
        left = os.listdir(self.dir)
        if "disk.img" in left:
            os.unlink(self.out)
        if code is not None:
            self.assertEqual(got, code, message)
        self.assertIn(words, message)
        self.assertEqual(sorted(left), ["source"] if got else ["disk.img", "source"])
        if not SANITIZED:
            self.assertLess(kib, mib << 10, message)
            self.assertLess(used, seconds, message)


class Containers(Case):
    def test_each_is_refused_quickly_and_in_little_memory(self):
        cases = hostile_disks.containers()
        self.assertGreaterEqual(len(cases), 75)
        for name, data, code, words in cases:
            with self.subTest(name):
                self.refused(self.write(data), code, words, seconds=1.0, mib=32)

    def test_format_raw_takes_a_container_as_the_disk(self):
        tar = member("d", RAW) + END
        code, message, _, _ = self.run_it(self.write(tar), "--format", "raw")
        self.assertEqual(code, 0, message)
        with open(self.out, "rb") as f:
            self.assertEqual(f.read(), tar)


class Bombs(Case):
    def test_a_pebibyte_in_zstd_in_zstd(self):
        piece = pack("zstd -q -19", ZSTD_ZEROES * (16 * MIB))
        path = self.write(pack("zstd -q", ZSTD_HEAD), *[piece] * 512)
        self.assertLess(os.path.getsize(path), 4 * MIB)
        self.refused(path, 7, "65536 times as much")

    @unittest.skipUnless(LONG, "25 s: SLIPWAY_LONG_TESTS=1")
    def test_a_pebibyte_in_xz_in_xz(self):
        stream = pack("xz -6", bytes(256 * MIB))
        piece = pack("xz -1", stream * 400)
        path = self.write(*[piece] * 10500)
        self.assertLess(os.path.getsize(path), 300 * MIB)
        self.refused(path, 7, "65536 times as much", seconds=120)

    def test_zeroes_in_one_compression_take_time_by_their_length(self):
        # 8 GiB, 256 KiB of them; the disk is a hole.
        path = self.write(ZSTD_HEAD, ZSTD_ZEROES * (1 << 16), ZSTD_LAST)
        code, message, kib, _ = self.run_it(path)
        self.assertEqual(code, 0, message)
        self.assertEqual(os.path.getsize(self.out), 8 << 30)
        self.assertLess(os.stat(self.out).st_blocks * 512, MIB)
        if not SANITIZED:
            self.assertLess(kib, 64 << 10)

    def test_a_hole_that_is_larger_than_any_archive_of_its_size(self):
        for size in (1 << 45, 1 << 62):
            self.refused(self.write(gnu_sparse("d", [(0, 1024)], size, RAW) + END), 7,
                         "65536 times as much")

    def test_a_hole_of_a_gibibyte_is_a_disk(self):
        code, message, _, _ = self.run_it(self.write(gnu_sparse("d", [(0, 1024)], 1 << 30, RAW) +
                                                     END))
        self.assertEqual(code, 0, message)
        self.assertEqual(os.path.getsize(self.out), 1 << 30)

    def test_more_zeroes_than_the_disk_may_have(self):
        path = self.write(ZSTD_HEAD, ZSTD_ZEROES * (1 << 20), ZSTD_LAST)
        self.refused(path, 8, "larger than the reported available storage", "--size", "1Gi")

    @unittest.skipIf(SANITIZED, "a million members take minutes there")
    def test_a_tar_of_more_than_a_million_members(self):
        links = symlink("l", "x") * 4096
        path = self.write(pack("zstd -q", member("d", RAW)), *[pack("zstd -q", links)] * 257)
        self.refused(path, 7, "tar: more members than the limit of 1048576")

    def test_xz_that_wants_a_dictionary_of_4_gib(self):
        # Block header with LZMA2's largest dictionary; its checksum made right.
        stream = bytearray(lzma.compress(RAW, lzma.FORMAT_XZ, lzma.CHECK_CRC32))
        block = bytearray(stream[12:12 + (stream[12] + 1) * 4])
        at = block.index(b"\x21\x01") + 2
        block[at] = 40
        block[-4:] = zlib.crc32(bytes(block[:-4])).to_bytes(4, "little")
        stream[12:12 + len(block)] = block
        self.refused(self.write(bytes(stream)), 7, "", seconds=1.0, mib=32)
        self.refused(self.write(member("d.xz", bytes(stream)) + END), 7, "", seconds=1.0, mib=32)

    def test_gzip_of_a_sparse_disk(self):
        path = self.write(gzip.compress(bytes(64 * MIB) + b"end", 1))
        code, message, _, _ = self.run_it(path)
        self.assertEqual(code, 0, message)
        self.assertLess(os.stat(self.out).st_blocks * 512, MIB)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + sys.argv[2:])
