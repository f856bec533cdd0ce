# SPDX-License-Identifier: Apache-2.0
"""The daemons of the cluster: in which order they start, with which arguments."""
import config
import paths
import pki
from paths import program

ETCD = "http://127.0.0.1:2379"

# "store" needs nothing; "api" may start with it; the others want an API server that answers.
STAGES = (("etcd", "containerd", "kube-apiserver"),
          ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"),
          ("dns", "storage-local", "storage-csi"))
# Started by `up` when their custom resources are there.
LATE = ("csi-provisioner", "csi-snapshotter", "snapshot-controller")

CSI_SOCKET = paths.KUBELET + "/plugins/csi.slipway.io/csi.sock"


def _etcd():
    return ["etcd", "--name=" + paths.NODE, "--data-dir=%s/etcd" % paths.STATE,
            "--listen-client-urls=" + ETCD, "--advertise-client-urls=" + ETCD,
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=%s=http://127.0.0.1:2380" % paths.NODE,
            # The data of a test need not survive the machine.
            "--unsafe-no-fsync", "--snapshot-count=100000", "--auto-compaction-mode=periodic",
            "--auto-compaction-retention=10m", "--quota-backend-bytes=4294967296"]


def _containerd():
    return ["containerd", "--config", config.file("containerd.toml")]


def _apiserver():
    return [
        program("kube-apiserver"), "--etcd-servers=" + ETCD, "--secure-port=6443",
        "--advertise-address=" + paths.NODE_IP, "--service-cluster-ip-range=" + paths.SERVICE_CIDR,
        "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true", "--client-ca-file=" + pki.path("ca.crt"),
        "--tls-cert-file=" + pki.path("apiserver.crt"),
        "--tls-private-key-file=" + pki.path("apiserver.key"),
        "--kubelet-certificate-authority=" + pki.path("ca.crt"),
        "--kubelet-client-certificate=" + pki.path("apiserver-kubelet-client.crt"),
        "--kubelet-client-key=" + pki.path("apiserver-kubelet-client.key"),
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--service-account-key-file=" + pki.path("sa.pub"),
        "--service-account-signing-key-file=" + pki.path("sa.key"),
        "--requestheader-client-ca-file=" + pki.path("front-proxy-ca.crt"),
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        "--proxy-client-cert-file=" + pki.path("front-proxy-client.crt"),
        "--proxy-client-key-file=" + pki.path("front-proxy-client.key"),
        "--enable-aggregator-routing=true",
    ]


def _controller_manager():
    kubeconfig = pki.path("controller-manager.kubeconfig")
    return [
        program("kube-controller-manager"), "--kubeconfig=" + kubeconfig,
        "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
        "--leader-elect=false", "--use-service-account-credentials=true",
        "--service-account-private-key-file=" + pki.path("sa.key"),
        "--root-ca-file=" + pki.path("ca.crt"),
        "--cluster-signing-cert-file=" + pki.path("ca.crt"),
        "--cluster-signing-key-file=" + pki.path("ca.key"),
        "--allocate-node-cidrs=true", "--cluster-cidr=" + paths.POD_CIDR,
        "--node-cidr-mask-size=24", "--service-cluster-ip-range=" + paths.SERVICE_CIDR,
        "--flex-volume-plugin-dir=%s/volume-plugins" % paths.KUBELET,
        "--kube-api-qps=500", "--kube-api-burst=1000",
    ]


def _scheduler():
    kubeconfig = pki.path("scheduler.kubeconfig")
    return [program("kube-scheduler"), "--kubeconfig=" + kubeconfig, "--leader-elect=false",
            "--authentication-kubeconfig=" + kubeconfig,
            "--authorization-kubeconfig=" + kubeconfig,
            "--kube-api-qps=500", "--kube-api-burst=1000"]


def _kubelet():
    return [program("kubelet"), "--config=" + config.file("kubelet.json"),
            "--kubeconfig=" + pki.path("kubelet-client.kubeconfig"),
            "--root-dir=" + paths.KUBELET, "--cert-dir=%s/pki" % paths.KUBELET,
            "--hostname-override=" + paths.NODE, "--node-ip=" + paths.NODE_IP]


def _kube_proxy():
    return [program("kube-proxy"), "--config=" + config.file("kube-proxy.json")]


def _dns():
    return [program("dns"), "-conf", config.file("Corefile")]


def _storage_local():
    return [program("storage"), "local", "--kubeconfig", paths.KUBECONFIG, "--node", paths.NODE,
            "--dir", paths.VOLUMES]


def _storage_csi():
    return [program("storage"), "csi", "--node", paths.NODE, "--dir", paths.CSI,
            "--endpoint", CSI_SOCKET, "--registration",
            paths.KUBELET + "/plugins_registry/csi.slipway.io-reg.sock"]


def _csi_provisioner():
    return [program("csi-provisioner"), "--csi-address=" + CSI_SOCKET,
            "--kubeconfig=" + paths.KUBECONFIG, "--extra-create-metadata=true",
            "--default-fstype=ext4", "--kube-api-qps=100", "--kube-api-burst=200",
            "--worker-threads=4"]


def _csi_snapshotter():
    return [program("csi-snapshotter"), "--csi-address=" + CSI_SOCKET,
            "--kubeconfig=" + paths.KUBECONFIG]


def _snapshot_controller():
    return [program("snapshot-controller"), "--kubeconfig=" + paths.KUBECONFIG,
            "--leader-election=false", "--http-endpoint="]


_TABLE = {
    "etcd": _etcd, "containerd": _containerd, "kube-apiserver": _apiserver,
    "kube-controller-manager": _controller_manager, "kube-scheduler": _scheduler,
    "kubelet": _kubelet, "kube-proxy": _kube_proxy, "dns": _dns, "storage-local": _storage_local,
    "storage-csi": _storage_csi, "csi-provisioner": _csi_provisioner,
    "csi-snapshotter": _csi_snapshotter, "snapshot-controller": _snapshot_controller,
}
NAMES = tuple(_TABLE)


def command(name):
    """The command line of that daemon."""
    return _TABLE[name]()
