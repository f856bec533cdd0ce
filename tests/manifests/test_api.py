#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an API server makes of manifests/slipway.yaml: that one 'kubectl apply' installs it, that its
rules refuse what the reference's webhook refuses (contract apiserver-webhooks 5), with its words, and
nothing that clients of the reference send."""
import copy
import json
import pathlib
import sys
import time
import unittest

import yaml

from apiserver import ApiServer, binaries

MANIFESTS = pathlib.Path(__file__).resolve().parents[2] / "manifests"
VOLUMES = "/apis/cdi.kubevirt.io/v1beta1/namespaces/default/datavolumes"
API = None

SIZE = {"requests": {"storage": "1Gi"}}
HTTP = {"http": {"url": "https://images.example.org/disk.img"}}
STORAGE = {"resources": SIZE}
PVC = {"accessModes": ["ReadWriteOnce"], "resources": SIZE}
REF = {"kind": "DataSource", "name": "x"}
SNAPSHOT = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"}
VDDK = {"url": "https://x", "uuid": "u", "backingFile": "f", "thumbprint": "t", "secretRef": "s"}
IMAGEIO = {"url": "https://x", "diskId": "d", "secretRef": "s", "certConfigMap": "c"}
HEX = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}


def size(value):
    return {"resources": {"requests": {"storage": value}}}


def http(**more):
    return {"http": {**HTTP["http"], **more}}


# (spec, what the refusal says). A spec is over {storage: STORAGE, source: HTTP}; None takes a member away.
REFUSED = [
    ({"storage": None}, "Missing Data volume PVC"),
    ({"pvc": PVC}, "Duplicate storage definition, both target storage and target pvc defined"),
    ({"storage": size("0")}, "Storage size can't be equal or less than zero"),
    ({"storage": size(0)}, "Storage size can't be equal or less than zero"),
    ({"storage": size("-1Gi")}, "Storage size can't be equal or less than zero"),
    ({"storage": None, "pvc": {**PVC, **size("0")}}, "PVC size can't be equal or less than zero"),
    ({"storage": size("1048575")}, "Storage size should be at least 1MiB"),
    ({"storage": size(1048575)}, "Storage size should be at least 1MiB"),
    ({"storage": None, "pvc": {**PVC, **size("1Ki")}}, "PVC size should be at least 1MiB"),
    ({"storage": {}}, "Storage size is missing"),
    ({"storage": None, "pvc": {"accessModes": ["ReadWriteOnce"]}}, "PVC size is missing"),
    ({"storage": {**STORAGE, "storageClassName": "x" * 254}},
     "Name cannot be longer than 253 characters"),
    ({"storage": None, "pvc": {"resources": SIZE}},
     "Required value: at least 1 access mode is required"),
    ({"storage": None, "pvc": {**PVC, "accessModes": ["ReadWriteOnce", "ReadWriteMany"]}},
     "PVC multiple accessModes"),
    ({"storage": {**STORAGE, "accessModes": ["ReadWriteTwice"]}},
     'Unsupported value: "ReadWriteTwice": supported values: "ReadOnlyMany", "ReadWriteMany", '
     '"ReadWriteOnce", "ReadWriteOncePod"'),
    ({"storage": {**STORAGE, "dataSource": SNAPSHOT}},
     "External population is incompatible with Source and SourceRef"),
    ({"source": None, "storage": {**STORAGE, "dataSource": SNAPSHOT,
                                  "dataSourceRef": {**SNAPSHOT, "name": "other"}}},
     "DataSourceRef and DataSource must match"),
    ({"source": None, "storage": {**STORAGE, "dataSourceRef": {**SNAPSHOT, "namespace": "n"}}},
     "DataSourceRef namespace not supported"),
    ({"source": None, "storage": {**STORAGE, "dataSourceRef": {"kind": "X", "name": "x"}}},
     "DataSourceRef requires kind and name"),
    ({"source": None, "storage": {**STORAGE, "dataSource": {**SNAPSHOT, "name": ""}}},
     "DataSource requires kind and name"),
    ({"source": None}, "Data volume should have either Source or SourceRef, or be externally populated"),
    ({"sourceRef": REF}, "Data volume should have either Source or SourceRef, or be externally populated"),
    ({"source": None, "sourceRef": {**REF, "kind": ""}}, "Missing sourceRef kind"),
    ({"source": None, "sourceRef": {**REF, "kind": "Cat"}},
     "Unsupported sourceRef kind Cat, currently only DataSource is supported"),
    ({"source": None, "sourceRef": {**REF, "name": ""}}, "Missing sourceRef name"),
    ({"source": {}}, "Missing Data volume source"),
    ({"source": {**HTTP, "blank": {}}}, "Multiple Data volume sources"),
    ({"contentType": "tar"}, "spec.contentType: Unsupported value"),
    ({"source": {"http": {"url": ""}}}, "source URL is empty"),
    ({"source": {"http": {"url": "disk.img"}}}, "Invalid source URL: disk.img"),
    ({"source": {"http": {"url": "ftp://x/y"}}}, "Invalid source URL scheme: ftp://x/y"),
    ({"source": {"s3": {"url": ""}}}, "source URL is empty"),
    ({"source": {"gcs": {"url": "file:///x"}}}, "Invalid source URL scheme: file:///x"),
    ({"source": http(checksum="sha256:12")}, "Invalid checksum format"),
    ({"source": http(checksum="crc32:00000000")}, "Invalid checksum format"),
    ({"source": http(checksum="0" * 64)}, "Invalid checksum format"),
    ({"source": http(checksum="md5:" + "g" * 32)}, "Invalid checksum format"),
    ({"source": {"blank": {}}, "contentType": "archive"},
     "SourceType cannot be blank and the contentType be archive"),
    ({"source": {"registry": {"url": "docker://x"}}, "contentType": "archive"},
     "ContentType must be kubevirt when Source is Registry"),
    ({"source": {"registry": {}}}, "Source registry should have either URL or ImageStream"),
    ({"source": {"registry": {"url": "docker://x", "imageStream": "y"}}},
     "Source registry should have either URL or ImageStream"),
    ({"source": {"registry": {"url": "https://x"}}}, "Illegal registry source URL scheme"),
    ({"source": {"registry": {"url": "docker://x", "pullMethod": "push"}}}, "ImportMethod push is neither"),
    ({"source": {"registry": {"imageStream": "", "pullMethod": "node"}}},
     "Source registry ImageStream is not valid"),
    ({"source": {"registry": {"imageStream": "x"}}},
     "Source registry ImageStream is supported only with node pull import method"),
    ({"source": {"imageio": {**IMAGEIO, "diskId": ""}}}, "source Imageio is not valid"),
    ({"source": {"imageio": {**IMAGEIO, "certConfigMap": ""}}},
     "source Imageio requires CertConfigMap or InsecureSkipVerify"),
    ({"source": {"vddk": {**VDDK, "thumbprint": ""}}}, "source VDDK is not valid"),
    ({"source": {"pvc": {"namespace": "", "name": "x"}}}, "source PVC is not valid"),
    ({"source": {"snapshot": {"namespace": "x", "name": ""}}}, "source snapshot is not valid"),
]

ACCEPTED = [
    {}, {"storage": size(1048576)}, {"storage": size("1Mi")}, {"storage": size("1.5Gi")},
    {"storage": None, "pvc": PVC},
    {"storage": {**STORAGE, "volumeMode": "FromStorageProfile", "accessModes": ["ReadOnlyMany"]}},
    {"source": {"upload": {}}}, {"source": {"blank": {}}},
    {"source": {"pvc": {"namespace": "n", "name": "x"}}, "storage": {}},
    {"source": {"snapshot": {"namespace": "n", "name": "x"}}, "storage": {"resources": {}}},
    {"source": None, "sourceRef": REF, "storage": {}},
    {"source": None, "sourceRef": {**REF, "namespace": ""}},
    {"source": None, "storage": {**STORAGE, "dataSource": SNAPSHOT, "dataSourceRef": SNAPSHOT}},
    {"source": None, "storage": {"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "x"}}},
    {"source": {"gcs": {"url": "gs://bucket/x"}}}, {"source": {"imageio": IMAGEIO}},
    {"source": {"vddk": VDDK}}, {"source": {"registry": {"url": "docker://x/y:z"}}},
    {"source": {"registry": {"imageStream": "x", "pullMethod": "node"}}},
    {"source": http(insecureSkipVerify=True, extraHeaders=["A: b"]), "contentType": "archive"},
    *({"source": http(checksum=f"{name}:{'aB' * (n // 2)}")} for name, n in HEX.items()),
    {"source": http(checksum=" SHA256 : " + "0" * 64 + " ")},
]


def setUpModule():
    global API
    API = ApiServer()
    unittest.addModuleCleanup(API.stop)
    got = API.kubectl("apply", "-f", str(MANIFESTS / "slipway.yaml"))
    assert got.returncode == 0, got.stderr
    got = API.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
    assert got.returncode == 0, got.stderr


def volume(change, name="x"):
    spec = {"storage": STORAGE, "source": HTTP, **change}
    spec = {k: copy.deepcopy(v) for k, v in spec.items() if v is not None}
    return {"apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "DataVolume",
            "metadata": {"name": name}, "spec": spec}


class Installed(unittest.TestCase):
    def test_no_definition_has_a_complaint(self):
        _, crds = API.request("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")

        self.assertEqual(len(crds["items"]), 12)
        for crd in crds["items"]:
            conditions = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
            self.assertEqual(conditions, {"NamesAccepted": "True", "Established": "True"})

    def test_applying_it_again_changes_nothing(self):
        def generations():
            got = API.kubectl("get", "-f", str(MANIFESTS / "slipway.yaml"), "-o", "json")
            return [(o["kind"], o["metadata"]["name"], o["metadata"]["resourceVersion"])
                    for o in json.loads(got.stdout)["items"]]

        before = generations()
        got = API.kubectl("apply", "-f", str(MANIFESTS / "slipway.yaml"))
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertEqual(generations(), before)

    def test_fields_are_explained(self):
        # The API server publishes what it was just taught after a moment.
        deadline = time.monotonic() + 60
        while (got := API.kubectl("explain", "dv.spec.source.http")).returncode != 0:
            self.assertLess(time.monotonic(), deadline, got.stderr)
            time.sleep(1)
        self.assertIn("checksum\t<string>", got.stdout)
        self.assertIn("A mismatch ends the import for good", " ".join(got.stdout.split()))

    def test_the_examples_are_accepted(self):
        for path in sorted((MANIFESTS / "examples").glob("*.yaml")):
            got = API.kubectl("create", "--dry-run=server", "--validate=strict", "-f", str(path))
            self.assertEqual(got.returncode, 0, f"{path.name}: {got.stderr}")
            self.assertNotIn("Warning", got.stderr, path.name)

    def test_the_catalog_is_accepted(self):
        files = [f"-f={p}" for p in sorted((MANIFESTS / "catalog").glob("*.yaml"))]
        got = API.kubectl("create", "--dry-run=server", "--validate=strict", *files)
        self.assertEqual(got.returncode, 0, got.stderr)

    def test_the_object_that_the_controller_makes_is_accepted(self):
        cdi = yaml.safe_load((MANIFESTS / "objects" / "cdi.json").read_text())
        status, got = API.request("POST", "/apis/cdi.kubevirt.io/v1beta1/cdis?dryRun=All"
                                  "&fieldValidation=Strict", cdi)
        self.assertEqual(status, 201, got)

    def test_users_may_do_what_their_role_says(self):
        # A controller-manager would add the role to Kubernetes' own edit; here it is bound itself.
        API.kubectl("create", "rolebinding", "tim", "--clusterrole=cdi.kubevirt.io:edit", "--user=tim")
        for verb, what, want in (("create", "datavolumes.cdi.kubevirt.io", "yes"),
                                 ("create", "datavolumes.cdi.kubevirt.io/source", "yes"),
                                 ("list", "cdiconfigs.cdi.kubevirt.io", "yes"),
                                 ("get", "storageprofiles.cdi.kubevirt.io", "yes"),
                                 ("update", "storageprofiles.cdi.kubevirt.io", "no"),
                                 ("create", "secrets", "no")):
            verb_what = [verb, *what.split("/")[:1]]
            sub = [f"--subresource={what.split('/')[1]}"] if "/" in what else []
            got = API.kubectl("auth", "can-i", *verb_what, *sub, "--as=tim",
                              "--as-group=system:authenticated")
            self.assertEqual(got.stdout.strip(), want, f"{verb} {what}")


class Created(unittest.TestCase):
    def test_what_the_webhook_refuses_is_refused_with_its_words(self):
        for change, message in REFUSED:
            status, got = API.request("POST", VOLUMES + "?dryRun=All", volume(change))
            with self.subTest(change=change):
                self.assertEqual(status, 422, got)
                self.assertIn(message, got["message"])

    def test_what_the_webhook_accepts_is_accepted(self):
        for change in ACCEPTED:
            status, got = API.request("POST", VOLUMES + "?dryRun=All", volume(change))
            with self.subTest(change=change):
                self.assertEqual(status, 201, got.get("message"))

    def test_unknown_fields_are_pruned_not_refused(self):
        status, got = API.request("POST", VOLUMES + "?dryRun=All", volume({"novelty": 1}))

        self.assertEqual(status, 201)
        self.assertNotIn("novelty", got["spec"])

    def test_status_is_written_through_its_subresource_only(self):
        dv = volume({}, "status")
        dv["status"] = {"phase": "Succeeded"}
        _, got = API.request("POST", VOLUMES, dv)
        self.assertNotIn("status", got)
        got["status"] = {"phase": "Pending", "progress": "N/A", "restartCount": 0, "conditions": [
            {"type": "Ready", "status": "False", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]}
        status, got = API.request("PUT", VOLUMES + "/status/status", got)
        self.assertEqual((status, got["status"]["phase"]), (200, "Pending"))


class Updated(unittest.TestCase):
    def change(self, name, before, after):
        """Creates the one, then replaces it by the other; (status, answer)."""
        status, dv = API.request("POST", VOLUMES, volume(before, name))
        self.assertEqual(status, 201, dv)
        self.addCleanup(API.request, "DELETE", f"{VOLUMES}/{name}")
        dv["spec"] = volume(after)["spec"]
        return API.request("PUT", f"{VOLUMES}/{name}", dv)

    def test_the_spec_stays_as_it_was(self):
        for i, (before, after) in enumerate([
                ({}, {"storage": size("2Gi")}), ({}, {"source": {"blank": {}}}),
                ({}, {"source": http(checksum="md5:" + "0" * 32)}),
                ({}, {"preallocation": True}), ({"preallocation": True}, {}),
                ({}, {"storage": {**STORAGE, "storageClassName": "x"}}),
                ({}, {"storage": {**STORAGE, "accessModes": ["ReadWriteOnce"]}}),
                ({"storage": None, "pvc": PVC}, {"storage": None, "pvc": {**PVC, "volumeMode": "Block"}}),
                ({"storage": None, "pvc": PVC}, {"storage": None, "pvc": {**PVC, "volumeAttributesClassName": "x"}}),
                ({}, {"storage": None, "pvc": PVC}),
                ({}, {"checkpoints": [{"current": "a", "previous": ""}]}),
                ({"source": None, "sourceRef": REF, "storage": {}},
                 {"source": None, "sourceRef": REF})]):
            status, got = self.change(f"refused-{i}", before, after)
            with self.subTest(before=before, after=after):
                self.assertEqual(status, 422, got)
                self.assertIn("Cannot update DataVolume Spec", got["message"])

    def test_the_same_size_in_other_words_is_no_change(self):
        """What a client in Go sends back: quantities in their canonical form, {} for an absent struct."""
        for i, (before, after) in enumerate([
                (size("1024Mi"), size("1Gi")), (size("1.5Gi"), size("1536Mi")),
                (size(1073741824), size("1Gi")), (size("1073741824"), size(1073741824))]):
            status, got = self.change(f"same-{i}", {"storage": before}, {"storage": after})
            self.assertEqual(status, 200, got.get("message"))
        clone = {"source": {"pvc": {"namespace": "n", "name": "x"}}}
        status, got = self.change("same-clone", {**clone, "storage": {}},
                                  {**clone, "storage": {"resources": {}}})
        self.assertEqual(status, 200, got.get("message"))

    def test_a_multistage_import_gets_new_checkpoints(self):
        one = {"source": {"vddk": VDDK}, "checkpoints": [{"current": "a", "previous": ""}]}
        two = {**one, "checkpoints": [*one["checkpoints"], {"current": "b", "previous": "a"}],
               "finalCheckpoint": True}
        status, got = self.change("stages", one, two)
        self.assertEqual(status, 200, got.get("message"))

    def test_metadata_can_change(self):
        _, dv = API.request("POST", VOLUMES, volume({}, "labels"))
        dv["metadata"]["labels"] = {"a": "b"}
        self.assertEqual(API.request("PUT", f"{VOLUMES}/labels", dv)[0], 200)


class Others(unittest.TestCase):
    def create(self, plural, spec, name="x", namespaced=True):
        kind = {"dataimportcrons": "DataImportCron", "storageprofiles": "StorageProfile",
                "volumeimportsources": "VolumeImportSource", "objecttransfers": "ObjectTransfer",
                "volumeuploadsources": "VolumeUploadSource", "cdiconfigs": "CDIConfig"}[plural]
        path = "/apis/cdi.kubevirt.io/v1beta1/" + ("namespaces/default/" if namespaced else "") + plural
        return API.request("POST", path + "?dryRun=All", {
            "apiVersion": "cdi.kubevirt.io/v1beta1", "kind": kind, "metadata": {"name": name},
            "spec": spec})

    def refused(self, message, *args, **more):
        status, got = self.create(*args, **more)
        self.assertEqual(status, 422, got)
        self.assertIn(message, got["message"])

    def test_data_import_crons(self):
        dv = {"spec": {"source": {"registry": {"url": "docker://x"}}, "storage": STORAGE}}
        good = {"template": dv, "schedule": "0 * * * *", "managedDataSource": "x"}
        self.assertEqual(self.create("dataimportcrons", good)[0], 201)
        self.refused("Name cannot be longer than 63", "dataimportcrons", good, name="x" * 64)
        self.refused("Missing source", "dataimportcrons",
                     {**good, "template": {"spec": {**dv["spec"], "source": HTTP}}})
        self.refused("Unsettable fields", "dataimportcrons",
                     {**good, "template": {"spec": {**dv["spec"], "contentType": "kubevirt"}}})
        for field, value in (("importsToKeep", -1), ("garbageCollect", "Never!"),
                             ("managedDataSource", "x" * 64)):
            self.refused("Illegal", "dataimportcrons", {**good, field: value})

    def test_populator_sources(self):
        self.assertEqual(self.create("volumeimportsources", {"source": HTTP})[0], 201)
        self.refused("Missing VolumeImport source", "volumeimportsources", {})
        self.refused("Missing VolumeImport source", "volumeimportsources", {"source": {}})
        self.refused("Multiple VolumeImport sources", "volumeimportsources",
                     {"source": {**HTTP, "blank": {}}})
        self.refused("Unable to do multi-stage import without specifying a target claim",
                     "volumeimportsources",
                     {"source": {"vddk": VDDK}, "checkpoints": [{"current": "a", "previous": ""}]})
        self.refused("ContentType not one of: kubevirt, archive", "volumeuploadsources",
                     {"contentType": "x"})
        self.refused("Name cannot be longer than 63", "volumeuploadsources", {}, name="x" * 64)

    def test_cluster_kinds(self):
        sets = [{"accessModes": ["ReadWriteOnce"], "volumeMode": "Block"}]
        self.assertEqual(self.create("storageprofiles", {"claimPropertySets": sets},
                                     namespaced=False)[0], 201)
        self.refused("Illegal AccessMode", "storageprofiles",
                     {"claimPropertySets": [{**sets[0], "accessModes": ["Any"]}]}, namespaced=False)
        self.refused("spec.filesystemOverhead.global", "cdiconfigs",
                     {"filesystemOverhead": {"global": "1.5"}}, namespaced=False)
        self.refused("Target namespace and/or name", "objecttransfers",
                     {"source": {"kind": "DataVolume", "namespace": "n", "name": "x"}, "target": {}},
                     namespaced=False)


if __name__ == "__main__":
    if not binaries():
        print("skipped: no kube-apiserver is compiled yet (./dev cluster up) or no etcd", file=sys.stderr)
        sys.exit(77)
    unittest.main()
