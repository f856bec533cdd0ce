#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Differential: every image of a corpus (tests/formats/make-corpus, make-image-corpus), read from a file, through
standard input, from a server without ranges, from nginx and out of its wrapper, must become what
'qemu-img convert -O raw' makes of it, byte for byte.

    test_corpus.py IMPORT-MANY MAKE-CORPUS [STRIDE]

STRIDE n reads every nth image only (sanitizer builds). What was read is counted per format and kind of
source."""
import collections
import glob
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import ENV, faultd, find, need, nginx, scratch  # noqa: E402

IMAGES_MIN = {"make-corpus": 200, "make-image-corpus": 60}
FORMATS = ("qcow2", "vdi", "vpc", "vhdx", "vmdk", "qed", "parallels")


def jobs_of(image, http, nginx_url, target):
    """(label, how, source, target, oracle, memory) of one image."""
    base = os.path.basename(image)
    name, _, kind = base.rpartition(".")
    raw = image[:-len("qcow2")] + "raw" if kind == "qcow2" else image + ".raw"
    name += " " + kind
    yield name + " file", "open", image, target, raw, "0"
    yield name + " stdin", "pipe", image, target, raw, "0"
    yield name + " noranges", "open", f"{http}/noranges/{base}", target, raw, "0"
    if nginx_url:
        yield name + " nginx", "open", f"{nginx_url}/{base}", target, raw, "0"
    wrapped = [p for p in glob.glob(glob.escape(image) + ".*") if p != raw]
    if not wrapped:
        raise SystemExit(f"{image} has no wrapped copy")
    for path in wrapped:
        yield f"{name} {path[len(image) + 1:]} file", "open", path, target, raw, "0"
        yield f"{name} {path[len(image) + 1:]} stdin", "pipe", path, target, raw, "24"


def main():
    need("qemu-img", "qemu-io", "gzip", "xz", "zstd", "bzip2")
    many, maker = sys.argv[1:3]
    stride = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    corpus = subprocess.run([maker], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    images = sorted(p for kind in FORMATS for p in glob.glob(f"{corpus}/*.{kind}"))
    if len(images) < IMAGES_MIN[os.path.basename(maker)]:
        raise SystemExit(f"only {len(images)} images in {corpus}")
    images = images[::stride]

    with scratch() as work, faultd(corpus) as ports:
        http = f"http://127.0.0.1:{ports['http']}"
        if find("nginx"):
            with nginx(corpus) as (url, _):
                return run(many, images, http, url, work)
        print("nginx is not installed: its part is left out")
        return run(many, images, http, None, work)


def run(many, images, http, url, work):
    jobs = [job for image in images for job in jobs_of(image, http, url, work + "/disk.img")]
    process = subprocess.run([many], input="".join("\t".join(j) + "\n" for j in jobs), text=True,
                             stdout=subprocess.PIPE, env=ENV, check=False)
    lines = process.stdout.splitlines()
    failed, ways, parked = 0, collections.Counter(), 0
    for line in lines:
        label, kind, same, parked_bytes, _, message = line.split("\t", 5)
        parked += int(parked_bytes) > 0
        words = label.split()
        ways[(words[1], "wrapped " * (len(words) > 3) + words[-1])] += 1
        if kind != "none" or same != "same":
            failed += 1
            print(f"FAILED {label}: {kind} {same} {message}")
    for kind in sorted({kind for kind, _ in ways}):
        print(kind + ":", ", ".join(f"{n} from {way}" for (k, way), n in sorted(ways.items())
                                    if k == kind))
    print(f"{len(images)} images, {len(lines)} imports, {parked} with parked bytes, {failed} failed")
    if process.returncode or len(lines) != len(jobs):
        print(f"import-many ended with {process.returncode} after {len(lines)} of {len(jobs)} jobs")
        return 1
    if not parked:
        print("nothing was parked: the corpus does not test what it is for")
        return 1
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
