# SPDX-License-Identifier: Apache-2.0
"""Configuration files of the daemons. YAML files are written as JSON, which is YAML."""
import json
import os

import paths
import pki

CONTAINERD = """
version = 2
root = "{state}/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing"]

[grpc]
address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# A process may not lower the score of a child below its own without CAP_SYS_RESOURCE.
restrict_oom_score_adj = true
# Else no pod that is not root opens its block volume.
device_ownership_from_security_context = true
disable_hugetlb_controller = true
tolerate_missing_hugetlb_controller = true
netns_mounts_under_state_dir = true
max_concurrent_downloads = 3

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{config}/cni"

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{config}/registries"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""

COREFILE = """
.:53 {{
    bind {node}
    errors
    health {node}:8053
    ready {node}:8181
    cache 5 {{
        denial 100 1
    }}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        ttl 5
    }}
}}
"""


def _write(name, text):
    target = os.path.join(paths.CONFIG, name)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "w", encoding="ascii") as f:
        f.write(text)
    return target


def file(name):
    return os.path.join(paths.CONFIG, name)


def _kubelet():
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True},
                           "x509": {"clientCAFile": pki.path("ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs", "failCgroupV1": False,
        "clusterDNS": [paths.DNS_SERVICE_IP], "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": "unix://" + paths.CONTAINERD,
        # The machine's disk is not the cluster's to judge: complain at the very end only.
        "evictionHard": {"memory.available": "1%", "nodefs.available": "1%",
                         "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
        "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
        "failSwapOn": False, "makeIPTablesUtilChains": False, "protectKernelDefaults": False,
        "maxPods": 200, "maxOpenFiles": 20000, "oomScoreAdj": 0,
        "kubeAPIQPS": 200, "kubeAPIBurst": 400,
        "podLogsDir": paths.LOGS + "/pods", "volumePluginDir": paths.KUBELET + "/volume-plugins",
        "resolvConf": file("resolv.conf"),
        "serializeImagePulls": False,
        "tlsCertFile": pki.path("kubelet-server.crt"),
        "tlsPrivateKeyFile": pki.path("kubelet-server.key"),
    }


def _kube_proxy():
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": pki.path("kube-proxy.kubeconfig")},
        "clusterCIDR": paths.POD_CIDR, "hostnameOverride": paths.NODE, "mode": "nftables",
        # These are settings of the whole machine.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s",
                      "tcpCloseWaitTimeout": "0s"},
        "oomScoreAdj": 0,
    }


def _cni():
    return {
        "cniVersion": "1.0.0", "name": "slipway",
        "plugins": [
            {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True,
             "ipMasq": False, "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam",
                                       "ranges": [[{"subnet": paths.NODE_POD_CIDR}]],
                                       "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def write():
    """All of them."""
    _write("containerd.toml", CONTAINERD.format(
        state=paths.STATE, socket=paths.CONTAINERD, pause=paths.HELPER_IMAGE, config=paths.CONFIG))
    os.makedirs(file("registries"), exist_ok=True)
    _write("cni/10-slipway.conflist", json.dumps(_cni(), indent=1))
    _write("kubelet.json", json.dumps(_kubelet(), indent=1))
    _write("kube-proxy.json", json.dumps(_kube_proxy(), indent=1))
    _write("Corefile", COREFILE.format(node=paths.NODE_IP, kubeconfig=paths.KUBECONFIG))
    _write("resolv.conf", "nameserver %s\n" % paths.DNS_SERVICE_IP)
