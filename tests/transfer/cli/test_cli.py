#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The slipway command from outside: exit codes, output, signals, DataVolumes.

    test_cli.py SLIPWAY COMPLETION-SCRIPT [unittest arguments]
"""
import fcntl
import hashlib
import http.server
import json
import os
import pty
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

import yaml

SLIPWAY, COMPLETION = sys.argv[1], sys.argv[2]
MIB = 1 << 20
DISK = random.Random(3).randbytes(6 * MIB) + bytes(2 * MIB)
SHA256 = hashlib.sha256(DISK).hexdigest()
PATIENCE = 120     # seconds that a busy machine may take for what is done at once elsewhere
RESULT_KEYS = {"source", "target", "format", "wrappers", "detail", "virtual_size", "image_size",
               "source_size", "data_bytes", "digests", "boot", "fetched", "written", "parked",
               "resumed_from", "elapsed_ms", "bytes_per_second", "bottleneck", "stages"}


class Gate:
    """Where /held stops half way, until a test opens it."""

    def __init__(self):
        self.reached, self.opened = threading.Event(), threading.Event()

    def pass_through(self):
        self.reached.set()
        self.opened.wait(PATIENCE)


class Handler(http.server.BaseHTTPRequestHandler):
    """/disk.raw; /slow, which takes seconds; /held, see Gate; /secret, which wants a password; no
    ranges."""
    gate = Gate()

    def do_GET(self):
        if self.path == "/secret" and "Authorization" not in self.headers:
            self.send_error(401)
        elif self.path in ("/disk.raw", "/slow", "/held", "/secret"):
            self.send_disk(0.25 if self.path == "/slow" else 0)
        else:
            self.send_error(404)

    do_HEAD = do_GET

    def send_disk(self, pause):
        self.send_response(200)
        self.send_header("Content-Length", str(len(DISK)))
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            for i in range(0, len(DISK), MIB // 2):
                if self.path == "/held" and i == len(DISK) // 2:
                    self.gate.pass_through()
                self.wfile.write(DISK[i:i + MIB // 2])
                time.sleep(pause)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, *args):
        pass


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        cls.httpd.daemon_threads = True
        threading.Thread(target=cls.httpd.serve_forever, daemon=True).start()
        cls.url = "http://127.0.0.1:%d/" % cls.httpd.server_port

    @classmethod
    def tearDownClass(cls):
        cls.httpd.shutdown()
        cls.httpd.server_close()

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="slipway-cli-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        Handler.gate = Gate()
        self.addCleanup(lambda: Handler.gate.opened.set())

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())
        return self.path(name)

    def start(self, *args, **kwargs):
        return subprocess.Popen([SLIPWAY, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.env, **kwargs)

    def start_held(self, *args):
        """A run that has asked for /held and is waiting for its second half."""
        Handler.gate.reached.clear()
        p = self.start(*args)
        self.addCleanup(p.kill)
        self.assertTrue(Handler.gate.reached.wait(PATIENCE), "it never asked")
        return p

    def until(self, probe, what):
        """The first true answer of `probe`, which gets PATIENCE seconds for it."""
        end = time.monotonic() + PATIENCE
        while True:
            answer = probe()
            if answer:
                return answer
            self.assertLess(time.monotonic(), end, "no " + what)
            time.sleep(0.05)

    def run_it(self, *args, code=0, data=None):
        """(stdout, stderr) of a run that has to end with this code."""
        done = subprocess.run([SLIPWAY, *args], input=data, capture_output=True, env=self.env,
                              timeout=PATIENCE, check=False)
        out, err = done.stdout.decode(), done.stderr.decode()
        self.assertEqual(done.returncode, code, out + err)
        return out, err

    def assert_disk(self, path, size=len(DISK)):
        with open(path, "rb") as f:
            self.assertEqual(f.read(), DISK + bytes(size - len(DISK)))


class Import(Case):
    def test_a_result_has_the_documented_keys(self):
        out, err = self.run_it("import", "-o", "json", self.url + "disk.raw", self.path("d"))
        result = json.loads(out)
        self.assertEqual(set(result), RESULT_KEYS)
        self.assertEqual(result["digests"], {"sha256": SHA256})
        self.assertEqual(result["virtual_size"], len(DISK))
        self.assertEqual(result["data_bytes"], 6 * MIB)
        for line in err.splitlines():
            self.assertEqual(json.loads(line)["event"], "progress")
        self.assertEqual(json.loads(err.splitlines()[-1])["percent"], 100)
        self.assert_disk(self.path("d"))
        self.assertLess(os.stat(self.path("d")).st_blocks * 512, 7 * MIB)

    def test_standard_input_is_a_source(self):
        self.run_it("import", "--progress", "none", "--size", "10Mi", "-", self.path("d"), data=DISK)
        self.assert_disk(self.path("d"), 10 * MIB)

    def test_text_tells_digest_and_size(self):
        out, err = self.run_it("import", "--progress=none", self.url + "disk.raw", self.path("d"))
        self.assertIn("sha256:" + SHA256, out)
        self.assertIn("8.00 MiB, of which data 6.00 MiB", out)
        self.assertEqual(err, "")

    def test_exit_codes_follow_the_kind_of_error(self):
        good = self.write("good.raw", DISK)
        self.write("x.bochs", b"Bochs Virtual HD Image" + bytes(4096))
        table = (
            (2, "usage", ["import", "--size", "1Q", good, self.path("t")]),
            (5, "not_found", ["import", self.url + "gone", self.path("t")]),
            (4, "denied", ["import", self.url + "secret", self.path("t")]),
            (6, "bad_data", ["import", "--checksum", "md5:" + "0" * 32, good, self.path("t")]),
            (6, "bad_data", ["import", "--expect-arch", "riscv64", good, self.path("t")]),
            (7, "unsupported", ["import", self.path("x.bochs"), self.path("t")]),
            (8, "no_space", ["import", "--size", "1Mi", good, self.path("t")]),
            (5, "not_found", ["import", good, self.path("no/such/dir/t")]),
        )
        for code, kind, args in table:
            _, err = self.run_it(*args, "--progress", "none", code=code)
            self.assertTrue(err.startswith("slipway: "), err)
            if kind != "usage":
                out, _ = self.run_it(*args, "--progress", "none", "-o", "json", code=code)
                self.assertEqual(json.loads(out)["error"]["kind"], kind)
            self.assertFalse(os.path.exists(self.path("t")))

    def test_mistyped_words_get_a_suggestion(self):
        _, err = self.run_it("import", "--chekcsum", "x", "a", "b", code=2)
        self.assertIn("did you mean '--checksum'", err)
        _, err = self.run_it("imprt", code=2)
        self.assertIn("did you mean 'import'", err)
        _, err = self.run_it(code=2)
        self.assertIn("Commands:", err)

    def test_secrets_are_never_shown(self):
        self.write("login", "me:hunter2\n")
        self.write("pw", "hunter2\n")
        for user in ("me:hunter2", "@" + self.path("login"), "me:@" + self.path("pw")):
            target = self.path("t")
            out, err = self.run_it("import", "--user", user, self.url + "secret", target)
            self.assertNotIn("hunter2", out + err)
            os.unlink(target)
        url = self.url.replace("//", "//me:hunter2@") + "gone?token=hunter2"
        out, err = self.run_it("import", "--header", "X: hunter2", url, self.path("t"), code=5)
        self.assertNotIn("hunter2", out + err)
        _, err = self.run_it("import", "--header", "hunter2", url, self.path("t"), code=2)
        self.assertNotIn("hunter2", err)

    def test_an_interrupt_ends_with_9_and_the_next_run_completes(self):
        for sig in (signal.SIGINT, signal.SIGTERM):
            p = self.start_held("import", self.url + "held", self.path("d"))
            p.send_signal(sig)
            _, err = p.communicate(timeout=PATIENCE)
            self.assertEqual(p.returncode, 9, err)
            self.assertIn(b"same command continues", err)
            self.assertFalse(os.path.exists(self.path("d")))
        self.run_it("import", self.url + "disk.raw", self.path("d"))
        self.assert_disk(self.path("d"))

    def test_a_terminal_gets_a_bar_that_fits(self):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
        p = subprocess.Popen([SLIPWAY, "import", self.url + "slow", self.path("d")], stderr=slave,
                             stdout=subprocess.DEVNULL, env=self.env)
        os.close(slave)
        shown = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # the terminal is gone with the program
                break
            if not piece:
                break
            shown += piece
        os.close(master)
        self.assertEqual(p.wait(), 0)
        frames = shown.replace(b"\033[K", b"").split(b"\r")
        self.assertTrue(any(b"MiB/s" in f for f in frames), shown)
        self.assertLess(max(len(f) for f in frames), 50)


class Look(Case):
    def test_info_describes_without_moving_anything(self):
        source = self.write("d.raw", DISK)
        out, err = self.run_it("info", "-o", "json", source)
        self.assertEqual(json.loads(out)["virtual_size"], len(DISK))
        self.assertNotIn("fetched", json.loads(out))
        self.assertEqual(err, "")
        self.assertIn("partitions none", self.run_it("info", source)[0])

    def test_verify_says_ok_or_why_not(self):
        source = self.write("d.raw", DISK)
        out, _ = self.run_it("verify", "--progress", "none", "--checksum", "sha256:" + SHA256, source)
        self.assertIn("d.raw: OK", out)
        _, err = self.run_it("verify", "--progress", "none", "--checksum", "md5:" + "1" * 32, source,
                             code=6)
        self.assertIn("checksum mismatch", err)

    def test_completion_knows_the_options(self):
        script = ('. "$1"; compopt() { :; }; COMP_WORDS=(slipway import --expect); COMP_CWORD=2; '
                  '_slipway "$2"; echo "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-c", script, "bash", COMPLETION, SLIPWAY], check=True,
                              capture_output=True, text=True)
        self.assertEqual(done.stdout.strip(), "--expect-arch")


def manifest(name, source, size="16Mi", extra=""):
    return ("apiVersion: cdi.kubevirt.io/v1beta1\nkind: DataVolume\n"
            "metadata: {name: %s, namespace: demo%s}\nspec:\n  source: %s\n"
            "  storage: {resources: {requests: {storage: %s}}}\n---\n" % (name, extra, source, size))


class DataVolumes(Case):
    def setUp(self):
        super().setUp()
        self.volumes = self.path("volumes")

    def http(self, what):
        return '{http: {url: "%s%s"}}' % (self.url, what)

    def apply(self, text, code=0):
        return self.run_it("apply", "-f", self.write("dv.yaml", text), "--volumes", self.volumes,
                           "--progress", "none", code=code)

    def status(self, name):
        with open(os.path.join(self.volumes, "demo", name, "datavolume.json"), encoding="utf-8") as f:
            return json.load(f)["status"]

    def disk(self, name):
        return os.path.join(self.volumes, "demo", name, "disk.img")

    def test_claims_are_filled_once(self):
        text = manifest("one", self.http("disk.raw")) + manifest("two", "{blank: {}}", "5Mi")
        self.apply(text)
        self.assert_disk(self.disk("one"), 16 * MIB)
        self.assertEqual(os.stat(self.disk("two")).st_size, 5 * MIB)
        self.assertEqual(self.status("one")["phase"], "Succeeded")
        self.assertEqual(self.status("one")["progress"], "100.0%")
        before = os.stat(self.disk("one"))
        out, _ = self.apply(text)
        self.assertEqual(out, "datavolume.cdi.kubevirt.io/one unchanged\n"
                              "datavolume.cdi.kubevirt.io/two unchanged\n")
        self.assertEqual(os.stat(self.disk("one")).st_ino, before.st_ino)

    def test_a_changed_spec_is_refused(self):
        self.apply(manifest("one", "{blank: {}}"))
        _, err = self.apply(manifest("one", "{blank: {}}", "17Mi"), code=2)
        self.assertIn("immutable", err)
        self.apply(manifest("one", "{blank: {}}", extra=", labels: {new: label}"))

    def test_all_are_tried_and_the_worst_code_counts(self):
        _, err = self.apply(manifest("gone", self.http("gone")) + manifest("../up", "{blank: {}}") +
                            manifest("far", "{s3: {url: x}}") + manifest("good", "{blank: {}}"),
                            code=7)
        self.assertIn("datavolume demo/gone", err)
        self.assertIn("DNS-1123", err)
        self.assertIn("not yet in local mode", err)
        self.assertEqual(self.status("gone")["phase"], "Failed")
        self.assertEqual(self.status("good")["phase"], "Succeeded")
        self.assertEqual(sorted(os.listdir(self.volumes)), ["demo"])
        self.assertEqual(sorted(os.listdir(self.volumes + "/demo")), ["gone", "good"])

    def test_a_killed_import_is_shown_as_stopped_and_goes_on(self):
        text = manifest("one", self.http("held"))
        p = self.start_held("apply", "-f", self.write("dv.yaml", text), "--volumes", self.volumes)
        row = re.compile(r"demo +one +ImportInProgress +[1-9]\d*\.\d\d% +0 ")
        self.until(lambda: row.search(self.run_it("get", "--volumes", self.volumes)[0]), "progress")
        _, err = self.apply(text, code=3)
        self.assertIn("another process", err)
        p.kill()
        p.communicate()
        out, _ = self.run_it("get", "--volumes", self.volumes)
        self.assertIn("ImportInProgress (stopped)", out)
        listed = json.loads(self.run_it("get", "--volumes", self.volumes, "-o", "json")[0])
        self.assertIs(listed["items"][0]["slipway.io/stopped"], True)
        Handler.gate.opened.set()
        self.apply(text)
        self.assert_disk(self.disk("one"), 16 * MIB)
        self.assertEqual(self.status("one")["restartCount"], 1)

    def test_an_interrupt_stops_the_rest_too(self):
        text = manifest("one", self.http("held")) + manifest("two", "{blank: {}}")
        p = self.start_held("apply", "-f", self.write("dv.yaml", text), "--volumes", self.volumes)
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=PATIENCE)
        self.assertEqual(p.returncode, 9)
        self.assertEqual(self.status("one")["phase"], "ImportScheduled")
        self.assertEqual(os.listdir(self.volumes + "/demo"), ["one"])

    def test_a_disk_of_somebody_else_is_not_replaced(self):
        os.makedirs(self.volumes + "/demo/one")
        with open(self.disk("one"), "w", encoding="ascii") as f:
            f.write("precious")
        _, err = self.apply(manifest("one", "{blank: {}}"), code=2)
        self.assertIn("move it away", err)
        with open(self.disk("one"), encoding="ascii") as f:
            self.assertEqual(f.read(), "precious")

    def test_yaml_says_what_json_says(self):
        self.apply(manifest("one", "{blank: {}}") + manifest("two", "{blank: {}}"))
        got = [self.run_it("get", "--volumes", self.volumes, "-o", how)[0] for how in ("json", "yaml")]
        self.assertIn("\n- apiVersion: cdi.kubevirt.io/v1beta1\n  kind: DataVolume\n", got[1])
        self.assertEqual(yaml.safe_load(got[1]), json.loads(got[0]))
        out, _ = self.run_it("get", "-o", "yaml", code=2)
        self.assertEqual(yaml.safe_load(out)["error"]["kind"], "usage")

    def test_get_selects_by_manifest(self):
        self.apply(manifest("one", "{blank: {}}") + manifest("two", "{blank: {}}"))
        chosen = self.write("chosen.yaml", manifest("two", "{blank: {}}") + manifest("x", "{}"))
        out, _ = self.run_it("get", "-f", chosen, "--volumes", self.volumes)
        self.assertEqual([line.split()[1] for line in out.splitlines()], ["NAME", "two"])

    def test_watch_prints_changes_until_interrupted(self):
        self.apply(manifest("one", "{blank: {}}"))
        p = self.start("get", "--volumes", self.volumes, "-w")
        watchdog = threading.Timer(PATIENCE, p.kill)
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        names = [p.stdout.readline().split()[1] for _ in range(2)]
        self.apply(manifest("two", "{blank: {}}"))
        line = b""
        while b"Succeeded" not in line:
            line = p.stdout.readline()
            self.assertEqual(line.split()[1:2], [b"two"], "it printed what had not changed")
        p.send_signal(signal.SIGINT)
        out, _ = p.communicate(timeout=PATIENCE)
        self.assertEqual((names, out, p.returncode), ([b"NAME", b"one"], b"", 0))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + sys.argv[3:], verbosity=2)
