#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The cluster's keeper on the machine's side. Inherits the lock and a pipe from `up`.

Makes the namespaces, lays the wire, and stays. SIGTERM, or the end of `up` before it said that all
is well, ends the cluster and takes away what the kernel does not: control groups, loop devices,
files. When this process is killed the kernel still ends the cluster, and the next `up` or `down`
takes away the rest.
"""
import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time

import cgroups
import config
import network
import paths
import pki

PR_SET_PDEATHSIG = 1
LOST_AND_FOUND = "/var/lib/cni"         # containerd wants it; PID 1 mounts a file system on it


class Ended(Exception):
    """The cluster has to end now."""


def die_with_parent():
    """In the child: when the supervisor dies, so does unshare, and with it PID 1 of the cluster."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    cgroups.enter()


def start_init(log):
    """unshare(1) and, as its child, PID 1 of the cluster, which waits for a line."""
    return subprocess.Popen(
        ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
         "--cgroup", "--uts", "--ipc", sys.executable, "-B",
         os.path.join(paths.HERE, "init.py")],
        stdin=subprocess.PIPE, stdout=log, stderr=log, preexec_fn=die_with_parent,
        env=paths.clean_environment())


def only_child(pid, seconds=10):
    """unshare's child, once it is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
            children = f.read().split()
        if children:
            return int(children[0])
        time.sleep(0.01)
    raise RuntimeError("unshare did not start PID 1")


def namespaces_differ(pid):
    """Whether the child has left our network namespace: the wire must not be laid before."""
    return os.readlink("/proc/%d/ns/net" % pid) != os.readlink("/proc/self/ns/net")


def cleanup():
    """What is left when no process of the cluster lives. Returns a list of what would not go."""
    left = []
    network.disconnect()
    for _ in range(50):
        devices = loop_devices()
        for device in devices:
            subprocess.run(["losetup", "--detach", device], stderr=subprocess.DEVNULL, check=False)
        if not devices:
            break
        time.sleep(0.1)
    left += loop_devices()
    if not cgroups.remove():
        left.append("control groups " + paths.CGROUP)
    shutil.rmtree(paths.STATE, ignore_errors=True)
    with contextlib.suppress(OSError):      # not there, or somebody else's and in use
        os.rmdir(LOST_AND_FOUND)
    if os.path.exists(paths.STATE):
        left.append(paths.STATE)
    return left


def loop_devices():
    """Those over files of the cluster, and those over such a device: kubelet holds a block volume by
    a loop device over the loop device, through a name that ends with the cluster's mounts."""
    listed = subprocess.run(["losetup", "--list", "--json", "--output",
                             "NAME,BACK-FILE,BACK-INO,BACK-MAJ:MIN"],
                            capture_output=True, text=True, check=False).stdout
    rows = json.loads(listed)["loopdevices"] if listed.strip() else []
    ours = {r["name"] for r in rows if (r["back-file"] or "").startswith(paths.STATE + "/")}
    nodes = {node_of(device) for device in ours}
    return sorted(ours | {r["name"] for r in rows
                          if (int(r["back-ino"]), r["back-maj:min"].strip()) in nodes})


def node_of(device):
    """(inode, "major:minor" of its file system) of a device's node, as losetup shows them."""
    status = os.stat(device)
    return status.st_ino, "%d:%d" % (os.major(status.st_dev), os.minor(status.st_dev))


def record(**facts):
    """Add to what is known of the cluster; a reader sees the old or the new file."""
    owner = {}
    if os.path.exists(paths.OWNER):
        with open(paths.OWNER, encoding="utf-8") as f:
            owner = json.load(f)
    with open(paths.OWNER + ".new", "w", encoding="utf-8") as f:
        json.dump({**owner, **facts}, f)
    os.rename(paths.OWNER + ".new", paths.OWNER)


def prepare():
    """Files that daemons read, and our own log."""
    for directory in (paths.STATE, paths.LOGS, paths.CONFIG, paths.STATE + "/run",
                      paths.KUBELET + "/plugins_registry", paths.LOGS + "/pods"):
        os.makedirs(directory, mode=0o755, exist_ok=True)
    with open(paths.LOGS + "/supervisor.log", "ab", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    record(checkout=paths.TOP, since=int(time.time()), supervisor=os.getpid(),
           programs=os.environ["SLIPWAY_CLUSTER_PROGRAMS"])
    pki.make()
    config.write()


def watch(child, pipe):
    """Until something ends the cluster. The pipe says "keep" when `up` is done."""
    kept = False
    while True:
        wait = [] if kept else [pipe]
        readable, _, _ = select.select(wait, [], [], 0.5)
        if readable:
            kept = os.read(pipe, 16) == b"keep"
            if not kept:
                raise Ended("up was interrupted")
            os.close(pipe)
            record(ready=True)
        if child.poll() is not None:
            raise Ended("PID 1 of the cluster ended with status %d" % child.returncode)


def main():
    pipe = int(sys.argv[1])

    def stop(*_):
        raise Ended("stopped")

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = None
    stopped = False
    try:
        prepare()
        cgroups.create()
        with open(paths.LOGS + "/init.log", "ab") as log:
            child = start_init(log)
        pid = only_child(child.pid)
        while not namespaces_differ(pid):
            time.sleep(0.01)
        if cgroups.is_v2():
            cgroups.leave(child.pid)
        network.connect(pid)
        record(init=pid)
        child.stdin.write(b"go\n")
        child.stdin.close()
        watch(child, pipe)
    except Ended as e:
        print("supervisor: %s" % e, flush=True)
        stopped = e.args == ("stopped",)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if not stopped and os.path.isdir(paths.LOGS):
            shutil.copytree(paths.LOGS, paths.FAILED_LOGS, dirs_exist_ok=True)
        if child is not None:
            child.kill()
            child.wait()
        for message in cleanup():
            print("supervisor: left behind: %s" % message, flush=True)


if __name__ == "__main__":
    main()
