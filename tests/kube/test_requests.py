#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Requests of the Kubernetes client against a server that misbehaves.

    test_requests.py KUBE-CAT [unittest arguments]
"""
import json
import os
import shutil
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../fakes"))
from kubefake import FakeServer, status     # noqa: E402
from kubelib import MAPS, Cat, kubeconfig, make_certificate, temporary_folder     # noqa: E402

PROGRAM = sys.argv[1]


class Requests(unittest.TestCase):
    def setUp(self):
        self.folder = temporary_folder(self)
        self.server = FakeServer()
        self.server.__enter__()
        self.addCleanup(self.server.hang_up)
        self.cat = Cat(PROGRAM, kubeconfig(self.folder, self.server.url))

    def value(self, name="a"):
        return self.server.all("configmaps")[f"default/{name}"]["data"]["v"]

    def put(self, name="a", value="1"):
        self.server.put("configmaps", "default", name, {"data": {"v": value}})
        return self.server.all("configmaps")[f"default/{name}"]["metadata"]

    def attempts(self, result):
        return int(result.lines[0].split("attempts=")[1].split(" ")[0])

    def test_every_verb_does_what_it_says(self):
        body = '{"metadata":{"name":"a"},"data":{"v":"1"}}'
        self.assertEqual(self.cat.run("create", MAPS, "default", "-", body).code, 0)
        self.assertEqual(self.value(), "1")
        for verb, body, want in (("merge", '{"data":{"v":"2"}}', "2"),
                                 ("json", '[{"op":"add","path":"/data/v","value":"3"}]', "3"),
                                 ("apply", '{"data":{"v":"4"}}', "4"),
                                 ("replace", '{"data":{"v":"5"}}', "5")):
            result = self.cat.run("--manager", "me", "--force", verb, MAPS, "default", "a", body)
            self.assertEqual((result.code, self.value()), (0, want), result)
        self.assertIn("fieldManager=me&force=true", self.server.requests("fieldManager.*force")[0])
        self.assertIn('"v": "5"', self.cat.run("read", MAPS, "default", "a").out)
        self.assertEqual(self.cat.run("delete", MAPS, "default", "a").code, 0)
        self.assertEqual(self.server.all("configmaps"), {})

    def test_preconditions_are_checked_by_the_server(self):
        meta = self.put()
        wrong = (["--uid", "other"], ["--version", "1"])
        for verb, body in (("merge", '{"data":{"v":"2"}}'), ("replace", '{"data":{"v":"2"}}'),
                           ("apply", '{"data":{"v":"2"}}'), ("delete", None)):
            for precondition in wrong:
                arguments = [*precondition, "--manager", "me", verb, MAPS, "default", "a"]
                result = self.cat.run(*arguments, *([body] if body else []))
                self.assertIn("status=409 kind=transient reason=Conflict attempts=1", result.lines[0])
                self.assertEqual(result.stats["conflicts"], 1)
        self.assertEqual(self.value(), "1")
        right = ["--uid", meta["uid"], "--version", meta["resourceVersion"]]
        self.assertEqual(self.cat.run(*right, "merge", MAPS, "default", "a", '{"data":{"v":"2"}}').code,
                         0)
        self.assertEqual(self.cat.run("--uid", meta["uid"], "delete", MAPS, "default", "a").code, 0)

    def test_refusals_are_decisions(self):
        for code, reason, kind in ((403, "Forbidden", "denied"), (404, "NotFound", "not_found"),
                                   (409, "AlreadyExists", "transient"), (422, "Invalid", "usage")):
            self.server.fault("GET /version", status=code,
                              body=json.dumps(status(code, f"no: {reason}", reason)))
            result = self.cat.run("get", "/version")
            self.assertIn(f"status={code} kind={kind} reason={reason} attempts=1 GET /version: "
                          f"{code} {reason}: no: {reason}", result.lines[0])

    def test_409_storms_are_left_to_the_caller(self):
        self.put()
        self.server.fault("PATCH", status=409, times=0)
        for _ in range(5):
            result = self.cat.run("--version", "1", "merge", MAPS, "default", "a", "{}")
            self.assertEqual((self.attempts(result), result.stats["conflicts"]), (1, 1))
        self.assertEqual(len(self.server.requests("PATCH")), 5)

    def test_429_waits_as_long_as_the_server_asks_for_any_verb(self):
        self.server.fault("POST", status=429, headers={"Retry-After": "1"})
        began = time.monotonic()
        result = self.cat.run("create", MAPS, "default", "-", '{"metadata":{"name":"a"}}')
        self.assertEqual((result.code, self.attempts(result)), (0, 2), result)
        self.assertGreaterEqual(time.monotonic() - began, 1)
        self.assertEqual(result.stats["throttled"], 1)
        details = json.dumps(status(429, "slow down", retryAfterSeconds=1))
        self.server.fault("DELETE", status=429, body=details)
        began = time.monotonic()
        self.assertEqual(self.cat.run("delete", MAPS, "default", "a").code, 0)
        self.assertGreaterEqual(time.monotonic() - began, 1)

    def test_a_retry_after_beyond_the_deadline_is_not_waited_for(self):
        self.server.fault("GET", status=429, headers={"Retry-After": "3000"})
        began = time.monotonic()
        result = self.cat.run("get", "/version")
        self.assertIn("status=429 kind=transient reason=TooManyRequests attempts=1", result.lines[0])
        self.assertLess(time.monotonic() - began, 25)

    def test_500s_are_tried_again_where_that_does_no_harm(self):
        meta = self.put()
        for code in (500, 502, 503, 504):
            for line, arguments in (
                    ("GET", ["read", MAPS, "default", "a"]),
                    ("PATCH", ["--manager", "m", "apply", MAPS, "default", "a", "{}"])):
                self.server.fault(line, status=code, times=2)
                result = self.cat.run(*arguments)
                self.assertEqual((result.code, self.attempts(result)), (0, 3), result)
            for line, arguments in (("POST", ["create", MAPS, "default", "-", "{}"]),
                                    ("PATCH", ["merge", MAPS, "default", "a", "{}"]),
                                    ("DELETE", ["delete", MAPS, "default", "a"])):
                self.server.fault(line, status=code)
                result = self.cat.run(*arguments)
                self.assertIn(f"status={code} kind=transient", result.lines[0])
                self.assertEqual(self.attempts(result), 1)
        self.server.fault("DELETE", status=500)
        result = self.cat.run("--uid", meta["uid"], "delete", MAPS, "default", "a")
        self.assertEqual((result.code, self.attempts(result)), (0, 2))

    def test_attempts_are_counted_and_end(self):
        self.server.fault("GET", status=500, times=0)
        result = self.cat.run("get", "/version")
        self.assertIn("status=500 kind=transient", result.lines[0])
        self.assertEqual(self.attempts(result), 7)
        self.assertEqual(len(self.server.requests("GET")), 7)

    def test_a_connection_that_breaks_is_tried_again_where_that_does_no_harm(self):
        self.server.fault("GET", close=True, times=2)
        result = self.cat.run("get", "/version")
        self.assertEqual((result.code, result.stats["cut"]), (0, 2), result)
        self.server.fault("GET", cut=10)
        self.assertEqual(self.attempts(self.cat.run("get", "/version")), 2)
        self.server.fault("POST", close=True)
        result = self.cat.run("create", MAPS, "default", "-", "{}")
        self.assertIn("status=0 kind=transient reason=- attempts=1 POST", result.lines[0])

    def test_nobody_listens_and_then_somebody_does(self):
        self.server.hang_up()
        running = self.cat.start("create", MAPS, "default", "-", '{"metadata":{"name":"a"}}')
        time.sleep(0.5)
        self.server.listen()
        result = running.join()
        self.assertEqual(result.code, 0, result)
        self.assertGreater(self.attempts(result), 1)     # nothing was sent: POST, too
        self.assertEqual(list(self.server.all("configmaps")), ["default/a"])

    def test_a_silent_server_is_given_up_at_the_deadline(self):
        self.server.fault("GET", delay=30, times=0)
        result = self.cat.run("--deadline", "300", "get", "/version")
        self.assertIn("status=0 kind=transient", result.lines[0])
        self.assertEqual(result.stats["in_flight"], 0)

    def test_calls_that_wait_for_their_turn_have_deadlines(self):
        self.server.fault("POST", delay=30, times=0)
        result = self.cat.run("--deadline", "300", "--in-flight", "2", "flood", MAPS, "default", "10")
        self.assertEqual(len([x for x in result.starting("failed") if "still queued" in x and
                              "POST" in x]), 8, result)
        self.assertEqual(len(self.server.requests("POST")), 2)

    def test_in_flight_is_bounded(self):
        self.server.fault("POST", delay=0.3, times=0)
        result = self.cat.run("--in-flight", "3", "flood", MAPS, "default", "9")
        self.assertEqual(result.code, 0, result)
        self.assertLessEqual(self.server.n_connections, 3)

    def test_half_an_answer_is_none(self):
        self.server.fault("GET", status=200, body='{"kind":"Con', times=1)
        result = self.cat.run("read", MAPS, "default", "a")
        self.assertEqual((result.code, result.lines[0]), (0, 'ok status=200 attempts=1 {"kind":"Con'))
        self.server.fault("GET", status=502, body="<html>\x1b[31mnginx</html>", times=0)
        self.assertIn("502: <html> [31mnginx</html>", self.cat.run("get", "/version").out)

    # --- Credentials ---

    def test_a_token_that_rotated_is_read_again_at_once(self):
        token = os.path.join(self.folder, "token")
        self.cat = Cat(PROGRAM, kubeconfig(self.folder, self.server.url, token=token))
        with open(token, "w", encoding="utf-8") as f:
            f.write("old\n")
        self.server.tokens = ["old"]
        running = self.cat.start("--seconds", "300", "--timeout", "1", "watch", MAPS)
        running.wait_for("^synced 0")
        with open(token + ".new", "w", encoding="utf-8") as f:
            f.write("new\n")
        os.rename(token + ".new", token)
        self.server.tokens = ["new"]
        self.put()
        running.wait_for("^added default/a")
        result = running.finish()
        # The stream that ran ended by its time; the next one was refused once, and then not.
        self.assertLessEqual(len(result.starting("failure")), 1, result)

    def test_a_wrong_token_is_tried_twice(self):
        self.server.tokens = ["other"]
        result = self.cat.run("get", "/version")
        self.assertIn("status=401 kind=denied reason=Unauthorized attempts=2", result.lines[0])
        self.assertNotIn("secret", result.out)


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.TemporaryDirectory()
        cls.cert = make_certificate(cls.shared.name, "server", "IP:127.0.0.1,DNS:kube.example")
        cls.other = make_certificate(cls.shared.name, "other", "DNS:other.example")

    @classmethod
    def tearDownClass(cls):
        cls.shared.cleanup()

    def setUp(self):
        self.folder = temporary_folder(self)

    def get(self, server, **cluster):
        return Cat(PROGRAM, kubeconfig(self.folder, server.url, **cluster)).run("get", "/version")

    def test_only_the_given_roots_are_trusted(self):
        with FakeServer(tls=self.cert) as server:
            self.assertEqual(self.get(server, certificate_authority=self.cert[0]).code, 0)
            for cluster in ({}, {"certificate_authority": self.other[0]}):
                result = self.get(server, **cluster)
                self.assertIn("status=0 kind=denied reason=- attempts=1", result.lines[0])
            self.assertEqual(self.get(server, insecure_skip_tls_verify="true").code, 0)

    def test_the_name_can_be_another_one(self):
        with FakeServer(tls=self.other) as server:
            roots = {"certificate_authority": self.other[0]}
            self.assertIn("kind=denied", self.get(server, **roots).lines[0])
            self.assertEqual(self.get(server, **roots, tls_server_name="other.example").code, 0)
            self.assertIn("kind=denied",
                          self.get(server, **roots, tls_server_name="third.example").lines[0])

    def test_a_client_certificate_is_shown(self):
        with FakeServer(tls=self.cert, client_ca=self.other[0]) as server:
            roots = {"certificate_authority": self.cert[0]}
            self.assertNotEqual(self.get(server, **roots).code, 0)
            path = kubeconfig(self.folder, server.url, **roots)
            with open(path, "a", encoding="utf-8") as f:
                f.write(f"    client-certificate: {self.other[0]}\n    client-key: {self.other[1]}\n")
            self.assertEqual(Cat(PROGRAM, path).run("get", "/version").code, 0)

    def test_a_page_is_fetched_from_whoever_serves_it(self):
        with FakeServer(tls=self.cert) as server:
            cat = Cat(PROGRAM, kubeconfig(self.folder, server.url))
            self.assertIn("ok n=", cat.run("fetch", server.url + "/version").lines[0])
            server.fault("GET", status=404)
            self.assertIn("kind=not_found", cat.run("fetch", server.url + "/version").lines[0])
            server.fault("GET", status=200, body="x" * 70000)
            self.assertIn("kind=bad_data", cat.run("fetch", server.url + "/version").lines[0])
            server.fault("GET", delay=30)
            self.assertIn("kind=transient",
                          cat.run("--deadline", "200", "fetch", server.url + "/version").lines[0])

    def test_a_pod_finds_its_server(self):
        with FakeServer(tls=self.cert) as server:
            server.tokens = ["of-the-pod"]
            shutil.copy(self.cert[0], os.path.join(self.folder, "ca.crt"))
            for name, text in (("token", "of-the-pod\n"), ("namespace", "mine")):
                with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
                    f.write(text)
            env = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBECONFIG": "",
                   "KUBERNETES_SERVICE_PORT": str(server.port)}
            result = Cat(PROGRAM, None, env).run("--pod", self.folder, "get", "/version")
            self.assertEqual(result.code, 0, result)
            self.assertIn("ns=mine", result.out)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
