#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Images whose tables come after their data, through standard input into a device: what is parked
has no room but the device itself, which holds garbage before and must hold the disk, and zeroes
behind it, afterwards.

    test_park.py SLIPWAY QCOW2LIB.PY MEBIBYTES [unittest arguments]

Loop devices need root; each test that uses one is skipped without."""
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

SLIPWAY = sys.argv[1]
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(sys.argv[2]))
from qcow2lib import Image, Writer  # noqa: E402

MIB = 1 << 20
DISK = int(sys.argv[3]) * MIB
NO_SPACE = 8
ENV = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def tool(name):
    return shutil.which(name, path=ENV["PATH"])


def make(bits, layout, used=1.0, size=None, junk=0, seed=1):
    """(image, disk). layout: "behind" puts all tables last, "between" the L1 first and the L2 tables
    anywhere, "compressed" packs compressed clusters with all tables last. Clusters are shuffled."""
    rng = random.Random(f"{bits} {layout} {seed}")
    size = size or DISK
    w = Writer(size, bits)
    disk = bytearray(size)
    for _ in range(junk // w.cluster):
        w.parts[w.alloc(w.cluster)] = rng.randbytes(w.cluster)
    todo = [("data", i) for i in range(-(-size // w.cluster)) if rng.random() < used]
    if layout == "between":
        w.place_l1()
        todo += [("l2", i) for i in range(w.l1_n)]
    rng.shuffle(todo)
    for kind, i in todo:
        if kind == "l2":
            w.place_l2(i)
            continue
        n = min(w.cluster, size - i * w.cluster)
        if layout == "compressed":
            content = (rng.randbytes(max(n // 4, 16)) * 4)[:n]
            w.compressed(i, content)
        else:
            content = rng.randbytes(n)
            w.data(i, content)
        disk[i * w.cluster:i * w.cluster + n] = content
    w.align()
    return w.image(), bytes(disk)


class Park(unittest.TestCase):
    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="slipway-park-")
        self.addCleanup(shutil.rmtree, self.work)

    def garbage(self, size):
        path = os.path.join(self.work, "backing")
        with open(path, "wb") as f:
            for at in range(0, size, MIB):
                f.write(random.Random(at).randbytes(min(MIB, size - at)))
        return path

    @contextlib.contextmanager
    def loop(self, size, sector=512):
        """A loop device full of garbage."""
        made = subprocess.run(["losetup", "--find", "--show", "--sector-size", str(sector),
                               self.garbage(size)], env=ENV, text=True, capture_output=True) \
            if tool("losetup") else None
        if not made or made.returncode:
            self.skipTest("no loop device: " + (made.stderr.strip() if made else "no losetup"))
        device = made.stdout.strip()
        try:
            yield device
        finally:
            subprocess.run(["losetup", "--detach", device], env=ENV, check=True)

    def run_import(self, image, target, *options):
        return subprocess.run([SLIPWAY, "import", "--no-digest", "--progress", "none", "--memory", "16M",
                               *options, "-", target], input=image, capture_output=True)

    def check(self, image, disk, target, size):
        got = self.run_import(image, target)
        self.assertEqual(got.returncode, 0, got.stderr.decode())
        with open(target, "rb") as f:
            content = f.read(size + 1)
        self.assertEqual(len(content), size)
        for at in range(0, size, 4096):
            want = disk[at:at + 4096].ljust(min(4096, size - at), b"\0")
            if content[at:at + 4096] != want:
                self.fail(f"the target differs from the disk in the page at {at}")

    def exactly(self, bits, layout, sector=512):
        image, disk = make(bits, layout)
        with self.loop(DISK, sector) as device:
            self.check(image, disk, device, DISK)

    def test_the_images_are_what_they_should_be(self):
        for layout in ("behind", "between", "compressed"):
            image, disk = make(12, layout, size=3 * MIB + 1024)
            self.assertTrue(Image(image).guest() == disk, layout)
            if tool("qemu-img"):
                paths = [os.path.join(self.work, name) for name in ("image", "raw")]
                with open(paths[0], "wb") as f:
                    f.write(image)
                subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", *paths], env=ENV,
                               check=True)
                with open(paths[1], "rb") as f:
                    self.assertTrue(f.read() == disk, layout)

    def test_tables_behind_64_kib(self):
        self.exactly(16, "behind")

    def test_tables_behind_2_mib(self):
        self.exactly(21, "behind")

    def test_tables_behind_4_kib(self):
        self.exactly(12, "behind")

    def test_tables_behind_4_kib_sectors(self):
        self.exactly(16, "behind", 4096)

    def test_tables_behind_512_bytes(self):
        self.exactly(9, "behind")

    def test_tables_between_4_kib(self):
        self.exactly(12, "between")

    def test_tables_between_64_kib(self):
        self.exactly(16, "between")

    def test_tables_between_1_kib(self):
        self.exactly(10, "between")

    def test_compressed(self):
        self.exactly(16, "compressed")

    def test_device_larger_than_the_disk(self):
        size = 2 * DISK + 5 * MIB + 512
        image, disk = make(16, "behind", used=0.7)
        with self.loop(size) as device:
            self.check(image, disk, device, size)

    def test_disk_of_an_odd_size(self):
        image, disk = make(16, "behind", size=DISK - 3 * 512)
        with self.loop(DISK) as device:
            self.check(image, disk, device, DISK)

    def test_export(self):
        """An NBD export as large as the disk."""
        if not tool("qemu-nbd"):
            self.skipTest("qemu-nbd is not installed")
        image, disk = make(16, "behind")
        backing = self.garbage(DISK)
        socket = os.path.join(self.work, "nbd.sock")
        server = subprocess.Popen(["qemu-nbd", "--format=raw", "--persistent", "--shared=8",
                                   "--discard=unmap", "--socket=" + socket, backing], env=ENV)
        try:
            until = time.monotonic() + 20
            while not os.path.exists(socket) and time.monotonic() < until:
                time.sleep(0.05)
            got = self.run_import(image, "nbd+unix:///?socket=" + socket)
            self.assertEqual(got.returncode, 0, got.stderr.decode())
        finally:
            server.terminate()
            server.wait()
        with open(backing, "rb") as f:
            self.assertTrue(f.read() == disk)

    def test_more_unreferenced_data_than_fits(self):
        """Refused with what to do; nothing of the old disk or the new is left to boot."""
        image, disk = make(16, "behind", junk=DISK)
        with self.loop(DISK) as device:
            got = self.run_import(image, device)
            text = got.stderr.decode()
            self.assertEqual(got.returncode, NO_SPACE, text)
            self.assertIn(f"of its {DISK} bytes", text)
            self.assertIn("server with ranges", text)
            with open(device, "rb") as f:
                self.assertEqual(f.read(MIB).strip(b"\0"), b"")
            # The same with room for all of it, on a device that the failed run left full.
            image, disk = make(16, "behind", used=0.4, junk=DISK // 2)
            self.check(image, disk, device, DISK)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + sys.argv[4:], verbosity=2)
