#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tar archives into directories, by the command and as a pod.

    test_archive.py SLIPWAY SLIPWAY-IMPORTER [unittest arguments]

Good archives are compared with what GNU tar makes of them; hostile ones (hostile.py) must leave
nothing in the directory and touch nothing outside. As root, all of it runs as uid 107, like a pod."""
import hashlib
import http.server
import io
import json
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import unittest

import hostile
from hostile import END, FILE, directory, gnu_sparse, hardlink, member, symlink

SLIPWAY, IMPORTER = sys.argv[1], sys.argv[2]
SANITIZED = os.environ.get("SANITIZED") == "true"
LONG = os.environ.get("SLIPWAY_LONG_TESTS") == "1"
# Each run flushes the whole file system, whoever else writes to it: one in memory does not wait.
WORK = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
MIB = 1 << 20
HIDDEN = ".slipway-unpacking"
AS_POD = {"user": 107, "group": 107, "extra_groups": []} if os.getuid() == 0 else {}
SUCCESS = '{"scratchSpaceRequired":false,"preallocationApplied":false,"message":"Import Complete"}'


def entries(top):
    """{path: (kind, mode, size, mtime or None, content or target, links)} of all below top."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            if stat.S_ISLNK(st.st_mode):
                what = os.readlink(path)
            elif stat.S_ISREG(st.st_mode):
                with open(path, "rb") as f:
                    what = hashlib.sha256(f.read()).hexdigest()
            else:
                what = ""
            links = st.st_nlink if stat.S_ISREG(st.st_mode) else 0
            found[os.path.relpath(path, top)] = (stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode),
                                                 st.st_size if what and not links == 0 else 0,
                                                 st.st_mtime_ns, what, links)
    return found


