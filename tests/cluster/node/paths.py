# SPDX-License-Identifier: Apache-2.0
"""Names, addresses and directories of the one test cluster a machine can have."""
import os

STATE = "/var/lib/slipway-cluster"
LOCK = "/run/slipway-cluster.lock"
OWNER = STATE + "/owner.json"           # who started it: checkout, supervisor
CONTROL = STATE + "/control.sock"       # orders for PID 1 of the cluster
KUBECONFIG = STATE + "/kubeconfig"      # administrator
PKI = STATE + "/pki"
LOGS = STATE + "/logs"
FAILED_LOGS = STATE + ".failed"         # kept when a cluster ended by itself
CONFIG = STATE + "/config"
VOLUMES = STATE + "/volumes"
CSI = STATE + "/csi"
KUBELET = STATE + "/kubelet"
CONTAINERD = STATE + "/run/containerd.sock"

NODE = "slipway-node"
CGROUP = "slipway-cluster"

# A machine on which one of these is taken cannot run the cluster; none is routed anywhere.
NODE_IP = "10.250.0.1"
MACHINE_IP = "10.250.0.2"               # where pods reach servers of the tests
POD_CIDR = "10.244.0.0/16"
NODE_POD_CIDR = "10.244.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_SERVICE_IP = "10.96.0.10"
API = "https://%s:6443" % NODE_IP

HELPER_IMAGE = "localhost/slipway-test-helper:1"

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))


def programs():
    """Directories of programs, as `up` got them from tests/cluster/build."""
    return os.environ["SLIPWAY_CLUSTER_PROGRAMS"].split(":")


def program(name):
    """A program that was compiled, by name."""
    for directory in programs():
        path = os.path.join(directory, "bin", name)
        if os.path.exists(path):
            return path
    raise FileNotFoundError(name)


def clean_environment():
    """For daemons: nothing of the caller's, above all no proxy."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LANG": "C.UTF-8",
            "SLIPWAY_CLUSTER_PROGRAMS": os.environ["SLIPWAY_CLUSTER_PROGRAMS"]}
