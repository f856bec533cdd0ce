# SPDX-License-Identifier: Apache-2.0
"""Storage of the cluster: sizes that are real, devices, snapshots, copies, and that nothing stays."""
import json

import harness
from harness import MIB, claim, pod, run_pod, smoke

NO_SPACE = 28


def loops():
    """Files under the loop devices of the node that are the cluster's."""
    listed = json.loads(harness.on_node("losetup", "--list", "--json", "--output",
                                        "BACK-FILE").stdout or '{"loopdevices": []}')
    return [r["back-file"] for r in listed["loopdevices"]]


class Local(harness.Case):
    def bound(self, name):
        return harness.wait_phase("pvc", name, self.ns, "Bound")

    @smoke
    def test_a_full_volume_says_so(self):
        harness.create(claim("disk", self.ns, "local-wffc", "64Mi"))
        status, text = run_pod(pod("fill", self.ns, "fill", "/data/file", str(256 * MIB),
                                   claim_name="disk"))
        self.assertEqual(status, NO_SPACE, text)
        written = int(text.split()[0])
        self.assertGreater(written, 40 * MIB)
        self.assertLess(written, 64 * MIB)

    def test_xfs(self):
        harness.create(claim("disk", self.ns, "local-xfs", "512Mi"))
        self.bound("disk")
        status, text = run_pod(pod("fill", self.ns, "fill", "/data/file", str(1024 * MIB),
                                   claim_name="disk"))
        self.assertEqual(status, NO_SPACE, text)
        kind = harness.on_node("findmnt", "-n", "-o", "FSTYPE",
                               harness.volume_path("disk", self.ns)).stdout.strip()
        self.assertEqual(kind, "xfs")

    def test_immediate_binds_and_wffc_waits(self):
        harness.create(claim("now", self.ns, "local-immediate"), claim("later", self.ns, "local-wffc"))
        self.bound("now")
        harness.wait_for("the reason", lambda: harness.events(self.ns, "later", "WaitForFirstConsumer"))
        self.assertEqual(harness.get("pvc", "later", self.ns)["status"]["phase"], "Pending")
        self.assertEqual(run_pod(pod("first", self.ns, "id", claim_name="later"))[0], 0)
        self.bound("later")

    @smoke
    def test_a_device_belongs_to_a_pod_that_is_not_root(self):
        harness.create(claim("disk", self.ns, "local-immediate", "16Mi", mode="Block"))
        self.bound("disk")
        for name, command, want in (("write", ("write", "/dev/disk", "on the device"), ""),
                                    ("read", ("read", "/dev/disk", "13"), "on the device\n")):
            status, text = run_pod(pod(name, self.ns, *command, claim_name="disk", block=True))
            self.assertEqual((status, text), (0, want))
        status, text = run_pod(pod("fill", self.ns, "fill", "/dev/disk", str(32 * MIB),
                                   claim_name="disk", block=True))
        self.assertEqual((status, text.split()[0]), (NO_SPACE, str(16 * MIB)))

    def test_nothing_stays_of_a_deleted_claim(self):
        harness.create(claim("file", self.ns, "local-immediate"),
                       claim("block", self.ns, "local-immediate", mode="Block"))
        names = [self.bound(n)["spec"]["volumeName"] for n in ("file", "block")]
        self.assertTrue(all(any(n in f for f in loops()) for n in names), loops())
        for block, name in ((False, "file"), (True, "block")):
            self.assertEqual(run_pod(pod(name, self.ns, "id", claim_name=name, block=block))[0], 0)
            harness.delete("pvc", name, self.ns)
        for name in names:
            harness.wait_gone("pv", name)
            harness.wait_for("its loop device to go", lambda n=name: not any(n in f for f in loops()))
        left = harness.on_node("ls", "/var/lib/slipway-cluster/volumes").stdout
        self.assertFalse([n for n in names if n in left], left)

    def test_fake_claims_bind_by_the_hundred(self):
        harness.create(*[claim("c%d" % i, self.ns, "fake") for i in range(300)])

        def all_bound():
            claims = harness.get_all("pvc", self.ns)
            return all(c["status"]["phase"] == "Bound" for c in claims) and len(claims) == 300
        harness.wait_for("300 claims to bind", all_bound, every=1)