class Server(http.server.ThreadingHTTPServer):
    """The files of a dictionary, without ranges; /slow/NAME sends a MiB a second."""
    files = {}
    daemon_threads = True

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            slow = self.path.startswith("/slow/")
            data = self.server.files.get(self.path.split("/")[-1])
            if data is None:
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "HEAD":
                return None
            try:
                for i in range(0, len(data), MIB // 4):
                    self.wfile.write(data[i:i + MIB // 4])
                    time.sleep(0.25 if slow else 0)
            except OSError:
                pass
            return None

        do_HEAD = do_GET

        def log_message(self, *args):
            pass


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(("127.0.0.1", 0), Server.Handler)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.url = "http://127.0.0.1:%d/" % cls.server.server_port

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="slipway-archive-", dir=WORK)
        self.addCleanup(self.remove)
        self.env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        self.out = self.path("out")
        if AS_POD:
            os.chown(self.dir, 107, 107)

    def remove(self):
        for folder, folders, _ in os.walk(self.dir):
            for name in folders:
                if not os.path.islink(os.path.join(folder, name)):
                    os.chmod(os.path.join(folder, name), 0o755)
        shutil.rmtree(self.dir)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def unpack(self, source, code=0, data=None, target=None, options=(), **kwargs):
        """(stdout, stderr) of a run that has to end with this code; None: any but a crash."""
        done = subprocess.run([SLIPWAY, "unpack", "--progress", "none", *options, source,
                               target or self.out], input=data, capture_output=True, env=self.env,
                              timeout=120, check=False, **AS_POD, **kwargs)
        text = done.stdout.decode() + done.stderr.decode("utf-8", "replace")
        if code is None:
            self.assertIn(done.returncode, (0, 1, 6, 7, 8), text)
            code = done.returncode
        self.assertEqual(done.returncode, code, text)
        return text

    def assert_like_tar(self, archive, *options):
        """`out` holds what GNU tar makes of the archive."""
        want = self.path("want")
        os.mkdir(want)
        if AS_POD: # tar sets the mode of the directory itself
            os.chown(want, 107, 107)
        subprocess.run(["tar", "--preserve-permissions", "--no-same-owner", *options, "-xC", want,
                        "-f", archive], check=True, stderr=subprocess.DEVNULL, **AS_POD)
        got = entries(self.out)
        self.assertEqual(got, entries(want))
        return got


class Good(Case):
    def make_tree(self):
        top = self.path("tree")
        os.makedirs(top + "/d/closed/below")
        rnd = random.Random(7)
        for name, size in (("empty", 0), ("one", 1), ("block", 512), ("large", 3 * MIB + 17)):
            self.write("tree/" + name, rnd.randbytes(size))
        self.write("tree/d/exec", b"#!/bin/sh\n")
        self.write("tree/d/closed/below/f", b"f")
        self.write("tree/name with \xc3\xa4 blank".encode("latin1").decode(), b"n")
        with open(top + "/sparse", "wb") as f:
            for at in (0, 5 * MIB, 40 * MIB):
                f.seek(at)
                f.write(b"data at %d" % at)
            f.truncate(64 * MIB)
        os.link(top + "/large", top + "/d/hard")
        os.symlink("../one", top + "/d/link")
        os.symlink("nowhere", top + "/dangling")
        os.chmod(top + "/d/exec", 0o751)
        os.chmod(top + "/one", 0o400)
        for name in ("d/closed/below/f", "d/closed/below", "d/closed", "d", "one", "sparse"):
            os.utime(top + "/" + name, ns=(0, 1234567890123456789))
        os.chmod(top + "/d/closed", 0o555)
        if AS_POD:
            subprocess.run(["chown", "-R", "-h", "107:107", top], check=True)
        return top

    def forget(self):
        for name in ("out", "want"):
            os.chmod(self.path(name, "d", "closed"), 0o755)
            shutil.rmtree(self.path(name))

    def test_every_tar_format_comes_out_as_tar_unpacks_it(self):
        top = self.make_tree()
        for options in (["--format=gnu"], ["--format=gnu", "-S"], ["--format=pax"],
                        ["--format=pax", "-S"], ["--format=pax", "-S", "--sparse-version=0.1"],
                        ["--format=pax", "-S", "--sparse-version=0.0"], ["--format=ustar"],
                        ["--format=v7"]):
            with self.subTest(options):
                archive = self.path("a.tar")
                subprocess.run(["tar", *options, "-C", top, "-cf", archive, "."], check=True)
                self.unpack(archive)
                got = self.assert_like_tar(archive)
                self.assertGreater(len(got), 10)
                self.assertNotIn(HIDDEN, got)
                self.assertLess(os.stat(self.out + "/sparse").st_blocks * 512, MIB)
                self.forget()

    def test_each_compression_and_two_of_them(self):
        top = self.make_tree()
        archive = self.path("a.tar")
        subprocess.run(["tar", "-C", top, "-cf", archive, "."], check=True)
        for number, tools in enumerate((["gzip"], ["xz", "-T2", "--block-size=1MiB"], ["zstd"],
                                        ["bzip2"], ["gzip", "xz -0"])):
            data = open(archive, "rb").read()
            for tool in tools if number == 4 else [" ".join(tools)]:
                data = subprocess.run(tool.split() + ["-c"], input=data, capture_output=True,
                                      check=True).stdout
            for source in ("-", self.write("packed", data)):
                with self.subTest(tools=tools, source=source):
                    self.unpack(source, data=data if source == "-" else None)
                    self.assert_like_tar(archive)
                    self.forget()

    def test_over_http_with_a_digest(self):
        data = FILE + END
        self.server.files["a.tar"] = data
        right = "sha256:" + hashlib.sha256(data).hexdigest()
        text = self.unpack(self.url + "a.tar", options=["--checksum", right, "-o", "json"])
        result = json.loads(text.splitlines()[-1])
        self.assertEqual((result["format"], result["members"]), ("tar", 1))
        self.assertNotIn("virtual_size", result)
        self.assertEqual(os.listdir(self.out), ["good"])

    def test_a_wrong_digest_leaves_nothing_though_all_was_unpacked(self):
        text = self.unpack(self.write("a.tar", FILE + END), code=6,
                           options=["--checksum", "sha256:" + "0" * 64])
        self.assertIn("checksum mismatch", text)
        self.assertFalse(os.path.exists(self.out))

    def test_bytes_behind_the_end_count_for_the_digest(self):
        data = FILE + END + bytes(random.Random(1).randbytes(3 * MIB))
        right = "sha256:" + hashlib.sha256(data).hexdigest()
        self.unpack("-", data=data, options=["--checksum", right])
        self.assertEqual(os.listdir(self.out), ["good"])

    def test_a_compression_that_ends_badly_behind_the_archive_is_an_error(self):
        packed = subprocess.run(["gzip", "-c"], input=FILE + END + bytes(5 * MIB),
                                capture_output=True, check=True).stdout
        text = self.unpack("-", code=6, data=packed[:-5])
        self.assertIn("truncated", text)
        self.assertFalse(os.path.exists(self.out))

    def test_set_id_bits_are_dropped_and_the_owner_is_ours(self):
        self.unpack("-", data=member("su", b"x", mode=0o6755) + directory("d", mode=0o3777) + END)
        self.assertEqual(stat.S_IMODE(os.stat(self.out + "/su").st_mode), 0o755)
        self.assertEqual(stat.S_IMODE(os.stat(self.out + "/d").st_mode), 0o1777)
        self.assertEqual(os.stat(self.out + "/su").st_uid, AS_POD.get("user", os.getuid()))

    def test_a_leading_slash_is_dropped(self):
        self.unpack("-", data=member("/etc/motd", b"x") + END)
        self.assertEqual(sorted(entries(self.out)), ["etc", "etc/motd"])

    def test_the_later_of_two_members_wins(self):
        self.unpack("-", data=member("f", b"long one") + hardlink("h", "f") + member("f", b"new") +
                    symlink("s", "f") + member("s", b"file") + member("x", b"x") + directory("x") +
                    member("x/y", b"y") + END)
        self.assertEqual(open(self.out + "/f", encoding="ascii").read(), "new")
        self.assertEqual(open(self.out + "/h", encoding="ascii").read(), "long one")
        self.assertFalse(os.path.islink(self.out + "/s"))
        self.assertTrue(os.path.isfile(self.out + "/x/y"))

    def test_members_in_any_order_below_a_closed_directory(self):
        self.unpack("-", data=directory("d", mode=0o500, mtime=5) + member("e", b"") +
                    member("d/a", b"a") + member("f", b"") + member("d/b/c", b"c") +
                    directory("d/b", mode=0o100, mtime=6) + member("d/b/d", b"") + END)
        st = os.stat(self.out + "/d")
        self.assertEqual((stat.S_IMODE(st.st_mode), st.st_mtime), (0o500, 5))
        st = os.stat(self.out + "/d/b")
        self.assertEqual((stat.S_IMODE(st.st_mode), st.st_mtime), (0o100, 6))
        os.chmod(self.out + "/d/b", 0o700)
        self.assertEqual(sorted(entries(self.out)), ["d", "d/a", "d/b", "d/b/c", "d/b/d", "e", "f"])

    def test_zeroes_become_holes(self):
        data = b"x" * 5000 + bytes(8 * MIB) + b"y"
        self.unpack("-", data=member("f", data) + END)
        self.assertEqual(open(self.out + "/f", "rb").read(), data)
        self.assertLess(os.stat(self.out + "/f").st_blocks * 512, MIB // 2)

    def test_old_gnu_sparse_tables_of_several_blocks(self):
        extents = [(i * 65536, 512) for i in range(60)]
        data = b"".join(bytes([i + 1]) * 512 for i in range(60))
        archive = self.write("s.tar", gnu_sparse("s", extents, 59 * 65536 + 512, data) + END)
        self.unpack(archive)
        self.assert_like_tar(archive)

    def test_names_that_are_not_utf8_stay_what_they_are(self):
        self.unpack("-", data=member(b"caf\xe9", b"x") + END)
        self.assertEqual(os.listdir(os.fsencode(self.out)), [b"caf\xe9"])
        self.unpack("-", data=hostile.pax(path="caf\u00e9") + member("x", b"x") + END)
        self.assertIn("caf\u00e9".encode(), os.listdir(os.fsencode(self.out)))

    def test_an_archive_without_members_is_one(self):
        self.unpack("-", data=bytes(10240))
        self.assertEqual(os.listdir(self.out), [])


class Target(Case):
    def test_what_is_there_stays_and_what_has_the_same_name_is_replaced(self):
        os.makedirs(self.out + "/d/old")
        os.mkdir(self.out + "/lost+found")
        self.write("out/f", b"old")
        self.write("out/x", b"old")
        os.symlink("/etc", self.out + "/etc")
        if AS_POD:
            subprocess.run(["chown", "-R", "-h", "107:107", self.out], check=True)
        self.unpack("-", data=member("f", b"new") + member("d/new", b"n") + directory("x") +
                    member("etc/passwd", b"ours") + END)
        self.assertEqual(sorted(entries(self.out)), ["d", "d/new", "d/old", "etc", "etc/passwd",
                                                     "f", "lost+found", "x"])
        self.assertEqual(open(self.out + "/f", encoding="ascii").read(), "new")

    def test_a_directory_in_the_way_of_a_file_is_found_before_anything_moves(self):
        os.makedirs(self.out + "/z/b")
        os.chmod(self.out, 0o777)
        text = self.unpack("-", code=2, data=member("a", b"") + member("z", b"") + END)
        self.assertIn("is a directory in the target", text)
        self.assertEqual(sorted(entries(self.out)), ["z", "z/b"])

    def test_a_target_that_is_no_directory(self):
        self.write("out", b"x")
        self.assertIn("is not a directory", self.unpack("-", code=2, data=FILE + END))
        self.assertIn("No such file", self.unpack("-", code=5, data=FILE + END,
                                                  target=self.path("no", "where")))

    def test_a_killed_run_leaves_nothing_visible_and_the_next_one_finishes(self):
        self.server.files["big.tar"] = member("d/big", bytes(range(256)) * 4096 * 8) + FILE + END
        for how, code in ((signal.SIGTERM, 9), (signal.SIGKILL, -9)):
            process = subprocess.Popen([SLIPWAY, "unpack", "--progress", "none",
                                        self.url + "slow/big.tar", self.out], env=self.env,
                                       stderr=subprocess.DEVNULL, **AS_POD)
            hidden = os.path.join(self.out, HIDDEN, "d", "big")
            deadline = time.monotonic() + 60
            while not os.path.exists(hidden) and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertTrue(os.path.exists(hidden))
            process.send_signal(how)
            self.assertEqual(process.wait(), code)
            self.assertEqual([n for n in (os.listdir(self.out) if os.path.exists(self.out) else [])
                              if n != HIDDEN], [])
            self.assertEqual(os.path.exists(hidden), how == signal.SIGKILL)
        self.unpack(self.url + "big.tar")
        self.assertEqual(sorted(os.listdir(self.out)), ["d", "good"])

    def test_two_at_once_are_told(self):
        self.server.files["big.tar"] = member("big", bytes(8 * MIB)) + END
        process = subprocess.Popen([SLIPWAY, "unpack", "--progress", "none",
                                    self.url + "slow/big.tar", self.out], env=self.env, **AS_POD,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        deadline = time.monotonic() + 60
        while not os.path.exists(self.path("out", HIDDEN)) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertIn("another process", self.unpack("-", code=3, data=FILE + END))

    def test_a_full_disk_says_so(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))

        text = self.unpack("-", code=8, data=member("big", b"x" * 3 * MIB) + END, preexec_fn=limit)
        self.assertIn("member 'big'", text)
        self.assertFalse(os.path.exists(self.out))

    @unittest.skipUnless(os.getuid() == 0, "mounting needs root")
    def test_a_full_file_system_says_so(self):
        os.mkdir(self.out)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=777", "tmpfs",
                                  self.out], capture_output=True, text=True, check=False)
        if mounted.returncode:
            self.skipTest("cannot mount: " + mounted.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", self.out], check=True)
        # Larger than what is free: known from its header.
        text = self.unpack("-", code=8, data=member("big", b"x" * 3 * MIB) + END)
        self.assertIn("is larger than the reported available storage", text)
        # Files of one byte take a page each: found when it happens.
        text = self.unpack("-", code=8, data=b"".join(member("f%d" % i, b"x")
                                                      for i in range(600)) + END)
        self.assertIn("No space left on device", text)
        self.assertEqual(os.listdir(self.out), [])
        self.unpack("-", data=FILE + END)
        self.assertEqual(os.listdir(self.out), ["good"])


class Hostile(Case):
    def test_each_archive_is_refused_and_touches_nothing_outside(self):
        canary = self.path("canary")
        os.mkdir(canary)
        self.write("canary/file", b"untouched")
        os.chmod(canary, 0o777)
        os.chmod(canary + "/file", 0o666)
        before = entries(canary)
        cases = hostile.archives(canary)
        self.assertGreaterEqual(len(cases), 55)
        for name, data, code, words in cases:
            with self.subTest(name):
                text = self.unpack("-", code=code, data=data)
                self.assertIn(words, text)
                self.assertEqual(entries(canary), before)
                self.assertNotIn(HIDDEN, os.listdir(self.out) if os.path.exists(self.out) else [])
                if code:
                    self.assertFalse(os.path.exists(self.out))
                elif os.path.exists(self.out):
                    self.remove_out()

    def remove_out(self):
        for path in entries(self.out):
            self.assertFalse(os.path.islink(self.path("out", path)))
        shutil.rmtree(self.out)

    def test_every_truncation_is_refused(self):
        data = hostile.truncations()
        for cut in range(0, len(data) + 1, 192):
            with self.subTest(cut=cut):
                self.unpack("-", code=6, data=data[:cut])
                self.assertFalse(os.path.exists(self.out))
        self.unpack("-", data=data + END)

    def peak_kib(self, *args):
        """Peak memory of a run. A process inherits the peak of the one that starts it: a small one."""
        small = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], "
                 "capture_output=True); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
        return int(subprocess.run([sys.executable, "-S", "-c", small, SLIPWAY, *args], check=True,
                                  capture_output=True, env=self.env).stdout)

    @unittest.skipIf(SANITIZED, "the sanitizers take memory of their own")
    def test_what_stands_before_a_member_is_bounded_in_memory(self):
        big = {n: d for n, d, _, _ in hostile.archives("/x")}
        for name in ("sparse-without-end", "long-names-without-end", "pax-huge"):
            with self.subTest(name):
                self.assertLess(self.peak_kib("unpack", self.write(name, big[name] * 8), self.out),
                                64 << 10)
                if os.path.exists(self.out):
                    shutil.rmtree(self.out)

    @unittest.skipUnless(LONG, "15 s: SLIPWAY_LONG_TESTS=1")
    def test_more_than_a_million_members_are_refused(self):
        one = hardlink("f", "f")
        process = subprocess.Popen([SLIPWAY, "unpack", "--progress", "none", "--no-digest", "-",
                                    self.out], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            process.stdin.write(member("f", b""))
            for _ in range(1025):
                process.stdin.write(one * 1024)
        except BrokenPipeError:
            pass
        text = process.communicate()[1].decode()
        self.assertEqual(process.returncode, 7, text)
        self.assertIn("more members than the limit of 1048576", text)


class Pod(Case):
    def run_pod(self, source, code, message, **env):
        root = self.path("pod")
        shutil.rmtree(root, ignore_errors=True)
        os.makedirs(root + "/dev")
        os.makedirs(root + "/data")
        if env.pop("block", False):
            self.write("pod/dev/cdi-block-volume", bytes(MIB))
        subprocess.run(["chmod", "-R", "a+rwX", root], check=True)
        env = {"PREALLOCATION": "false", "IMPORTER_SOURCE": "http", "OWNER_UID": "u",
               "IMPORTER_ENDPOINT": source, "IMPORTER_CONTENTTYPE": "archive",
               "IMPORTER_IMAGE_SIZE": "32Mi", "SLIPWAY_ROOT": root, "SLIPWAY_METRICS_PORT": "0",
               "PATH": os.environ["PATH"],
               **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}, **env}
        done = subprocess.run([IMPORTER], env=env, capture_output=True, text=True, timeout=120,
                              check=False, **AS_POD)
        self.assertEqual(done.returncode, code, done.stderr)
        with open(root + "/dev/termination-log", encoding="utf-8") as f:
            self.assertIn(message, f.read())
        return done.stderr

    def test_an_archive_becomes_the_files_of_the_volume(self):
        self.server.files["a.tar.gz"] = subprocess.run(
            ["gzip", "-c"], input=directory("./") + FILE + END, capture_output=True,
            check=True).stdout
        log = self.run_pod(self.url + "a.tar.gz", 0, SUCCESS)
        self.assertEqual(os.listdir(self.path("pod/data")), ["good"])
        self.assertIn("Successfully completed fsync(%s) syscall, committed to disk" %
                      self.path("pod/data"), log)

    def test_what_is_no_archive_fails(self):
        self.server.files["page"] = b"<html>not a tar</html>" * 100
        self.run_pod(self.url + "page", 1,
                     "Unable to process data: unable to untar files from endpoint: tar: ")
        self.assertEqual(os.listdir(self.path("pod/data")), [])

    def test_a_digest_that_is_wrong_is_final(self):
        self.server.files["a.tar"] = FILE + END
        self.run_pod(self.url + "a.tar", 0, "checksum mismatch", IMPORTER_CHECKSUM="md5:" + "0" * 32)
        self.assertEqual(os.listdir(self.path("pod/data")), [])

    def test_an_archive_larger_than_the_claim_says_what_the_controller_looks_for(self):
        self.server.files["a.tar"] = member("big", b"x" * 2 * MIB) + END
        self.run_pod(self.url + "a.tar", 1, "is larger than the reported available storage",
                     IMPORTER_IMAGE_SIZE="1Mi")

    def test_a_block_volume_is_refused(self):
        self.server.files["a.tar"] = FILE + END
        self.run_pod(self.url + "a.tar", 1, "needs a volume with a file system", block=True)

    def test_a_hostile_archive_is_told_by_its_member(self):
        self.server.files["a.tar"] = symlink("l", "/etc") + END
        self.run_pod(self.url + "a.tar", 1, "member 'l': the symbolic link to '/etc' is absolute")


class Apply(Case):
    MANIFEST = """
apiVersion: cdi.kubevirt.io/v1beta1
kind: DataVolume
metadata: {name: files}
spec:
  contentType: archive
  source: {http: {url: "%s"}}
  storage: {resources: {requests: {storage: %s}}}
"""

    def apply(self, url, code=0, size="1Mi"):
        self.write("dv.yaml", (self.MANIFEST % (url, size)).encode())
        done = subprocess.run([SLIPWAY, "apply", "-f", self.path("dv.yaml"), "--volumes",
                               self.path("volumes"), "--progress", "none"], capture_output=True,
                              text=True, env=self.env, timeout=120, check=False, **AS_POD)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout + done.stderr

    def test_a_datavolume_of_content_type_archive(self):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            info = tarfile.TarInfo("sub/f")
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
        self.server.files["a.tar"] = buffer.getvalue()
        self.apply(self.url + "a.tar")
        claim = self.path("volumes/default/files")
        self.assertEqual(sorted(entries(claim + "/files")), ["sub", "sub/f"])
        with open(claim + "/datavolume.json", encoding="utf-8") as f:
            self.assertEqual(json.load(f)["status"]["phase"], "Succeeded")
        self.assertIn("unchanged", self.apply(self.url + "a.tar"))

    def test_more_than_the_claim_asks_for_is_refused(self):
        self.server.files["b.tar"] = member("big", b"x" * 2 * MIB) + END
        self.assertIn("is larger than the reported available storage",
                      self.apply(self.url + "b.tar", code=8))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + sys.argv[3:])
