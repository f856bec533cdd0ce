#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes client against the cluster that SLIPWAY_KUBECONFIG names, in a namespace of its own.

    test_real.py KUBE-CAT [unittest arguments]

Without the variable: exit status 77, skipped.
"""
import json
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../fakes"))
from kubelib import MAPS, Cat, kubeconfig, temporary_folder     # noqa: E402

PROGRAM = sys.argv[1]
KUBECONFIG = os.environ.get("SLIPWAY_KUBECONFIG")
NS = f"kube-client-{os.getpid()}"


def content(result):
    """The object of an answer, whose text may have several lines."""
    text = result.out.split(" ", 3)[3]
    return json.JSONDecoder().raw_decode(text)[0]


class Real(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cat = Cat(PROGRAM, KUBECONFIG)
        made = cls.cat.run("create", "!/v1/namespaces", "-", "-",
                           json.dumps({"metadata": {"name": NS}}))
        if made.code:
            raise RuntimeError(repr(made))

    @classmethod
    def tearDownClass(cls):
        cls.cat.run("delete", "!/v1/namespaces", "-", NS)

    def create(self, name, value="1", labels=None):
        body = {"metadata": {"name": name, "labels": labels or {}}, "data": {"v": value}}
        result = self.cat.run("create", MAPS, NS, "-", json.dumps(body))
        self.assertEqual(result.code, 0, result)
        return content(result)["metadata"]

    def assert_refused(self, result, code, kind, reason):
        self.assertIn(f"status={code} kind={kind} reason={reason} attempts=1", result.lines[0])

    def test_every_verb_is_taken(self):
        self.create("verbs")
        for verb, body, want in (("merge", '{"data":{"v":"2"}}', "2"),
                                 ("json", '[{"op":"add","path":"/data/v","value":"3"}]', "3"),
                                 ("replace", '{"metadata":{"name":"verbs"},"data":{"v":"4"}}', "4")):
            result = self.cat.run(verb, MAPS, NS, "verbs", body)
            self.assertEqual(content(result)["data"]["v"], want, result)
        body = '{"apiVersion":"v1","kind":"ConfigMap","data":{"v":"5"}}'
        self.assert_refused(self.cat.run("--manager", "other", "apply", MAPS, NS, "verbs", body),
                            409, "transient", "Conflict")
        result = self.cat.run("--manager", "other", "--force", "apply", MAPS, NS, "verbs", body)
        self.assertEqual(content(result)["data"]["v"], "5", result)
        self.assertEqual(content(self.cat.run("read", MAPS, NS, "verbs"))["data"]["v"], "5")
        self.assertEqual(self.cat.run("delete", MAPS, NS, "verbs").code, 0)

    def test_preconditions_hold_or_are_a_conflict(self):
        meta = self.create("pre")
        wrong = (["--uid", "00000000-0000-0000-0000-000000000000"], ["--version", "1"])
        for verb, body in (("merge", '{"data":{"v":"2"}}'), ("delete", None),
                           ("replace", '{"metadata":{"name":"pre"},"data":{"v":"2"}}'),
                           ("apply", '{"apiVersion":"v1","kind":"ConfigMap","data":{"w":"2"}}')):
            for precondition in wrong:
                result = self.cat.run(*precondition, "--manager", "m", verb, MAPS, NS, "pre",
                                      *([body] if body else []))
                self.assert_refused(result, 409, "transient", "Conflict")
        right = ["--uid", meta["uid"], "--version", meta["resourceVersion"]]
        self.assertEqual(self.cat.run(*right, "merge", MAPS, NS, "pre", '{"data":{"v":"2"}}').code, 0)
        self.assertEqual(self.cat.run("--uid", meta["uid"], "delete", MAPS, NS, "pre").code, 0)

    def test_refusals_say_why(self):
        self.create("twice")
        body = '{"metadata":{"name":"twice"}}'
        self.assert_refused(self.cat.run("create", MAPS, NS, "-", body), 409, "transient",
                            "AlreadyExists")
        self.assert_refused(self.cat.run("read", MAPS, NS, "none"), 404, "not_found", "NotFound")
        self.assert_refused(self.cat.run("create", MAPS, NS, "-", '{"metadata":{"name":"A_"}}'),
                            422, "usage", "Invalid")
        self.assert_refused(self.cat.run("create", MAPS, NS, "-", "{"), 400, "usage", "BadRequest")

    def test_a_token_that_is_none_is_denied(self):
        version = self.cat.run("get", "/version")
        self.assertEqual(version.code, 0, version)
        with open(KUBECONFIG, encoding="utf-8") as f:
            server = re.search(r"""\bserver["']?:\s*["']?([^\s"',}]+)""", f.read()).group(1)
        cat = Cat(PROGRAM, kubeconfig(temporary_folder(self), server,
                                      insecure_skip_tls_verify="true"))
        result = cat.run("read", MAPS, NS, "a")
        self.assertIn("status=401 kind=denied reason=Unauthorized attempts=2", result.lines[0])

    def test_a_watch_sees_what_many_requests_do(self):
        for i in range(7):
            self.create(f"listed-{i}", labels={"set": "it"})
        running = self.cat.start("--namespace", NS, "--page", "3", "--timeout", "3", "--seconds",
                                 "600", "watch", MAPS)
        running.wait_for("^synced ")
        flood = self.cat.run("--deadline", "120000", "flood", MAPS, NS, "300")
        self.assertEqual((flood.code, flood.stats["ok"]), (0, 900), flood)
        self.create("the-end")
        running.wait_for(f"^added {NS}/the-end ")
        result = running.finish()
        for word in ("added", "updated", "deleted"):
            self.assertEqual(len(result.starting(f"{word} {NS}/flood-")), 300, word)
        self.assertEqual((result.starting("failure"), result.stats["relists"]), ([], 0))
        self.assertFalse([name for name in result.cache() if "/flood-" in name])

        selected = self.cat.start("--namespace", NS, "--selector", "set=it", "--seconds", "600",
                                  "watch", MAPS)
        selected.wait_for("^synced 7$")
        selected.finish()


if __name__ == "__main__":
    if not KUBECONFIG:
        print("SLIPWAY_KUBECONFIG names no cluster")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
