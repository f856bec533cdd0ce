#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Targets that fail: full, read-only, too small, gone. Each ends with the exit code and the words
that say what to do, with nothing visible, and with nothing left that breaks the next import.

    test_target.py SLIPWAY [unittest arguments]

What needs mounts or loop devices is skipped without root."""
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import (EXIT, MIB, faultd, find, leftovers, random_raw, run_slipway,  # noqa: E402
                    same_file, scratch, until)

SLIPWAY = sys.argv[1]
SIZE = 48 * MIB + 512
IS_ROOT = os.geteuid() == 0
FULL_TRIES = 6


def mounted(folder, what, options="", device=None):
    """Mount what ("tmpfs", "ext4") on folder/mnt; raises SkipTest when the machine does not let us."""
    where = tempfile.mkdtemp(prefix="mnt", dir=folder)
    command = ["mount", "-t", what, *(["-o", options] if options else []), device or what, where]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise unittest.SkipTest("cannot mount: " + done.stderr.strip())
    return where


@contextlib.contextmanager
def file_system(folder, kind, size):
    if not IS_ROOT:
        raise unittest.SkipTest("mounting needs root")
    if kind == "tmpfs":
        where = mounted(folder, "tmpfs", f"size={size}")
    else:
        device = tempfile.mktemp(prefix="fs", dir=folder)
        with open(device, "wb") as f:
            f.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", device], check=True)
        where = mounted(folder, "ext4", "loop", device)
    try:
        yield where
    finally:
        subprocess.run(["umount", where], check=True)


class Targets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.folder = cls.stack.enter_context(scratch())
        cls.raw = cls.folder + "/disk.raw"
        cls.qcow2 = cls.folder + "/disk.qcow2"
        random_raw(cls.raw, SIZE, 2)
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", cls.raw, cls.qcow2], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def run_import(self, source, target, *options, **kwargs):
        return run_slipway(SLIPWAY, source, target, *options, **kwargs)

    def assert_refused(self, result, kind, *words):
        self.assertEqual(result.code, EXIT[kind], result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def assert_nothing(self, target):
        self.assertFalse(os.path.lexists(target), "something is visible")
        self.assertEqual(leftovers(target), [])

    def assert_imported(self, source, target, *options):
        result = self.run_import(source, target, *options)
        self.assertEqual(result.code, 0, result.stderr)
        self.assertTrue(same_file(target, self.raw))
        self.assertEqual(leftovers(target), [])

    def full(self, kind):
        """The file system fills up at a random offset; with the room back, the next run succeeds."""
        rng = random.Random(kind)
        with file_system(self.folder, kind, 64 * MIB) as where:
            target, ballast = where + "/disk.img", where + "/ballast"
            for i in range(FULL_TRIES):
                free = os.statvfs(where)
                room = free.f_bavail * free.f_frsize
                with open(ballast, "wb") as f:
                    os.posix_fallocate(f.fileno(), 0, room - rng.randrange(256 * 1024, 36 * MIB))
                source = (self.raw, self.qcow2)[i % 2]
                how = "stdin" if i % 3 == 2 else "file"
                if how == "stdin":
                    result = self.from_pipe(source, target)
                else:
                    result = self.run_import(source, target)
                self.assert_refused(result, "no_space")
                self.assertRegex(result.stderr, "[Nn]o space left|bytes free|has .* free")
                self.assert_nothing(target)
                os.unlink(ballast)
            self.assert_imported(self.raw, target)

    def from_pipe(self, source, target):
        with subprocess.Popen(["cat", source], stdout=subprocess.PIPE) as cat:
            result = self.run_import("-", target, stdin=cat.stdout)
            cat.stdout.close()
            cat.kill()
        return result

    def test_full_tmpfs(self):
        self.full("tmpfs")

    def test_full_ext4(self):
        if not find("mkfs.ext4"):
            self.skipTest("mkfs.ext4 is not installed")
        self.full("ext4")

    def test_file_size_limit(self):
        """The same without root: the shell's limit on file sizes fails a write half way."""
        target = self.folder + "/limited.img"
        script = f'trap "" XFSZ; ulimit -f {20 * 1024}; exec "$0" "$@"'
        done = subprocess.run(["bash", "-c", script, SLIPWAY, "import", "--progress", "none", self.raw,
                               target], check=False, capture_output=True, text=True)
        self.assertEqual(done.returncode, EXIT["no_space"], done.stderr)
        self.assertIn("File too large", done.stderr)
        self.assert_nothing(target)
        self.assert_imported(self.raw, target)
        os.unlink(target)

    def test_read_only(self):
        with file_system(self.folder, "tmpfs", 64 * MIB) as where:
            subprocess.run(["mount", "-o", "remount,ro", where], check=True)
            result = self.run_import(self.raw, where + "/disk.img")
            self.assert_refused(result, "denied", "Read-only file system", where)

    def test_read_only_device(self):
        with self.loop(SIZE, "--read-only") as device:
            result = self.run_import(self.raw, device)
            self.assert_refused(result, "denied", device)

    def test_no_permission(self):
        where = self.folder + "/closed"
        os.mkdir(where, 0o555)
        if not IS_ROOT:
            self.assert_refused(self.run_import(self.raw, where + "/disk.img"), "denied",
                                "Permission denied")
        else:
            done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all",
                                   SLIPWAY, "import", "--progress", "none", self.raw,
                                   where + "/disk.img"], check=False, capture_output=True, text=True)
            self.assertEqual(done.returncode, EXIT["denied"], done.stderr)
            self.assertIn("Permission denied", done.stderr)
        self.assert_nothing(where + "/disk.img")

    @contextlib.contextmanager
    def loop(self, size, *options):
        if not IS_ROOT or not find("losetup"):
            raise unittest.SkipTest("loop devices need root")
        backing = tempfile.mktemp(prefix="loop", dir=self.folder)
        with open(backing, "wb") as f:
            f.truncate(size)
        made = subprocess.run(["losetup", "--find", "--show", *options, backing], check=False,
                              capture_output=True, text=True)
        if made.returncode:
            raise unittest.SkipTest("no loop device: " + made.stderr.strip())
        try:
            yield made.stdout.strip()
        finally:
            subprocess.run(["losetup", "-d", made.stdout.strip()], check=True)
            os.unlink(backing)

    def test_device_too_small_by_one_sector(self):
        with self.loop(SIZE - 512) as device:
            with open(device, "r+b") as f:
                f.write(b"what was there before")
            for source in (self.raw, self.qcow2):
                result = self.run_import(source, device)
                self.assert_refused(result, "no_space", str(SIZE), str(SIZE - 512), "larger")
                with open(device, "rb") as f:
                    self.assertEqual(f.read(21), b"what was there before",
                                     "the old disk was touched although the new one cannot fit")
            result = self.from_pipe(self.qcow2, device)
            self.assert_refused(result, "no_space", str(SIZE), str(SIZE - 512))
            result = self.from_pipe(self.raw, device)
            self.assert_refused(result, "no_space", str(SIZE - 512))
            with open(device, "rb") as f:
                self.assertEqual(f.read(4096), bytes(4096), "half a disk is visible")

    def test_device_that_just_fits(self):
        for send in (self.run_import, self.from_pipe):
            for source in (self.raw, self.qcow2):
                with self.loop(SIZE) as device:
                    self.assertEqual(send(source, device).code, 0)
                    done = subprocess.run(["cmp", device, self.raw], check=False)
                    self.assertEqual(done.returncode, 0)

    def test_size_option_too_small(self):
        target = self.folder + "/small.img"
        result = self.run_import(self.qcow2, target, "--size", str(SIZE - 512))
        self.assert_refused(result, "no_space", str(SIZE), str(SIZE - 512))
        self.assert_nothing(target)

    @contextlib.contextmanager
    def held_import(self, target):
        """An import that has prepared its hidden file and gets no more bytes before the end of the
        block. Yields the list that has its result then."""
        results = []
        folder, name = os.path.split(target)
        hidden, go = f"{folder}/.{name}.slipway-partial", self.folder + "/go"
        with faultd(self.folder) as ports:
            source = f"http://127.0.0.1:{ports['http']}/hold:at={MIB // 2},until=go/disk.raw"
            runner = threading.Thread(target=lambda: results.append(self.run_import(source, target)))
            runner.start()
            try:
                until(lambda: os.path.exists(hidden) and os.path.getsize(hidden), "a hidden file")
                yield results
            finally:
                open(go, "w").close()
                runner.join()
                os.unlink(go)

    def test_removed_while_writing(self):
        """Somebody removes the hidden file: an error, and the next run starts over."""
        target = self.folder + "/removed.img"
        with self.held_import(target) as results:
            os.unlink(f"{self.folder}/.removed.img.slipway-partial")
        self.assertNotEqual(results[0].code, 0)
        self.assertIn("removed", results[0].stderr)
        self.assert_nothing(target)
        self.assert_imported(self.raw, target)
        os.unlink(target)

    def test_directory_removed_while_writing(self):
        where = self.folder + "/short-lived"
        os.mkdir(where)
        with self.held_import(where + "/disk.img") as results:
            subprocess.run(["rm", "-rf", where], check=True)
        self.assertNotEqual(results[0].code, 0)
        self.assertFalse(os.path.exists(where))

    def test_directory_missing(self):
        target = self.folder + "/no/such/dir/disk.img"
        self.assert_refused(self.run_import(self.raw, target), "not_found", "No such file", target[:-8])

    def test_target_is_a_directory(self):
        where = self.folder + "/dir"
        os.mkdir(where)
        self.assert_refused(self.run_import(self.raw, where), "usage", where, "neither a regular file")
        self.assertEqual(os.listdir(where), [])

    def test_two_at_once(self):
        target = self.folder + "/both.img"
        with self.held_import(target) as results:
            self.assert_refused(self.run_import(self.raw, target), "transient", "another import")
        self.assertEqual(results[0].code, 0, results[0].stderr)
        self.assertTrue(same_file(target, self.raw), "the second import disturbed the first")
        os.unlink(target)

    def test_old_disk_stays_until_the_new_one_is_whole(self):
        target = self.folder + "/old.img"
        with open(target, "wb") as f:
            f.write(b"the old disk")
        with open(self.folder + "/cut.qcow2", "wb") as out, open(self.qcow2, "rb") as f:
            out.write(f.read()[:-9 * MIB])
        result = self.run_import(self.folder + "/cut.qcow2", target)
        self.assert_refused(result, "bad_data", "truncated")
        with open(target, "rb") as f:
            self.assertEqual(f.read(), b"the old disk")
        self.assertEqual(leftovers(target), [])
        self.assert_imported(self.raw, target)
        os.unlink(target)


if __name__ == "__main__":
    if not find("qemu-img"):
        print("skipped: qemu-img is not installed")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
