# SPDX-License-Identifier: Apache-2.0
"""A kube-apiserver and etcd of a test's own, without nodes: for what only an API server can tell.

The binaries are those that the test cluster compiled ('./dev cluster up'); None of them, None of this."""
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
TOKEN = "test"


def binaries():
    """The folder with kube-apiserver and kubectl, newest first, or None."""
    found = sorted(CACHE.glob("slipway/kubernetes/*/bin/kube-apiserver"),
                   key=lambda p: p.stat().st_mtime)
    return found[-1].parent if found and shutil.which("etcd") else None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class ApiServer:
    """Started by the constructor; stop() leaves nothing behind."""

    def __init__(self):
        self.bin = binaries()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="slipway-api-"))
        self.log = open(self.folder / "log", "w", encoding="utf-8")
        self.children = []
        etcd, peer, self.port = free_port(), free_port(), free_port()
        subprocess.run(["openssl", "genrsa", "-out", self.folder / "sa.key", "2048"], check=True,
                       capture_output=True)
        (self.folder / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
        self._start("etcd", "--data-dir", self.folder / "etcd", "--unsafe-no-fsync",
                    "--listen-client-urls", f"http://127.0.0.1:{etcd}",
                    "--advertise-client-urls", f"http://127.0.0.1:{etcd}",
                    "--listen-peer-urls", f"http://127.0.0.1:{peer}")
        self._start(self.bin / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}",
                    "--bind-address=127.0.0.1", f"--secure-port={self.port}",
                    f"--cert-dir={self.folder}/certs", "--service-account-issuer=https://test",
                    f"--service-account-key-file={self.folder}/sa.key",
                    f"--service-account-signing-key-file={self.folder}/sa.key",
                    f"--token-auth-file={self.folder}/tokens.csv", "--authorization-mode=RBAC",
                    "--service-cluster-ip-range=10.0.0.0/24",
                    "--disable-admission-plugins=ServiceAccount")
        self._write_kubeconfig()
        self._wait()

    def _start(self, *command):
        self.children.append(subprocess.Popen([str(c) for c in command], stdout=self.log,
                                              stderr=self.log))

    def _write_kubeconfig(self):
        named = {"name": "test"}
        (self.folder / "kubeconfig").write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{**named, "cluster": {"server": f"https://127.0.0.1:{self.port}",
                                               "insecure-skip-tls-verify": True}}],
            "users": [{**named, "user": {"token": TOKEN}}],
            "contexts": [{**named, "context": {"cluster": "test", "user": "test"}}]}))

    def _wait(self):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if self.request("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            if any(c.poll() is not None for c in self.children):
                break
            time.sleep(0.2)
        log = (self.folder / "log").read_text()[-3000:]
        self.stop()
        raise RuntimeError("the API server does not get ready:\n" + log)

    def request(self, method, path, body=None):
        """(status, parsed answer)."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=context))
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
        try:
            with opener.open(request, timeout=60) as answer:
                return answer.status, self._parsed(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, self._parsed(error.read())

    @staticmethod
    def _parsed(text):
        try:
            return json.loads(text)
        except ValueError:
            return text.decode()

    def kubectl(self, *args, text=None):
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        return subprocess.run([self.bin / "kubectl", *args], input=text, capture_output=True,
                              text=True, check=False, timeout=120, env={
                                  **env, "KUBECONFIG": str(self.folder / "kubeconfig"),
                                  "HOME": str(self.folder)})

    def stop(self):
        for child in reversed(self.children):
            child.terminate()
        for child in reversed(self.children):
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
