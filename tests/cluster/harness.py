# SPDX-License-Identifier: Apache-2.0
"""What tests on the real cluster are written with. See docs/TEST-CLUSTER.md, "Writing a test".

Objects are dicts as `kubectl get -o json` shows them; everything is asked of a real kubectl. Waiting
has generous deadlines and polls: a machine that is busy makes a test slow, not wrong. A test that
fails prints what the cluster knew of its namespace.
"""
import base64
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
import unittest
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, "node"))

# pylint: disable=wrong-import-position
import lifecycle    # noqa: E402
import paths        # noqa: E402

SECONDS = 120       # how long something usual may take on a busy machine
MIB = 1 << 20
TEST_LABEL = "slipway.io/test"
RUN = uuid.uuid4().hex[:8]      # its value: other runs may use the same cluster


def smoke(test):
    """Marks a test of the subset that ./dev test runs."""
    test.smoke = True
    return test


# ---- kubectl ----

def kubectl(*args, stdin=None, check=True, timeout=SECONDS):
    """Standard output of kubectl as administrator. `stdin` is text or something for JSON."""
    if stdin is not None and not isinstance(stdin, str):
        stdin = json.dumps(stdin)
    return lifecycle.kubectl(*args, stdin=stdin, check=check, timeout=timeout)


def as_list(objects):
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}


def create(*objects):
    """Create these objects; they come back as the API server has them."""
    text = kubectl("create", "-f", "-", "-o", "json", stdin=as_list(objects))
    made = []
    while text.strip():     # one document after another
        obj, end = json.JSONDecoder().raw_decode(text.lstrip())
        text = text.lstrip()[end:]
        made.append(obj)
    return made


def apply(manifest):
    """kubectl apply of YAML text, a dict or a list of dicts."""
    if isinstance(manifest, list):
        manifest = as_list(manifest)
    return kubectl("apply", "-f", "-", stdin=manifest)


