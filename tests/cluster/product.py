# SPDX-License-Identifier: Apache-2.0
"""Slipway on the test cluster: install it as a user would, and DataVolumes to give it."""
import json
import os
import subprocess
import time

import harness
import images

NAMESPACE = "cdi"
DEPLOYMENT = "slipway-controller"
MANIFEST = os.path.join(harness.TOP, "manifests/slipway.yaml")


def boot_images():
    """The directory with the riscv64 boot disk in all its forms (tests/images/make-variants)."""
    script = os.path.join(harness.TOP, "tests/images/make-variants")
    return subprocess.run([script], check=True, capture_output=True,
                          text=True).stdout.strip().splitlines()[-1]


def load_image():
    """The image that ./dev image made for this machine's architecture."""
    arch = images.ARCHITECTURES[os.uname().machine]
    images.load(os.path.join(harness.TOP, "build-image", arch, "slipway.tar"))


def ready():
    """Whether all replicas of the controller are there, and none of an older image."""
    found = harness.get("deployment", DEPLOYMENT, NAMESPACE)
    status = (found or {}).get("status", {})
    wanted = found["spec"]["replicas"] if found else 1
    return (status.get("observedGeneration") == (found or {}).get("metadata", {}).get("generation") and
            status.get("updatedReplicas") == wanted and status.get("availableReplicas") == wanted and
            status.get("replicas") == wanted)


def install(seconds=harness.SECONDS):
    """kubectl apply of the manifest; seconds until everything was ready."""
    began = time.monotonic()
    harness.kubectl("apply", "-f", MANIFEST)
    harness.wait_for("the controller", ready, seconds, 0.1)
    return time.monotonic() - began


def ensure():
    """Install unless it is there: for tests of something else. Once for a program. A cluster that
    runs since yesterday has yesterday's controller: the same name, another image."""
    if getattr(ensure, "done", False):
        return
    before = images.digests()
    load_image()
    changed = [n for n, d in images.digests().items() if before.get(n, d) != d]
    if changed and harness.get("deployment", DEPLOYMENT, NAMESPACE):
        harness.kubectl("rollout", "restart", "deployment/" + DEPLOYMENT, "-n", NAMESPACE)
    install()
    ensure.done = True


def controller_pods():
    return [p for p in harness.get_all("pods", NAMESPACE)
            if p["metadata"].get("labels", {}).get("cdi.kubevirt.io") == DEPLOYMENT]


def datavolume(name, namespace, source, storage_class=None, size="1Gi", mode=None, spec=None,
               annotations=None):
    """A DataVolume with spec.storage; `source` such as {"http": {...}}, `spec` adds to the spec."""
    storage = {"resources": {"requests": {"storage": size}}}
    if storage_class:
        storage["storageClassName"] = storage_class
        storage["accessModes"] = ["ReadWriteOnce"]
    if mode:
        storage["volumeMode"] = mode
    return {"apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "DataVolume",
            "metadata": {"name": name, "namespace": namespace, "annotations": annotations or {}},
            "spec": {"source": source, "storage": storage, **(spec or {})}}


def phase(name, namespace):
    found = harness.get("datavolume", name, namespace)
    return (found or {}).get("status", {}).get("phase", "")


def succeeded(name, namespace, seconds=harness.SECONDS):
    """The DataVolume, once it is Succeeded; stops early when it Failed."""
    return harness.wait_phase("datavolume", name, namespace, "Succeeded", seconds)


def leftovers(namespace):
    """Pods of imports that are still there; a claim per DataVolume is expected to be."""
    return [p["metadata"]["name"] for p in harness.get_all("pods", namespace)
            if p["metadata"].get("labels", {}).get("cdi.kubevirt.io") == "importer"]


def describe(name, namespace):
    """For messages of failures."""
    return json.dumps(harness.get("datavolume", name, namespace), indent=1)
