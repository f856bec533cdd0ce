#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""importer/source_http.c against a server that misbehaves (tests/fakes/faultd.py) and against nginx.

    test_http.py HTTP-CAT FAULTD.PY [unittest arguments]

http-cat reads the object as the engine does, by ranges in lanes or as one stream, and prints what it
saw. Each test asserts the bytes (by digest), the kind of error, or what the server logged.
"""
import base64
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HTTP_CAT, FAULTD = sys.argv[1], sys.argv[2]
MIB = 1 << 20
SIZE = 6 * MIB + 12345          # not a multiple of anything
EXIT = {"none": 0, "usage": 2, "transient": 3, "denied": 4, "not_found": 5, "bad_data": 6,
        "unsupported": 7, "no_space": 8, "cancelled": 9}
# What ends by itself ends within seconds here; what hangs, hangs for a test server's 30 s at least.
# In between there is room for a machine that does other things, too.
HANG_SECONDS = 25
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE")


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_ca(where, name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=" + name, "-keyout", where + "/" + name + ".key", "-out", where + "/" + name + ".pem")


def make_cert(where, ca, name, alt):
    """A certificate signed by `ca`: name.pem and name.key."""
    base = os.path.join(where, name)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
            "-keyout", base + ".key", "-out", base + ".csr")
    with open(base + ".ext", "w") as f:
        f.write("subjectAltName=" + alt + "\n")
    openssl("x509", "-req", "-in", base + ".csr", "-CA", where + "/" + ca + ".pem", "-CAkey",
            where + "/" + ca + ".key", "-CAcreateserial", "-days", "2", "-extfile", base + ".ext", "-out", base + ".pem")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def clean_environment(extra):
    env = {k: v for k, v in os.environ.items()
           if k.lower() not in PROXY_VARIABLES and k not in PROXY_VARIABLES}
    env.update(extra or {})
    return env


class World:
    """The servers, the certificates, the object."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="slipway-http-")
        self.root = os.path.join(self.dir, "root")
        os.mkdir(self.root)
        data = random.Random(7).randbytes(SIZE)
        self.sha256 = hashlib.sha256(data).hexdigest()
        for name in ("disk.img", "disk.img.gz"):
            with open(os.path.join(self.root, name), "wb") as f:
                f.write(data)
        with open(os.path.join(self.root, "SHA256SUMS"), "w") as f:
            f.write("%s  disk.img\n" % self.sha256)
        open(os.path.join(self.root, "empty"), "w").close()
        self.make_certificates()
        self.log = os.path.join(self.dir, "log")
        self.daemon, self.ports = self.start_faultd(self.log)
        self.nginx = None

    def make_certificates(self):
        make_ca(self.dir, "ca")
        make_ca(self.dir, "otherca")
        make_cert(self.dir, "ca", "server", "IP:127.0.0.1,DNS:images.example.test")
        make_cert(self.dir, "ca", "wrongname", "DNS:elsewhere.example.test")
        make_cert(self.dir, "ca", "client", "DNS:client")

    def path(self, name):
        return os.path.join(self.dir, name)

    def start_faultd(self, log, *more):
        daemon = subprocess.Popen(
            [sys.executable, FAULTD, "--root", self.root, "--log", log, "--cert", self.path("server.pem"),
             "--key", self.path("server.key"), *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return daemon, json.loads(daemon.stdout.readline())

    def start_nginx(self):
        """Once; ports: plain, tls, tls that asks for a client certificate, tls with a wrong name."""
        if self.nginx:
            return
        ports = {k: free_port() for k in ("plain", "tls", "mutual", "wrongname")}
        tls = "ssl_certificate %s; ssl_certificate_key %s;"
        server = tls % (self.path("server.pem"), self.path("server.key"))
        wrong = tls % (self.path("wrongname.pem"), self.path("wrongname.key"))
        conf = """
            worker_processes 1; daemon off; pid {d}/nginx.pid; error_log {d}/nginx-error.log;
            events {{ }}
            http {{
                access_log off; root {root};
                client_body_temp_path {d}/t1; proxy_temp_path {d}/t2; fastcgi_temp_path {d}/t3;
                uwsgi_temp_path {d}/t4; scgi_temp_path {d}/t5;
                server {{ listen 127.0.0.1:{plain}; }}
                server {{ listen 127.0.0.1:{tls} ssl; {server} }}
                server {{ listen 127.0.0.1:{wrongname} ssl; {wrong} }}
                server {{ listen 127.0.0.1:{mutual} ssl; {server}
                          ssl_client_certificate {d}/ca.pem; ssl_verify_client on; }}
            }}""".format(d=self.dir, root=self.root, server=server, wrong=wrong, **ports)
        with open(self.path("nginx.conf"), "w") as f:
            f.write(conf)
        if os.getuid() == 0:  # its workers become another user
            os.chmod(self.dir, 0o755)
        self.nginx = subprocess.Popen(["nginx", "-c", self.path("nginx.conf"), "-p", self.dir],
                                      stderr=subprocess.DEVNULL)
        self.nginx_ports = ports
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", ports["mutual"])).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("nginx does not start")

    def wait_until_idle(self):
        """Until the server has logged all requests that it got."""
        self.daemon.stdin.write(b"idle?\n")
        self.daemon.stdin.flush()
        self.daemon.stdout.readline()

    def stop(self):
        self.daemon.stdin.close()
        self.daemon.wait()
        self.daemon.stdout.close()
        if self.nginx:
            self.nginx.terminate()
            self.nginx.wait()
        shutil.rmtree(self.dir)


def setUpModule():
    global W
    W = World()


def tearDownModule():
    W.stop()


class Case(unittest.TestCase):
    def setUp(self):
        W.wait_until_idle()     # a request of the test before may only now see that its client left
        self.log_start = os.path.getsize(W.log) if os.path.exists(W.log) else 0

    def url(self, faults="", server="http", file="disk.img"):
        scheme = "https" if server == "https" else "http"
        return "%s://127.0.0.1:%d/%s%s" % (scheme, W.ports[server], faults + "/" if faults else "", file)

    def cat(self, url, *options, env=None):
        run = subprocess.run([HTTP_CAT, *options, url], stdout=subprocess.PIPE, timeout=300,
                             env=clean_environment(env))
        result = json.loads(run.stdout)
        self.assertEqual(run.returncode, EXIT[result["kind"]], result)
        return result

    def good(self, url, *options, env=None, seekable=None):
        result = self.cat(url, *options, env=env)
        self.assertIsNone(result["error"])
        self.assertEqual(result["sha256"], W.sha256)
        if seekable is not None:
            self.assertEqual(result["seekable"], seekable)
        return result

    def bad(self, kind, url, *options, says="", env=None):
        result = self.cat(url, *options, env=env)
        self.assertEqual(result["kind"], kind, result)
        self.assertIn(says, result["error"])
        return result

    def requests(self, listener=None):
        """What the server logged since this test began."""
        W.wait_until_idle()
        with open(W.log) as f:
            f.seek(self.log_start)
            rows = [json.loads(line) for line in f]
        return [r for r in rows if listener in (None, r["listener"])]

    def to(self, url):
        """A redirect fault to this URL."""
        return "redirect:to=" + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


class Ranges(Case):
    def test_reads_by_ranges_in_lanes(self):
        for lanes in ("1", "3", "16"):
            r = self.good(self.url(), "--lanes", lanes, seekable=True)
            self.assertEqual(r["size"], SIZE)
            self.assertEqual(r["fetched"], SIZE)
            self.assertEqual(r["lanes"], int(lanes))
            self.assertTrue(r["validator"].startswith('etag:"'))
            self.assertEqual(r["name"], "disk.img")

    def test_one_connection_per_lane_is_kept(self):
        self.good(self.url(), "--lanes", "2", "--chunk", "512Ki")
        for row in self.requests():
            self.assertEqual(row["method"], "GET")
            self.assertIn("range", row["headers"])
            self.assertEqual(row["headers"]["accept-encoding"], "identity")

    def test_conditional_on_the_strong_etag(self):
        self.good(self.url())
        conditional = [r for r in self.requests() if "if-range" in r["headers"]]
        self.assertEqual(len(conditional), len(self.requests()) - 1)
        self.good(self.url("weaketag"))
        self.assertFalse([r for r in self.requests() if "weak" in r["path"] and "if-range" in r["headers"]])

    def test_validators(self):
        date = "modified:Sun, 01 Mar 2026 10:00:00 GMT;length:%d" % SIZE
        self.assertEqual(self.good(self.url("weaketag"))["validator"], date)
        self.assertEqual(self.good(self.url("noetag"))["validator"], date)
        self.assertIsNone(self.good(self.url("noetag/nodate"))["validator"])

    def test_cut_every_mib_downloads_nothing_twice(self):
        r = self.good(self.url("cut:every=%d" % MIB), "--chunk", "4Mi", "--lanes", "2")
        self.assertLess(r["fetched"], SIZE + MIB)

    def test_cut_at_odd_places(self):
        r = self.good(self.url("cut:every=99991"), "--chunk", "1Mi", "--lanes", "4")
        self.assertEqual(r["fetched"], SIZE)

    def test_cuts_without_progress_are_given_up(self):
        r = self.bad("transient", self.url("cut:every=1"), "--retries", "2", "--lanes", "1",
                     says="gave up after 3 attempts")
        self.assertIn("' at 3: ", r["error"])

    def test_serves_one_of_four(self):
        started = time.monotonic()
        self.good(self.url("flaky:ok=1,of=4"), "--chunk", "4Mi", "--lanes", "1")
        self.assertGreater(time.monotonic() - started, 0.5)  # it backed off

    def test_retry_after_is_honoured(self):
        started = time.monotonic()
        self.good(self.url("flaky:ok=1,of=2,code=429,retry_after=2"), "--chunk", "8Mi")
        self.assertGreater(time.monotonic() - started, 1.9)

    def test_gives_up_after_the_retries(self):
        self.bad("transient", self.url("status:code=503"), "--retries", "2", says="503 Service Unavailable")
        self.assertEqual(len(self.requests()), 3)

    def test_object_that_changes_is_refused(self):
        self.bad("bad_data", self.url("changing:after=3"), says="changed while it was read")
        self.bad("bad_data", self.url("weaketag/changing:after=3"), says="changed while it was read")

    def test_wrong_content_range_is_refused(self):
        self.bad("bad_data", self.url("wrongrange:after=3"))
        self.bad("bad_data", self.url("noetag/wronglength:after=3"), says="Content-Length")

    def test_a_server_that_never_gets_ranges_right_is_read_as_a_stream(self):
        self.good(self.url("wrongrange"), "--lanes", "1", seekable=False)

    def test_200_to_a_range_is_dropped_at_the_head(self):
        r = self.bad("bad_data", self.url("200torange:after=3"), "--lanes", "1", says="whole object")
        self.assertEqual(r["fetched"], 2 * MIB)

    def test_more_than_asked_is_refused(self):
        self.bad("bad_data", self.url("more"), "--lanes", "1", says="more than")

    def test_stalled_connections_are_replaced(self):
        """The client hangs up: a server that does it would be no news."""
        r = self.good(self.url("stall:at=300000,times=2"), "--stall-ms", "500", "--lanes", "2")
        self.assertEqual(r["fetched"], SIZE)
        hung = [q["hung"] for q in self.requests() if q["hung"]]
        self.assertEqual(hung, ["client", "client"])

    def test_slow_drip_is_a_stall(self):
        self.bad("transient", self.url("drip:bps=200"), "--stall-ms", "500", "--retries", "1", says="stalled")

    def test_silence_before_the_head_is_a_stall(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen(8)
            self.bad("transient", "http://127.0.0.1:%d/x" % s.getsockname()[1], "--stall-ms", "300",
                     "--retries", "1", says="stalled")

    def test_missing_and_refused_are_final(self):
        self.bad("not_found", self.url("status:code=404"), says="404")
        self.bad("not_found", self.url("status:code=410"))
        self.bad("denied", self.url("status:code=403"), says="403")
        self.bad("denied", self.url("auth:user=u,pass=p"), says="401")
        self.assertEqual(len(self.requests()), 4)

    def test_nothing_listens(self):
        self.bad("transient", "http://127.0.0.1:%d/x" % free_port(), "--retries", "1", says="Couldn't connect")

    def test_empty_object(self):
        r = self.cat(self.url(file="empty"))
        self.assertEqual((r["error"], r["size"]), (None, 0))

    def test_cancel_ends_every_wait(self):
        """Waits that would last much longer: for bytes (30 s until that is a stall), for the next try
        (a minute, as the server asks)."""
        for faults in ("stall:at=1000,times=0", "drip:bps=2000", "noranges/stall:at=1000,times=0",
                       "flaky:ok=0,of=1,retry_after=60"):
            r = self.bad("cancelled", self.url(faults), "--cancel-ms", "400")
            self.assertLess(r["cancel_ms"], 1000 * HANG_SECONDS, faults)
            self.assertEqual([q for q in self.requests() if q["hung"] == "server"], [], faults)

    def test_slurps_small_objects(self):
        for faults in ("", "noranges", "nolength", "cut:every=20"):
            out = subprocess.run([HTTP_CAT, "--slurp", "--chunk", "4096", self.url(faults, file="SHA256SUMS")],
                                 stdout=subprocess.PIPE, env=clean_environment(None), timeout=300)
            self.assertEqual(out.stdout.decode(), "%s  disk.img\n" % W.sha256, faults)
        self.bad("bad_data", self.url(), "--slurp", "--chunk", "4096", says="more than the 4096")
        self.bad("bad_data", self.url("nolength"), "--slurp", "--chunk", "4096", says="longer than 4096")
        self.bad("bad_data", self.url("endless"), "--slurp", "--chunk", "4096", says="longer than 4096")


class Streams(Case):
    def test_reads_without_ranges(self):
        for faults in ("noranges", "nolength", "closedelim", "nohead/noranges"):
            r = self.good(self.url(faults), seekable=False)
            self.assertEqual(r["size"], SIZE if "noranges" in faults else -1)
            self.assertEqual(r["fetched"], SIZE)

    def timed(self, chunk):
        started = time.monotonic()
        self.good(self.url("noranges"), "--chunk", chunk)
        return time.monotonic() - started

    def test_odd_reads(self):
        """A full buffer must end the wait: 400 reads that each sleep 200 ms would be 80 s longer than
        reads of the buffer's own size, whatever else the machine does."""
        usual = self.timed("1Mi")
        for chunk in ("1000", "16385", "3Mi"):
            self.assertLess(self.timed(chunk), usual + 60)

    def test_a_slow_consumer_is_no_stall(self):
        """Were the pauses its own, the server would be asked again."""
        r = self.good(self.url("noranges"), "--chunk", "3Mi", "--pause-ms", "2500", "--stall-ms", "2000")
        self.assertEqual(r["fetched"], SIZE)

    def test_memory_stays_small_when_the_consumer_is_slow(self):
        slow = self.good(self.url("noranges"), "--chunk", "64Ki", "--pause-ms", "5")
        probe = self.cat(self.url("noranges"), "--probe")
        self.assertLess(slow["rss_kib"] - probe["rss_kib"], 2048)

    def test_cut_stream_starts_again_and_skips(self):
        r = self.good(self.url("noranges/cutonce:at=2000000,nth=1"))
        self.assertGreater(r["fetched"], SIZE + 1000000)
        r = self.good(self.url("noranges/noetag/cutonce:at=2000000,nth=1"))

    def test_cut_stream_goes_on_by_range_when_only_the_total_is_unknown(self):
        r = self.good(self.url("startotal/cutonce:at=2000000,nth=1"), seekable=False)
        self.assertEqual((r["size"], r["fetched"]), (-1, SIZE))
        self.assertEqual([q["headers"].get("range") for q in self.requests()], ["bytes=0-0", None, "bytes=2000000-"])

    def test_cut_stream_without_identity_fails(self):
        self.bad("transient", self.url("noranges/noetag/nodate/cutonce:at=2000000,nth=1"), says="neither ETag")
        self.bad("transient", self.url("nolength/weaketag/cutonce:at=2000000,nth=1"), says="neither ETag")

    def test_bad_end_of_chunks_is_no_end(self):
        self.bad("transient", self.url("badchunk:at=3000000/noetag"), says="cut after 3000000 bytes")
        self.bad("transient", self.url("badchunk:at=3000000"), "--retries", "1")

    def test_changed_stream_is_refused(self):
        self.bad("bad_data", self.url("noranges/changing:after=2/cutonce:at=2000000,nth=1"), says="changed")

    def test_endless_body_is_bounded_by_the_consumer(self):
        r = self.bad("no_space", self.url("endless"), "--limit", "20Mi")
        self.assertLess(r["fetched"], 24 * MIB)
        self.assertLess(r["rss_kib"], 40 * 1024)

    def test_encodings_are_refused_unless_they_are_the_file(self):
        self.bad("unsupported", self.url("encoding:as=gzip"), says="Content-Encoding 'gzip'")
        self.good(self.url("encoding:as=gzip", file="disk.img.gz"))
        self.good(self.url("encoding:as=identity"))


class Redirects(Case):
    def test_are_followed_once(self):
        self.good(self.url(self.to(self.url(server="other"))), "--lanes", "2")
        self.assertEqual(len(self.requests("http")), 1)
        self.assertGreater(len(self.requests("other")), 5)

    def test_loops_end(self):
        self.bad("bad_data", self.url("loop"), says="more than 10 redirects")
        self.assertEqual(len(self.requests()), 11)

    def test_secrets_stay_with_their_origin(self):
        secrets = ["--user", "me", "--password", "hunter2", "--header", "X-Token: s3cr3t",
                   "--header", "Authorization-Extra: s3cr3t\n"]
        self.good(self.url(self.to(self.url(server="other"))), *secrets)
        first, rest = self.requests("http"), self.requests("other")
        self.assertIn("authorization", first[0]["headers"])
        self.assertEqual(first[0]["headers"]["x-token"], "s3cr3t")
        self.assertEqual(first[0]["headers"]["authorization-extra"], "s3cr3t")
        self.assertGreater(len(rest), 5)
        for row in rest:
            self.assertNotIn("authorization", row["headers"])
            self.assertNotIn("s3cr3t", json.dumps(row))
            self.assertNotIn("cookie", row["headers"])

    def test_secrets_follow_within_the_origin(self):
        self.good(self.url(self.to(self.url("auth:user=me,pass=p:w"))), "--user", "me", "--password", "p:w")
        self.good(self.url(self.to("/auth:user=me,pass=pw/disk.img")), "--user", "me", "--password", "pw")

    def test_credentials_in_the_url_work_and_are_not_shown(self):
        url = self.url("auth:user=me,pass=hunter2").replace("//", "//me:hunter2@")
        r = self.good(url)
        self.assertNotIn("me:hunter2", json.dumps(r))
        r = self.bad("denied", url.replace("//me", "//you") + "?token=s3cr3t", says="401")
        self.assertNotIn(":hunter2", r["error"])
        self.assertNotIn("s3cr3t", r["error"])

    def test_a_location_does_not_say_whom_to_be(self):
        there = self.url("auth:user=me,pass=pw", server="other").replace("//", "//me:pw@")
        self.bad("denied", self.url(self.to(there)))

    def test_refusal_behind_a_redirect_says_why(self):
        self.bad("denied", self.url(self.to(self.url("auth:user=u,pass=p", server="other"))), "--user", "u",
                 "--password", "p", says="not sent on")

    def test_downgrade_is_refused_for_secrets(self):
        url = self.url(self.to(self.url(server="other")), server="https")
        tls = ["--cacert", W.path("ca.pem")]
        self.bad("denied", url, *tls, "--header", "X-Token: a", says="https to plain http")
        self.assertEqual(self.requests("other"), [])
        self.good(url, *tls)

    def test_other_schemes_are_not_followed(self):
        self.bad("bad_data", self.url(self.to("file:///etc/passwd")), says="redirect to")
        self.bad("bad_data", self.url(self.to("ftp://127.0.0.1/x")), says="redirect to")

    def test_expired_signed_urls_are_renewed(self):
        self.good(self.url("signed:uses=3"), "--lanes", "1", "--chunk", "512Ki")
        self.assertGreater(len([r for r in self.requests() if r["path"].startswith("/signed")]), 3)
        self.good(self.url("signed:uses=9"), "--lanes", "4", "--chunk", "512Ki")

    def test_a_url_that_is_refused_when_new_is_final(self):
        self.bad("denied", self.url("signed:uses=1"), "--lanes", "1", says="403")

    def test_name_is_that_of_the_original(self):
        r = self.good(self.url(self.to(self.url())).replace("disk.img", "my%20disk%2B1.qcow2?x=/y"))
        self.assertEqual(r["name"], "my disk+1.qcow2")
        r = self.good(self.url(self.to(self.url())).replace("/disk.img", "/"))
        self.assertEqual(r["name"], "disk.img")

    def test_bad_headers_are_refused(self):
        for header in ("no colon", "Range: bytes=0-1", "X: a\r\nY: b", ": x"):
            r = self.bad("usage", self.url(), "--header", header)
            self.assertNotIn("bytes=0-1", r["error"])
        self.assertEqual(self.requests(), [])


class Tls(Case):
    def test_ca_file_and_directory(self):
        os.makedirs(W.path("certs/..data"), exist_ok=True)
        shutil.copy(W.path("ca.pem"), W.path("certs/any-name.txt"))
        with open(W.path("certs/README"), "w") as f:
            f.write("no certificate\n")
        self.good(self.url(server="https"), "--cacert", W.path("ca.pem"))
        self.good(self.url(server="https"), "--capath", W.path("certs"))

    def test_unknown_issuer_is_final(self):
        self.bad("denied", self.url(server="https"), says="certificate")
        self.bad("denied", self.url(server="https"), "--cacert", W.path("otherca.pem"))

    def test_added_roots_do_not_replace_the_systems(self):
        self.good(self.url(server="https"), "--cacert", W.path("otherca.pem"),
                  env={"SSL_CERT_FILE": W.path("ca.pem")})

    def test_works_where_there_is_no_bundle(self):
        self.bad("denied", self.url(server="https"), env={"SSL_CERT_FILE": W.path("none.pem")})

    def test_insecure(self):
        self.good(self.url(server="https"), "--insecure")

    def test_bad_ca_files(self):
        self.bad("usage", self.url(server="https"), "--cacert", W.path("root/SHA256SUMS"), says="no PEM")
        self.bad("not_found", self.url(server="https"), "--cacert", W.path("missing.pem"))
        self.bad("not_found", self.url(server="https"), "--capath", W.path("missing"))

    def test_tls_against_a_plain_server(self):
        self.bad("transient", self.url().replace("http:", "https:"), "--retries", "1")


class Proxies(Case):
    def proxy(self, credentials=""):
        return "http://%s127.0.0.1:%d" % (credentials, W.ports["proxy"])

    def test_named_by_the_environment(self):
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            self.good("http://images.example.test/disk.img", env={name: self.proxy()})
        self.assertGreater(len(self.requests("proxy")), 3 * 7)

    def test_tunnel_for_https(self):
        self.good("https://images.example.test/disk.img", "--cacert", W.path("ca.pem"),
                  env={"https_proxy": self.proxy()})
        connects = self.requests("proxy")
        self.assertEqual({r["method"] for r in connects}, {"CONNECT"})
        self.assertLessEqual(len(connects), 4)

    def test_no_proxy_and_empty_proxy(self):
        env = {"http_proxy": self.proxy(), "no_proxy": "127.0.0.0/8"}
        self.good(self.url(), env=env)
        self.good(self.url(), "--proxy", "", env={"all_proxy": self.proxy()})
        self.assertEqual(self.requests("proxy"), [])
        self.good(self.url(), "--proxy", self.proxy(), env={"no_proxy": "*"})
        self.assertNotEqual(self.requests("proxy"), [])

    def test_secrets_are_not_for_the_proxy(self):
        self.good("https://images.example.test/auth:user=me,pass=pw/disk.img", "--cacert", W.path("ca.pem"),
                  "--user", "me", "--password", "pw", "--header", "X-Token: s3cr3t",
                  env={"https_proxy": self.proxy()})
        for row in self.requests("proxy"):
            self.assertNotIn("s3cr3t", json.dumps(row))
            self.assertNotIn("authorization", row["headers"])

    def test_proxy_credentials(self):
        daemon, ports = W.start_faultd(W.path("log2"), "--proxy-auth", "pu:p@w")
        try:
            for scheme in ("http", "https"):
                url = scheme + "://images.example.test/disk.img"
                tls = ["--cacert", W.path("ca.pem")]
                proxy = "http://%s127.0.0.1:%d" % ("%s", ports["proxy"])
                self.good(url, *tls, "--proxy", proxy % "pu:p%40w@")
                r = self.bad("denied", url, *tls, "--proxy", proxy % "pu:hunter2@", says="407")
                self.assertNotIn("hunter2", r["error"])
        finally:
            daemon.stdin.close()
            daemon.wait()
            daemon.stdout.close()


@unittest.skipUnless(shutil.which("nginx"), "nginx is not installed")
class Nginx(Case):
    @classmethod
    def setUpClass(cls):
        W.start_nginx()

    def at(self, server, file="disk.img"):
        scheme = "http" if server == "plain" else "https"
        return "%s://127.0.0.1:%d/%s" % (scheme, W.nginx_ports[server], file)

    def test_plain_and_tls(self):
        self.good(self.at("plain"), seekable=True)
        self.good(self.at("tls"), "--cacert", W.path("ca.pem"), seekable=True)
        self.assertEqual(self.cat(self.at("plain", "empty"))["size"], 0)
        self.bad("not_found", self.at("plain", "missing"), says="404")

    def test_wrong_name_is_refused(self):
        self.bad("denied", self.at("wrongname"), "--cacert", W.path("ca.pem"), says="name")
        self.good(self.at("wrongname"), "--insecure")

    def test_client_certificates(self):
        tls = ["--cacert", W.path("ca.pem")]
        self.good(self.at("mutual"), *tls, "--cert", W.path("client.pem"), "--key", W.path("client.key"))
        self.bad("bad_data", self.at("mutual"), *tls, says="400")
        self.bad("denied", self.at("mutual"), *tls, "--cert", W.path("missing.pem"))

    def test_client_certificate_stays_with_its_origin(self):
        self.bad("bad_data", self.url(self.to(self.at("mutual")), server="https"), "--cacert", W.path("ca.pem"),
                 "--cert", W.path("client.pem"), "--key", W.path("client.key"), says="400")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
