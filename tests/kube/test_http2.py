#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes client over HTTP/2: nginx speaks it and passes everything on to the fake server.

    test_http2.py KUBE-CAT [unittest arguments]
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../fakes"))
from kubefake import FakeServer     # noqa: E402
from kubelib import MAPS, Cat, kubeconfig, make_certificate, temporary_folder     # noqa: E402

PROGRAM = sys.argv[1]
NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")

CONFIG = """
daemon off;
master_process off;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 2000; }}
http {{
    log_format short "$connection $server_protocol $request_method";
    access_log {dir}/access.log short;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    keepalive_requests {requests};
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        http2_max_concurrent_streams 100;
        location / {{
            proxy_pass {upstream};
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_read_timeout 600;
        }}
    }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@unittest.skipUnless(NGINX, "nginx is not installed")
class Http2(unittest.TestCase):
    def setUp(self):
        self.folder = temporary_folder(self)
        self.server = FakeServer()
        self.server.__enter__()
        self.addCleanup(self.server.hang_up)
        self.port = free_port()

    def start_nginx(self, requests=1000000):
        cert, key = make_certificate(self.folder, "server", "IP:127.0.0.1")
        config = os.path.join(self.folder, "nginx.conf")
        with open(config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(dir=self.folder, port=self.port, cert=cert, key=key,
                                  upstream=self.server.url, requests=requests))
        self.nginx = subprocess.Popen([NGINX, "-c", config, "-e", self.folder + "/error.log"],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.stop_nginx)
        self.server.wait_for(self.answers)
        return Cat(PROGRAM, kubeconfig(self.folder, f"https://127.0.0.1:{self.port}",
                                       certificate_authority=cert))

    def stop_nginx(self):
        self.nginx.send_signal(signal.SIGTERM)
        self.nginx.wait()

    def answers(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def connections(self):
        """Numbers of the connections over which requests came, all of them HTTP/2."""
        with open(os.path.join(self.folder, "access.log"), encoding="utf-8") as f:
            rows = [line.split() for line in f]
        self.assertEqual({row[1] for row in rows}, {"HTTP/2.0"})
        return {row[0] for row in rows}

    def test_many_requests_share_one_connection(self):
        cat = self.start_nginx()
        result = cat.run("--deadline", "100000", "flood", MAPS, "default", "300")
        self.assertEqual((result.code, result.stats["ok"]), (0, 900), result)
        self.assertEqual(len(self.connections()), 1)

    def test_a_watch_shares_it_too(self):
        """Lists and watches beside each other: the stream of a watch holds nobody up."""
        cat = self.start_nginx()
        self.server.put("configmaps", "default", "a", {"data": {"v": "1"}})
        running = cat.start("--seconds", "300", "--timeout", "1", "watch", MAPS)
        running.wait_for("^synced 1$")
        self.server.wait_for(lambda: len(self.server.requests("watch=true")) >= 3)
        self.server.put("configmaps", "default", "b", {"data": {"v": "x" * 100000}})
        running.wait_for("^added default/b ")
        result = running.finish()
        self.assertEqual(result.starting("failure"), [], result)
        self.assertEqual(len(self.connections()), 1)

    def test_a_connection_that_is_shut_down_in_order_costs_nothing(self):
        """After 50 requests nginx says GOAWAY, as an apiserver does that wants to be balanced."""
        cat = self.start_nginx(requests=50)
        result = cat.run("--deadline", "100000", "flood", MAPS, "default", "200")
        self.assertEqual((result.code, result.stats["ok"]), (0, 600), result)
        self.assertGreater(len(self.connections()), 3)

    def test_a_proxy_that_dies_loses_nothing_that_can_be_repeated(self):
        cat = self.start_nginx()
        for i in range(50):
            self.server.put("configmaps", "default", f"a{i}", {"data": {"v": "1"}})
        running = cat.start("--seconds", "300", "--page", "10", "watch", MAPS)
        running.wait_for("^synced 50$")
        self.nginx.kill()
        self.nginx.wait()
        running.wait_for("^failure kind=transient")
        self.server.put("configmaps", "default", "b", {"data": {"v": "2"}})
        self.start_nginx()
        running.wait_for("^added default/b ")
        self.assertTrue(re.search("^added", running.finish().out))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
