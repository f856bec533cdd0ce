# SPDX-License-Identifier: Apache-2.0
"""The wire between the machine and the cluster's network namespace.

The namespace has no name: it ends with the cluster's last process, and the wire with it.
"""
import subprocess

import paths

WIRE = "slipway0"       # the machine's end


def _ip(*args):
    done = subprocess.run(("ip",) + args, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError("ip %s: %s" % (" ".join(args), done.stderr.strip()))
    return done.stdout


def taken():
    """Addresses of ours that the machine uses for something else; None when it uses none."""
    for line in _ip("-4", "route", "show").splitlines():
        words = line.split()
        if WIRE not in words and words[0].startswith(("10.250.0.", "10.244.", "10.96.")):
            return line.strip()
    return None


def connect(pid):
    """On the machine: a wire into the network namespace of that process."""
    _ip("link", "add", WIRE, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    _ip("address", "add", paths.MACHINE_IP + "/30", "dev", WIRE)
    _ip("link", "set", WIRE, "up")
    for cidr in (paths.POD_CIDR, paths.SERVICE_CIDR):
        _ip("route", "add", cidr, "via", paths.NODE_IP, "dev", WIRE, "onlink")


def disconnect():
    """Only a cluster that was not ended properly leaves the wire; nothing happens without one."""
    subprocess.run(("ip", "link", "delete", WIRE), stderr=subprocess.DEVNULL, check=False)


def inside():
    """In the namespace, when the wire is there."""
    _ip("link", "set", "lo", "up")
    _ip("address", "add", paths.NODE_IP + "/30", "dev", "eth0")
    _ip("link", "set", "eth0", "up")
    # A connection to a service needs a route before its address is translated. This one leads
    # into a pair whose other end nobody reads: nothing of the cluster reaches the outside.
    _ip("link", "add", "nowhere", "type", "veth", "peer", "name", "nowhere-end")
    for end in ("nowhere", "nowhere-end"):
        _ip("link", "set", end, "up")
    _ip("route", "add", "default", "dev", "nowhere")
    for name, value in (("net/ipv4/ip_forward", "1"), ("net/ipv4/conf/all/route_localnet", "1")):
        with open("/proc/sys/" + name, "w", encoding="ascii") as f:
            f.write(value)
