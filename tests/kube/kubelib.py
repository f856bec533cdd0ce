# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Kubernetes client share: kube-cat, its output, and kubeconfig files."""
import os
import re
import subprocess
import tempfile
import threading

PATIENCE = 60       # seconds that a busy machine may take for what is done at once elsewhere
MAPS = "/v1/configmaps"


def kubeconfig(folder, url, token="secret", name="kubeconfig", **cluster):
    """Path of a kubeconfig with one context; cluster keys with '_' for '-'."""
    lines = "".join(f"    {key.replace('_', '-')}: {value}\n" for key, value in cluster.items())
    user = f"token: {token}" if "/" not in token else f"tokenFile: {token}"
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write("apiVersion: v1\nkind: Config\ncurrent-context: it\n"
                "contexts:\n- name: it\n  context: {cluster: there, user: me}\n"
                f"clusters:\n- name: there\n  cluster:\n    server: {url}\n{lines}"
                f"users:\n- name: me\n  user:\n    {user}\n")
    return path


class Result:
    """What one run of kube-cat said."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        self.lines = out.splitlines()
        self.stats = {k: int(v) for line in self.lines if line.startswith("stats ")
                      for k, v in re.findall(r"(\w+)=(\d+)", line)}

    def __repr__(self):
        return f"exit {self.code}\n{self.out[-4000:]}\n{self.err[-4000:]}"

    def starting(self, word):
        return [line for line in self.lines if line.startswith(word)]

    def cache(self):
        """{"ns/name": (version, value)} at the end of a watch."""
        return {f[1]: (f[2], f[3]) for f in (line.split(" ") for line in self.starting("has "))}


class Running:
    """kube-cat in the background, line by line."""

    def __init__(self, command, env):
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.lines, self.changed = [], threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()

    def wait_for(self, pattern, count=1):
        """Until `count` lines match."""
        def is_there():
            return sum(bool(re.search(pattern, line)) for line in self.lines) >= count

        with self.changed:
            if not self.changed.wait_for(is_there, PATIENCE):
                raise TimeoutError(f"no '{pattern}' in {self.lines[-20:]}")

    def finish(self):
        """End it as a signal would, and what it said."""
        self.process.terminate()
        return self.join()

    def join(self):
        self.reader.join(PATIENCE)
        err = self.process.stderr.read()
        self.process.stderr.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()
        return Result(self.process.returncode, "\n".join(self.lines), err)


class Cat:
    """kube-cat with one kubeconfig."""

    def __init__(self, program, config, env=None):
        self.program, self.config = program, config
        self.env = dict(os.environ, **(env or {}))

    def start(self, *args):
        options = ["--kubeconfig", self.config] if self.config else []
        return Running([self.program, *options, *args], self.env)

    def run(self, *args):
        return self.start(*args).join()


def temporary_folder(test):
    folder = tempfile.TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    return folder.name


def make_certificate(folder, name, san):
    """Self-signed; (certificate, key)."""
    cert, key = (os.path.join(folder, f"{name}.{kind}.pem") for kind in ("cert", "key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName={san}"],
                   check=True, capture_output=True)
    return cert, key
