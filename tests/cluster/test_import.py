# SPDX-License-Identifier: Apache-2.0
"""A boot disk from a web server into a claim of every kind, and the same while things break."""
import os
import threading

import harness
import product
from harness import smoke
from product import datavolume
from servers import Fixtures

DISK = "boot-c.qcow2"   # compressed qcow2 of a riscv64 disk


class Served(harness.Case):
    """Tests with the product installed and the boot disk on a web server."""

    @classmethod
    def setUpClass(cls):
        product.ensure()
        cls.directory = product.boot_images()
        cls.servers = cls.enterClassContext(Fixtures(cls.directory))
        with open(cls.directory + "/boot.raw", "rb") as f:
            cls.size = f.seek(0, os.SEEK_END)
        with open(cls.directory + "/SHA512SUMS", encoding="ascii") as f:
            cls.sums = {line.split()[1]: line.split()[0] for line in f}

    def http(self, path=DISK, **more):
        return {"http": {"url": self.servers.url(path), **more}}

    def create(self, name, *args, **more):
        harness.create(datavolume(name, self.ns, *args, **more))

    def oracle(self, name):
        """What the disk has to be: the raw image, and on a larger target zeros behind it."""
        size, digest = harness.digest(name, self.ns)
        want = harness.sha256_padded(self.directory + "/boot.raw", size)
        self.assertGreaterEqual(size, self.size)
        self.assertEqual(digest, want)
        return size

    def check_end(self, name):
        """After success: one claim, no pod, nothing that says otherwise."""
        dv = harness.get("datavolume", name, self.ns)
        conditions = harness.conditions(dv)
        self.assertEqual((conditions["Ready"]["status"], conditions["Bound"]["status"],
                          conditions["Running"]["status"]), ("True", "True", "False"), conditions)
        self.assertEqual(dv["status"]["progress"], "100.0%")
        self.assertEqual(dv["status"]["claimName"], name)
        harness.wait_for("the importer pod to go", lambda: not product.leftovers(self.ns))
        self.assertEqual([c["metadata"]["name"] for c in harness.get_all("pvc", self.ns)], [name])
        return dv

    def install_secrets(self):
        """What an import over HTTPS with everything needs."""
        harness.create(
            harness.config_map("ca", self.ns, **{"ca.pem": self.servers.ca}),
            harness.secret("login", self.ns, accessKeyId="user", secretKey="pass"),
            harness.secret("header", self.ns, header="x-two: 2"))


class Whole(Served):
    """Must hold, 1: everything at once, and it boots."""

    @smoke
    def test_everything_over_https_then_it_boots(self):
        self.install_secrets()
        self.create("disk", self.http_everything("8m"), storage_class="local-immediate")
        phases = harness.watch_values(lambda: product.phase("disk", self.ns),
                                      lambda p: p in ("Succeeded", "Failed"))
        order = ["", "Pending", "PVCBound", "ImportScheduled", "ImportInProgress", "Succeeded"]
        self.assertEqual(phases, sorted(phases, key=order.index), phases)
        self.assertIn("ImportInProgress", phases)
        self.check_end("disk")
        self.oracle("disk")
        path = harness.disk_path("disk", self.ns)
        self.assertEqual(harness.on_node("stat", "-c", "%u:%g %a", path).stdout, "107:107 660\n")
        self.assertTrue([e for e in harness.events(self.ns, "disk", "ImportSucceeded")])
        self.assertEqual(harness.boot("disk", self.ns).strip(), "riscv64")

    def http_everything(self, rate):
        return {"http": {
            "url": self.servers.url("all/%s/%s" % (rate, DISK), tls=True),
            "certConfigMap": "ca", "secretRef": "login",
            "extraHeaders": ["x-one: 1"], "secretExtraHeaders": ["header"],
            "checksum": "sha512:" + self.sums[DISK]}}

    def test_progress_moves(self):
        self.create("disk", self.http("slow/512k/" + DISK), storage_class="local-immediate")

        def progress():
            return (harness.get("datavolume", "disk", self.ns) or {}).get("status", {}).get("progress")
        seen = harness.watch_values(progress, lambda p: p == "100.0%")
        numbers = [float(p[:-1]) for p in seen if p and p.endswith("%")]
        self.assertEqual(numbers, sorted(numbers))
        self.assertTrue([n for n in numbers if 0 < n < 100], seen)


