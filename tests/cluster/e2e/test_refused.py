# SPDX-License-Identifier: Apache-2.0
"""Must hold, 5: what cannot become right by trying again ends Failed, says why, and is not tried again."""
import time

import harness
import product
from product import datavolume
from servers import Fixtures


class Refused(harness.Case):
    @classmethod
    def setUpClass(cls):
        product.ensure()
        cls.directory = product.boot_images()
        cls.servers = cls.enterClassContext(Fixtures(cls.directory))

    def refused(self, dv, text):
        """Ends Failed with this text in a condition and in an event; one pod, never another."""
        name = dv["metadata"]["name"]
        harness.create(dv)
        failed = harness.wait_phase("datavolume", name, self.ns, "Failed")
        running = harness.conditions(failed)["Running"]
        self.assertEqual(running["status"], "False")
        self.assertIn(text, running["message"])
        warnings = [e for e in harness.events(self.ns, name) if e["type"] == "Warning"]
        self.assertTrue([e for e in warnings if text in e["message"]], warnings)
        harness.wait_for("the importer pod to go", lambda: not product.leftovers(self.ns))
        time.sleep(5)   # a loop would have begun by now
        self.assertEqual(product.leftovers(self.ns), [])
        again = harness.get("datavolume", name, self.ns)
        self.assertEqual(again["status"]["phase"], "Failed")
        self.assertEqual(again["status"].get("restartCount", 0), 0)
        self.assertEqual(harness.conditions(again)["Ready"]["status"], "False")
        return again

    def http(self, **more):
        return {"http": {"url": self.servers.url("boot-c.qcow2"), **more}}

    @harness.smoke
    def test_a_disk_of_another_architecture(self):
        self.refused(datavolume("arch", self.ns, self.http(), "local-immediate", annotations={
            "slipway.io/expect-architecture": "aarch64"}), "riscv64")

    def test_a_disk_with_another_checksum(self):
        self.refused(datavolume("sum", self.ns, self.http(checksum="sha256:" + 64 * "0"),
                                "local-immediate"), "checksum mismatch")

    def test_the_right_architecture_is_taken(self):
        harness.create(datavolume("right", self.ns, self.http(), "local-immediate", annotations={
            "slipway.io/expect-architecture": "riscv64"}))
        product.succeeded("right", self.ns)
