#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""slipway-importer from outside, as the cluster sees it (contract importer 1.1 to 1.13).

    test_importer.py SLIPWAY-IMPORTER [unittest arguments]

Each test is a pod: a directory as its root, an environment, a real nginx as the source. Asserted are
exit code, termination message, log, metrics and the disk.
"""
import base64
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

IMPORTER = sys.argv[1]
MIB = 1 << 20
SIZE = 8 * MIB
LONG = 48 * MIB  # long enough to watch at nginx's limit_rate
PATIENCE = 120   # seconds that a busy machine may take for what is done at once elsewhere
SUCCESS = '{"scratchSpaceRequired":false,"preallocationApplied":false,"message":"Import Complete"}'
METRIC = re.compile(r'(kubevirt_cdi_import_progress_total)\{ownerUID\="uid-1"\} (\d{1,3}\.?\d*)')

NGINX = """
daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/nginx.log; events {{ }}
http {{
    log_format seen '$request_method|$uri|$http_user_agent|$http_authorization|$http_x_env|$http_x_file';
    access_log {dir}/access.log seen;
    default_type application/octet-stream;
    client_body_temp_path {dir}/tmp; proxy_temp_path {dir}/tmp; fastcgi_temp_path {dir}/tmp;
    uwsgi_temp_path {dir}/tmp; scgi_temp_path {dir}/tmp;
    server {{
        listen 127.0.0.1:{http}; root {dir}/www;
        location /slow/ {{
            alias {dir}/www/;
            if (-f {dir}/slow) {{ set $limit_rate 800k; }}
        }}
        location = /info {{ return 200 '{{"env":["PATH=/bin","KUBEVIRT_IO_A_B=c"]}}'; }}
    }}
    server {{
        listen 127.0.0.1:{https} ssl; root {dir}/www;
        ssl_certificate {dir}/server.pem; ssl_certificate_key {dir}/server.key;
    }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def until(probe):
    """The first true answer of `probe`."""
    end = time.monotonic() + PATIENCE
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError("it never came")
        time.sleep(0.02)


class Server:
    """nginx with one image, over HTTP and HTTPS."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="slipway-importer-")
        self.http, self.https = free_port(), free_port()
        os.makedirs(self.dir + "/www")
        self.raw = self.make_image("disk.raw", SIZE)
        self.long = self.make_image("long.raw", LONG)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.dir + "/server.key",
                        "-out", self.dir + "/server.pem"], check=True, stderr=subprocess.DEVNULL)
        with open(self.dir + "/nginx.conf", "w", encoding="ascii") as f:
            f.write(NGINX.format(dir=self.dir, http=self.http, https=self.https))
        nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        self.process = subprocess.Popen([nginx, "-e", self.dir + "/nginx.log", "-p", self.dir, "-c",
                                         self.dir + "/nginx.conf"])
        self.wait()

    def make_image(self, name, size):
        path = os.path.join(self.dir, "www", name)
        with open(path, "wb") as f:
            f.write(random.Random(size).randbytes(size))
        return path

    def wait(self):
        for _ in range(200):
            try:
                with urllib.request.urlopen(self.url("disk.raw"), timeout=5):
                    return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        raise RuntimeError("nginx does not answer")

    def url(self, name):
        return "http://127.0.0.1:%d/%s" % (self.http, name)

    @contextlib.contextmanager
    def slow(self):
        """Inside, /slow/ takes a quarter of a minute."""
        path = self.dir + "/slow"
        open(path, "w", encoding="ascii").close()
        try:
            yield
        finally:
            os.unlink(path)

    def seen(self):
        with open(self.dir + "/access.log", encoding="utf-8") as f:
            return f.read()

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir)


class Pod:
    """One root directory and what runs in it."""

    def __init__(self, **env):
        self.root = tempfile.mkdtemp(prefix="slipway-pod-")
        for name in ("data", "dev"):
            os.mkdir(os.path.join(self.root, name))
        self.env = {"PREALLOCATION": "false", "OWNER_UID": "uid-1", "IMPORTER_SOURCE": "http",
                    "IMPORTER_CONTENTTYPE": "kubevirt", "FILESYSTEM_OVERHEAD": "0.06",
                    "IMPORTER_IMAGE_SIZE": "32Mi", "SLIPWAY_ROOT": self.root,
                    "SLIPWAY_METRICS_PORT": "0", "PATH": os.environ["PATH"],
                    "http_proxy": "", "https_proxy": "", "no_proxy": ""}
        self.env.update(env)
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self.log_path = os.path.join(self.root, "log")
        self.disk = os.path.join(self.root, "data", "disk.img")
        self.process = None

    def start(self):
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen([IMPORTER, "-v=1", "-alsologtostderr"],
                                            env={k: v for k, v in self.env.items() if v is not None},
                                            stderr=log, stdout=log)
        return self

    def wait(self):
        return self.process.wait(timeout=PATIENCE)

    def run(self):
        return self.start().wait()

    def put(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)

    def message(self):
        """The termination message, or None."""
        try:
            with open(os.path.join(self.root, "dev", "termination-log"), encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return None

    def log(self):
        with open(self.log_path, encoding="utf-8") as f:
            return f.read()

    def metrics(self):
        """The page, once the log says where it is."""
        found = until(lambda: re.search(r'"ev":"importer.metrics","port":(\d+)', self.log()))
        context = ssl._create_unverified_context()  # as the controller does
        with urllib.request.urlopen("https://127.0.0.1:%s/metrics" % found.group(1),
                                    timeout=PATIENCE, context=context) as r:
            return r.read().decode()

    def progress(self):
        return float(METRIC.search(self.metrics()).group(2))

    def remove(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.root)


class Case(unittest.TestCase):
    server = None

    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def pod(self, **env):
        env.setdefault("IMPORTER_ENDPOINT", self.server.url("disk.raw"))
        pod = Pod(**env)
        self.addCleanup(pod.remove)
        return pod

    def expect(self, pod, code, part):
        """Run; exit code, and a message that contains `part` (None: there is none)."""
        got = pod.run()
        self.assertEqual(got, code, pod.log())
        if part is None:
            self.assertIn(pod.message(), (None, ""))
        else:
            self.assertIn(part, pod.message())

    def assert_disk(self, pod, size, image=None):
        """The image, and zeroes up to `size` bytes."""
        image = image or self.server.raw
        with open(pod.disk, "rb") as f:
            head = f.read(os.stat(image).st_size)
            self.assertEqual(hashlib.sha256(head).hexdigest(), sha256(image))
            self.assertEqual(f.read().strip(b"\0"), b"")
        self.assertEqual(os.stat(pod.disk).st_size, size)


class Success(Case):
    def test_raw_image_is_placed_and_grown(self):
        pod = self.pod()
        self.assertEqual(pod.run(), 0, pod.log())
        self.assertEqual(pod.message(), SUCCESS)
        self.assert_disk(pod, 30 * MIB)  # 32 MiB at 6 % overhead, whole MiB
        self.assertEqual(os.stat(pod.disk).st_mode & 0o777, 0o660)
        self.assertEqual(os.listdir(os.path.join(pod.root, "data")), ["disk.img"])

    def test_the_log_has_the_line_that_cluster_tests_look_for(self):
        pod = self.pod()
        pod.run()
        self.assertIn("Successfully completed fsync(%s) syscall, committed to disk" % pod.disk,
                      pod.log())

    def test_an_image_between_usable_and_claim_size_keeps_its_size(self):
        pod = self.pod(IMPORTER_IMAGE_SIZE=str(SIZE))
        self.assertEqual(pod.run(), 0, pod.log())
        self.assert_disk(pod, SIZE)

    def test_without_a_claim_size_the_image_is_left_as_it_is(self):
        pod = self.pod(IMPORTER_IMAGE_SIZE="")
        self.assertEqual(pod.run(), 0, pod.log())
        self.assert_disk(pod, SIZE)

    @unittest.skipUnless(shutil.which("qemu-img"), "qemu-img is not installed")
    def test_qcow2_is_converted(self):
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", self.server.raw,
                        self.server.dir + "/www/disk.qcow2"], check=True)
        pod = self.pod(IMPORTER_ENDPOINT=self.server.url("disk.qcow2"))
        self.assertEqual(pod.run(), 0, pod.log())
        self.assert_disk(pod, 30 * MIB)

    def test_preallocation_reserves_and_is_reported(self):
        pod = self.pod(PREALLOCATION="True")
        self.assertEqual(pod.run(), 0, pod.log())
        self.assertIs(json.loads(pod.message())["preallocationApplied"], True)
        self.assertGreaterEqual(os.stat(pod.disk).st_blocks * 512, 30 * MIB)

    def test_what_an_earlier_try_left_is_replaced(self):
        pod = self.pod()
        pod.put("data/disk.img", "garbage of another importer")
        self.assertEqual(pod.run(), 0, pod.log())
        self.assert_disk(pod, 30 * MIB)

    def test_a_right_checksum_is_accepted(self):
        pod = self.pod(IMPORTER_CHECKSUM=" SHA256 : %s " % sha256(self.server.raw).upper())
        self.assertEqual(pod.run(), 0, pod.log())

    def test_a_digest_list_is_followed(self):
        with open(self.server.dir + "/www/SHA256SUMS", "w", encoding="ascii") as f:
            f.write(sha256(self.server.raw) + "  disk.raw\n")
        pod = self.pod(SLIPWAY_CHECKSUM_URL=self.server.url("SHA256SUMS"))
        self.assertEqual(pod.run(), 0, pod.log())

    def test_a_digest_list_elsewhere_does_not_get_the_credentials(self):
        with open(self.server.dir + "/www/SUMS", "w", encoding="ascii") as f:
            f.write(sha256(self.server.raw) + "  disk.raw\n")
        for where, sent in ((self.server.url("SUMS"), True),
                            ("https://127.0.0.1:%d/SUMS" % self.server.https, False)):
            pod = self.pod(IMPORTER_ACCESS_KEY_ID="me", IMPORTER_SECRET_KEY="hunter2",
                           IMPORTER_EXTRA_HEADER_0="X-Env: one", INSECURE_TLS="true",
                           SLIPWAY_CHECKSUM_URL=where)
            self.assertEqual(pod.run(), 0, pod.log())
            asked = [line.split("|") for line in self.server.seen().splitlines() if "|/SUMS|" in line]
            self.assertEqual(asked[-1][3].startswith("Basic "), sent)
            self.assertEqual(asked[-1][4] == "one", sent)

    def test_requests_carry_name_credentials_and_headers(self):
        pod = self.pod(IMPORTER_ACCESS_KEY_ID="me", IMPORTER_SECRET_KEY="hunter2",
                       IMPORTER_EXTRA_HEADER_0="X-Env: one")
        pod.put("extraheaders/0/token", "X-File: two\n")
        pod.put("extraheaders/0/..data/token", "X-Env: not this one\n")
        self.assertEqual(pod.run(), 0, pod.log())
        last = self.server.seen().rstrip("\n").split("\n")[-1].split("|")
        self.assertIn("cdi-golang-importer", last[2])
        self.assertEqual(last[3], "Basic " + base64.b64encode(b"me:hunter2").decode())
        self.assertEqual(last[4:], ["one", "two"])
        self.assertNotIn("hunter2", pod.log())


class Failure(Case):
    def test_wrong_checksum_is_final_and_leaves_nothing(self):
        pod = self.pod(IMPORTER_CHECKSUM="md5:" + "0" * 32)
        self.expect(pod, 0, "checksum mismatch")
        self.assertEqual(json.loads(pod.message())["reason"], "ChecksumError")
        self.assertTrue(json.loads(pod.message())["message"].startswith(
            "Unable to process data: checksum validation failed: checksum mismatch: expected md5:"))
        self.assertFalse(os.path.exists(pod.disk))

    def test_malformed_checksum(self):
        self.expect(self.pod(IMPORTER_CHECKSUM="crc:12"), 1,
                    "Unable to connect to http data source: invalid checksum: unsupported hash "
                    "algorithm 'crc'")

    def test_image_larger_than_the_claim(self):
        pod = self.pod(IMPORTER_IMAGE_SIZE="4Mi")
        self.expect(pod, 1, "Unable to process data: virtual image size %d is larger than the reported "
                    "available storage %d. A larger PVC is required" % (SIZE, 4 * MIB))
        self.assertFalse(os.path.exists(pod.disk))

    def test_missing_object(self):
        self.expect(self.pod(IMPORTER_ENDPOINT=self.server.url("gone")), 1,
                    "Unable to connect to http data source: ")

    def test_missing_endpoint(self):
        self.expect(self.pod(IMPORTER_ENDPOINT=""), 1,
                    'endpoint "IMPORTER_ENDPOINT" is missing or blank')

    def test_unknown_source(self):
        self.expect(self.pod(IMPORTER_SOURCE="glance"), 1, "Unknown data source: glance")

    def test_bad_environment_leaves_no_message(self):
        for name, value in (("PREALLOCATION", "maybe"), ("PREALLOCATION", None),
                            ("IMPORTER_IMAGE_SIZE", "much")):
            self.expect(self.pod(**{name: value}), 1, None)

    def test_registry_wants_kubevirt_content(self):
        self.expect(self.pod(IMPORTER_SOURCE="registry", IMPORTER_CONTENTTYPE="archive"), 1, None)

    def test_a_volume_that_is_not_there(self):
        pod = self.pod()
        os.rmdir(os.path.join(pod.root, "data"))
        self.expect(pod, 1, None)

    def test_wrong_architecture_stays_invisible(self):
        pod = self.pod(SLIPWAY_EXPECT_ARCH="riscv64")
        self.expect(pod, 0, "riscv64")
        said = json.loads(pod.message())
        self.assertEqual((said["fatal"], said["reason"]), (True, "ArchitectureMismatch"))
        self.assertFalse(os.path.exists(pod.disk))


class Signature(Case):
    """Two keys; the first one signed the image."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.home = tempfile.mkdtemp(prefix="slipway-gpg-")
        keys = []
        for name in ("good", "other"):
            cls.gpg("--quick-gen-key", name + "@example.com", "ed25519", "sign", "never")
            keys.append(cls.gpg("--armor", "--export", name + "@example.com").decode())
        cls.good, cls.other = keys
        cls.gpg("--local-user", "good@example.com", "--output",
                os.path.join(cls.server.dir, "www", "disk.raw.sig"), "--detach-sign",
                os.path.join(cls.server.dir, "www", "disk.raw"))

    @classmethod
    def tearDownClass(cls):
        subprocess.run(["gpgconf", "--homedir", cls.home, "--kill", "all"], check=False)
        shutil.rmtree(cls.home, ignore_errors=True)
        super().tearDownClass()

    @classmethod
    def gpg(cls, *args):
        return subprocess.run(["gpg", "--homedir", cls.home, "--batch", "--yes", "--quiet",
                               "--passphrase", "", "--pinentry-mode", "loopback", *args],
                              check=True, stdout=subprocess.PIPE).stdout

    def signed(self, keyring, **env):
        pod = self.pod(SLIPWAY_SIGNATURE=self.server.url("disk.raw.sig"),
                       SLIPWAY_KEYRING="/keyring/keyring", **env)
        pod.put("keyring/keyring", keyring)
        return pod

    def test_an_image_signed_by_a_key_of_the_keyring_is_taken(self):
        pod = self.signed(self.good)
        self.assertEqual(pod.run(), 0, pod.log())
        self.assertEqual(pod.message(), SUCCESS)

    def test_an_image_signed_by_another_key_is_final_and_leaves_nothing(self):
        pod = self.signed(self.other)
        self.expect(pod, 0, "no valid OpenPGP signature")
        said = json.loads(pod.message())
        self.assertEqual((said["fatal"], said["reason"]), (True, "SignatureError"))
        self.assertFalse(os.path.exists(pod.disk))

    def test_a_signature_without_a_keyring_is_refused(self):
        self.expect(self.pod(SLIPWAY_SIGNATURE=self.server.url("disk.raw.sig")), 1,
                    "Unable to connect to http data source: ")


class Tls(Case):
    def endpoint(self):
        return "https://127.0.0.1:%d/disk.raw" % self.server.https

    def test_an_unknown_issuer_is_refused(self):
        self.expect(self.pod(IMPORTER_ENDPOINT=self.endpoint()), 1,
                    "Unable to connect to http data source: ")

    def test_certificates_of_the_config_map_are_trusted(self):
        for folder, cert_dir in (("certs", "/certs"), ("proxycerts", None)):
            pod = self.pod(IMPORTER_ENDPOINT=self.endpoint(), IMPORTER_CERT_DIR=cert_dir)
            with open(self.server.dir + "/server.pem", encoding="ascii") as f:
                pod.put(folder + "/any.name", f.read())
            self.assertEqual(pod.run(), 0, pod.log())

    def test_a_certificate_directory_that_is_missing_is_an_error(self):
        self.expect(self.pod(IMPORTER_ENDPOINT=self.endpoint(), IMPORTER_CERT_DIR="/certs"), 1,
                    "Unable to connect to http data source: Error listing files in ")

    def test_insecure_asks_no_questions(self):
        pod = self.pod(IMPORTER_ENDPOINT=self.endpoint(), INSECURE_TLS="true")
        self.assertEqual(pod.run(), 0, pod.log())


class Blank(Case):
    def test_filesystem(self):
        pod = self.pod(IMPORTER_SOURCE="none", IMPORTER_IMAGE_SIZE="1Gi")
        self.assertEqual(pod.run(), 0, pod.log())
        self.assertEqual(pod.message(), '{"preallocationApplied":false,"message":"Import Complete"}')
        free = os.statvfs(pod.root + "/data")
        if free.f_bavail * free.f_frsize > 1 << 30:
            self.assertEqual(os.stat(pod.disk).st_size, 1012924416)
        self.assertLess(os.stat(pod.disk).st_blocks, 2048)

    def test_archive_content_is_refused(self):
        self.expect(self.pod(IMPORTER_SOURCE="none", IMPORTER_CONTENTTYPE="archive"), 1,
                    "Cannot create empty disk with content type archive")


class Running(Case):
    def start_slow(self):
        return self.pod(IMPORTER_ENDPOINT=self.server.url("slow/long.raw"),
                        IMPORTER_IMAGE_SIZE="64Mi").start()

    def test_progress_is_served_while_bytes_move(self):
        with self.server.slow():
            pod = self.start_slow()
            first = until(pod.progress)
            second = until(lambda: max(0, pod.progress() - first))
            self.assertLess(first + second, 100)
        self.assertEqual(pod.wait(), 0, pod.log())

    def test_sigterm_stops_and_the_next_run_goes_on(self):
        with self.server.slow():
            pod = self.start_slow()
            until(pod.progress)
            pod.process.send_signal(signal.SIGTERM)
            self.assertEqual(pod.wait(), 143, pod.log())
        self.assertFalse(os.path.exists(pod.disk))
        self.assertEqual(pod.run(), 0, pod.log())
        self.assertEqual(pod.message(), SUCCESS)
        self.assert_disk(pod, 60 * MIB, self.server.long)

    def test_node_pull_waits_labels_and_says_done(self):
        shared = "/shared"
        pod = self.pod(IMPORTER_ENDPOINT=self.server.url("disk.img"), IMPORTER_PULL_METHOD="node",
                       IMPORTER_READY_FILE=shared + "/ready", IMPORTER_DONE_FILE=shared + "/done",
                       IMPORTER_CHECKSUM="ignored here")
        os.mkdir(pod.root + shared)
        pod.start()
        time.sleep(0.3)
        self.assertIsNone(pod.process.poll())
        pod.put("shared/new", "disk.raw")
        os.rename(pod.root + shared + "/new", pod.root + shared + "/ready")
        self.assertEqual(pod.wait(), 0, pod.log())
        self.assertEqual(json.loads(pod.message())["labels"], {"kubevirt.io/a-b": "c"})
        self.assertTrue(os.path.exists(pod.root + shared + "/done"))
        self.assert_disk(pod, 30 * MIB)


def loop_device(path):
    """A block device over a file, or None where the machine has none to give."""
    done = subprocess.run(["losetup", "-f", "--show", path], capture_output=True, text=True,
                          check=False) if shutil.which("losetup") else None
    return done.stdout.strip() if done and done.returncode == 0 else None


class Block(Case):
    """A pod whose volume is a device, full of old data."""

    def block_pod(self, size, **env):
        pod = self.pod(**env)
        self.backing = os.path.join(pod.root, "backing")
        with open(self.backing, "wb") as f:
            f.write(b"old " * (size // 4))
        device = loop_device(self.backing)
        if not device:
            self.skipTest("no loop devices")
        self.addCleanup(subprocess.run, ["losetup", "-d", device], check=False)
        os.symlink(device, pod.root + "/dev/cdi-block-volume")
        return pod

    def content(self):
        with open(self.backing, "rb") as f:
            return f.read()

    def test_the_image_is_placed_and_the_rest_zeroed(self):
        pod = self.block_pod(SIZE + 4 * MIB, IMPORTER_IMAGE_SIZE="1Mi")  # ignored for a device
        self.assertEqual(pod.run(), 0, pod.log())
        self.assertEqual(pod.message(), SUCCESS)
        with open(self.server.raw, "rb") as f:
            self.assertEqual(self.content()[:SIZE], f.read())
        self.assertEqual(self.content()[SIZE:].strip(b"\0"), b"")
        self.assertFalse(os.path.exists(pod.disk))

    def test_a_device_one_sector_too_small_is_refused(self):
        pod = self.block_pod(SIZE - 512)
        self.expect(pod, 1, "is larger than the reported available storage %d" % (SIZE - 512))
        self.assertEqual(self.content(), b"old " * ((SIZE - 512) // 4))

    def test_a_blank_device_is_left_alone_and_says_nothing(self):
        pod = self.block_pod(4 * MIB, IMPORTER_SOURCE="none")
        self.expect(pod, 0, None)
        self.assertEqual(self.content(), b"old " * MIB)

    def test_a_preallocated_blank_device_is_zeroed(self):
        pod = self.block_pod(4 * MIB, IMPORTER_SOURCE="none", PREALLOCATION="1")
        self.expect(pod, 0, '{"preallocationApplied":true,"message":"Import Complete"}')
        self.assertEqual(self.content().strip(b"\0"), b"")


def main():
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    if not shutil.which("nginx", path=path):
        print("nginx is not installed")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0]] + sys.argv[2:], verbosity=2)


if __name__ == "__main__":
    main()
