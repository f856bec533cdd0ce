# SPDX-License-Identifier: Apache-2.0
"""A subtree of its own in every control group hierarchy, so that kubelet and runc, inside a cgroup
namespace, see it as the root and the machine keeps its own.

Version 1 (one hierarchy per controller, or several in one) and version 2 both occur.
"""
import os
import time

import paths

V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")


def hierarchies(mountinfo="/proc/self/mountinfo"):
    """(mount point, "cgroup" or "cgroup2", super block options) of each hierarchy."""
    with open(mountinfo, encoding="ascii") as f:
        for line in f:
            left, _, right = line.rstrip("\n").partition(" - ")
            kind, _, options = right.split(" ", 2)
            if kind in ("cgroup", "cgroup2"):
                yield left.split(" ")[4], kind, options


def is_v2():
    """Whether version 2 is what daemons use; a version 2 beside version 1 has no controllers."""
    return all(kind == "cgroup2" for _, kind, _ in hierarchies())


def _used():
    """The hierarchies that the cluster takes part in."""
    v2 = is_v2()
    return [(mount, options) for mount, kind, options in hierarchies() if v2 or kind == "cgroup"]


def _write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def _read(path):
    with open(path, encoding="ascii") as f:
        return f.read().strip()


def _enable(directory):
    """Hand the controllers of version 2 down to the children of this group."""
    for controller in V2_CONTROLLERS:
        if controller in _read(directory + "/cgroup.controllers").split():
            _write(directory + "/cgroup.subtree_control", "+" + controller)


def create():
    """The groups; who enters them next sees them as "/" once it has unshared its namespace."""
    for mount, options in _used():
        group = os.path.join(mount, paths.CGROUP)
        os.makedirs(group, exist_ok=True)
        if is_v2():
            _enable(mount)
        elif "cpuset" in options.split(","):
            # Without processors and memory a group takes no process; children copy theirs.
            _write(group + "/cgroup.clone_children", "1")
            for name in ("cpuset.cpus", "cpuset.mems"):
                _write(os.path.join(group, name), _read(os.path.join(mount, name)))


def enter():
    """Move the calling process into the cluster's groups."""
    for mount, _ in _used():
        _write(os.path.join(mount, paths.CGROUP, "cgroup.procs"), str(os.getpid()))


def leave(pid):
    """Move a process back to the root. Under version 2 a group that has controllers for its
    children may hold no process itself."""
    for mount, _ in _used():
        _write(mount + "/cgroup.procs", str(pid))


def mount_inside(run):
    """Within the namespaces: mount the hierarchies anew, rooted at our groups."""
    found = _used()
    if is_v2():
        mount = found[0][0]
        run("umount", "--recursive", mount)
        run("mount", "-t", "cgroup2", "cgroup2", mount)
        os.makedirs(mount + "/daemons", exist_ok=True)
        _write(mount + "/daemons/cgroup.procs", "0")
        _enable(mount)
        return
    links = {name: os.readlink("/sys/fs/cgroup/" + name) for name in os.listdir("/sys/fs/cgroup")
             if os.path.islink("/sys/fs/cgroup/" + name)}
    run("mount", "-t", "tmpfs", "-o", "mode=755", "cgroup", "/sys/fs/cgroup")
    for mount, options in found:
        os.makedirs(mount, exist_ok=True)
        controllers = [o for o in options.split(",")
                       if o not in ("rw", "xattr", "clone_children", "cpuset_v2_mode") and
                       not o.startswith("release_agent")]
        run("mount", "-t", "cgroup", "-o", ",".join(controllers), "cgroup", mount)
    for name, target in links.items():
        os.symlink(target, "/sys/fs/cgroup/" + name)


def remove(seconds=20):
    """Remove the groups; True when none is left. A group stays for a moment after its last
    process has died."""
    deadline = time.monotonic() + seconds
    while True:
        left = False
        for mount, _ in _used():
            group = os.path.join(mount, paths.CGROUP)
            for directory, _, _ in os.walk(group, topdown=False):
                try:
                    os.rmdir(directory)
                except OSError:
                    left = True
        if not left or time.monotonic() > deadline:
            return not left
        time.sleep(0.1)
