# SPDX-License-Identifier: Apache-2.0
"""An API server that misbehaves as told: enough of Kubernetes for a client to list, watch and write,
in threads of the test's own process.

    with FakeServer(tls=(cert, key)) as server:
        server.put("configmaps", "default", "a", {"data": {"v": "1"}})
        server.fault("GET .*watch=true", cut=100, times=3)

Faults are rules: a regular expression on "METHOD path?query", and what to do with the next `times`
requests (0: all) that match, after `skip` of them:
    status=N, headers={}, body=text    this answer instead
    close=True                         close the connection without an answer
    delay=S                            S seconds before anything happens
    cut=N                              close the connection after N bytes of the body
    drip=N                             the body in pieces of N bytes
    lines=[...]                        a watch whose stream is these texts, and then ends
    end=True                           with lines: ends as a watch should (else the connection breaks)
"""
import http.server
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse
import uuid

STATUS_REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound",
                  409: "Conflict", 410: "Expired", 422: "Invalid", 429: "TooManyRequests",
                  500: "InternalError", 503: "ServiceUnavailable"}


def status(code, message="", reason=None, **details):
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
            "reason": reason or STATUS_REASONS.get(code, ""), "details": details, "code": code}


def merge(target, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


class Refusal(Exception):
    def __init__(self, code, message="", reason=None):
        super().__init__(message)
        self.body = status(code, message, reason)
        self.code = code


class Cut(Exception):
    """The connection ends here."""


class Fault:
    def __init__(self, pattern, times=1, skip=0, **actions):
        self.pattern, self.times, self.skip, self.actions = re.compile(pattern), times, skip, actions
        self.seen = 0

    def applies(self, line):
        if not self.pattern.search(line):
            return False
        self.seen += 1
        return self.seen > self.skip and (not self.times or self.seen <= self.skip + self.times)


class FakeServer:
    """The store, the rules and the listener. All methods may be called from any thread."""

    def __init__(self, tls=None, client_ca=None, port=0):
        self.changed = threading.Condition()
        self.version = 1000
        self.floor = 0              # watches from before this version get 410
        self.objects, self.events, self.faults, self.log = {}, [], [], []
        self.tokens = None          # None: anybody
        self.connections = set()
        self.n_connections = 0      # accepted so far
        self.is_down = False
        self.tls, self.client_ca, self.port = tls, client_ca, port
        self.http = None

    # --- For tests ---

    def __enter__(self):
        self.listen()
        return self

    def __exit__(self, *_):
        self.hang_up()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def fault(self, pattern, **actions):
        with self.changed:
            self.faults.append(Fault(pattern, **actions))

    def put(self, plural, ns, name, content):
        """Create or replace, as somebody else would."""
        with self.changed:
            old = self.objects.get((plural, ns, name))
            self._store(plural, ns, name, dict(content), old)

    def remove(self, plural, ns, name):
        with self.changed:
            self._remove(plural, ns, name)

    def all(self, plural):
        """{"ns/name": object}"""
        with self.changed:
            return {f"{ns}/{name}": o for (p, ns, name), o in self.objects.items() if p == plural}

    def compact(self):
        """Forget history: a watch or a list's next page from before now gets 410."""
        with self.changed:
            self.floor = self.version
            self.changed.notify_all()

    def requests(self, pattern):
        with self.changed:
            return [line for line in self.log if re.search(pattern, line)]

    def wait_for(self, condition, seconds=60):
        """Until condition() holds; it is called without the lock."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("what a test waits for did not happen")
            time.sleep(0.01)

    def cut_connections(self):
        with self.changed:
            for connection in list(self.connections):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def hang_up(self):
        """As if the process had been killed: no listener, no connections; the store stays."""
        if not self.http:
            return
        self.is_down = True
        self.http.shutdown()
        self.http.server_close()
        with self.changed:
            self.changed.notify_all()
        self.cut_connections()
        self.http = None

    def listen(self):
        self.is_down = False
        self.http = Listener(self)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    # --- The store; the lock is held ---

    def _next(self):
        self.version += 1
        return str(self.version)

    def _tell(self, kind, plural, obj):
        self.events.append((self.version, plural, kind, json.loads(json.dumps(obj))))
        self.changed.notify_all()

    def _store(self, plural, ns, name, content, old):
        meta = dict(content.get("metadata") or {})
        meta.update(name=name, uid=old["metadata"]["uid"] if old else str(uuid.uuid4()),
                    resourceVersion=self._next())
        if ns:
            meta["namespace"] = ns
        content["metadata"] = meta
        self.objects[plural, ns, name] = content
        self._tell("MODIFIED" if old else "ADDED", plural, content)
        return content

    def _remove(self, plural, ns, name):
        obj = self.objects.pop((plural, ns, name))
        obj["metadata"]["resourceVersion"] = self._next()
        self._tell("DELETED", plural, obj)
        return obj


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, fake):
        self.fake, self.context = fake, None
        if fake.tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*fake.tls)
            if fake.client_ca:
                self.context.load_verify_locations(fake.client_ca)
                self.context.verify_mode = ssl.CERT_REQUIRED
        super().__init__(("127.0.0.1", fake.port), Handler)

    def process_request_thread(self, request, client_address):
        try:
            if self.context:
                request = self.context.wrap_socket(request, server_side=True)
        except OSError:
            request.close()
            return
        with self.fake.changed:
            self.fake.connections.add(request)
            self.fake.n_connections += 1
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self.fake.changed:
                self.fake.connections.discard(request)

    def handle_error(self, request, client_address):
        pass    # connections that break are what this is for


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.fake = self.server.fake

    def finish(self):
        try:
            super().finish()
        except OSError:
            pass

    def handle_one_request(self):
        if self.fake.is_down:
            self.close_connection = True
            return
        try:
            super().handle_one_request()
        except (Cut, OSError):
            self.close_connection = True
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def do_GET(self):
        self.serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    # --- One request ---

    def serve(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        line = f"{self.command} {self.path}"
        with self.fake.changed:
            self.fake.log.append(line)
            fault = next((f for f in self.fake.faults if f.applies(line)), None)
        self.actions = fault.actions if fault else {}
        self.left = self.actions.get("cut")
        time.sleep(self.actions.get("delay", 0))
        if self.actions.get("close"):
            raise Cut()
        if "lines" in self.actions:
            self.send_lines()
        elif "status" in self.actions:
            code = self.actions["status"]
            self.answer(code, self.actions.get("body", json.dumps(status(code, "told to"))),
                        self.actions.get("headers", {}))
        else:
            self.serve_truly()

    def serve_truly(self):
        try:
            if self.fake.tokens is not None and (self.headers.get("Authorization", "")
                                                 not in [f"Bearer {t}" for t in self.fake.tokens]):
                raise Refusal(401, "Unauthorized")
            code, obj = self.route()
        except Refusal as refusal:
            code, obj = refusal.code, refusal.body
        if obj is not None:
            self.answer(code, json.dumps(obj), {})

    def send_bytes(self, data):
        """As the fault says: in pieces, or cut."""
        size = self.actions.get("drip") or max(len(data), 1)
        for at in range(0, len(data), size):
            piece = data[at:at + size]
            if self.left is not None and len(piece) >= self.left:
                self.wfile.write(piece[:self.left])
                raise Cut()
            if self.left is not None:
                self.left -= len(piece)
            self.wfile.write(piece)

    def answer(self, code, text, headers):
        data = text.encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.send_bytes(data)

    def begin_stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send_chunk(self, text):
        """The border of a chunk is no border of anything else: the fault counts bytes of the text."""
        data = text.encode()
        size = self.actions.get("drip") or max(len(data), 1)
        for at in range(0, len(data), size):
            piece = data[at:at + size]
            is_last = self.left is not None and len(piece) >= self.left
            if is_last:
                piece = piece[:self.left]
            elif self.left is not None:
                self.left -= len(piece)
            if piece:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if is_last:
                raise Cut()

    def send_lines(self):
        self.begin_stream()
        for line in self.actions["lines"]:
            self.send_chunk(line)
        if not self.actions.get("end"):
            raise Cut()
        self.wfile.write(b"0\r\n\r\n")

    # --- The API ---

    def route(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        parts = [urllib.parse.unquote(p) for p in url.path.strip("/").split("/")]
        if parts == ["version"]:
            return 200, {"major": "1", "minor": "36"}
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        ns = ""
        if parts[:1] == ["namespaces"] and len(parts) > 2:
            ns, parts = parts[1], parts[2:]
        plural, name = parts[0], parts[1] if len(parts) > 1 else None
        if self.command == "GET" and not name:
            if query.get("watch") == "true":
                return self.watch(plural, ns, query)
            return self.list(plural, ns, query)
        with self.fake.changed:
            return getattr(self, "on_" + self.command.lower())(plural, ns, name)

    def find(self, plural, ns, name):
        try:
            return self.fake.objects[plural, ns, name]
        except KeyError:
            raise Refusal(404, f'{plural} "{name}" not found') from None

    def check(self, obj, uid, version):
        meta = obj["metadata"]
        if uid and uid != meta["uid"]:
            raise Refusal(409, f"Precondition failed: UID in precondition: {uid}")
        if version and version != meta["resourceVersion"]:
            raise Refusal(409, "the object has been modified")

    def on_get(self, plural, ns, name):
        return 200, self.find(plural, ns, name)

    def on_post(self, plural, ns, name):
        content = json.loads(self.body)
        name = content["metadata"]["name"]
        if (plural, ns, name) in self.fake.objects:
            raise Refusal(409, f'{plural} "{name}" already exists', "AlreadyExists")
        return 201, self.fake._store(plural, ns, name, content, None)

    def on_put(self, plural, ns, name):
        old, content = self.find(plural, ns, name), json.loads(self.body)
        meta = content.get("metadata", {})
        self.check(old, meta.get("uid"), meta.get("resourceVersion"))
        return 200, self.fake._store(plural, ns, name, content, old)

    def on_patch(self, plural, ns, name):
        kind = self.headers["Content-Type"]
        if kind == "application/json-patch+json":
            patch = {}
            for step in json.loads(self.body):      # only top-level "add" and "replace" of data
                patch = merge(patch, {"data": {step["path"].split("/")[2]: step["value"]}})
        elif kind in ("application/merge-patch+json", "application/apply-patch+yaml"):
            patch = json.loads(self.body)
        else:
            raise Refusal(415, kind)
        is_apply = kind.startswith("application/apply")
        if is_apply and "fieldManager=" not in self.path:
            raise Refusal(400, "fieldManager is required for apply patch")
        old = self.fake.objects.get((plural, ns, name))
        if not old and not is_apply:
            raise Refusal(404, f'{plural} "{name}" not found')
        meta = patch.get("metadata", {})
        if old:
            uid = meta.pop("uid", None)
            if uid and uid != old["metadata"]["uid"]:      # as the real one does
                raise Refusal(422, f"metadata.uid: Invalid value: \"{uid}\": field is immutable")
            self.check(old, uid, meta.pop("resourceVersion", None))
        return 200 if old else 201, self.fake._store(plural, ns, name, merge(old or {}, patch), old)

    def on_delete(self, plural, ns, name):
        old, options = self.find(plural, ns, name), json.loads(self.body or b"{}")
        wanted = options.get("preconditions", {})
        self.check(old, wanted.get("uid"), wanted.get("resourceVersion"))
        self.fake._remove(plural, ns, name)
        return 200, {"kind": "Status", "status": "Success", "details": {"name": name}}

    def selects(self, plural, ns, query, p, obj):
        meta = obj["metadata"]
        wanted = query.get("labelSelector")
        labels = [f"{k}={v}" for k, v in meta.get("labels", {}).items()]
        return (p == plural and (not ns or ns == meta.get("namespace")) and
                (not wanted or wanted in labels))

    def list(self, plural, ns, query):
        """The continue token is "version:next name"; all pages are of that version as far as their
        names go, which is all that a client can tell."""
        version, after = self.fake.version, ""
        if "continue" in query:
            version, after = query["continue"].split(":", 1)
        with self.fake.changed:
            if int(version) < self.fake.floor:
                raise Refusal(410, "The provided continue parameter is too old", "Expired")
            keys = sorted(k for k, o in self.fake.objects.items()
                          if self.selects(plural, ns, query, k[0], o) and
                          int(o["metadata"]["resourceVersion"]) <= int(version))
            keys = [k for k in keys if "/".join(k) > after]
            limit = int(query.get("limit") or 0) or len(keys)
            page, rest = keys[:limit], keys[limit:]
            meta = {"resourceVersion": str(version)}
            if rest:
                meta["continue"] = f"{version}:{'/'.join(page[-1])}"
            return 200, {"kind": "List", "apiVersion": "v1", "metadata": meta,
                         "items": [self.fake.objects[k] for k in page]}

    def watch(self, plural, ns, query):
        """Everything after resourceVersion, until the time is over; a bookmark at the end."""
        at, end = int(query["resourceVersion"]), time.monotonic() + int(query["timeoutSeconds"])
        fake = self.fake
        if at < fake.floor:
            raise Refusal(410, f"too old resource version: {at} ({fake.floor})", "Expired")
        self.begin_stream()
        while time.monotonic() < end and not fake.is_down:
            with fake.changed:
                if not any(v > at for v, *_ in fake.events[-1:]):
                    fake.changed.wait(min(0.2, max(0.0, end - time.monotonic())))
                new = [e for e in fake.events if e[0] > at]
            for at, p, kind, obj in new:
                if self.selects(plural, ns, query, p, obj):
                    self.send_chunk(json.dumps({"type": kind, "object": obj}) + "\n")
            if at < fake.floor:
                self.send_chunk(json.dumps({"type": "ERROR", "object": status(410, "too old",
                                                                              "Expired")}) + "\n")
                break
        if fake.is_down:
            raise Cut()
        mark = {"kind": "Bookmark", "metadata": {"resourceVersion": str(at)}}
        self.send_chunk(json.dumps({"type": "BOOKMARK", "object": mark}) + "\n")
        self.wfile.write(b"0\r\n\r\n")
        return 200, None
