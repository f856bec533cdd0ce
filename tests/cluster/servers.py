# SPDX-License-Identifier: Apache-2.0
"""Servers on the machine that pods reach by name: images over HTTP and HTTPS, a server that
misbehaves, a registry. Each test program starts its own; nothing is shared.

    with Fixtures(directory_of_images) as f:
        f.url("disk.qcow2")                  http://images.fixtures-1234.svc/disk.qcow2
        f.url("disk.qcow2", tls=True)        the same over HTTPS; f.ca is the certificate of its CA
        f.url("auth/disk.qcow2")             wants user "user", password "pass"
        f.url("header/disk.qcow2")           wants the headers x-one: 1 and x-two: 2
        f.url("slow/512k/disk.qcow2")        512 KiB a second for each connection
        f.url("all/512k/disk.qcow2")         all three of these together
        f.fault("cut:every=65536", "disk.qcow2")   see tests/fakes/faultd.py
        f.requests()                         what nginx was asked, one line each
"""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid

import harness
import paths

NGINX = """
daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/nginx.log; user root;
worker_rlimit_nofile 4096; events {{ worker_connections 1024; }}
http {{
    log_format seen '$request_method $uri $status $http_range $http_user_agent';
    access_log {dir}/access.log seen;
    default_type application/octet-stream;
    client_body_temp_path {dir}/tmp; proxy_temp_path {dir}/tmp; fastcgi_temp_path {dir}/tmp;
    uwsgi_temp_path {dir}/tmp; scgi_temp_path {dir}/tmp;
    server {{
        listen {ip}:{http};
        listen {ip}:{https} ssl;
        ssl_certificate {dir}/server.pem; ssl_certificate_key {dir}/server.key;
        root {images};
        location /auth/ {{
            auth_basic images; auth_basic_user_file {dir}/users; alias {images}/;
        }}
        location /header/ {{
            if ($http_x_one != "1") {{ return 403; }}
            if ($http_x_two != "2") {{ return 403; }}
            alias {images}/;
        }}
        location ~ ^/all/([0-9]+[km])/(.*)$ {{
            auth_basic images; auth_basic_user_file {dir}/users;
            if ($http_x_one != "1") {{ return 403; }}
            if ($http_x_two != "2") {{ return 403; }}
            limit_rate $1; alias {images}/$2;
        }}
        location ~ ^/slow/([0-9]+[km])/(.*)$ {{ limit_rate $1; alias {images}/$2; }}
    }}
}}
"""

REGISTRY = """
version: 0.1
storage:
  filesystem:
    rootdirectory: {dir}/registry
http:
  addr: {ip}:{port}
"""

# For containerd, which reads this when it pulls.
PLAIN_HTTP = """
server = "http://{host}"
[host."http://{host}"]
capabilities = ["pull", "resolve"]
"""


def free_port():
    with socket.socket() as s:
        s.bind((paths.MACHINE_IP, 0))
        return s.getsockname()[1]


def openssl(*args):
    subprocess.run(("openssl",) + args, check=True, capture_output=True)


def service(name, namespace, ports):
    """A Service whose endpoint is the machine. ports: {port: port on the machine}."""
    names = {port: "p%d" % port for port in ports}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
         "spec": {"ports": [{"name": names[p], "port": p, "protocol": "TCP"} for p in ports]}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
         "metadata": {"name": name + "-machine", "namespace": namespace,
                      "labels": {"kubernetes.io/service-name": name,
                                 "endpointslice.kubernetes.io/managed-by": "tests.slipway.io"}},
         "ports": [{"name": names[p], "port": ports[p], "protocol": "TCP"} for p in ports],
         "endpoints": [{"addresses": [paths.MACHINE_IP], "conditions": {"ready": True}}]},
    ]


