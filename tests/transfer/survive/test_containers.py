#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Differential: disks inside tar and zip, in and around compressions, from a file, through standard
input, from a server without ranges and from nginx, must become what 'qemu-img convert -O raw' makes
of the disk alone.

    test_containers.py IMPORT-MANY MAKE-CORPUS [STRIDE]

STRIDE n takes every nth combination only. SLIPWAY_LONG_TESTS=1 takes all of them, and more images of
the corpus."""
import collections
import glob
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import ENV, MIB, faultd, need, nginx, scratch  # noqa: E402

OVF = b"<?xml version='1.0'?>\n<Envelope/>\n"
LONG = os.environ.get("SLIPWAY_LONG_TESTS") == "1"
FORMATS = ("qcow2", "vdi", "vpc", "vhdx", "vmdk", "qed")


def tool(*command, data=None):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def gnu_tar(path, *options):
    return tool("tar", *options, "-C", os.path.dirname(path), "-cf", "-", os.path.basename(path))


def python_tar(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def python_zip(members, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in members:
            z.writestr(name, data, method)
    return out.getvalue()


def containers(path):
    """(name, bytes) of every way to put this image into a container."""
    name = os.path.basename(path)
    with open(path, "rb") as f:
        image = f.read()
    yield "gnu.tar", gnu_tar(path, "--format=gnu")
    yield "sparse-gnu.tar", gnu_tar(path, "--format=gnu", "-S")
    yield "sparse-pax.tar", gnu_tar(path, "--format=pax", "-S")
    yield "ova", python_tar([("a.ovf", OVF), ("a.mf", b"SHA1\n"), (name, image)])
    yield "layer.tar", python_tar([("disk/" + name, image)])
    yield "zip", python_zip([(name, image)])
    yield "stored.zip", python_zip([("README", b"text\n" * 99), (name, image)], zipfile.ZIP_STORED)
    yield "pipe.zip", tool("zip", "-q", "-", "-", data=image)
    yield "gz.tar", python_tar([(name + ".gz", tool("gzip", "-1c", data=image))])
    tar = python_tar([(name, image)])
    yield "tar.xz", tool("xz", "-0c", data=tar)
    yield "tar.mt.xz", tool("xz", "-0c", "-T2", "--block-size=65536", data=tar)
    yield "tar.zst", tool("zstd", "-qc", data=tar)
    yield "tar.bz2", tool("bzip2", "-c", data=tar)
    yield "xz.tar.gz", tool("gzip", "-1c", data=python_tar([("d.xz", tool("xz", "-0c", data=image))]))
    yield "gz.zst.tar", python_tar([("d", tool("zstd", "-qc", data=tool("gzip", "-1c", data=image)))])
    yield "tar.gz.xz", tool("xz", "-0c", data=tool("gzip", "-1c", data=tar))
    # The disk begins behind what is looked at first.
    yield "late.tar.gz", tool("gzip", "-1c", data=python_tar([("notes", b"text\n" * MIB), (name, image)]))


def make_images(folder, corpus):
    """(image, oracle): some of the corpus, other formats, raw disks of one byte and more."""
    every = 20 if LONG else 90
    for image in sorted(glob.glob(corpus + "/*.qcow2"))[::every]:
        yield image, image[:-len("qcow2")] + "raw"
    raw = folder + "/sparse.raw"
    with open(raw, "wb") as f:
        f.write(bytes(511) + b"\x01" + os.urandom(100000))
        f.seek(3 * MIB)
        f.write(os.urandom(70000))
        f.truncate(8 * MIB)
    yield raw, raw
    for form in FORMATS:
        image = f"{folder}/disk.{form}"
        tool("qemu-img", "convert", "-O", form, raw, image)
        oracle = f"{folder}/{form}.oracle"
        tool("qemu-img", "convert", "-f", form, "-O", "raw", image, oracle)
        yield image, oracle
    for size in (1, 511, 512, 513, 5000):
        image = f"{folder}/tiny-{size}.raw"
        with open(image, "wb") as f:
            f.write(b"\0" + os.urandom(size - 1))
        oracle = f"{folder}/tiny-{size}.oracle"
        shutil.copy(image, oracle)
        os.truncate(oracle, (size + 511) // 512 * 512)
        yield image, oracle


def make_jobs(folder, corpus, http, nginx_url):
    os.mkdir(folder + "/images")
    os.mkdir(folder + "/www")
    target = folder + "/disk.img"
    for image, oracle in make_images(folder + "/images", corpus):
        for kind, data in containers(image):
            name = f"{os.path.basename(image)}.{kind}"
            path = f"{folder}/www/{name}"
            with open(path, "wb") as f:
                f.write(data)
            yield f"{name} file", "open", path, target, oracle, "0"
            yield f"{name} stdin", "pipe", path, target, oracle, "24"
            yield f"{name} noranges", "open", f"{http}/noranges/{name}", target, oracle, "0"
            yield f"{name} nginx", "open", f"{nginx_url}/{name}", target, oracle, "0"


def main():
    need("qemu-img", "qemu-io", "gzip", "xz", "zstd", "bzip2", "zip", "nginx")
    many, maker = sys.argv[1:3]
    stride = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    corpus = tool(maker).decode().strip()
    with scratch() as work:
        os.mkdir(work + "/files")
        with faultd(work + "/files/www") as ports, nginx(work + "/files/www") as (url, _):
            jobs = list(make_jobs(work + "/files", corpus, f"http://127.0.0.1:{ports['http']}", url))
            return run(many, jobs if LONG else jobs[::stride])


def run(many, jobs):
    process = subprocess.run([many], input="".join("\t".join(j) + "\n" for j in jobs), text=True,
                             stdout=subprocess.PIPE, env=ENV, check=False)
    lines = process.stdout.splitlines()
    failed, ways = 0, collections.Counter()
    for line in lines:
        label, kind, same, _, _, message = line.split("\t", 5)
        ways[label.rsplit(" ", 1)[1]] += 1
        if kind != "none" or same != "same":
            failed += 1
            print(f"FAILED {label}: {kind} {same} {message}")
    print(f"{len(lines)} imports ({dict(ways)}), {failed} failed")
    if process.returncode or len(lines) != len(jobs):
        print(f"import-many ended with {process.returncode} after {len(lines)} of {len(jobs)} jobs")
        return 1
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
