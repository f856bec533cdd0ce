#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the seeds of the container decoders, with GNU tar and Info-ZIP where they write such things.

    tests/fuzz/make-container-seeds.py

Writes tests/fuzz/{tar,zip}/ next to itself. The unit tests decode the same files: `disk` in
tests/fuzz/tar is what comes out of each, `disk-sparse` when the name begins with sparse-, nothing when
it begins with no-. The seeds are committed, so that tests need no tools.
"""
import io
import os
import subprocess
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../formats"))
from tarlib import END, directory, gnu_long, header, member, pax, symlink  # noqa: E402

DISK = bytes((i * 31 + (i >> 8)) & 0xff for i in range(3000))
SPARSE = bytearray(40960)
SPARSE[0:512] = DISK[:512]
SPARSE[8192:8192 + 512] = DISK[512:1024]
SPARSE[32768:33280] = DISK[1024:1536]
OVF = b"<?xml version=\"1.0\"?>\n<Envelope>disk</Envelope>\n"
LIST = b"0123456789abcdef  disk.img\n" * 40


def put(folder, name, data):
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    with open(os.path.join(HERE, folder, name), "wb") as f:
        f.write(data)


def tar(folder, *options):
    done = subprocess.run(["tar", "--owner=0", "--group=0", "--mtime=@0", "--sort=name", "-b1", *options,
                           "-C", folder, "-cf", "-", "."], stdout=subprocess.PIPE, check=True)
    return done.stdout


def tar_seeds(folder):
    os.makedirs(folder + "/one")
    with open(folder + "/one/disk.raw", "wb") as f:
        f.write(DISK)
    for form in ("gnu", "pax", "ustar"):
        put("tar", form, tar(folder + "/one", "--format=" + form))
    os.makedirs(folder + "/sparse")
    with open(folder + "/sparse/disk.raw", "wb") as f:
        for at in (0, 8192, 32768):
            f.seek(at)
            f.write(SPARSE[at:at + 512])
        f.truncate(len(SPARSE))
    put("tar", "sparse-gnu", tar(folder + "/sparse", "-S", "--format=gnu"))
    for version in ("0.0", "0.1", "1.0"):
        put("tar", "sparse-pax-" + version, tar(folder + "/sparse", "-S", "--format=pax",
                                                "--sparse-version=" + version,
                                                "--pax-option=delete=atime,delete=ctime"))
    put("tar", "disk", DISK)
    put("tar", "disk-sparse", bytes(SPARSE))
    put("tar", "ova", member("a.ovf", OVF) + member("a.mf", LIST) + member("a.img", DISK) + END)
    put("tar", "layer", directory("disk/") + member("disk/downloaded", DISK) + END)
    put("tar", "twins", member("._disk.raw", b"\0\5\x16\7" + bytes(60)) + member("disk.raw", DISK) +
        symlink("latest", "disk.raw") + member("notes", b"") + END)
    put("tar", "nvram", member("d.img", b"QFI\xfb\0\0\0\3" + DISK[8:]) + END)
    put("tar", "long", gnu_long("d/" * 90 + "disk") + member("x", DISK) + END)
    put("tar", "pax-size", pax(path="p" * 200, size="%d" % len(DISK)) +
        header("x", 0) + DISK + bytes(-len(DISK) % 512) + END)
    put("tar", "globals", member("g", b"13 comment=x\n", kind=b"g") + member("d", DISK) + END)
    put("tar", "no-disk", member("a", LIST) + directory("d") + END)


def zip_of(members, method=zipfile.ZIP_DEFLATED, streamed=False):
    class Pipe(io.BytesIO):
        def seekable(self):
            return not streamed

        def seek(self, *args):
            if streamed:
                raise OSError("a pipe")
            return super().seek(*args)

        def tell(self):
            if streamed:
                raise OSError("a pipe")
            return super().tell()

    out = Pipe()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in members:
            info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            info.compress_type = method if data else zipfile.ZIP_STORED
            z.writestr(info, data)
    return out.getvalue()


def zip_seeds(folder):
    put("zip", "deflated", zip_of([("disk.raw", DISK)]))
    put("zip", "stored", zip_of([("disk.raw", DISK)], zipfile.ZIP_STORED))
    put("zip", "streamed", zip_of([("disk.raw", DISK)], streamed=True))
    put("zip", "members", zip_of([("a/", b""), ("a/README", LIST), ("a/disk.raw", DISK),
                                  ("a/SUMS", LIST)]))
    put("zip", "members-streamed", zip_of([("README", LIST), ("disk.raw", DISK), ("SUMS", LIST)],
                                          streamed=True))
    put("zip", "no-disk", zip_of([("README", LIST)]))
    # Info-ZIP from a pipe into a pipe: zip64, lengths behind the member.
    put("zip", "info-zip", subprocess.run(["zip", "-q", "-", "-"], input=DISK, check=True,
                                          stdout=subprocess.PIPE).stdout)
    with open(folder + "/disk.raw", "wb") as f:
        f.write(DISK)
    put("zip", "info-zip-file", subprocess.run(["zip", "-q", "-X", "-z", "-", "disk.raw"],
                                               input=b"", cwd=folder, check=True,
                                               stdout=subprocess.PIPE).stdout)


def main():
    with tempfile.TemporaryDirectory() as folder:
        tar_seeds(folder)
    with tempfile.TemporaryDirectory() as folder:
        zip_seeds(folder)


if __name__ == "__main__":
    main()
