#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 in the middle of an import of a compressed qcow2 file into a regular file, then start it
again: the disk is bit-identical, and most restarts go on where they had been although the image's
tables lie in what had passed by.

    test_kill_wrapped.py SLIPWAY

SLIPWAY_KILLS: imports that are killed, of each image (2). SLIPWAY_SEED as in test_kill.py."""
import bz2
import contextlib
import gzip
import os
import random
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "formats"))
from common import ENV, MIB, need, nginx, random_raw, scratch, slipway_args     # noqa: E402
from qcow2lib import Writer     # noqa: E402
from test_kill import Failed, FileTarget, Trial     # noqa: E402

SIZE = 40 * MIB + 512 * 5
NGINX_RATE = "limit_rate 960k;"     # of one connection, which gets the first second for nothing
TRIES = 8
ALPHABET = bytes(range(32, 96)) * 4


def write(path, content):
    with open(path, "wb") as f:
        f.write(content)


def members(content, pack, size=MIB):
    """Compressed one part at a time, one after the other: each begins a place to go on from."""
    return b"".join(pack(content[at:at + size]) for at in range(0, len(content), size))


def zstd_frame(part):
    return subprocess.run(["zstd", "-q", "-1", "-c"], input=part, capture_output=True,
                          check=True).stdout


def xz_blocks(path):
    subprocess.run(["xz", "-k", "-0", "-T2", "--block-size=1MiB", path], check=True)


def late_tables(layout, bits, seed):
    """(image, disk). "behind": all tables after the data. "between": the L1 first, the L2 tables
    among shuffled clusters. "compressed": byte-packed clusters, tables behind."""
    rng = random.Random(seed)
    w = Writer(SIZE, bits)
    disk = bytearray(SIZE)
    todo = [("data", i) for i in range(-(-SIZE // w.cluster)) if rng.random() < 0.8]
    if layout == "between":
        w.place_l1()
        todo += [("l2", i) for i in range(w.l1_n)]
    if layout != "compressed":
        rng.shuffle(todo)
    for kind, i in todo:
        if kind == "l2":
            w.place_l2(i)
            continue
        n = min(w.cluster, SIZE - i * w.cluster)
        content = rng.randbytes(n)
        if layout == "compressed":
            content = content.translate(ALPHABET)
            w.compressed(i, content)
        else:
            w.data(i, content)
        disk[i * w.cluster:i * w.cluster + n] = content
    return w.image(), bytes(disk)


def images(folder):
    """(name, file, raw)"""
    raw, text = folder + "/disk.raw", folder + "/text.raw"
    random_raw(raw, SIZE, 3)
    with open(text, "wb") as f:
        for seed in range(SIZE // MIB):
            f.write(random.Random(seed).randbytes(MIB).translate(ALPHABET))
        f.truncate(SIZE)
    made = []
    for name, source, flags in (("disk", raw, []), ("text", text, ["-c"])):
        path = f"{folder}/{name}.qcow2"
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", *flags, source, path], check=True)
        xz_blocks(path)
        made.append((f"qcow2 {' '.join(flags)} in xz", f"{name}.qcow2.xz", source))
    for layout, bits, suffix, pack in (("behind", 16, "gz", lambda b: gzip.compress(b, 1)),
                                       ("between", 12, "zst", zstd_frame),
                                       ("compressed", 16, "bz2", lambda b: bz2.compress(b, 1))):
        image, disk = late_tables(layout, bits, bits)
        write(f"{folder}/{layout}.raw", disk)
        write(f"{folder}/{layout}.{suffix}", members(image, pack))
        made.append((f"tables {layout} in {suffix}", f"{layout}.{suffix}", f"{folder}/{layout}.raw"))
    return made


class WrappedTrial(Trial):
    def side_file(self, name):
        folder, base = os.path.split(self.target.path)
        return f"{folder}/.{base}.slipway-{name}"

    def record(self):
        with contextlib.suppress(FileNotFoundError), open(self.side_file("journal"), "rb") as f:
            return f.read()
        return None

    def wait_for_records(self, process, n):
        seen = self.record()
        while process.poll() is None and n:
            time.sleep(0.01)
            now = self.record()
            if now and now != seen:
                seen = now
                n -= 1

    def killed_run(self, moment):
        """Kill after that many new records of the journal, and that many seconds more. Returns False
        when the import was done before."""
        records, after = moment
        process = subprocess.Popen(slipway_args(self.slipway, self.source, self.target.path),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   env=ENV)
        self.wait_for_records(process, records)
        time.sleep(after)
        process.kill()
        message = process.communicate()[1]
        if process.returncode not in (0, -9):
            raise Failed(f"ended with {process.returncode} before it was killed: {message}")
        return not self.target.visible()

    def start_and_kill(self):
        """An import that was killed soon after a record of its journal. On a busy machine it may
        have ended by then: once more."""
        for _ in range(TRIES):
            self.target.reset()
            if self.killed_run((1, 0)):
                return
        raise Failed(f"{self.name}: the imports end before they can be killed")

    def run(self, moments):
        """Returns where the last run went on, None when no kill hit."""
        self.target.reset()
        for moment in moments:
            if not self.killed_run(moment):
                return None
        result = self.last_run()
        size = os.path.getsize(os.path.dirname(self.raw) + "/" + self.file)
        if result["resumed_from"] and result["fetched"] >= size:
            raise Failed(f"went on from {result['resumed_from']}, but fetched {result['fetched']} of "
                         f"{size} bytes")
        return result["resumed_from"]

    def run_damaged(self, name, damage):
        """What a restart needs is not what it was: it starts over."""
        self.start_and_kill()
        damage(self.side_file(name))
        result = self.last_run()
        if result["resumed_from"]:
            raise Failed(f"went on from {result['resumed_from']} with a damaged {name} file")


def campaign(trials, kills, rng):
    for trial in trials:
        moments = [[(rng.choice((1, 1, 2)), rng.uniform(0, 0.3)) for _ in range(1 + n % 2)]
                   for n in range(kills)]
        places = [trial.run(m) for m in moments]
        while not any(places) and len(places) < kills + TRIES:
            places.append(trial.run([(1, 0)]))      # the moments were all too late or too early
        print(f"{trial.name}: went on from {places}")
        if not any(places):
            raise Failed(f"{trial.name}: nothing was ever resumed")


def flip(path):
    with open(path, "r+b") as f:
        f.seek(40)
        f.write(b"\xff" * 8)


def main():
    need("qemu-img", "nginx", "xz", "zstd")
    slipway, kills = sys.argv[1], int(os.environ.get("SLIPWAY_KILLS", "2"))
    seed = int(os.environ.get("SLIPWAY_SEED", str(int(time.time()))))
    print(f"SLIPWAY_SEED={seed}")
    with scratch() as folder, nginx(folder, NGINX_RATE) as (url, log):
        trials = [WrappedTrial(slipway, url, image, FileTarget(folder), log)
                  for image in images(folder)]
        try:
            campaign(trials, kills, random.Random(seed))
            for name, damage in (("tables", os.unlink), ("tables", flip), ("park", os.unlink),
                                 ("park", lambda path: os.truncate(path, 4096))):
                trials[2].run_damaged(name, damage)
        except Failed as e:
            print("FAILED", e)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
