#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lists and watches of the Kubernetes client against a server that misbehaves. Whatever it does, the
cache ends as the server's store.

    test_watches.py KUBE-CAT [unittest arguments]
"""
import json
import os
import random
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../fakes"))
from kubefake import FakeServer, status     # noqa: E402
from kubelib import MAPS, Cat, kubeconfig, temporary_folder     # noqa: E402

PROGRAM = sys.argv[1]
WATCH = r"GET .*watch=true"
LIST = r"GET .*configmaps\?(?!.*watch=true)"


def event(kind, name, version, **more):
    meta = {"name": name, "namespace": "default", "uid": "u", "resourceVersion": str(version)}
    return json.dumps({"type": kind, "object": {"metadata": meta, **more}}) + "\n"


class Watches(unittest.TestCase):
    def setUp(self):
        self.server = FakeServer()
        self.server.__enter__()
        self.addCleanup(self.server.hang_up)
        self.cat = Cat(PROGRAM, kubeconfig(temporary_folder(self), self.server.url))

    def put(self, name, value="1", **meta):
        content = {"metadata": meta, "data": {"v": value}}
        self.server.put("configmaps", "default", name, content)

    def start(self, *options):
        return self.cat.start("--seconds", "300", *options, "watch", MAPS)

    def end(self, running):
        """Once the last change is through: the cache is the store."""
        self.put("the-end")
        running.wait_for("^added default/the-end ")
        result = running.finish()
        self.assertEqual(result.code, 0, result)
        self.assertEqual(result.cache(), {
            key: (o["metadata"]["resourceVersion"], o["data"]["v"])
            for key, o in self.server.all("configmaps").items()}, result)
        return result

    def test_a_list_comes_in_pages_and_then_events(self):
        for i in range(10):
            self.put(f"a{i}")
        running = self.start("--page", "3")
        running.wait_for("^synced 10$")
        self.put("a3", "2")
        self.server.remove("configmaps", "default", "a4")
        result = self.end(running)
        self.assertEqual(len(self.server.requests(LIST)), 4)
        self.assertEqual(len(result.starting("updated default/a3 ")), 1)
        self.assertEqual(len(result.starting("deleted default/a4 ")), 1)
        self.assertEqual((result.stats["lists"], result.stats["relists"]), (1, 0))

    def test_an_empty_collection_is_synced_too(self):
        running = self.start()
        running.wait_for("^synced 0$")
        self.end(running)

    def test_selectors_reach_the_server(self):
        self.put("a", labels={"x": "y"})
        self.put("b")
        running = self.start("--selector", "x=y", "--fields", "metadata.name!=c")
        running.wait_for("^synced 1$")
        self.put("c", labels={"x": "y"})
        running.wait_for("^added default/c ")
        running.finish()
        for line in self.server.requests("configmaps"):
            self.assertIn("labelSelector=x%3Dy&fieldSelector=metadata.name%21%3Dc", line)

    def test_a_watch_that_ends_begins_again_where_it_was(self):
        running = self.start("--timeout", "1")
        running.wait_for("^synced 0$")
        self.put("a")
        self.server.wait_for(lambda: len(self.server.requests(WATCH)) >= 3)
        result = self.end(running)
        self.assertEqual(result.stats["relists"], 0)
        self.assertEqual(result.starting("failure"), [])
        self.assertGreaterEqual(result.stats["bookmarks"], 2)
        # The third began at a's version, which the second's bookmark named.
        self.assertIn("resourceVersion=1001&", self.server.requests(WATCH)[2])

    def test_bookmarks_move_the_version(self):
        mark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "1000"}}}
        self.server.fault(WATCH, lines=[json.dumps(mark) + "\n"], end=True)
        with self.server.changed:
            self.server.version = 900
        running = self.start()
        running.wait_for("^synced 0$")
        self.server.wait_for(lambda: len(self.server.requests(WATCH)) >= 2)
        with self.server.changed:
            self.server.version = 1000
        result = self.end(running)
        self.assertIn("resourceVersion=900&", self.server.requests(WATCH)[0])
        self.assertIn("resourceVersion=1000&", self.server.requests(WATCH)[1])
        self.assertEqual(result.stats["relists"], 0)

    def test_dropped_watches_lose_nothing(self):
        """Cut at random bytes, which is mostly inside of an event."""
        dice = random.Random(1)
        for _ in range(25):
            self.server.fault(WATCH, cut=dice.randrange(1, 1500))
        running = self.start()
        running.wait_for("^synced")
        for i in range(300):
            self.put(f"a{dice.randrange(20)}", str(i))
            if i % 7 == 0 and len(self.server.all("configmaps")) > 5:
                self.server.remove("configmaps", "default",
                                   dice.choice([k.split("/")[1]
                                                for k in self.server.all("configmaps")]))
            time.sleep(0.002)
        self.server.wait_for(lambda: len(self.server.requests(WATCH)) > 25 or not self.put("more"))
        result = self.end(running)
        self.assertGreaterEqual(result.stats["failures"], 25)
        self.assertEqual(result.stats["relists"], 0)

    def test_half_of_an_event_is_no_event(self):
        half = event("ADDED", "ghost", 960)
        for at in (5, len(half) // 2, len(half) - 3):
            self.server.fault(WATCH, lines=[event("ADDED", "real", 950), half[:at]], end=True)
        running = self.start()
        running.wait_for("^failure kind=bad_data watch configmaps: not JSON: it ends early", 3)
        result = self.end(running)
        self.assertNotIn("ghost", result.out)
        self.assertIn("deleted default/real", result.out)     # the list knew better
        self.assertEqual(result.stats["relists"], 3)

    def test_what_is_no_event_is_a_failure(self):
        bad = ["[]\n", "{}\n", "nonsense\n", '{"type":"WHAT","object":{}}\n',
               '{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n', '{"type":"ADDED"}\n',
               '{"type":"DELETED","object":null}\n', '{"type":"BOOKMARK","object":{}}\n',
               '{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"x"}}}\n']
        for text in bad:
            self.server.fault(WATCH, lines=[text], end=True)
        running = self.start()
        running.wait_for("^failure kind=bad_data watch", len(bad))
        self.assertEqual(self.end(running).stats["relists"], len(bad))

    def test_an_expired_version_brings_a_new_list(self):
        """410 as an answer, and as an event in the stream."""
        running = self.start("--timeout", "1")
        running.wait_for("^synced")
        self.put("a")
        running.wait_for("^added default/a ")
        self.server.fault(WATCH, status=410, body=json.dumps(status(410, "too old", "Expired")))
        self.server.wait_for(lambda: len(self.server.requests(LIST)) >= 2)
        # An event of the watch itself, not of the new list: it makes the next 410 a first one again.
        refused = len(self.server.requests(WATCH))
        self.server.wait_for(lambda: len(self.server.requests(WATCH)) > refused)
        self.put("b")
        running.wait_for("^added default/b ")
        self.server.remove("configmaps", "default", "a")
        error = {"type": "ERROR", "object": status(410, "too old", "Expired")}
        self.server.fault(WATCH, lines=[json.dumps(error) + "\n"], end=True)
        self.server.wait_for(lambda: len(self.server.requests(LIST)) >= 3)
        result = self.end(running)
        self.assertEqual(result.starting("failure"), [])
        self.assertEqual((result.stats["expired"], result.stats["relists"]), (2, 2))

    def test_a_server_that_always_says_expired_is_not_hammered(self):
        self.server.fault(WATCH, status=410, times=6)
        running = self.start()
        running.wait_for("^failure kind=transient list configmaps: 410 Expired again", 5)
        self.assertEqual(self.end(running).stats["expired"], 6)

    def test_a_page_that_expired_starts_the_list_over(self):
        for i in range(6):
            self.put(f"a{i}")
        self.server.fault(LIST + ".*continue=", status=410, skip=1)
        running = self.start("--page", "2")
        running.wait_for("^synced 6$")
        result = self.end(running)
        self.assertEqual(len(self.server.requests(LIST)), 3 + 3)
        self.assertEqual((result.stats["expired"], result.stats["lists"]), (1, 1))

    def test_a_page_that_failed_is_asked_for_again(self):
        for i in range(6):
            self.put(f"a{i}")
        self.server.fault(LIST + ".*continue=", cut=50)
        self.server.fault(LIST + ".*continue=", status=500)
        self.server.fault(LIST + ".*continue=", status=429, headers={"Retry-After": "1"})
        running = self.start("--page", "2")
        running.wait_for("^synced 6$")
        result = self.end(running)
        self.assertEqual(len(result.starting("failure")), 3)
        self.assertEqual(len(self.server.requests(LIST)), 3 + 3)

    def test_lists_that_are_none_are_failures(self):
        bad = ['{"metadata":{"resourceVersion":"9"}', '{"metadata":{},"items":[]}',
               '{"metadata":{"resourceVersion":"9"},"items":7}', "[]", "",
               '{"metadata":{"resourceVersion":"9"},"items":[{}]}']
        for text in bad:
            self.server.fault(LIST, status=200, body=text)
        running = self.start()
        running.wait_for("^failure kind=bad_data list", len(bad))
        self.assertEqual(self.end(running).stats["lists"], 1)

    def test_refusals_back_off_and_say_why(self):
        for code, kind in ((403, "denied"), (500, "transient"), (404, "not_found")):
            self.server.fault(LIST, status=code,
                              body=json.dumps(status(code, "configmaps is forbidden")))
            running = self.start()
            running.wait_for(f"^failure kind={kind} list configmaps: {code} .*is forbidden")
            running.wait_for("^synced")
            running.finish()

    def test_a_slow_stream_is_a_stream(self):
        """Byte by byte: every border is met."""
        self.server.fault("GET", drip=1, times=0)
        self.put("a")
        running = self.start()
        running.wait_for("^synced 1$")
        self.put("b", "}{\"\\ \u00e9\U0001f600")
        running.wait_for("^added default/b ")
        self.server.remove("configmaps", "default", "b")
        running.wait_for("^deleted default/b ")
        self.assertEqual(self.end(running).starting("failure"), [])

    def test_an_event_beyond_the_limit_is_a_failure(self):
        running = self.start("--max-event", "2000")
        running.wait_for("^synced")
        self.put("large", "x" * 3000)
        running.wait_for("^failure kind=bad_data watch configmaps: an object of more than 2000 bytes")
        running.wait_for("^failure kind=bad_data list configmaps: an object of more than 2000 bytes")
        self.put("large", "small")
        self.end(running)

    def test_an_object_made_again_meanwhile_is_another_one(self):
        self.put("a")
        running = self.start()
        running.wait_for("^added default/a ")
        self.server.fault(WATCH, status=500, times=3)
        self.server.cut_connections()
        self.server.remove("configmaps", "default", "a")
        self.put("a", "again")
        self.server.compact()
        running.wait_for("^added default/a .* again")
        self.assertEqual(len(self.end(running).starting("deleted default/a ")), 1)

    def test_a_server_restarts_under_load(self):
        """Killed and started again, three times, while objects come and go through another client."""
        stopped = threading.Event()

        def write():
            dice = random.Random(2)
            while not stopped.is_set():
                self.put(f"a{dice.randrange(50)}", str(dice.random()))
                if dice.random() < 0.3:
                    with self.server.changed:
                        keys = [k for k in self.server.objects if k[0] == "configmaps"]
                        self.server.remove(*dice.choice(keys))
                time.sleep(0.001)

        running = self.start("--page", "10")
        running.wait_for("^synced")
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(3):
                flood = self.cat.start("--deadline", "60000", "flood", "/v1/secrets", "default",
                                       "100")
                time.sleep(0.2)
                self.server.hang_up()
                time.sleep(0.3)
                self.server.compact()
                self.server.listen()
                result = flood.join()
                # A POST or DELETE whose answer was lost is the caller's to look after.
                for line in result.starting("failed"):
                    self.assertRegex(line, "^failed (POST|PATCH|DELETE) .*(: |40[49] )")
        finally:
            stopped.set()
            writer.join()
        result = self.end(running)
        self.assertGreaterEqual(result.stats["expired"], 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
