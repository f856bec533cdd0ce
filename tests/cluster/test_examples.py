# SPDX-License-Identifier: Apache-2.0
"""Every file of manifests/examples, applied as a user would, ends as its comment says."""
import os
import pathlib
import subprocess
import tarfile
import tempfile
import unittest

import yaml

import harness
import images
from servers import Fixtures

EXAMPLES = pathlib.Path(harness.TOP) / "manifests" / "examples"
HOST = "https://images.example.org/"
DISK = "boot-c.qcow2"
IMMEDIATE = "local-immediate"


def install():
    """The image and the manifest, as a user would."""
    arch = images.ARCHITECTURES[os.uname().machine]
    images.load(os.path.join(harness.TOP, "build-image", arch, "slipway.tar"))
    harness.kubectl("apply", "-f", os.path.join(harness.TOP, "manifests/slipway.yaml"))
    harness.kubectl("rollout", "status", "-n", "cdi", "deployment/slipway-controller",
                    "--timeout=100s")


def boot_images():
    """The directory with the riscv64 boot disk in all its forms."""
    script = os.path.join(harness.TOP, "tests/images/make-variants")
    return subprocess.run([script], check=True, capture_output=True,
                          text=True).stdout.strip().splitlines()[-1]


class Examples(harness.Case):
    @classmethod
    def setUpClass(cls):
        install()
        boot = boot_images()
        cls.raw = boot + "/boot.raw"
        cls.served = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="slipway-examples-"))
        os.chmod(cls.served, 0o755)
        for name in (DISK, "SHA512SUMS"):
            os.symlink(f"{boot}/{name}", f"{cls.served}/{name}")
        with tarfile.open(cls.served + "/files.tar.gz", "w:gz") as tar:
            tar.add(__file__, "folder/file")
        cls.servers = cls.enterClassContext(Fixtures(cls.served))
        with open(boot + "/SHA512SUMS", encoding="ascii") as f:
            cls.sum = {line.split()[1]: line.split()[0] for line in f}[DISK]

    def apply(self, name, storage_class=IMMEDIATE, tls=False, folder="", **texts):
        """Apply an example: its host is ours, its texts replaced, its claims of that class."""
        text = (EXAMPLES / f"{name}.yaml").read_text()
        text = text.replace(HOST + "SHA256SUMS", self.servers.url("SHA512SUMS"))
        for what, ours in (("disk.qcow2", DISK), ("private/disk.qcow2", DISK),
                           ("token/disk.qcow2", DISK), ("files.tar.gz", "files.tar.gz")):
            text = text.replace(HOST + what, self.servers.url(folder + ours, tls))
        for old, new in texts.items():
            self.assertIn(old, text)
            text = text.replace(old, new)
        objects = list(yaml.safe_load_all(text))
        for o in objects:
            claim = o.get("spec", {})
            claim = claim.get("storage") or claim.get("pvc") or claim
            if storage_class and "resources" in claim:
                claim.update(storageClassName=storage_class)
                claim.setdefault("accessModes", ["ReadWriteOnce"])
            o["metadata"]["namespace"] = self.ns
        harness.apply(objects)

    def succeeded(self, name):
        harness.wait_phase("datavolume", name, self.ns, "Succeeded")

    def imported(self, name, **more):
        self.apply(name, **more)
        self.succeeded(name)
        self.check_disk(name)

    def check_disk(self, name):
        size, digest = harness.digest(name, self.ns)
        self.assertEqual(digest, harness.sha256_padded(self.raw, size))

    def test_http(self):
        self.imported("http")

    def test_http_checksum(self):
        self.imported("http-checksum", **{"sha256:" + "0" * 64: "sha512:" + self.sum})

    def test_http_checksum_as_it_stands_is_wrong(self):
        self.apply("http-checksum")
        harness.wait_phase("datavolume", "http-checksum", self.ns, "Failed")

    def test_http_checksum_url(self):
        self.imported("http-checksum-url")

    def test_http_architecture(self):
        self.imported("http-architecture")

    def test_http_ca(self):
        ca = self.servers.ca.strip().replace("\n", "\n    ")
        self.imported("http-ca", tls=True, **{
            "-----BEGIN CERTIFICATE-----\n    the certificate of your authority\n"
            "    -----END CERTIFICATE-----": ca})

    def test_http_auth(self):
        self.imported("http-auth", folder="auth/", **{"secretKey: password": "secretKey: pass"})

    def test_http_headers(self):
        self.imported("http-headers", folder="header/", **{"X-Purpose: example": "x-one: 1",
                                                           "X-Token: secret": "x-two: 2"})

    def test_block(self):
        self.imported("block")

    def test_wait_for_consumer(self):
        self.apply("wait-for-consumer", storage_class=None)
        self.succeeded("wait-for-consumer")
        harness.delete("pod", "consumer", self.ns)
        self.check_disk("wait-for-consumer")

    def test_immediate(self):
        self.imported("immediate", storage_class=None)

    def test_blank(self):
        self.apply("blank")
        self.succeeded("blank")
        size, digest = harness.digest("blank", self.ns)
        # What the class's file system leaves of the claim: it takes more than the usual 6 %.
        self.assertGreater(size, 900 << 20)
        self.assertEqual(digest, harness.sha256_padded(os.devnull, size))

    def test_archive(self):
        self.apply("archive")
        self.succeeded("archive")
        path = harness.volume_path("archive", self.ns) + "/folder/file"
        self.assertEqual(harness.on_node("cat", path).stdout, pathlib.Path(__file__).read_text())

    def test_preallocation(self):
        self.imported("preallocation")
        blocks, size = harness.on_node("stat", "-c", "%b %s", harness.disk_path(
            "preallocation", self.ns)).stdout.split()
        self.assertGreaterEqual(int(blocks) * 512, int(size))

    def test_pvc(self):
        self.imported("pvc")

    def test_annotated_claim(self):
        self.apply("annotated-claim", storage_class=None)
        harness.wait_for("the import", lambda: harness.get("pvc", "annotated-claim", self.ns)[
            "metadata"]["annotations"].get("cdi.kubevirt.io/storage.pod.phase") == "Succeeded")
        self.check_disk("annotated-claim")

    def test_adopt(self):
        self.apply("adopt")
        self.succeeded("adopt")
        self.assertEqual(harness.events(self.ns, "importer-adopt"), [])
        owners = harness.get("pvc", "adopt", self.ns)["metadata"]["ownerReferences"]
        self.assertEqual([(o["kind"], o["name"]) for o in owners], [("DataVolume", "adopt")])

    def test_keep_pod(self):
        self.imported("keep-pod")
        pod = harness.get("pod", "importer-keep-pod", self.ns)
        self.assertEqual(pod["status"]["phase"], "Succeeded")

    def test_none_is_forgotten(self):
        for path in EXAMPLES.glob("*.yaml"):
            self.assertTrue(hasattr(self, "test_" + path.stem.replace("-", "_")), path.name)


if __name__ == "__main__":
    unittest.main()
