#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The container image of this machine's architecture: built, looked at, and entered.

    test_image.py IMAGE-DIRECTORY [unittest arguments]

Builds the image first (image/build; seconds when nothing has changed). What runs in it runs without
anything of this machine but its kernel, in a chroot as user 107, which is what a pod gets. Needs root
or sudo.
"""
import gzip
import hashlib
import http.server
import io
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
ARCH = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True,
                      check=True).stdout.strip()
BUILT = TOP / "build-image" / ARCH
MIB = 1 << 20
PROGRAMS = ["slipway", "slipway-controller", "slipway-importer"]


def setUpModule():
    subprocess.run([TOP / "image" / "build"], check=True, stdout=subprocess.DEVNULL)


def blob(descriptor):
    """The bytes that a descriptor promises."""
    data = (BUILT / "oci" / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()
    assert len(data) == descriptor["size"]
    assert "sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"]
    return data


def manifest():
    index = json.loads((BUILT / "oci" / "index.json").read_text())
    return json.loads(blob(index["manifests"][0]))


def members():
    """Every tar entry of every layer."""
    for descriptor in manifest()["layers"]:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob(descriptor)))) as tar:
            yield from tar.getmembers()


class Layout(unittest.TestCase):
    def test_layers_are_what_the_config_says(self):
        config = json.loads(blob(manifest()["config"]))
        layers = [gzip.decompress(blob(x)) for x in manifest()["layers"]]

        self.assertEqual(config["rootfs"]["diff_ids"],
                         ["sha256:" + hashlib.sha256(x).hexdigest() for x in layers])
        self.assertEqual(config["architecture"], ARCH)
        self.assertEqual(config["config"]["User"], "107:107")

    def test_the_tarball_holds_the_layout(self):
        with tarfile.open(BUILT / "slipway.tar") as tar:
            inside = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}
        layout = {str(p.relative_to(BUILT / "oci")): p.read_bytes()
                  for p in (BUILT / "oci").rglob("*") if p.is_file()}

        self.assertEqual(inside, layout)
        for image in json.loads(inside["manifest.json"]):
            for path in [image["Config"], *image["Layers"]]:
                self.assertIn(path, inside)

    def test_the_same_input_gives_the_same_bytes(self):
        with tempfile.TemporaryDirectory() as again:
            shutil.copytree(BUILT / "programs", f"{again}/programs")
            for line in (BUILT / "cross.ini").read_text().splitlines():
                if line.startswith("sys_root"):
                    sysroot = line.split("'")[1]
            subprocess.run([TOP / "image" / "assemble.py", "--arch", ARCH, "--suite", "trixie",
                            "--sysroot", sysroot,
                            "--triplet", f"{os.uname().machine}-linux-gnu",
                            "--programs", f"{again}/programs", "--out", again],
                           check=True, stdout=subprocess.DEVNULL)
            self.assertEqual(pathlib.Path(f"{again}/slipway.tar").read_bytes(),
                             (BUILT / "slipway.tar").read_bytes())

    def test_everything_belongs_to_root_and_nothing_is_privileged(self):
        for m in members():
            self.assertEqual((m.uid, m.gid, m.mtime), (0, 0, 0), m.name)
            self.assertEqual(m.mode & 0o6000, 0, m.name)
            if not m.issym() and not m.name.endswith("tmp"):
                self.assertEqual(m.mode & 0o022, 0, m.name)

    def test_there_is_no_shell_and_no_package_manager(self):
        names = {pathlib.PurePath(m.name).name for m in members() if m.isfile()}

        self.assertLessEqual({"gpgv", *PROGRAMS}, names)
        self.assertEqual(names & {"sh", "bash", "dash", "busybox", "apt", "dpkg", "perl", "python3"}, set())

    def test_it_stays_small(self):
        self.assertLess(sum(m.size for m in members()), 60 * MIB)
        self.assertLess((BUILT / "slipway.tar").stat().st_size, 40 * MIB)

    def test_scanners_find_every_package(self):
        files = {m.name for m in members()}
        packages = {e["name"]: e["versionInfo"]
                    for e in json.loads((BUILT / "sbom.json").read_text())["packages"]
                    if e["name"] != "slipway"}

        self.assertLessEqual({"libc6", "libcurl4t64", "ca-certificates", "gpgv"}, set(packages))
        for name, version in packages.items():
            control = (BUILT / "root/var/lib/dpkg/status.d" / name).read_text()
            self.assertIn(f"\nVersion: {version}\n", control)
            self.assertIn(f"usr/share/doc/{name}/copyright", files)


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """Clients hang up when they have seen enough."""


class Entered(unittest.TestCase):
    """A copy of the image's root with a volume at /data."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="slipway-image-")
        cls.root = pathlib.Path(cls.folder.name) / "root"
        shutil.copytree(BUILT / "root", cls.root, symlinks=True)
        cls.root.parent.chmod(0o755)
        for name in ("data", "tmp"):
            (cls.root / name).mkdir(exist_ok=True)
            (cls.root / name).chmod(0o1777)
        cls.disk = os.urandom(3 * MIB) + bytes(5 * MIB)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_inside(self, *command, env=None):
        enter = [] if os.geteuid() == 0 else ["sudo", "-n"]
        enter += ["unshare", "--pid", "--fork", "--kill-child", f"--mount-proc={self.root}/proc"]
        # The environment is set outside: there is no env in the image.
        enter += ["env", "-i", f"PATH={os.environ['PATH']}"]
        enter += [f"{k}={v}" for k, v in (env or {}).items()]
        enter += ["chroot", "--userspec=107:107", self.root]
        return subprocess.run([*enter, *command], capture_output=True, text=True, check=False,
                              timeout=120)

    def test_every_program_starts(self):
        installed = sorted(p.name for p in (self.root / "usr/bin").iterdir() if p.name != "gpgv")

        self.assertLessEqual(set(PROGRAMS), set(installed))
        for name in installed:
            got = self.run_inside(f"/usr/bin/{name}", "--version")
            self.assertEqual((got.returncode, got.stderr), (0, ""), name)
            self.assertTrue(got.stdout.startswith(f"{name} "), got.stdout)
        self.assertEqual(self.run_inside("/usr/bin/gpgv", "--version").returncode, 0)

    def test_an_image_in_a_file_is_imported(self):
        (self.root / "data/disk.gz").write_bytes(gzip.compress(self.disk))
        got = self.run_inside("/usr/bin/slipway", "import", "/data/disk.gz", "/data/from-file.img")

        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertEqual((self.root / "data/from-file.img").read_bytes(), self.disk)

    def test_an_archive_is_unpacked_whatever_its_names_are(self):
        with tarfile.open(self.root / "data/files.tar", "w") as tar:
            tar.addfile(tarfile.TarInfo("Grüße/läuft"))
        got = self.run_inside("/usr/bin/slipway", "unpack", "/data/files.tar", "/data/unpacked")

        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertTrue((self.root / "data/unpacked/Grüße/läuft").exists())

    def test_the_importer_fetches_over_https(self):
        tls = pathlib.Path(self.folder.name)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-days", "2", "-subj", "/CN=image", "-addext",
                        "subjectAltName=IP:127.0.0.1", "-keyout", tls / "key", "-out", tls / "cert"],
                       check=True, capture_output=True)
        (self.root / "certs").mkdir()
        shutil.copy(tls / "cert", self.root / "certs/ca.pem")
        (tls / "www").mkdir()
        (tls / "www/disk.raw").write_bytes(self.disk)
        server = Server(
            ("127.0.0.1", 0), lambda *a: Files(*a, directory=str(tls / "www")))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "cert", tls / "key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)

        (self.root / "dev/termination-log").touch()
        (self.root / "dev/termination-log").chmod(0o666)
        got = self.run_inside("/usr/bin/slipway-importer", env={
            "IMPORTER_SOURCE": "http", "IMPORTER_CONTENTTYPE": "kubevirt", "PREALLOCATION": "false",
            "IMPORTER_ENDPOINT": f"https://127.0.0.1:{server.server_address[1]}/disk.raw",
            "IMPORTER_IMAGE_SIZE": str(16 * MIB), "FILESYSTEM_OVERHEAD": "0", "OWNER_UID": "uid",
            "IMPORTER_CERT_DIR": "/certs", "SLIPWAY_METRICS_PORT": "0"})

        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertEqual((self.root / "data/disk.img").read_bytes()[:len(self.disk)], self.disk)
        self.assertIn("Import Complete", (self.root / "dev/termination-log").read_text())

    def test_public_authorities_are_trusted(self):
        context = ssl.create_default_context(
            cafile=self.root / "etc/ssl/certs/ca-certificates.crt")

        self.assertGreater(len(context.get_ca_certs()), 100)


if __name__ == "__main__":
    unittest.main()
