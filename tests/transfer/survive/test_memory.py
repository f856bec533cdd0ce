#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory: an image of 1 GiB in every form with the default budget stays within 96 MiB of resident
memory, and completes inside a memory cgroup of 128 MiB, page cache counted.

    test_memory.py SLIPWAY

Served by nginx on this machine. The cgroup part needs root and a cgroup v1 or v2 that may be written;
without it is skipped and says so."""
import contextlib
import os
import random
import resource
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import ENV, MIB, need, nginx, same_file, scratch, slipway_args  # noqa: E402

SIZE = 1024 * MIB
RSS_MAX = 96 * MIB
CGROUP_MAX = 128 * MIB
FORMS = (("disk.raw", None), ("disk.qcow2", []), ("c.qcow2", ["-c", "-o", "cluster_size=2M"]),
         ("disk.raw.gz", "gzip -1"), ("disk.raw.xz", "xz -0 -T2 --block-size=8MiB"),
         ("disk.raw.zst", "zstd -q -1"))


def make(folder):
    """Random bytes, text and long holes: so that xz is done in seconds."""
    raw = folder + "/disk.raw"
    rng = random.Random(4)
    text = b"".join(b"%d lines of text\n" % rng.randrange(10**6) for _ in range(4 * MIB // 22))
    with open(raw, "wb") as f:
        for at in range(0, SIZE, 128 * MIB):
            f.seek(at)
            f.write(text[:4 * MIB] + rng.randbytes(4 * MIB) + text[:4 * MIB])
        f.truncate(SIZE)
    for name, how in FORMS:
        path = f"{folder}/{name}"
        if isinstance(how, list):
            subprocess.run(["qemu-img", "convert", "-O", "qcow2", *how, raw, path], check=True)
        elif how:
            with open(path, "wb") as out:
                subprocess.run([*how.split(), "-c", raw], stdout=out, check=True)
    return raw


@contextlib.contextmanager
def cgroup():
    """A new group with the limit; yields the file that takes process ids, or None."""
    name = f"slipway-test-{os.getpid()}"
    for root, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                        ("/sys/fs/cgroup", "memory.max")):
        group = f"{root}/{name}"
        try:
            os.mkdir(group)
        except OSError:
            continue
        try:
            with open(f"{group}/{limit}", "w") as f:
                f.write(str(CGROUP_MAX))
        except OSError:
            os.rmdir(group)
            continue
        try:
            yield group + "/cgroup.procs"
        finally:
            os.rmdir(group)
        return
    yield None


def run(slipway, source, target, procs):
    """(exit code, error output, peak resident bytes of this one child)"""
    def enter():
        if procs:
            with open(procs, "w") as f:
                f.write("0")

    process = subprocess.Popen(slipway_args(slipway, source, target), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, env=ENV, preexec_fn=enter)
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, output, usage.ru_maxrss * 1024


def main():
    need("qemu-img", "nginx", "gzip", "xz", "zstd")
    slipway, failed = sys.argv[1], 0
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with scratch() as folder, cgroup() as procs:
        if not procs:
            print("no memory cgroup that may be written: that part is left out")
        raw, target = make(folder), folder + "/target.img"
        with nginx(folder) as (url, _):
            for name, _ in FORMS:
                code, output, peak = run(slipway, f"{url}/{name}", target, procs)
                good = code == 0 and peak <= RSS_MAX and same_file(target, raw)
                print(f"{name}: exit {code}, peak {peak / MIB:.1f} MiB"
                      f"{'' if good else ' FAILED ' + output}")
                failed += not good
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(target)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