class Csi(harness.Case):
    def test_a_full_volume_says_so(self):
        harness.create(claim("disk", self.ns, "csi-wffc", "64Mi"))
        status, text = run_pod(pod("fill", self.ns, "fill", "/data/file", str(256 * MIB),
                                   claim_name="disk"))
        self.assertEqual(status, NO_SPACE, text)

    def test_a_device_belongs_to_a_pod_that_is_not_root(self):
        harness.create(claim("disk", self.ns, "csi", "16Mi", mode="Block"))
        self.assertEqual(run_pod(pod("write", self.ns, "write", "/dev/disk", "csi", claim_name="disk",
                                     block=True))[0], 0)
        self.assertEqual(run_pod(pod("read", self.ns, "read", "/dev/disk", "3", claim_name="disk",
                                     block=True)), (0, "csi\n"))

    def snapshot(self, name, source):
        harness.create({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
                        "metadata": {"name": name, "namespace": self.ns},
                        "spec": {"volumeSnapshotClassName": "csi",
                                 "source": {"persistentVolumeClaimName": source}}})
        return harness.wait_for("the snapshot", lambda: harness.get(
            "volumesnapshot", name, self.ns).get("status", {}).get("readyToUse"))

    @smoke
    def test_a_snapshot_keeps_what_was_there(self):
        harness.create(claim("disk", self.ns, "csi", "32Mi"))
        self.assertEqual(run_pod(pod("one", self.ns, "write", "/data/file", "before",
                                     claim_name="disk"))[0], 0)
        self.snapshot("snap", "disk")
        self.assertEqual(run_pod(pod("two", self.ns, "write", "/data/file", "after!",
                                     claim_name="disk"))[0], 0)
        harness.create(claim("copy", self.ns, "csi", "64Mi", dataSource={
            "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "snap"}))
        self.assertEqual(run_pod(pod("three", self.ns, "read", "/data/file", "6", claim_name="copy")),
                         (0, "before\n"))
        status, text = run_pod(pod("four", self.ns, "fill", "/data/more", str(128 * MIB),
                                   claim_name="copy"))
        self.assertEqual(status, NO_SPACE)
        self.assertGreater(int(text.split()[0]), 32 * MIB, "the file system fills the larger volume")

    def test_a_claim_of_a_claim_is_a_copy(self):
        harness.create(claim("disk", self.ns, "csi", "32Mi", mode="Block"))
        self.assertEqual(run_pod(pod("one", self.ns, "write", "/dev/disk", "original",
                                     claim_name="disk", block=True))[0], 0)
        harness.create(claim("copy", self.ns, "csi", "32Mi", mode="Block", dataSource={
            "kind": "PersistentVolumeClaim", "name": "disk"}))
        self.assertEqual(run_pod(pod("two", self.ns, "read", "/dev/disk", "8", claim_name="copy",
                                     block=True)), (0, "original\n"))

    def test_nothing_stays_of_a_deleted_claim(self):
        harness.create(claim("disk", self.ns, "csi"))
        self.assertEqual(run_pod(pod("use", self.ns, "id", claim_name="disk"))[0], 0)
        bound = harness.wait_phase("pvc", "disk", self.ns, "Bound")
        volume = harness.get("pv", bound["spec"]["volumeName"])["spec"]["csi"]["volumeHandle"]
        harness.delete("pvc", "disk", self.ns)
        harness.wait_for("the file to go", lambda: volume not in harness.on_node(
            "ls", "/var/lib/slipway-cluster/csi").stdout)
        self.assertFalse([f for f in loops() if volume in f])
