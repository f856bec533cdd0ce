# SPDX-License-Identifier: Apache-2.0
"""Must hold, 6: thousands of DataVolumes on volumes that nobody mounts. SLIPWAY_SCALE is how many at
most (default 500, so that the suite stays short; the promises are made for 5000)."""
import json
import os
import time

import harness
from e2e import process
from product import datavolume

MOST = int(os.environ.get("SLIPWAY_SCALE", "500"))
BATCH = 500
RSS_MAX = 64 * harness.MIB
PER_DV = 4096


def idle_cpu(controller, seconds=20):
    """Share of a core while nothing happens."""
    before, began = controller.cpu(), time.monotonic()
    time.sleep(seconds)
    return (controller.cpu() - before) / (time.monotonic() - began)


class Scale(process.Case):
    def make(self, first, n):
        for at in range(first, first + n, BATCH):
            harness.create(*[datavolume("dv-%05d" % i, self.ns, {"http": {"url": "http://x.invalid/d"}},
                                        "fake", "64Mi")
                             for i in range(at, min(at + BATCH, first + n))])

    def count(self, plural, group="api/v1"):
        page = json.loads(harness.kubectl("get", "--raw", "/%s/namespaces/%s/%s?limit=1" %
                                          (group, self.ns, plural)))
        return len(page["items"]) + page["metadata"].get("remainingItemCount", 0)

    def test_thousands_at_once(self):
        with process.Controller() as controller:
            harness.wait_for("the controller", controller.is_ready)
            time.sleep(2)
            rows = [(0, controller.rss(), 0.0)]
            watches = controller.metrics()["slipway_watches_total"]
            done = 0
            for n in sorted({n for n in (500, 1000, 2000, 5000, MOST) if n <= MOST}):
                began = time.monotonic()
                self.make(done, n - done)
                harness.wait_for("%d pods" % n, lambda n=n: self.count("pods") == n, 1800, 0.5)
                took = time.monotonic() - began
                done = n
                harness.wait_for("the queue to be empty", lambda: self.is_at_rest(controller), 300)
                rows.append((n, controller.rss(), took))
            share = idle_cpu(controller)
            self.report(rows, share)
            metrics = controller.metrics()
            self.assertEqual(metrics["slipway_watch_failures_total"], 0)
            self.assertEqual(metrics["slipway_relists_total"], 0)
            self.assertEqual(self.count("persistentvolumeclaims"), MOST)
            self.assertLess(rows[-1][1], RSS_MAX)
            self.assertLess((rows[-1][1] - rows[0][1]) / MOST, PER_DV)
            self.assertLessEqual(metrics["slipway_watches_total"] - watches, 11 * 12)
        kubectl_delete = harness.kubectl("delete", "datavolumes", "--all", "-n", self.ns,
                                         "--wait=false", timeout=600)
        self.assertIn("deleted", kubectl_delete)

    @staticmethod
    def is_at_rest(controller):
        m = controller.metrics()
        return m["slipway_workqueue_depth"] == 0 and m["slipway_jobs"] == 0

    @staticmethod
    def report(rows, share):
        for n, rss, took in rows:
            print("# %5d DataVolumes: RSS %5.1f MiB%s, all pods after %.1f s" % (
                n, rss / harness.MIB,
                ", %.0f bytes each" % ((rss - rows[0][1]) / n) if n else "", took))
        print("# idle CPU %.3f %% of a core" % (100 * share), flush=True)
