# SPDX-License-Identifier: Apache-2.0
"""Up, down, and what is asked of a cluster that runs."""
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import daemons
import images
import network
import paths
import supervisor

READY_SECONDS = 180         # a busy machine; an idle one takes fifteen
CAP_SYS_ADMIN = 21


class Refused(Exception):
    """Something a person has to change; the message says what."""


class Impossible(Exception):
    """This machine gives us no right to run a cluster, whoever we are: a container."""


def check_machine():
    """Refused or Impossible, before anything was made."""
    if os.geteuid() != 0:
        raise Refused("the cluster needs root")
    with open("/proc/self/status", encoding="ascii") as f:
        effective = next(line.split()[1] for line in f if line.startswith("CapEff"))
    if not int(effective, 16) >> CAP_SYS_ADMIN & 1:
        raise Impossible("root without CAP_SYS_ADMIN: a container without the rights")
    for tool in ("etcd", "containerd", "ctr", "runc", "nft", "losetup", "mkfs.ext4", "ip",
                 "unshare", "openssl"):
        if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            raise Refused("'%s' is missing: ./dev cluster up installs it" % tool)
    taken = network.taken()
    if taken:
        raise Refused("the machine uses an address of the cluster: " + taken)


def take_lock():
    """The lock of the one cluster, or None when somebody has it."""
    fd = os.open(paths.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def owner():
    """Who runs the cluster; {} when nobody does."""
    fd = take_lock()
    if fd is not None:
        os.close(fd)
        return {}
    for _ in range(50):     # it is written a moment after the lock is taken
        with contextlib.suppress(OSError, ValueError):
            with open(paths.OWNER, encoding="utf-8") as f:
                return json.load(f)
        time.sleep(0.1)
    return {"checkout": "unknown"}


def order(text):
    """Tell PID 1 something; its answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(10)
        s.connect(paths.CONTROL)
        s.sendall(text.encode() + b"\n")
        answer = json.loads(s.makefile("r").readline())
    if "error" in answer:
        raise Refused(answer["error"])
    return answer


def kubectl(*args, stdin=None, check=True, timeout=60):
    """The administrator's kubectl; standard output as text."""
    # A caller that is killed takes it along.
    command = ["setpriv", "--pdeathsig", "KILL", paths.program("kubectl"), "--kubeconfig",
               paths.KUBECONFIG, *args]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False,
                          timeout=timeout, env=dict(os.environ, NO_PROXY="*", no_proxy="*"))
    if check and done.returncode:
        raise RuntimeError("kubectl %s: %s" % (" ".join(args), done.stderr.strip()))
    return done.stdout


def wait(what, condition, seconds):
    """Poll until the condition holds; errors on the way count as "not yet"."""
    deadline = time.monotonic() + seconds
    problem = ""
    while time.monotonic() < deadline:
        if owner() == {}:
            raise RuntimeError("the cluster ended")
        try:
            if condition():
                return
        except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as e:
            problem = ": %s" % e
        time.sleep(0.2)
    raise RuntimeError("%s did not happen within %d s%s" % (what, seconds, problem))


def up(say):
    """Start a cluster; returns False when this checkout has one already."""
    check_machine()
    lock = take_lock()
    if lock is None:
        return already_up()
    shutil.rmtree(paths.FAILED_LOGS, ignore_errors=True)
    for message in supervisor.cleanup():
        raise Refused("what an earlier cluster left cannot be removed: " + message)
    started = time.monotonic()
    pipe = start_supervisor(lock)
    try:
        bring_up(say, started)
    except BaseException:
        os.close(pipe)
        wait_for_end(60)
        say("the cluster did not start; its logs are in " + paths.FAILED_LOGS)
        raise
    os.write(pipe, b"keep")
    os.close(pipe)
    return True


def already_up():
    who = owner()
    if who.get("checkout") != paths.TOP and not os.environ.get("SLIPWAY_CLUSTER_SHARE"):
        raise Refused("the checkout %s runs a cluster on this machine: end it there, or set "
                      "SLIPWAY_CLUSTER_SHARE=1 to use it" % who.get("checkout"))
    wait("the start that goes on", lambda: owner().get("ready"), 2 * READY_SECONDS)
    return False


def start_supervisor(lock):
    """From here on the supervisor answers for everything that is made; returns our end of a pipe
    whose closing makes it end the cluster."""
    reading, writing = os.pipe()
    subprocess.Popen([sys.executable, "-B", os.path.join(paths.HERE, "supervisor.py"), str(reading)],
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
                     pass_fds=(reading, lock))
    os.close(reading)
    os.close(lock)
    return writing


def bring_up(say, started):
    """From PID 1 to a node that runs pods, with storage classes and a name server."""
    def passed():
        return "%.1f s" % (time.monotonic() - started)

    wait("a start", lambda: os.path.exists(paths.CONTROL), READY_SECONDS)
    tarball = paths.STATE + "/helper.tar"
    images.write_helper_image(paths.program("helper"), tarball)
    wait("containerd", lambda: images.ctr("version"), READY_SECONDS)
    images.load(tarball)
    os.unlink(tarball)
    wait("the API server", lambda: order("status")["ready"], READY_SECONDS)
    say("API server after " + passed())
    for file in addon_files():
        wait(os.path.basename(file), lambda f=file: kubectl("apply", "-f", f) != "", 60)
    for name in daemons.LATE:
        order("start " + name)
    wait("the node", lambda: kubectl("get", "node", paths.NODE, "-o", "jsonpath={.status.conditions"
                                     "[?(@.type=='Ready')].status}") == "True", READY_SECONDS)
    wait("the CSI driver", lambda: "csi.slipway.io" in kubectl(
        "get", "csinode", paths.NODE, "-o", "jsonpath={.spec.drivers[*].name}"), READY_SECONDS)
    wait("the default service account", lambda: kubectl(
        "get", "serviceaccount", "default", "-n", "default", "-o", "name") != "", READY_SECONDS)
    say("node ready after " + passed())


def addon_files():
    """CRDs first: the others are of their kinds."""
    crd = os.path.join(paths.programs()[1], "crd")
    yield from (os.path.join(crd, name) for name in sorted(os.listdir(crd)))
    yield os.path.join(os.path.dirname(paths.HERE), "addons.yaml")


def down(force=False):
    """End the cluster and remove what it left; returns what would not go."""
    lock = take_lock()
    if lock is None:
        who = owner()
        if who.get("checkout") != paths.TOP and not force:
            raise Refused("the cluster belongs to the checkout %s: end it there, or "
                          "use 'down --force'" % who.get("checkout"))
        if who.get("supervisor"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(who["supervisor"], signal.SIGTERM)
        if not wait_for_end(60):
            raise Refused("the supervisor, process %s, does not end" % who.get("supervisor"))
        lock = take_lock()
    left = supervisor.cleanup()
    shutil.rmtree(paths.FAILED_LOGS, ignore_errors=True)
    os.close(lock)
    return left


def wait_for_end(seconds):
    deadline = time.monotonic() + seconds
    while owner() != {}:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def node_command(*command):
    """That command line as run on the node: its files, processes, network."""
    return ["nsenter", "--target", str(owner()["init"]), "--mount", "--pid", "--net", "--uts",
            *command]