class Fixtures:
    """The servers; a context manager. `images` is a directory of files to serve."""

    def __init__(self, images):
        self.images = os.path.abspath(images)
        self.namespace = "fixtures-" + uuid.uuid4().hex[:6]
        self.dir = tempfile.mkdtemp(prefix="slipway-fixtures-")
        os.chmod(self.dir, 0o755)
        self.processes = []
        self.ca = ""

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def _start(self):
        harness.create({"apiVersion": "v1", "kind": "Namespace",
                        "metadata": {"name": self.namespace}})
        self._certificates()
        http, https = free_port(), free_port()
        self._nginx(http, https)
        faults = self._faultd()
        made = harness.create(*service("images", self.namespace, {80: http, 443: https}),
                              *service("faults", self.namespace, {80: faults["http"],
                                                                  443: faults["https"]}))
        self._wait(paths.MACHINE_IP, http)
        # kube-proxy takes a moment to lead there.
        for address in (o["spec"]["clusterIP"] for o in made if o["kind"] == "Service"):
            self._wait(address, 80)

    def _certificates(self):
        names = ",".join("DNS:%s.%s%s" % (s, self.namespace, end) for s in ("images", "faults")
                         for end in (".svc", ".svc.cluster.local"))
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
        openssl("req", "-x509", *key, "-subj", "/CN=fixtures CA", "-keyout", self.dir + "/ca.key",
                "-out", self.dir + "/ca.pem")
        openssl("req", "-x509", *key, "-subj", "/CN=fixtures", "-CA", self.dir + "/ca.pem", "-CAkey",
                self.dir + "/ca.key", "-addext", "subjectAltName=" + names,
                "-addext", "basicConstraints=critical,CA:FALSE",
                "-keyout", self.dir + "/server.key", "-out", self.dir + "/server.pem")
        with open(self.dir + "/ca.pem", encoding="ascii") as f:
            self.ca = f.read()

    def _run(self, *command, **options):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, **options)
        self.processes.append(process)
        return process

    def _nginx(self, http, https):
        users = subprocess.run(["openssl", "passwd", "-apr1", "pass"], check=True, text=True,
                               capture_output=True).stdout
        with open(self.dir + "/users", "w", encoding="ascii") as f:
            f.write("user:" + users)
        with open(self.dir + "/nginx.conf", "w", encoding="ascii") as f:
            f.write(NGINX.format(dir=self.dir, ip=paths.MACHINE_IP, http=http, https=https,
                                 images=self.images))
        self._run(shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-e",
                  self.dir + "/nginx.log", "-p", self.dir, "-c", self.dir + "/nginx.conf")

    def _faultd(self):
        process = self._run(
            sys.executable, os.path.join(harness.TOP, "tests/fakes/faultd.py"), "--root",
            self.images, "--log", self.dir + "/faults.log", "--address", paths.MACHINE_IP,
            "--cert", self.dir + "/server.pem", "--key", self.dir + "/server.key",
            stdout=subprocess.PIPE)
        return json.loads(process.stdout.readline())

    def _wait(self, address, port):
        def answers():
            with contextlib.suppress(OSError):
                with socket.create_connection((address, port), timeout=5):
                    return True
            if any(p.poll() is not None for p in self.processes):
                raise RuntimeError("a server ended; see %s" % self.dir)
            return False
        harness.wait_for("a server", answers, 60, 0.05)

    def registry(self):
        """Start a registry (docker-registry, plain HTTP); its "host:port" for nodes and pods."""
        port = free_port()
        host = "%s:%d" % (paths.MACHINE_IP, port)
        hosts = "%s/registries/%s" % (paths.CONFIG, host)
        os.makedirs(hosts)
        with open(hosts + "/hosts.toml", "w", encoding="ascii") as f:
            f.write(PLAIN_HTTP.format(host=host))
        with open(self.dir + "/registry.yml", "w", encoding="ascii") as f:
            f.write(REGISTRY.format(dir=self.dir, ip=paths.MACHINE_IP, port=port))
        with open(self.dir + "/registry.log", "ab") as log:
            self._run("docker-registry", "serve", self.dir + "/registry.yml", stdout=log, stderr=log)
        self._wait(paths.MACHINE_IP, port)
        return host

    def url(self, path, tls=False):
        return "%s://images.%s.svc/%s" % ("https" if tls else "http", self.namespace, path)

    def fault(self, faults, file, tls=False):
        return "%s://faults.%s.svc/%s/%s" % ("https" if tls else "http", self.namespace, faults,
                                             file)

    def requests(self):
        """What nginx was asked: "METHOD PATH STATUS RANGE AGENT", one a line."""
        with open(self.dir + "/access.log", encoding="utf-8") as f:
            return f.read().splitlines()

    def stop(self):
        for process in self.processes:
            process.stdin.close()
            process.terminate()
        deadline = time.monotonic() + 10
        for process in self.processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        harness.kubectl("delete", "namespace", self.namespace, "--ignore-not-found",
                        "--wait=false", check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