class Kinds(Served):
    """Must hold, 2: each kind of claim."""

    def imported(self, name, source, **more):
        self.create(name, source, **more)
        product.succeeded(name, self.ns)
        self.check_end(name)

    def test_a_block_volume(self):
        self.imported("disk", self.http(), storage_class="local-immediate", mode="Block",
                      size="300Mi")
        self.oracle("disk")
        self.assertEqual(harness.boot("disk", self.ns).strip(), "riscv64")

    def test_the_csi_class(self):
        self.imported("disk", self.http(), storage_class="csi")
        self.oracle("disk")

    def test_a_block_volume_of_the_csi_class(self):
        self.imported("disk", self.http(), storage_class="csi", mode="Block", size="300Mi")
        self.oracle("disk")

    def test_wffc_waits_for_its_consumer(self):
        self.create("disk", self.http(), storage_class="local-wffc")
        harness.wait_phase("datavolume", "disk", self.ns, ("WaitForFirstConsumer",
                                                           "PendingPopulation"))
        self.assertEqual(product.leftovers(self.ns), [])
        harness.create(harness.pod("consumer", self.ns, "sleep", "1", claim_name="disk"))
        product.succeeded("disk", self.ns)
        harness.delete("pod", "consumer", self.ns)
        self.check_end("disk")
        self.oracle("disk")

    def test_wffc_when_binding_is_asked_for(self):
        self.imported("disk", self.http(), storage_class="local-wffc",
                      annotations={"cdi.kubevirt.io/storage.bind.immediate.requested": ""})
        self.oracle("disk")

    def test_blank_disks(self):
        # On a file system the disk takes what its own tables and the overhead leave.
        for mode, least in (("Filesystem", 460 << 20), ("Block", 512 << 20)):
            with self.subTest(mode=mode):
                name = "blank-" + mode.lower()
                self.create(name, {"blank": {}}, storage_class="local-immediate", mode=mode,
                            size="512Mi")
                product.succeeded(name, self.ns)
                size, digest = harness.digest(name, self.ns)
                self.assertGreaterEqual(size, least)
                self.assertEqual(digest, harness.sha256_padded(os.devnull, size))


class Trouble(Served):
    """Must hold, 3: what breaks while an import runs. The disk is right all the same."""

    def slow_import(self, rate="512k"):
        self.create("disk", self.http("slow/%s/%s" % (rate, DISK)), storage_class="local-immediate")
        harness.wait_phase("datavolume", "disk", self.ns, "ImportInProgress")

    def goes_on(self):
        """The trouble came in the middle: there is still something to do."""
        self.assertEqual(product.phase("disk", self.ns), "ImportInProgress")

    def finished(self):
        product.succeeded("disk", self.ns, 2 * harness.SECONDS)
        dv = self.check_end("disk")
        self.oracle("disk")
        return dv

    def test_kubelet_is_restarted(self):
        self.slow_import()
        harness.daemon("restart", "kubelet")
        self.goes_on()
        dv = self.finished()
        self.assertEqual(dv["status"].get("restartCount", 0), 0)

    def test_kubelet_is_killed_and_stays_away_for_a_while(self):
        self.slow_import()
        harness.daemon("stop", "kubelet")
        threading.Event().wait(5)
        harness.daemon("start", "kubelet")
        self.goes_on()
        self.assertEqual(self.finished()["status"].get("restartCount", 0), 0)

    def test_the_api_server_is_killed(self):
        self.slow_import()
        harness.daemon("kill", "kube-apiserver")
        harness.wait_for("the API server", harness.api_ready)
        self.goes_on()
        self.finished()

    def test_the_api_server_is_away_when_the_import_ends(self):
        self.slow_import("6m")
        harness.daemon("stop", "kube-apiserver")
        threading.Event().wait(10)
        harness.daemon("start", "kube-apiserver")
        harness.wait_for("the API server", harness.api_ready)
        self.finished()

    def test_containerd_is_restarted(self):
        self.slow_import()
        harness.daemon("restart", "containerd")
        self.goes_on()
        self.finished()
