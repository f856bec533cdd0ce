# SPDX-License-Identifier: Apache-2.0
"""Keys and certificates, made anew for each cluster; kubeconfigs that carry them."""
import base64
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import paths

DAYS = "30"
CA_CONFIG = """
[req]
distinguished_name = dn
x509_extensions = ext
[dn]
[ext]
basicConstraints = critical, CA:{ca}
keyUsage = critical, {usage}
{extra}
"""

# Name: subject, whether it serves, further names of the server.
CERTIFICATES = {
    "admin": ("/O=system:masters/CN=admin", None),
    "apiserver": ("/CN=kube-apiserver",
                  "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
                  "DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:%s,IP:%s"
                  % (paths.NODE_IP, paths.API_SERVICE_IP)),
    "apiserver-kubelet-client": ("/O=system:masters/CN=apiserver-kubelet-client", None),
    "controller-manager": ("/CN=system:kube-controller-manager", None),
    "scheduler": ("/CN=system:kube-scheduler", None),
    "kube-proxy": ("/CN=system:kube-proxy", None),
    "kubelet-client": ("/O=system:nodes/CN=system:node:" + paths.NODE, None),
    "kubelet-server": ("/CN=" + paths.NODE, "DNS:%s,IP:%s" % (paths.NODE, paths.NODE_IP)),
}


def path(name):
    return os.path.join(paths.PKI, name)


def _openssl(*args):
    done = subprocess.run(("openssl",) + args, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise RuntimeError("openssl %s: %s" % (args[0], done.stderr.decode()))


def _issue(name, subject, ca=None, extensions=""):
    """A P-256 key and a certificate for it, by `ca`, or by itself when that is None."""
    own = ca is None
    with open(path(name + ".cnf"), "w", encoding="ascii") as f:
        f.write(CA_CONFIG.format(ca="TRUE" if own else "FALSE",
                                 usage="keyCertSign, cRLSign" if own else "digitalSignature",
                                 extra=extensions))
    signer = () if own else ("-CA", path(ca + ".crt"), "-CAkey", path(ca + ".key"))
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", DAYS, "-subj", subject, "-config", path(name + ".cnf"), "-extensions", "ext",
             "-keyout", path(name + ".key"), "-out", path(name + ".crt"), *signer)


def _issue_leaf(name, subject, names):
    usage = "extendedKeyUsage = clientAuth" + (", serverAuth" if names else "")
    extra = usage + ("\nsubjectAltName = " + names if names else "")
    _issue(name, subject, ca="ca", extensions=extra)


def make():
    """Everything that the daemons read."""
    os.makedirs(paths.PKI, mode=0o700, exist_ok=True)
    _issue("ca", "/CN=slipway-test-ca")
    _issue("front-proxy-ca", "/CN=slipway-test-front-proxy-ca")
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(_issue_leaf, name, *what) for name, what in CERTIFICATES.items()]
        jobs.append(pool.submit(_issue, "front-proxy-client", "/CN=front-proxy-client",
                                "front-proxy-ca", "extendedKeyUsage = clientAuth"))
        jobs.append(pool.submit(_openssl, "genpkey", "-algorithm", "EC", "-pkeyopt",
                                "ec_paramgen_curve:P-256", "-out", path("sa.key")))
        for job in jobs:
            job.result()
    _openssl("pkey", "-in", path("sa.key"), "-pubout", "-out", path("sa.pub"))
    for name in ("controller-manager", "scheduler", "kube-proxy", "kubelet-client"):
        write_kubeconfig(path(name + ".kubeconfig"), name)
    write_kubeconfig(paths.KUBECONFIG, "admin")


def _data(name):
    with open(path(name), "rb") as f:
        return base64.b64encode(f.read()).decode()


def write_kubeconfig(target, name):
    """JSON is YAML."""
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "slipway",
        "clusters": [{"name": "slipway", "cluster": {
            "server": paths.API, "certificate-authority-data": _data("ca.crt")}}],
        "users": [{"name": name, "user": {"client-certificate-data": _data(name + ".crt"),
                                          "client-key-data": _data(name + ".key")}}],
        "contexts": [{"name": "slipway", "context": {"cluster": "slipway", "user": name}}],
    }
    with open(target, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as f:
        json.dump(config, f, indent=1)
