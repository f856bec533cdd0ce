# SPDX-License-Identifier: Apache-2.0
"""Must hold, 3: whoever is killed, everything comes to its end, once."""
import random
import threading
import time

import harness
from e2e import process
import product
from product import datavolume
from servers import Fixtures

IMPORTS = 30
KILLS = 50


class Kills(process.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = product.boot_images()
        cls.servers = cls.enterClassContext(Fixtures(cls.directory))

    def http(self, path="boot-c.qcow2"):
        return {"http": {"url": self.servers.url(path)}}

    def test_the_controller_killed_at_fifty_moments(self):
        """30 DataVolumes, some blank, some with a claim spec; kill -9 at random moments."""
        seed = random.randrange(1 << 32)
        moments = random.Random(seed)
        print("# seed %d" % seed)
        names = ["dv-%02d" % i for i in range(IMPORTS)]
        dvs = [datavolume(n, self.ns, {"blank": {}} if i % 3 == 0 else self.http(), "local-immediate",
                          "300Mi") for i, n in enumerate(names)]
        with process.Controller() as controller:
            feeder = threading.Thread(target=self.feed, args=(dvs,))
            feeder.start()
            for _ in range(KILLS):
                time.sleep(moments.uniform(0.02, 1.2))
                controller.kill()
                controller.start(wait=False)
            feeder.join()
            self.wait_all("Succeeded", 6 * harness.SECONDS)
            self.check_one_claim_each(names)
        for name in names:
            reasons = {e["reason"] for e in harness.events(self.ns, name) if e["type"] == "Warning"}
            self.assertFalse(reasons & {"Error", "ErrResourceExists", "ErrImportFailed"},
                             (name, reasons))

    @staticmethod
    def feed(dvs):
        """They do not come all at once: each is in another phase when a kill comes."""
        for dv in dvs:
            harness.create(dv)
            time.sleep(0.5)

    def importer(self, name):
        """(host pid in the node's eyes) of the importer process of a DataVolume, or None."""
        pods = [p for p in harness.get_all("pods", self.ns)
                if p["metadata"]["name"] == "importer-" + name]
        if not pods:
            return None
        uid = pods[0]["metadata"]["uid"]
        found = harness.on_node(
            "sh", "-c", 'for p in /proc/[0-9]*; do grep -qs "pod%s" $p/cgroup && '
            'grep -qs slipway-importe $p/comm && echo ${p#/proc/}; done; true' % uid)
        return found.stdout.split()[0] if found.stdout.split() else None

    def test_importers_killed_twenty_times(self):
        """Ten imports, each killed twice while it runs: it resumes, and nobody hears of an error."""
        names = ["dv-%d" % i for i in range(10)]
        wrong = []
        with process.Controller():
            harness.create(*[datavolume(n, self.ns, self.http("slow/200k/boot-c.qcow2"), "local-immediate",
                                        "300Mi") for n in names])
            killed = {n: 0 for n in names}

            def step():
                for dv in harness.get_all("datavolumes", self.ns):
                    name = dv["metadata"]["name"]
                    running = harness.conditions(dv).get("Running", {})
                    if running.get("status") == "False" and running.get("reason") == "Error":
                        wrong.append((name, running))
                    restarts = dv["status"].get("restartCount", 0)
                    if killed[name] < 2 and restarts == killed[name] and \
                            dv["status"].get("phase") == "ImportInProgress" and \
                            dv["status"].get("progress", "N/A") not in ("N/A", "100.0%"):
                        pid = self.importer(name)
                        if pid:
                            harness.on_node("kill", "-KILL", pid, check=False)
                            killed[name] += 1
                return all(p == "Succeeded" for p in self.phases().values())
            harness.wait_for("all to succeed", step, 6 * harness.SECONDS, 0.5)
            self.check_one_claim_each(names)
        counts = {n: harness.get("datavolume", n, self.ns)["status"].get("restartCount", 0)
                  for n in names}
        print("# killed %s, restart counts %s" % (killed, counts))
        self.assertEqual(counts, killed)
        self.assertGreaterEqual(sum(killed.values()), 15)
        self.assertEqual(wrong, [])


class Leaders(process.Case):
    def test_a_killed_leader_is_followed_within_twenty_seconds(self):
        with process.Controller("--leader-elect") as a, process.Controller("--leader-elect") as b:
            leader, other = self.who_leads(a, b)
            time.sleep(2)
            began = time.monotonic()
            leader.kill()
            harness.create(datavolume("x", self.ns, {"blank": {}}, "fake", "64Mi"))
            harness.wait_for("the other to work", lambda: harness.get("pvc", "x", self.ns), every=0.1)
            took = time.monotonic() - began
            print("# failover after kill -9: %.1f s" % took)
            self.assertTrue(other.leads())
            self.assertLess(took, 20)

    def test_a_leader_that_ends_hands_over_at_once(self):
        with process.Controller("--leader-elect") as a, process.Controller("--leader-elect") as b:
            leader, other = self.who_leads(a, b)
            began = time.monotonic()
            status, seconds = leader.terminate()
            self.assertEqual(status, 0, leader.log()[-2000:])
            harness.wait_for("the other to lead", other.leads, every=0.05)
            print("# handover after SIGTERM: %.1f s, the process ended after %.2f s" %
                  (time.monotonic() - began, seconds))
            self.assertLess(time.monotonic() - began, 10)
            harness.create(datavolume("x", self.ns, {"blank": {}}, "fake", "64Mi"))
            harness.wait_for("the other to work", lambda: harness.get("pvc", "x", self.ns))

    def who_leads(self, a, b):
        harness.wait_for("one to lead", lambda: a.leads() or b.leads())
        harness.wait_for("both to be ready", lambda: a.is_ready() and b.is_ready())
        self.assertNotEqual(a.leads(), b.leads())
        return (a, b) if a.leads() else (b, a)
