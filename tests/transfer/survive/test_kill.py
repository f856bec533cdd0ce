#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments of an import from nginx, then start it again: in between nothing is
visible, in the end the disk is bit-identical, and less than 64 MiB were downloaded twice for each
kill. Raw, qcow2 and compressed qcow2; regular files, and loop devices when run as root.

    test_kill.py SLIPWAY

SLIPWAY_KILLS: how many (40). The moments come from the seed SLIPWAY_SEED (printed)."""
import contextlib
import os
import random
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import (ENV, MIB, find, leftovers, need, nginx, random_raw, run_slipway,  # noqa: E402
                    same_file, scratch, slipway_args, wait_until_logged)

SIZE = 256 * MIB + 512 * 7
TWICE_MAX = 64 * MIB
NGINX_RATE = "limit_rate 64m;"      # of one connection: an import takes a second or more


def images(folder):
    """(name, file, raw): random bytes cannot be compressed, so the compressed one is text."""
    raw, text = folder + "/disk.raw", folder + "/text.raw"
    random_raw(raw, SIZE, 1)
    alphabet = bytes(range(32, 96)) * 4
    with open(text, "wb") as f:
        f.write(b"boot code" * 1000)
        f.truncate(MIB)
        f.seek(MIB)
        for seed in range(1, 128):
            f.write(random.Random(seed).randbytes(MIB).translate(alphabet))
    for source, target, flags in ((raw, "disk.qcow2", []), (text, "text.qcow2", ["-c", "-W", "-m", "4"])):
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", *flags, source, f"{folder}/{target}"],
                       check=True)
    return [("raw", "disk.raw", raw), ("qcow2", "disk.qcow2", raw), ("qcow2 -c", "text.qcow2", text)]


class FileTarget:
    kind = "file"

    def __init__(self, folder):
        self.path = folder + "/target.img"

    def reset(self):
        for name in [self.path] + [os.path.join(os.path.dirname(self.path), n)
                                   for n in leftovers(self.path)]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)

    def visible(self):
        return os.path.exists(self.path)

    def holds(self, raw):
        return same_file(self.path, raw)

    def clean(self):
        return leftovers(self.path) == []


class LoopTarget:
    kind = "block"

    def __init__(self, path):
        self.path = path

    def reset(self):
        with open(self.path, "r+b") as f:
            f.write(bytes(MIB))
            os.fsync(f.fileno())

    def visible(self):
        """A boot sector, a partition table, a file system: all begin in the first 4 KiB."""
        with open(self.path, "rb") as f:
            return f.read(4096) != bytes(4096)

    def holds(self, raw):
        return subprocess.run(["cmp", "-s", "-n", str(os.path.getsize(raw)), self.path, raw],
                              check=False).returncode == 0

    def clean(self):
        return True


@contextlib.contextmanager
def loop_target(folder):
    """None when there are no loop devices for us."""
    backing = folder + "/device"
    with open(backing, "wb") as f:
        f.truncate(SIZE // MIB * MIB + 4 * MIB)
    made = subprocess.run(["losetup", "--find", "--show", backing], check=False,
                          capture_output=True, text=True) if find("losetup") else None
    if not made or made.returncode:
        print("no loop device (not root?): block targets are left out")
        yield None
        return
    try:
        yield LoopTarget(made.stdout.strip())
    finally:
        subprocess.run(["losetup", "-d", made.stdout.strip()], check=False)


class Failed(Exception):
    pass


class Trial:
    """One import that is killed once or more before it may end."""

    def __init__(self, slipway, url, image, target, log):
        self.slipway, self.url, self.target, self.log = slipway, url, target, log
        self.name, self.file, self.raw = image
        self.source = f"{url}/{self.file}"

    def sent(self):
        with open(self.log) as f:
            return sum(int(line) for line in f)

    def killed_run(self, after):
        """Returns False when the import was done before the kill."""
        process = subprocess.Popen(slipway_args(self.slipway, self.source, self.target.path),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   env=ENV)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after)
        process.kill()
        message = process.communicate()[1]
        if process.returncode == 0:
            return False
        if process.returncode != -9:
            raise Failed(f"ended with {process.returncode} before it was killed: {message}")
        if self.target.visible():   # killed after the last step: then it has to be whole
            if not self.target.holds(self.raw):
                raise Failed("a part of the disk is visible after the kill")
            return False
        return True

    def last_run(self):
        result = run_slipway(self.slipway, self.source, self.target.path)
        if result.code:
            raise Failed(f"the restarted import ended with {result.code}: {result.stderr}")
        if not self.target.holds(self.raw):
            raise Failed("the disk is not what it should be")
        if not self.target.clean():
            raise Failed("hidden files are left after success")
        return result.json


def duration(trial):
    trial.target.reset()
    start = time.monotonic()
    trial.last_run()
    return time.monotonic() - start


def run_trial(trial, moments):
    """Returns (kills that hit, bytes downloaded twice, where the last run went on)."""
    size = os.path.getsize(os.path.dirname(trial.raw) + "/" + trial.file)
    trial.target.reset()
    wait_until_logged(trial.url)
    before = trial.sent()
    hits = 0
    for after in moments:
        if not trial.killed_run(after):
            return hits, 0, 0
        hits += 1
    result = trial.last_run()
    wait_until_logged(trial.url)
    twice = trial.sent() - before - size
    if twice >= TWICE_MAX * hits:
        raise Failed(f"{twice / MIB:.1f} MiB were downloaded twice after {hits} kills")
    return hits, twice, result["resumed_from"]


def main():
    need("qemu-img", "nginx")
    slipway, kills = sys.argv[1], int(os.environ.get("SLIPWAY_KILLS", "40"))
    seed = int(os.environ.get("SLIPWAY_SEED", str(int(time.time()))))
    rng = random.Random(seed)
    print(f"SLIPWAY_SEED={seed}")
    with scratch() as folder, loop_target(folder) as loop, nginx(folder, NGINX_RATE) as (url, log):
        targets = [FileTarget(folder)] + ([loop] if loop else [])
        trials = [Trial(slipway, url, image, target, log)
                  for image in images(folder) for target in targets]
        return campaign(trials, kills, rng)


def campaign(trials, kills, rng):
    times = {id(t): duration(t) for t in trials}
    worst, resumed, total, n = 0, 0, 0, 0
    while total < kills:
        trial = trials[n % len(trials)]
        longest = times[id(trial)] * 0.95
        moments = [rng.uniform(0.01, longest) for _ in range(rng.choice((1, 1, 2, 3)))]
        try:
            hits, twice, at = run_trial(trial, moments)
        except Failed as e:
            print(f"FAILED {trial.name} to {trial.target.kind}, killed after "
                  f"{[round(m, 3) for m in moments]} s: {e}")
            return 1
        total += hits
        worst = max(worst, twice / hits if hits else 0)
        resumed += at > 0
        n += 1
        if n > 4 * kills:
            print("FAILED the imports end before they can be killed")
            return 1
    print(f"{total} kills in {n} imports, {resumed} went on where they had been; at most "
          f"{worst / MIB:.1f} MiB downloaded twice for a kill")
    if not resumed:
        print("FAILED nothing was ever resumed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
