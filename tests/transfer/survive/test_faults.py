#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command against a server that misbehaves (tests/fakes/faultd.py): the right image, or the right
kind of error and nothing visible. What the source alone does is tested in tests/transfer/http.

    test_faults.py SLIPWAY [unittest arguments]"""
import base64
import contextlib
import gzip
import json
import os
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import (EXIT, MIB, faultd, find, leftovers, random_raw, run_slipway,  # noqa: E402
                    same_file, scratch)

SLIPWAY = sys.argv[1]
SIZE = 12 * MIB + 512


def coded(url):
    return base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.folder = cls.stack.enter_context(scratch())
        cls.raw, cls.log = cls.folder + "/disk.raw", cls.folder + "/log"
        random_raw(cls.raw, SIZE, 3, step=2 * MIB)
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", cls.raw, cls.folder + "/disk.qcow2"],
                       check=True)
        with open(cls.raw, "rb") as f, gzip.open(cls.folder + "/disk.raw.gz", "wb", 1) as z:
            z.write(f.read())
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=elsewhere.example", "-addext",
                        "subjectAltName=DNS:elsewhere.example", "-keyout", cls.folder + "/key.pem",
                        "-out", cls.folder + "/cert.pem"], check=True, capture_output=True)
        ports = cls.stack.enter_context(faultd(cls.folder, cls.log, "--cert", cls.folder + "/cert.pem",
                                               "--key", cls.folder + "/key.pem"))
        cls.http, cls.other = (f"http://127.0.0.1:{ports[n]}" for n in ("http", "other"))
        cls.https = f"https://127.0.0.1:{ports['https']}"

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def setUp(self):
        self.target = f"{self.folder}/{self.id()}.img"
        open(self.log, "w").close()

    def log_of(self, listener):
        with open(self.log) as f:
            return [e for e in map(json.loads, f) if e["listener"] == listener]

    def good(self, path, *options, base=None):
        result = run_slipway(SLIPWAY, f"{base or self.http}/{path}", self.target, *options)
        self.assertEqual(result.code, 0, result.stderr)
        self.assertTrue(same_file(self.target, self.raw), "another disk")
        self.assertEqual(leftovers(self.target), [])
        os.unlink(self.target)
        return result.json

    def bad(self, kind, path, *options, words=(), base=None, timeout=60):
        result = run_slipway(SLIPWAY, f"{base or self.http}/{path}", self.target, *options,
                             timeout=timeout)
        self.assertEqual(result.code, EXIT[kind], result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertFalse(os.path.exists(self.target), "something is visible")
        return result

    def test_plain(self):
        for name in ("disk.raw", "disk.qcow2", "disk.raw.gz"):
            self.good(name)

    def test_cut_at_every_mebibyte(self):
        for name in ("disk.raw", "disk.qcow2", "disk.raw.gz"):
            self.good(f"cut:every={MIB}/{name}")

    def test_cut_stream_without_ranges(self):
        for name in ("disk.raw", "disk.qcow2", "disk.raw.gz"):
            self.good(f"noranges/cutonce:at={5 * MIB}/{name}")

    def test_changed_between_ranges(self):
        for name in ("disk.raw", "disk.qcow2", "disk.raw.gz"):
            self.bad("bad_data", f"changing:after=4/{name}", words=["changed"])

    def test_wrong_content_range(self):
        self.bad("bad_data", "wrongrange:after=3/disk.raw", words=["range"])

    def test_endless_body(self):
        """Stopped by the first byte that does not fit."""
        self.bad("no_space", "endless/disk.raw", "--size", str(20 * MIB), words=[str(20 * MIB)])
        self.assertEqual(leftovers(self.target), [])

    def test_slow_drip(self):
        self.good("drip:bps=4000000/disk.qcow2")

    def test_three_of_four_answers_are_503(self):
        for name in ("disk.raw", "disk.qcow2"):
            self.good(f"flaky:ok=1,of=4,code=503,retry_after=0/{name}", "--connections", "2")

    def test_redirect_loop(self):
        result = self.bad("bad_data", "loop/disk.raw", words=["redirect"])
        self.assertEqual(leftovers(self.target), [], result.stderr)

    def test_secrets_stay_with_the_first_host(self):
        url = coded(self.other + "/disk.qcow2")
        self.good(f"redirect:to={url}/disk.qcow2", "--user", "me:s3cret", "--header", "X-Token: t0p")
        first, second = self.log_of("http"), self.log_of("other")
        self.assertTrue(second, "the other host was never asked")
        self.assertTrue(any("authorization" in e["headers"] for e in first))
        for entry in second:
            self.assertNotIn("authorization", entry["headers"])
            self.assertNotIn("x-token", entry["headers"])

    def test_no_secret_in_messages(self):
        result = self.bad("denied", "auth:user=me,pass=other/disk.raw", "--user", "me:s3cret")
        self.assertNotIn("s3cret", result.stderr)

    def test_wrong_name_in_the_certificate(self):
        self.bad("denied", "disk.raw", "--cacert", self.folder + "/cert.pem", base=self.https,
                 words=["certificate"])

    def test_not_found(self):
        self.bad("not_found", "status:code=404/disk.raw", words=["404"])

    def test_a_page_is_not_a_disk(self):
        with open(self.folder + "/login.html", "w") as f:
            f.write("<!DOCTYPE html><html><title>Sign in</title></html>")
        self.bad("unsupported", "login.html", words=["HTML"])

    def test_truncated_compressed_stream(self):
        """The server ends early and says so to nobody: only the wrapper's end marker can tell."""
        with open(self.folder + "/disk.raw.gz", "rb") as f, open(self.folder + "/cut.gz", "wb") as out:
            out.write(f.read()[:-5000])
        self.bad("bad_data", "closedelim/cut.gz", words=["gzip"])
        self.assertEqual(leftovers(self.target), [])

    def test_wrong_checksum(self):
        for name in ("disk.raw", "disk.qcow2", "disk.raw.gz"):
            self.bad("bad_data", name, "--checksum", "sha256:" + "0" * 64, words=["checksum"])
            self.assertEqual(leftovers(self.target), [])


if __name__ == "__main__":
    if not find("qemu-img"):
        print("skipped: qemu-img is not installed")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
