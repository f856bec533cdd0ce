#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench.py [ROW...]: what the control plane takes, on the cluster that runs; CDI's figures beside it.

Rows: install, tiny, import, rate, burst, memory, size; without a word all of them. CDI v1.66 was
measured on the same kind of machine (2 cores, one node, everything on them); its figures are in
docs/PERFORMANCE.md.

SLIPWAY_BENCH_IMAGE   the qcow2 of row "import" (default: real.qcow2 of ./dev bench's images)
SLIPWAY_BENCH_MOST    DataVolumes of row "memory" (default 5000)
"""
import contextlib
import os
import statistics
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path[:0] = [HERE, os.path.join(TOP, "tests/cluster")]
sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import harness      # noqa: E402
import lifecycle    # noqa: E402
from e2e import process  # noqa: E402
import product      # noqa: E402
from api import Api, collection     # noqa: E402
from servers import Fixtures        # noqa: E402

MIB = 1 << 20
TINY_RUNS = 50


def say(what, ours, promise="", cdi=""):
    print("%-58s %14s   %-12s %s" % (what, ours, promise, cdi), flush=True)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Space:
    """A namespace for one row."""

    def __enter__(self):
        self.name = "bench-%x" % (time.time_ns() // 1000)
        harness.kubectl("create", "namespace", self.name)
        return self.name

    def __exit__(self, *_):
        harness.kubectl("delete", "namespace", self.name, "--wait=false")


# ---- install ----

def row_install(_):
    """Manifests applied until all is ready, images present; and what the replicas take at rest."""
    took = []
    for _ in range(3):
        harness.kubectl("delete", "-f", product.MANIFEST, "--ignore-not-found", "--wait=true",
                        timeout=300)
        product.load_image()
        took.append(product.install())
    say("manifests applied -> all ready", "%.1f s" % statistics.median(took), "< 5 s", "CDI 23.4")
    time.sleep(10)
    say("idle RSS of all control-plane processes",
        "%.1f MiB" % (sum(controllers_rss()) / MIB), "< 30 MiB", "CDI 237")


def controllers_rss():
    """Bytes of each replica in the cluster."""
    out = harness.on_node("sh", "-c", "for p in /proc/[0-9]*; do grep -qs '^slipway-control' $p/comm "
                          "&& grep VmRSS $p/status; done; true").stdout
    return [int(line.split()[1]) << 10 for line in out.splitlines()]


# ---- one import ----

class Steps:
    """When the objects of one import first showed what."""

    def __init__(self, api, namespace):
        self.at = {}
        self.stops = [api.watch(collection(p, namespace), self.see) for p in
                      ("datavolumes", "persistentvolumeclaims", "pods")]

    def mark(self, name, now):
        self.at.setdefault(name, now)

    def see(self, now, kind, obj):
        status = obj.get("status", {})
        if obj["kind"] == "PersistentVolumeClaim":
            self.mark("claim made", now)
            if status.get("phase") == "Bound":
                self.mark("claim bound", now)
        if obj["kind"] == "Pod" and kind != "DELETED":
            self.mark("pod made", now)
            if obj["spec"].get("nodeName"):
                self.mark("pod scheduled", now)
            for c in status.get("containerStatuses", []):
                if "running" in c["state"]:
                    self.mark("container runs", now)
                if "terminated" in c["state"]:
                    self.mark("container ended", now)
        if obj["kind"] == "DataVolume" and status.get("phase") in ("Succeeded", "Failed"):
            self.mark(status["phase"], now)

    def stop(self):
        for stop in self.stops:
            stop()


ORDER = ("claim made", "claim bound", "pod made", "pod scheduled", "container runs",
         "container ended", "Succeeded")


def one_import(api, namespace, name, url, size, seconds=600):
    """{step: seconds since the DataVolume was created}."""
    steps = Steps(api, namespace)
    began = time.monotonic()
    api.call("POST", collection("datavolumes", namespace), product.datavolume(
        name, namespace, {"http": {"url": url}}, "local-immediate", size))
    harness.wait_for("the import", lambda: "Succeeded" in steps.at or "Failed" in steps.at, seconds,
                     0.01)
    steps.stop()
    if "Failed" in steps.at:
        raise AssertionError(product.describe(name, namespace))
    api.call("DELETE", collection("datavolumes", namespace) + "/" + name)
    return {k: v - began for k, v in steps.at.items()}


def split(runs):
    """The median of each step, as what it added to the one before."""
    parts, last = [], 0.0
    for step in ORDER:
        values = [r[step] for r in runs if step in r]
        if values:
            now = statistics.median(values)
            parts.append("%s +%.2f" % (step, now - last))
            last = now
    return ", ".join(parts)


def row_tiny(api):
    """The same small import again and again: no run may fall into a race of binder or kubelet."""
    with Space() as ns, Fixtures(product.boot_images()) as servers:
        url = servers.url("boot-c.qcow2")
        runs = [one_import(api, ns, "tiny-%d" % i, url, "300Mi") for i in range(TINY_RUNS)]
    total = [r["Succeeded"] for r in runs]
    say("a tiny import, DV created -> Succeeded, median of %d" % TINY_RUNS,
        "%.2f s" % statistics.median(total), "< 2 s", "CDI 7.0 and 7.3")
    say("  slowest of them / median", "%.2f" % (max(total) / statistics.median(total)), "< 3", "")
    print("  " + split(runs), flush=True)


def row_import(api):
    """1.6 GiB of data in a 6 GiB disk."""
    image = os.environ.get("SLIPWAY_BENCH_IMAGE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")),
        "slipway/bench/full-1/real.qcow2")
    if not os.path.exists(image):
        say("HTTP import of the 1.6 GiB qcow2", "not measured", "", "%s is missing" % image)
        return
    with Space() as ns, Fixtures(os.path.dirname(image)) as servers:
        url = servers.url(os.path.basename(image))
        runs = [one_import(api, ns, "real-%d" % i, url, "7Gi") for i in range(3)]
    say("HTTP import of the 1.6 GiB qcow2, median of 3",
        "%.1f s" % statistics.median(r["Succeeded"] for r in runs), "< 4 s", "CDI 17.4 and 19.1")
    print("  " + split(runs), flush=True)


# ---- many ----

def offer(api, namespace, names, rate):
    """Create DataVolumes at that rate (None: as fast as it goes): {name: when it was sent}."""
    sent, lock, turn = {}, threading.Lock(), iter(enumerate(names))
    began = time.monotonic()

    def run():
        while True:
            with lock:
                i, name = next(turn, (None, None))
            if name is None:
                return
            if rate:
                time.sleep(max(0, began + i / rate - time.monotonic()))
            sent[name] = time.monotonic()
            api.call("POST", collection("datavolumes", namespace), product.datavolume(
                name, namespace, {"http": {"url": "http://x.invalid/d"}}, "fake", "64Mi"))
    threads = [threading.Thread(target=run) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return sent


def latencies(api, rate, n):
    """Seconds from the DataVolume's creation to its importer pod object."""
    with Space() as ns:
        seen = {}
        stop = api.watch(collection("pods", ns), lambda now, kind, obj: seen.setdefault(
            obj["metadata"]["name"], now))
        sent = offer(api, ns, ["dv-%04d" % i for i in range(n)], rate)
        harness.wait_for("%d pods" % n, lambda: len(seen) >= n, 600, 0.05)
        stop()
        began = min(sent.values())
        return ([seen["importer-" + name] - at for name, at in sent.items()],
                max(seen.values()) - began, max(sent.values()) - began)


@contextlib.contextmanager
def outside():
    """The controller as a process of the machine, with its account's rights, not in a pod: so that it
    can be looked at, and nothing of kubelet is measured."""
    process.scale_deployment(0)
    try:
        with process.Controller() as c:
            harness.wait_for("the controller", c.is_ready)
            yield c
    finally:
        process.scale_deployment(2)


def row_rate(api):
    with outside():
        measure_rates(api)


def measure_rates(api):
    cdi = {1: "CDI 0.12 s", 20: "CDI 13.4 s", 100: "CDI 15.4 s"}
    for rate, n in ((1, 20), (20, 100), (100, 100)):
        values, _, _ = latencies(api, rate, n)
        say("DV created -> importer pod object at %d DV/s, p50 / p99" % rate, "%.0f / %.0f ms" % (
            1000 * percentile(values, .5), 1000 * percentile(values, .99)), "p99 < 100 ms", cdi[rate])


def row_burst(api):
    with outside():
        values, last, offered = latencies(api, None, 1000)
    say("1,000 DVs at once -> last pod object", "%.1f s" % last, "< 15 s",
        "(the last DV was accepted after %.1f s; p50 %.1f s)" % (offered, percentile(values, .5)))


# ---- memory ----

def idle_share(controller, seconds=30):
    cpu, began = controller.cpu(), time.monotonic()
    time.sleep(seconds)
    return (controller.cpu() - cpu) / (time.monotonic() - began)


def row_memory(api):
    most = int(os.environ.get("SLIPWAY_BENCH_MOST", "5000"))
    with Space() as ns, outside() as c:
        measure_memory(api, ns, c, most)
        api.call("DELETE", collection("datavolumes", ns))
        harness.wait_for("all to be gone", lambda: not api.count(
            collection("persistentvolumeclaims", ns)), 1800, 1)


def measure_memory(api, ns, c, most):
    cdi = {0: "CDI 79", 500: "CDI 110", 1000: "CDI 128", 2000: "CDI 166"}
    time.sleep(3)
    base = c.rss()
    say("controller RSS with 0 DVs", "%.1f MiB" % (base / MIB), "", cdi[0])
    done = 0
    for n in [n for n in (500, 1000, 2000, 5000) if n <= most]:
        offer(api, ns, ["dv-%05d" % i for i in range(done, n)], None)
        harness.wait_for("%d pods" % n, lambda n=n: api.count(collection("pods", ns)) >= n, 1800, 0.2)
        harness.wait_for("rest", lambda: c.metrics()["slipway_jobs"] == 0 and
                         c.metrics()["slipway_workqueue_depth"] == 0, 600, 0.5)
        done = n
        say("controller RSS with %d DVs" % n, "%.1f MiB" % (c.rss() / MIB),
            "< 64 MiB" if n == 5000 else "", cdi.get(n, ""))
    say("  per DV", "%.0f bytes" % ((c.rss() - base) / max(done, 1)), "< 4096", "CDI 38 KiB")
    time.sleep(10)
    say("idle CPU with %d DVs" % done, "%.3f %%" % (100 * idle_share(c)), "< 0.1 %",
        "CDI 1.2 with 2,000")
    metrics = c.metrics()
    say("  failed watches, lists again", "%d, %d" % (metrics["slipway_watch_failures_total"],
                                                     metrics["slipway_relists_total"]), "0, 0", "")
    for name, value in sorted(metrics.items()):
        if name.startswith("slipway_cache_bytes") and value > 100000:
            print("  %s %.1f MiB" % (name, value / MIB), flush=True)


# ---- sizes ----

def row_size(_):
    for name in ("controller/slipway-controller", "importer/slipway-importer", "cli/slipway"):
        path = os.path.join(TOP, "build", name)
        say("size of " + os.path.basename(name), "%.2f MiB" % (os.path.getsize(path) / MIB), "", "")


ROWS = {"install": row_install, "tiny": row_tiny, "import": row_import, "rate": row_rate,
        "burst": row_burst, "memory": row_memory, "size": row_size}


def main():
    words = sys.argv[1:] or list(ROWS)
    unknown = [w for w in words if w not in ROWS]
    if unknown:
        sys.exit("bench.py: no row %s; there are %s" % (", ".join(unknown), ", ".join(ROWS)))
    who = lifecycle.owner()
    if not who:
        sys.exit("bench.py: no cluster runs: ./dev cluster up")
    os.environ["SLIPWAY_CLUSTER_PROGRAMS"] = who["programs"]
    product.ensure()
    say("", "Slipway", "promise", "")
    api = Api()
    for word in words:
        ROWS[word](api)


if __name__ == "__main__":
    main()
