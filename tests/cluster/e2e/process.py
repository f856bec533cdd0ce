# SPDX-License-Identifier: Apache-2.0
"""The controller as a process of the machine, with the rights of its service account: something that
can be killed at any moment and begins again at once, without a kubelet's back-off in between."""
import base64
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request

import harness
import product

PROGRAM = os.path.join(harness.TOP, "build/controller/slipway-controller")


def kubeconfig_of_account(directory):
    """A kubeconfig with a token of the controller's account: its RBAC is tested, too."""
    admin = json.loads(harness.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    cluster = admin["clusters"][0]["cluster"]
    if "certificate-authority" in cluster:
        with open(cluster.pop("certificate-authority"), "rb") as f:
            cluster["certificate-authority-data"] = base64.b64encode(f.read()).decode()
    token = harness.kubectl("create", "token", product.DEPLOYMENT, "-n", product.NAMESPACE,
                            "--duration=24h").strip()
    path = os.path.join(directory, "kubeconfig")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "c",
                   "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                   "clusters": [{"name": "k", "cluster": cluster}],
                   "users": [{"name": "u", "user": {"token": token}}]}, f)
    return path


class Controller:
    """One process. A context manager; `with Controller() as c: c.kill(); c.start()`."""

    def __init__(self, *args):
        self.args = args
        self.directory = tempfile.TemporaryDirectory(prefix="slipway-controller-")
        self.kubeconfig = kubeconfig_of_account(self.directory.name)
        self.log_path = os.path.join(self.directory.name, "log")
        self.process = None
        self.port = 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        self.directory.cleanup()

    def start(self, wait=True):
        begin = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "--kubeconfig", self.kubeconfig, "--port", "0",
                 "--namespace", product.NAMESPACE, "--image", image(), *self.args], stderr=log)
        if wait:
            self.port = harness.wait_for("the controller to begin",
                                         lambda: self._line(begin, "controller.begins"), every=0.02)["port"]

    def _line(self, begin, event):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            log.seek(begin)
            for line in log:
                if '"%s"' % event in line and line.endswith("\n"):
                    return json.loads(line)
        if self.process.poll() is not None:
            raise AssertionError("the controller ended with %s:\n%s" %
                                 (self.process.returncode, self.log()[-4000:]))
        return None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def terminate(self):
        """SIGTERM; (exit status, seconds until the end)."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(harness.SECONDS)
        return status, time.monotonic() - began

    def page(self, path):
        with urllib.request.urlopen("http://127.0.0.1:%d%s" % (self.port, path), timeout=30) as r:
            return r.read().decode()

    def is_ready(self):
        try:
            return self.page("/readyz") == "ok\n"
        except OSError:
            return False

    def metrics(self):
        """{name or name{labels}: number}."""
        lines = [l for l in self.page("/metrics").splitlines() if l and l[0] != "#"]
        return {l.rsplit(" ", 1)[0]: float(l.rsplit(" ", 1)[1]) for l in lines}

    def leads(self):
        try:
            return self.metrics().get("slipway_is_leader") == 1
        except OSError:
            return False

    def rss(self):
        """Bytes."""
        with open("/proc/%d/statm" % self.process.pid, encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self):
        """Seconds of CPU so far."""
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def image():
    """What the Deployment runs; pods that move data are to be the same."""
    found = harness.get("deployment", product.DEPLOYMENT, product.NAMESPACE)
    return found["spec"]["template"]["spec"]["containers"][0]["image"]


def scale_deployment(replicas):
    harness.kubectl("scale", "deployment", product.DEPLOYMENT, "-n", product.NAMESPACE,
                    "--replicas=%d" % replicas)
    if replicas:
        harness.wait_for("the controller", product.ready)
    else:
        harness.wait_for("the controller's pods to go", lambda: not product.controller_pods())


class Case(harness.Case):
    """Tests with the product installed but its Deployment at rest: they bring their own processes."""

    @classmethod
    def setUpClass(cls):
        product.ensure()
        if not os.path.exists(PROGRAM):
            raise AssertionError("there is no %s: ./dev build" % PROGRAM)
        scale_deployment(0)
        cls.addClassCleanup(scale_deployment, 2)

    def phases(self):
        """{name: phase} of the DataVolumes of this test."""
        return {d["metadata"]["name"]: d.get("status", {}).get("phase", "")
                for d in harness.get_all("datavolumes", self.ns)}

    def wait_all(self, phase, seconds=harness.SECONDS):
        def left():
            phases = self.phases()
            failed = [n for n, p in phases.items() if p == "Failed" and phase != "Failed"]
            if failed:
                raise AssertionError("failed: %s" % product.describe(failed[0], self.ns))
            return all(p == phase for p in phases.values())
        harness.wait_for("all to be " + phase, left, seconds, 0.5)

    def check_one_claim_each(self, names):
        """Exactly one claim per DataVolume, no pod of ours left."""
        harness.wait_for("importer pods to go", lambda: not product.leftovers(self.ns))
        self.assertEqual(sorted(c["metadata"]["name"] for c in harness.get_all("pvc", self.ns)),
                         sorted(names))
