# SPDX-License-Identifier: Apache-2.0
"""What the tests of this folder share: servers, images, a runner of the `slipway` command."""
import contextlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
FAULTD = os.path.join(HERE, "..", "..", "fakes", "faultd.py")
KIB, MIB = 1 << 10, 1 << 20
PATIENCE = 120
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
SKIP = 77
EXIT = {"none": 0, "internal": 1, "usage": 2, "transient": 3, "denied": 4, "not_found": 5,
        "bad_data": 6, "unsupported": 7, "no_space": 8, "cancelled": 9}
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file")
ENV = {k: v for k, v in os.environ.items() if k.lower() not in PROXY_VARIABLES}


def skip(why):
    print("skipped:", why)
    sys.exit(SKIP)


def need(*tools):
    for tool in tools:
        if not find(tool):
            skip(f"{tool} is not installed")


def find(tool):
    return shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def scratch(where=None):
    path = tempfile.mkdtemp(prefix="slipway-survive-", dir=where)
    os.chmod(path, 0o755)       # nginx's worker reads it
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def stop(process):
    process.kill()
    process.wait()


@contextlib.contextmanager
def faultd(root, log=os.devnull, *args):
    """The server of tests/fakes/faultd.py over the files of root; yields its ports."""
    process = subprocess.Popen([sys.executable, FAULTD, "--root", root, "--log", log, *args],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(process.stdout.readline())
    finally:
        stop(process)
        process.stdin.close()
        process.stdout.close()


NGINX_CONF = """
daemon off;
master_process off;
error_log {work}/error.log;
pid {work}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    log_format sent '$body_bytes_sent';
    access_log {work}/access.log sent;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    sendfile on;
    server {{
        listen 127.0.0.1:{port};
        location / {{ root {root}; {extra} }}
        location = /nginx-status {{ stub_status; access_log off; }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(root, extra=""):
    """A real server with ranges and ETags; yields (base URL, path of its log of body bytes)."""
    with scratch() as work:
        port = free_port()
        with open(work + "/nginx.conf", "w") as f:
            f.write(NGINX_CONF.format(work=work, port=port, root=root, extra=extra))
        process = subprocess.Popen([find("nginx"), "-p", work, "-c", work + "/nginx.conf"],
                                   stderr=subprocess.DEVNULL)
        try:
            wait_for_port(port, process)
            yield f"http://127.0.0.1:{port}", work + "/access.log"
        finally:
            stop(process)


def until(probe, what):
    """The first true answer of `probe`. A busy machine takes seconds for what is done at once
    elsewhere, so the patience is long."""
    end = time.monotonic() + PATIENCE
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not in {PATIENCE} s")
        time.sleep(0.02)


def wait_for_port(port, process):
    def answers():
        if process.poll() is not None:
            raise RuntimeError("nginx ended at once")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    until(answers, "nginx answers")


def wait_until_logged(url):
    """Until nginx has no connection but this: it writes its log when it hears that a client is gone."""
    def is_alone():
        with OPENER.open(url + "/nginx-status", timeout=PATIENCE) as answer:
            return re.search(rb"Active connections: (\d+)", answer.read()).group(1) == b"1"

    until(is_alone, "nginx is idle")


def random_raw(path, size, seed, step=8 * MIB, fill=0.8):
    """A disk of random bytes, text and holes. It begins with text: what a block target withholds is
    kept for a restart only when it can be compressed, as the start of every real disk can."""
    rng = random.Random(seed)
    with open(path, "wb") as f:
        f.truncate(size)
        for at in range(0, size, step):
            n = min(int(step * fill), size - at)
            f.seek(at)
            if at // step % 4 == 0:
                f.write((b"line %d of some text\n" % rng.randrange(10**9) * (n // 20 + 1))[:n])
            else:
                f.write(rng.randbytes(n))


def same_file(a, b):
    """Byte for byte, by the size and then by cmp."""
    return subprocess.run(["cmp", "-s", a, b], check=False).returncode == 0


class Result:
    def __init__(self, process):
        self.code = process.returncode
        self.stderr = process.stderr + process.stdout   # with --output json the error is there
        self.json = None
        with contextlib.suppress(ValueError, IndexError):
            self.json = json.loads(process.stdout.strip().splitlines()[-1])


def slipway_args(slipway, source, target, *options):
    return [slipway, "import", "--output", "json", "--progress", "none", *options, source, target]


def run_slipway(slipway, source, target, *options, timeout=600, stdin=subprocess.DEVNULL, env=None):
    return Result(subprocess.run(slipway_args(slipway, source, target, *options), check=False,
                                 stdin=stdin, capture_output=True, text=True, timeout=timeout,
                                 env={**ENV, **(env or {})}))


def leftovers(target):
    """Hidden siblings of a file target."""
    folder, name = os.path.split(target)
    return sorted(n for n in os.listdir(folder) if n.startswith(f".{name}.slipway-"))
