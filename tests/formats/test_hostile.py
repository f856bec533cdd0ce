#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every image of hostile.py is refused by `slipway import`, as a file and as a stream, with the kind of
error and the words that its row says, within a second of processor time and 32 MiB; nothing of a
target appears, and the host's files that images name are never opened.

    test_hostile.py SLIPWAY [sanitized]"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS_MIN = 150
SECONDS_MAX = 1.0       # of processor time: others may be at work
RSS_MAX_KIB = 32 * 1024
KINDS = {6: "bad_data", 7: "unsupported"}
SANITIZED = sys.argv[2:] == ["sanitized"]


def run(slipway, path, target, stream):
    """(exit code, result, processor seconds, peak KiB)"""
    cat = subprocess.Popen(["cat", path], stdout=subprocess.PIPE) if stream else None
    process = subprocess.Popen([slipway, "import", "-o", "json", "--progress", "none",
                                "-" if stream else path, target],
                               stdin=cat.stdout if stream else subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if stream:
        cat.stdout.close()
    with process.stdout:
        out = process.stdout.read().strip()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if stream:
        cat.wait()
    return (process.returncode, json.loads(out.splitlines()[-1]) if out else {},
            usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def judge(row, code, result, left, seconds, rss):
    """What is wrong with how this row was refused, or None."""
    text = (result.get("error") or {}).get("message", "")
    if code not in KINDS:
        return f"exit code {code}: {result}"
    if KINDS[code] != row["kind"]:
        return f"not {row['kind']}: {text}"
    if row["part"] not in text or not text:
        return f"'{row['part']}' is not in: {text}"
    if left:
        return f"left behind: {left}"
    if not SANITIZED and (seconds > SECONDS_MAX or rss > RSS_MAX_KIB):
        return f"took {seconds:.2f} s and {rss} KiB"
    return None


def names_opened(slipway, path, target):
    """The files that are looked at or opened, by strace."""
    trace = subprocess.run(["strace", "-f", "-qq", "-e", "trace=file", slipway, "import", "--progress",
                            "none", path, target], check=False, capture_output=True, text=True).stderr
    return set(re.findall(r'"(/[^"]*)"', trace))


def check_opened(slipway, images, rows, target):
    if not shutil.which("strace"):
        print("strace is not installed: which files are opened was not looked at")
        return 0
    failed = 0
    for row in rows:
        path = os.path.join(images, row["name"])
        opened = names_opened(slipway, path, target) if row["names_files"] else {path}
        if path not in opened or any("serviceaccount" in p or p == "/etc/passwd" for p in opened):
            failed += 1
            print(f"FAILED {row['name']}: opened {sorted(opened)}")
    return failed


def main():
    slipway = sys.argv[1]
    failed, worst_time, worst_rss = 0, 0, 0
    with tempfile.TemporaryDirectory() as images, tempfile.TemporaryDirectory() as work:
        # In a process of its own: a child's peak begins with the memory of its parent.
        subprocess.run([sys.executable, os.path.join(HERE, "hostile.py"), images], check=True)
        with open(os.path.join(images, "index.json")) as f:
            rows = json.load(f)
        target = os.path.join(work, "disk.img")
        for row in rows:
            for stream in (False, True):
                code, result, seconds, rss = run(slipway, os.path.join(images, row["name"]), target, stream)
                left = os.listdir(work)
                for name in left:
                    os.unlink(os.path.join(work, name))
                worst_time, worst_rss = max(worst_time, seconds), max(worst_rss, rss)
                why = judge(row, code, result, left, seconds, rss)
                if why:
                    failed += 1
                    print(f"FAILED {row['name']} ({row['rule']}) as a "
                          f"{'stream' if stream else 'file'}: {why}")
        failed += check_opened(slipway, images, rows, target)
    print(f"{len(rows)} images, each as a file and as a stream: {failed} failed; at most "
          f"{worst_time:.2f} s of processor time, {worst_rss // 1024} MiB")
    return failed > 0 or len(rows) < ROWS_MIN


if __name__ == "__main__":
    sys.exit(main())
