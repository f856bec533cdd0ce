#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A web server that misbehaves as told, and a proxy, for tests.

    faultd.py --root DIR --log FILE [--address IP] [--cert PEM --key PEM]
              [--proxy-auth USER:PASSWORD]

Prints one JSON line with its ports and serves until its standard input is closed. A line there is
answered with a line once no request is being served: then all of them are in the log.
    http, other    plain HTTP; `other` is another origin with the same content
    https          TLS, when --cert is given
    proxy          CONNECT and absolute-URI requests; every host name leads to 127.0.0.1
                   (port 80 to `http`, 443 to `https`, others as they stand)

A request path is /FAULT[:key=value,...]/.../FILE: any number of faults, then a file below DIR. State
(counters) is kept per complete path. Each request is one JSON line in the log: listener, method,
path, headers (lower-case names), status, sent (bytes of body), and for a body that hung, who ended
that ("client" or "server").

Faults:
    cut:every=N            close the connection after N bytes of each body
    cutonce:at=N,nth=K     the same for request K only, counted from 0
    changing:after=K       after K answers the file is another one (ETag, date and bytes)
    silentchange:after=K   the same without an ETag on either
    wrongrange:after=K     after K range answers Content-Range names a span one byte off
    wronglength:after=K    Content-Length says one less than Content-Range
    endless                200 without length, bytes for ever
    more                   a range answer with more bytes than were asked for
    drip:bps=N             N bytes a second
    stall:at=N,times=T     the first T bodies stop after N bytes and hang (T=0: all)
    hold:at=N,until=NAME   each body stops after N bytes until DIR has a file of that name
    flaky:ok=1,of=4,code=503,retry_after=S   only `ok` of `of` requests are served
    status:code=N          that status, always
    redirect:to=B64        302 to the base64url-coded URL (code=N for another status)
    loop                   redirect to itself with a counter
    signed:uses=N          redirect to a URL that works N times, then answers 403
    noranges, nolength (chunked), closedelim (ends by close), nohead (405), badchunk:at=N
    200torange:after=K     after K range answers, 200 with everything
    startotal              range answers do not name the total ("bytes 0-0/*")
    noetag, nodate, weaketag, html, encoding:as=gzip, cookie
    auth:user=U,pass=P     401 without these Basic credentials