def get(kind, name, namespace="default"):
    """The object, or None when there is none."""
    out = kubectl("get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "json")
    return json.loads(out) if out.strip() else None


def get_all(kind, namespace=None, selector=None):
    """All objects of a kind; of every namespace when none is named."""
    where = ["-n", namespace] if namespace else ["--all-namespaces"]
    which = ["-l", selector] if selector else []
    return json.loads(kubectl("get", kind, *where, *which, "-o", "json"))["items"]


def patch(kind, name, namespace, merge):
    kubectl("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps(merge))


def delete(kind, name, namespace="default", wait=True):
    kubectl("delete", kind, name, "-n", namespace, "--ignore-not-found",
            "--wait=" + ("true" if wait else "false"))


def events(namespace, name, reason=None):
    """Events about the object of that name, oldest first: dicts with reason, message, type."""
    found = json.loads(kubectl("get", "events", "-n", namespace, "--field-selector",
                               "involvedObject.name=" + name, "-o", "json"))["items"]
    found.sort(key=lambda e: (e.get("firstTimestamp") or e.get("eventTime") or "",
                              e["metadata"]["creationTimestamp"]))
    return [e for e in found if reason is None or e["reason"] == reason]


def conditions(obj):
    """{type: condition} of an object's status."""
    return {c["type"]: c for c in obj.get("status", {}).get("conditions", [])}


# ---- waiting ----

def wait_for(what, probe, seconds=SECONDS, every=0.25):
    """The first true value that `probe()` gives. AssertionError with the last other one."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("%s: not within %d s; last: %r" % (what, seconds, value))
        time.sleep(every)


def wait_phase(kind, name, namespace, phases, seconds=SECONDS):
    """The object, once status.phase is one of these; stops early at Failed."""
    if isinstance(phases, str):
        phases = (phases,)

    def probe():
        obj = get(kind, name, namespace)
        phase = (obj or {}).get("status", {}).get("phase")
        if phase == "Failed" and "Failed" not in phases:
            raise AssertionError("%s %s/%s failed: %s" % (kind, namespace, name, obj["status"]))
        return obj if phase in phases else None
    return wait_for("%s %s/%s to be %s" % (kind, namespace, name, "/".join(phases)), probe, seconds)


def wait_gone(kind, name, namespace="default", seconds=SECONDS):
    wait_for("%s %s/%s to be gone" % (kind, namespace, name),
             lambda: get(kind, name, namespace) is None, seconds)


def watch_values(probe, until, seconds=SECONDS, every=0.1):
    """The different values of `probe()`, in order, until `until(value)`: for phases passed by."""
    seen = []

    def step():
        value = probe()
        if not seen or seen[-1] != value:
            seen.append(value)
        return until(value)
    wait_for("the end of %r" % seen, step, seconds, every)
    return seen


# ---- objects ----

def claim(name, namespace, storage_class, size="64Mi", mode="Filesystem", **spec):
    """A PersistentVolumeClaim."""
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"storageClassName": storage_class, "volumeMode": mode,
                     "accessModes": ["ReadWriteOnce"],
                     "resources": {"requests": {"storage": size}}, **spec}}


RESTRICTED_POD = {"runAsNonRoot": True, "runAsUser": 107, "runAsGroup": 107, "fsGroup": 107,
                  "seccompProfile": {"type": "RuntimeDefault"}}
RESTRICTED_CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def pod(name, namespace, *command, claim_name=None, block=False, **spec):
    """A pod that runs the helper (tests/cluster/kit/helper) once. Its claim is /data or /dev/disk."""
    container = {"name": "helper", "image": paths.HELPER_IMAGE, "imagePullPolicy": "Never",
                 "args": list(command), "securityContext": RESTRICTED_CONTAINER}
    more = {}
    if claim_name:
        more["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}]
        if block:
            container["volumeDevices"] = [{"name": "data", "devicePath": "/dev/disk"}]
        else:
            container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
            "spec": {"restartPolicy": "Never", "automountServiceAccountToken": False,
                     "terminationGracePeriodSeconds": 1, "securityContext": RESTRICTED_POD,
                     "containers": [container], **more, **spec}}


def run_pod(obj, seconds=SECONDS):
    """Create the pod, wait until it ended, delete it: (exit status, what it printed)."""
    name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
    create(obj)

    def ended():
        status = (get("pod", name, namespace) or {}).get("status", {})
        for c in status.get("containerStatuses", []):
            if "terminated" in c.get("state", {}):
                return c["state"]["terminated"]
        return None
    state = wait_for("pod %s/%s to end" % (namespace, name), ended, seconds)
    text = kubectl("logs", name, "-n", namespace)
    delete("pod", name, namespace)
    return state["exitCode"], text


def secret(name, namespace, **values):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace},
            "data": {k: base64.b64encode(v.encode()).decode() for k, v in values.items()}}


def config_map(name, namespace, **values):
    return {"apiVersion": "v1", "kind": "ConfigMap", "data": values,
            "metadata": {"name": name, "namespace": namespace}}


# ---- the node ----

def on_node(*command, check=True, timeout=SECONDS, text=True):
    """A command as root with the node's mounts, processes and network."""
    return subprocess.run(lifecycle.node_command(*command), capture_output=True, text=text,
                          check=check, timeout=timeout)


def volume_path(claim_name, namespace):
    """On the node: the directory, or the device, of a bound claim of a local class."""
    bound = get("pvc", claim_name, namespace)
    volume = get("pv", bound["spec"]["volumeName"])
    return volume["spec"]["local"]["path"]


def disk_path(claim_name, namespace):
    """On the node: the disk of a virtual machine that lies in a claim of a local class."""
    path = volume_path(claim_name, namespace)
    mode = get("pvc", claim_name, namespace)["spec"].get("volumeMode", "Filesystem")
    return path if mode == "Block" else path + "/disk.img"


def digest(claim_name, namespace):
    """(bytes, SHA-256) of the disk in a claim of any class, read by a pod."""
    bound = get("pvc", claim_name, namespace)
    block = bound["spec"].get("volumeMode") == "Block"
    path = "/dev/disk" if block else "/data/disk.img"
    status, text = run_pod(pod("digest-" + uuid.uuid4().hex[:6], namespace, "digest", path,
                               claim_name=claim_name, block=block))
    if status:
        raise AssertionError("no disk in claim %s/%s: %s" % (namespace, claim_name, text))
    size, value = text.split()
    return int(size), value


def sha256_padded(path, size):
    """SHA-256 of a file as the beginning of a disk of that many bytes, zeros behind it."""
    total = hashlib.sha256()
    done = 0
    with open(path, "rb") as f:
        while piece := f.read(MIB):
            total.update(piece)
            done += len(piece)
    while done < size:
        piece = bytes(min(MIB, size - done))
        total.update(piece)
        done += len(piece)
    return total.hexdigest()


def boot(claim_name, namespace, command="uname -m", seconds=300):
    """Boot the disk in a claim of a local class with QEMU; what `command` printed in the guest."""
    script = os.path.join(TOP, "tests/boot/boot-to-login")
    done = on_node(script, "--timeout", str(seconds), disk_path(claim_name, namespace), command,
                   check=False, timeout=seconds + 60)
    if done.returncode:
        raise AssertionError("status %d, console:\n%s" % (done.returncode, done.stderr[-4000:]))
    return done.stdout


def daemon(verb, name):
    """start, stop, kill or restart one of the cluster's daemons; returns when that is done."""
    before = lifecycle.order("status")["daemons"][name]
    lifecycle.order("%s %s" % (verb, name))

    def settled():
        now = lifecycle.order("status")["daemons"][name]
        if verb == "stop":
            return now["pid"] == 0
        return now["pid"] != 0 and (verb == "start" or now["starts"] > before["starts"])
    wait_for("%s of %s" % (verb, name), settled)


def api_ready():
    """Whether the API server answers."""
    try:
        return "ok" in kubectl("get", "--raw", "/readyz", check=False, timeout=10)
    except subprocess.TimeoutExpired:
        return False


class Case(unittest.TestCase):
    """A test with a namespace of its own, `self.ns`, that is deleted afterwards."""

    pod_security = "restricted"

    def setUp(self):
        self.ns = "t-" + uuid.uuid4().hex[:8]
        create({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": self.ns,
            "labels": {TEST_LABEL: RUN,
                       "pod-security.kubernetes.io/enforce": self.pod_security}}})
        self.addCleanup(self._remove_namespace)
        wait_for("the default service account", lambda: get("sa", "default", self.ns))

    def _remove_namespace(self):
        if not self._outcome.success:
            self.explain()
        # It goes on while the next test runs; the runner looks that all are gone in the end.
        kubectl("delete", "namespace", self.ns, "--ignore-not-found", "--wait=false")

    def explain(self):
        """After a failure: what there is in the namespace, and what happened."""
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            print(kubectl("get", "pods,pvc", "-n", self.ns, "-o", "wide", check=False))
            print(kubectl("get", "datavolumes", "-n", self.ns, "-o", "yaml", check=False))
            print(kubectl("get", "events", "-n", self.ns, "--sort-by=.metadata.creationTimestamp",
                          check=False))
            for obj in get_all("pods", self.ns):
                name = obj["metadata"]["name"]
                print("--- log of %s\n%s" % (name, kubectl(
                    "logs", name, "-n", self.ns, "--all-containers", "--tail=40", check=False)))
