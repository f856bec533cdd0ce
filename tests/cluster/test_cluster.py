# SPDX-License-Identifier: Apache-2.0
"""The cluster itself: pods, names, services, control of daemons."""
import os
import tempfile

import harness
import paths
from harness import pod, run_pod, smoke
from servers import Fixtures


class Cluster(harness.Case):
    @smoke
    def test_a_restricted_pod_runs_as_it_was_told(self):
        status, text = run_pod(pod("id", self.ns, "id"))
        self.assertEqual((status, text.split()[:3]), (0, ["107", "107", "107"]))

    def test_a_pod_that_wants_more_is_refused(self):
        greedy = pod("greedy", self.ns, "id")
        greedy["spec"]["containers"][0]["securityContext"] = {"privileged": True}
        with self.assertRaisesRegex(RuntimeError, "violates PodSecurity"):
            harness.create(greedy)

    @smoke
    def test_names_of_services_resolve_in_pods(self):
        status, text = run_pod(pod("dns", self.ns, "resolve", "kubernetes.default.svc.cluster.local"))
        self.assertEqual((status, text.split()), (0, [paths.API_SERVICE_IP]))
        status, text = run_pod(pod("dns", self.ns, "resolve", "missing.default.svc.cluster.local"))
        self.assertEqual(status, 1, text)

    @smoke
    def test_pods_reach_servers_on_the_machine_by_name(self):
        with tempfile.TemporaryDirectory() as images:
            with open(os.path.join(images, "file"), "w", encoding="ascii") as f:
                f.write("over the wire")
            with Fixtures(images) as f:
                status, text = run_pod(pod("get", self.ns, "get", f.url("file")))
                self.assertEqual((status, text), (0, "over the wire"))
                status, text = run_pod(pod("denied", self.ns, "get", f.url("auth/file")))
                self.assertEqual(status, 1)
                self.assertIn("401", text)
                status, text = run_pod(pod("fault", self.ns, "get", f.fault("status:code=503", "file")))
                self.assertIn("503", text)
                self.assertTrue(any(" 401 " in line for line in f.requests()), f.requests())

    def test_a_service_leads_to_its_pod(self):
        """A ClusterIP, translated by kube-proxy, from a pod to another pod's port."""
        server = pod("server", self.ns, "serve", "8080")
        server["metadata"]["labels"] = {"app": "server"}
        harness.create(server, {
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "namespace": self.ns},
            "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]}})
        harness.wait_phase("pod", "server", self.ns, "Running")

        def answer():
            status, text = run_pod(pod("client", self.ns, "get", "http://web.%s.svc/" % self.ns))
            return text if status == 0 else None
        self.assertEqual(harness.wait_for("an answer", answer), "helper\n")

    def test_pods_survive_a_restart_of_kubelet_and_containerd(self):
        harness.create(pod("long", self.ns, "sleep", "600"))
        first = harness.wait_phase("pod", "long", self.ns, "Running")
        harness.daemon("restart", "kubelet")
        harness.daemon("restart", "containerd")
        status, _ = run_pod(pod("after", self.ns, "id"))
        self.assertEqual(status, 0)
        second = harness.get("pod", "long", self.ns)
        for key in ("containerID", "restartCount"):
            self.assertEqual(first["status"]["containerStatuses"][0][key],
                             second["status"]["containerStatuses"][0][key])

    def test_the_api_server_comes_back_with_everything(self):
        harness.create(harness.config_map("kept", self.ns, key="value"))
        harness.daemon("kill", "kube-apiserver")
        harness.wait_for("the API server", harness.api_ready)
        self.assertEqual(harness.get("configmap", "kept", self.ns)["data"], {"key": "value"})

    def test_a_quota_is_enforced(self):
        harness.create({"apiVersion": "v1", "kind": "ResourceQuota",
                        "metadata": {"name": "small", "namespace": self.ns},
                        "spec": {"hard": {"persistentvolumeclaims": "0"}}})
        harness.wait_for("the quota", lambda: harness.get(
            "resourcequota", "small", self.ns).get("status", {}).get("hard"))
        with self.assertRaisesRegex(RuntimeError, "exceeded quota"):
            harness.create(harness.claim("one", self.ns, "local-wffc"))