"""
import argparse
import base64
import hashlib
import http.server
import json
import os
import re
import select
import socket
import socketserver
import ssl
import sys
import threading
import time
import urllib.parse

PIECE = 65536
HANG_SECONDS = 30
HOLD_SECONDS = 300      # for the test that forgets to let go


class State:
    def __init__(self, args):
        self.args = args
        self.lock = threading.Lock()
        self.counts = {}
        self.log = open(args.log, "a", buffering=1)
        self.ports = {}
        self.busy = 0
        self.is_idle = threading.Condition(self.lock)

    def begin_request(self):
        with self.lock:
            self.busy += 1

    def end_request(self):
        with self.lock:
            self.busy -= 1
            self.is_idle.notify_all()

    def wait_until_idle(self):
        with self.lock:
            self.is_idle.wait_for(lambda: self.busy == 0)

    def count(self, key):
        """How often this was asked before."""
        with self.lock:
            n = self.counts.get(key, 0)
            self.counts[key] = n + 1
            return n

    def record(self, **entry):
        with self.lock:
            self.log.write(json.dumps(entry) + "\n")


def split_path(path):
    """'/a:x=1,y=2/b/file?q' -> ({'a': {'x': '1', 'y': '2'}, 'b': {}}, 'file')"""
    segments = urllib.parse.urlsplit(path).path[1:].split("/")
    faults = {}
    for segment in segments[:-1]:
        name, _, rest = segment.partition(":")
        faults[name] = dict(p.split("=", 1) for p in rest.split(",") if "=" in p)
    return faults, segments[-1]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0
    state = None
    listener = "http"

    def log_message(self, *args):
        pass

    # ---- what is served ----

    def arg(self, fault, key, default=0):
        return int(self.faults[fault].get(key, default))

    def load(self):
        """The bytes to serve and their version."""
        name = os.path.join(self.state.args.root, os.path.basename(self.file))
        with open(name, "rb") as f:
            data = f.read()
        version = "1"
        for fault in ("changing", "silentchange"):
            if fault in self.faults and self.nth >= self.arg(fault, "after"):
                data, version = bytes(b ^ 0xFF for b in data), "2"
        return data, version

    def validators(self, data, version):
        if "noetag" not in self.faults and "silentchange" not in self.faults:
            tag = '"%s-%s"' % (hashlib.md5(self.file.encode()).hexdigest()[:8], version)
            self.send_header("ETag", ("W/" if "weaketag" in self.faults else "") + tag)
        if "nodate" not in self.faults:
            self.send_header("Last-Modified", "Sun, 0%s Mar 2026 10:00:00 GMT" % version)

    def if_range_fails(self, version):
        wanted = self.headers.get("If-Range")
        return wanted is not None and not wanted.endswith('-%s"' % version)

    def span(self, size, version):
        """The range to send as (first, last), or None for everything."""
        m = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not m or "noranges" in self.faults or "endless" in self.faults:
            return None
        if "nolength" in self.faults or "closedelim" in self.faults or "badchunk" in self.faults:
            return None
        if self.if_range_fails(version):
            return None
        if "200torange" in self.faults and self.nth >= self.arg("200torange", "after"):
            return None
        return int(m[1]), min(int(m[2] or size - 1), size - 1)

    # ---- sending ----

    def begin(self, status):
        self.status = status
        self.send_response(status)

    def reply(self, body=b""):
        """An answer without faults in its body."""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.put(body)

    def put(self, data):
        self.wfile.write(data)
        self.sent += len(data)

    def is_deserted(self, seconds):
        """Whether the client goes away within that time."""
        ready, _, _ = select.select([self.connection], [], [], seconds)
        if not ready:
            return False
        if isinstance(self.connection, ssl.SSLSocket):
            return True     # it has nothing to say but goodbye
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:         # it closed with bytes of ours unread
            return True

    def hang(self):
        """Silent until the client goes away."""
        end = time.monotonic() + HANG_SECONDS
        self.hung = "server"
        while time.monotonic() < end:
            if self.is_deserted(0.2):
                self.hung = "client"
                break
        self.close_connection = True

    def hold(self):
        """Silent until the test says otherwise; False when the client goes away first."""
        path = os.path.join(self.state.args.root, self.faults["hold"]["until"])
        end = time.monotonic() + HOLD_SECONDS
        while not os.path.exists(path) and time.monotonic() < end:
            if self.is_deserted(0.02):
                self.close_connection = True
                return False
        return True

    def cut_at(self, size):
        """Bytes after which this body ends early, and how: 'cut', 'stall', or (size, None)."""
        if "cut" in self.faults and self.arg("cut", "every") < size:
            return self.arg("cut", "every"), "cut"
        if "cutonce" in self.faults and self.nth == self.arg("cutonce", "nth"):
            return self.arg("cutonce", "at"), "cut"
        if "stall" in self.faults and size > 1:
            times = self.arg("stall", "times")
            if times == 0 or self.state.count(self.path + "#stall") < times:
                return min(self.arg("stall", "at"), size), "stall"
        return size, None

    def send_body(self, data):
        end, how = self.cut_at(len(data))
        if "drip" in self.faults and len(data) > 1:
            bps = self.arg("drip", "bps")
            for i in range(0, len(data), max(1, bps // 10)):
                self.put(data[i:i + max(1, bps // 10)])
                time.sleep(0.1 if bps >= 10 else 1.0 / bps)
            return
        view = memoryview(data)
        start = 0
        if "hold" in self.faults and self.arg("hold", "at") < end:
            start = self.arg("hold", "at")
            self.put(view[:start])
            if not self.hold():
                return
        for i in range(start, end, PIECE):
            self.put(view[i:min(i + PIECE, end)])
        if how == "cut":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif how == "stall":
            self.hang()

    def send_chunked(self, data):
        end = self.arg("badchunk", "at") if "badchunk" in self.faults else len(data)
        cut, how = self.cut_at(end)
        for i in range(0, cut, PIECE):
            piece = data[i:min(i + PIECE, cut)]
            self.wfile.write(b"%x\r\n" % len(piece))
            self.put(piece)
            self.wfile.write(b"\r\n")
        if "badchunk" in self.faults or how == "cut":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.wfile.write(b"0\r\n\r\n")

    def send_endless(self):
        self.end_headers()
        self.close_connection = True
        while True:
            self.put(b"\xa5" * PIECE)

    # ---- the faults that answer by themselves ----

    def redirect(self, url, code=302):
        self.begin(code)
        self.send_header("Location", url)
        if "cookie" in self.faults:
            self.send_header("Set-Cookie", "session=secret")
        self.reply(b"moved\n")

    def refuse_early(self):
        """True when the request has been answered."""
        f = self.faults
        if "nohead" in f and self.command == "HEAD":
            self.begin(405)
            self.reply()
        elif "loop" in f:
            self.redirect("/loop/%s?n=%d" % (self.file, self.nth))
        elif "redirect" in f:
            to = base64.urlsafe_b64decode(f["redirect"]["to"] + "==").decode()
            self.redirect(to, self.arg("redirect", "code", 302))
        elif "signed" in f:
            self.redirect("/use:max=%s,token=%d/%s?sig=s3cr3t" % (f["signed"]["uses"], self.nth, self.file))
        elif "use" in f and self.nth >= self.arg("use", "max"):
            self.begin(403)
            self.reply(b"expired\n")
        elif "status" in f:
            self.begin(self.arg("status", "code"))
            self.reply(b"no\n")
        elif "auth" in f and not self.is_authorised():
            self.begin(401)
            self.send_header("WWW-Authenticate", 'Basic realm="fault"')
            self.reply(b"who?\n")
        elif "flaky" in f and self.nth % self.arg("flaky", "of", 4) >= self.arg("flaky", "ok", 1):
            self.begin(self.arg("flaky", "code", 503))
            if "retry_after" in f["flaky"]:
                self.send_header("Retry-After", f["flaky"]["retry_after"])
            self.reply(b"busy\n")
        else:
            return False
        return True

    def is_authorised(self):
        wanted = "%s:%s" % (self.faults["auth"]["user"], self.faults["auth"]["pass"])
        return self.headers.get("Authorization") == "Basic " + base64.b64encode(wanted.encode()).decode()

    # ---- one request ----

    def serve(self):
        data, version = self.load()
        span = self.span(len(data), version)
        if span and (span[0] >= len(data) or span[0] > span[1]):
            self.begin(416)
            self.send_header("Content-Range", "bytes */%d" % len(data))
            self.reply()
            return
        self.begin(206 if span else 200)
        self.send_header("Content-Type", "text/html" if "html" in self.faults else "application/octet-stream")
        if "encoding" in self.faults:
            self.send_header("Content-Encoding", self.faults["encoding"].get("as", "gzip"))
        self.validators(data, version)
        if "endless" in self.faults:
            self.send_endless()
            return
        total = len(data)
        if span:
            off = 1 if "wrongrange" in self.faults and self.nth >= self.arg("wrongrange", "after") else 0
            size = "*" if "startotal" in self.faults else total + off
            self.send_header("Content-Range", "bytes %d-%d/%s" % (span[0] + off, span[1] + off, size))
            data = data[span[0]:span[1] + 1]
            if "more" in self.faults and len(data) > 1:
                data += b"more" * 1000
        self.send_framed(data)

    def send_framed(self, data):
        if "nolength" in self.faults or "badchunk" in self.faults:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if self.command != "HEAD":
                self.send_chunked(data)
            return
        if "closedelim" in self.faults:
            self.close_connection = True
            self.send_header("Connection", "close")
        else:
            less = "wronglength" in self.faults and self.nth >= self.arg("wronglength", "after")
            if not ("more" in self.faults and len(data) > 4000):
                self.send_header("Content-Length", str(len(data) - (1 if less else 0)))
            else:
                self.send_header("Connection", "close")
                self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.send_body(data)

    def answer(self):
        self.state.begin_request()
        try:
            self.answer_and_record()
        finally:
            self.state.end_request()

    def answer_and_record(self):
        self.status = self.sent = 0
        self.hung = None
        self.faults, self.file = split_path(self.path)
        self.nth = self.state.count(urllib.parse.urlsplit(self.path).path)
        try:
            if not self.refuse_early():
                self.serve()
        except FileNotFoundError:
            self.begin(404)
            self.reply(b"no such file\n")
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError, OSError):
            self.close_connection = True
        self.state.record(listener=self.listener, method=self.command, path=self.path,
                          headers={k.lower(): v for k, v in self.headers.items()},
                          status=self.status, sent=self.sent, hung=self.hung)

    do_GET = do_HEAD = answer


class ProxyHandler(http.server.BaseHTTPRequestHandler):
    """Leads every host name to 127.0.0.1."""
    protocol_version = "HTTP/1.1"
    state = None

    def log_message(self, *args):
        pass

    def refused(self):
        wanted = self.state.args.proxy_auth
        ok = not wanted or self.headers.get("Proxy-Authorization") == \
            "Basic " + base64.b64encode(wanted.encode()).decode()
        self.state.record(listener="proxy", method=self.command, path=self.path,
                          headers={k.lower(): v for k, v in self.headers.items()},
                          status=200 if ok else 407, sent=0)
        if not ok:
            self.send_response(407)
            self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        return not ok

    def local_port(self, port):
        return {80: self.state.ports["http"], 443: self.state.ports.get("https", 0)}.get(port, port)

    def do_CONNECT(self):
        if self.refused():
            return
        port = self.local_port(int(self.path.rsplit(":", 1)[1]))
        with socket.create_connection(("127.0.0.1", port)) as peer:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.relay(peer)
        self.close_connection = True

    def relay(self, peer):
        ends = {self.connection: peer, peer: self.connection}
        while True:
            ready, _, _ = select.select(list(ends), [], [], HANG_SECONDS)
            if not ready:
                return
            for end in ready:
                data = end.recv(PIECE)
                if not data:
                    return
                ends[end].sendall(data)

    def do_GET(self):
        if self.refused():
            return
        url = urllib.parse.urlsplit(self.path)
        with socket.create_connection(("127.0.0.1", self.local_port(url.port or 80))) as peer:
            lines = ["%s %s HTTP/1.1" % (self.command, url.path + ("?" + url.query if url.query else ""))]
            lines += ["%s: %s" % (k, v) for k, v in self.headers.items()
                      if not k.lower().startswith("proxy-")]
            lines += ["Via: 1.1 fault", "Connection: close", "", ""]
            peer.sendall("\r\n".join(lines).encode())
            while True:
                data = peer.recv(PIECE)
                if not data:
                    break
                self.wfile.write(data)
        self.close_connection = True


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # TLS handshakes that fail on purpose


def start(state, name, base, context=None):
    handler = type(name, (base,), {"state": state, "listener": name})
    server = Server((state.args.address, 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True,
                                            do_handshake_on_connect=False)
    state.ports[name] = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--proxy-auth")
    state = State(parser.parse_args())
    start(state, "http", Handler)
    start(state, "other", Handler)
    start(state, "proxy", ProxyHandler)
    if state.args.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(state.args.cert, state.args.key)
        start(state, "https", Handler, context)
    print(json.dumps(state.ports), flush=True)
    for _ in sys.stdin:
        state.wait_until_idle()
        print("idle", flush=True)


if __name__ == "__main__":
    main()
