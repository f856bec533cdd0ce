#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What manifests/ holds: slipway.yaml as generated, kinds as the contract (api-types) has them, rights,
Pod Security, and examples that fit the schemas. No API server: see test_api.py for that."""
import pathlib
import re
import subprocess
import unittest

import yaml

import crdschema

MANIFESTS = pathlib.Path(__file__).resolve().parents[2] / "manifests"
SOURCE = MANIFESTS.parent / "controller"
OBJECTS = [o for o in yaml.safe_load_all((MANIFESTS / "slipway.yaml").read_text()) if o]
CRDS = [o for o in OBJECTS if o["kind"] == "CustomResourceDefinition"]
EXAMPLES = sorted((MANIFESTS / "examples").glob("*.yaml"))

CDI, FORKLIFT = "cdi.kubevirt.io", "forklift.cdi.kubevirt.io"
AGE = ("Age", "date", ".metadata.creationTimestamp")
PHASE = ("Phase", "string", ".status.phase")
# kind: group, plural, scope, short names, categories, status subresource, columns (contract 1).
KINDS = {
    "DataVolume": (CDI, "datavolumes", "Namespaced", ["dv", "dvs"], ["all"], True, [
        PHASE, ("Progress", "string", ".status.progress"),
        ("Restarts", "integer", ".status.restartCount"), AGE]),
    "DataSource": (CDI, "datasources", "Namespaced", ["das"], ["all"], False, []),
    "DataImportCron": (CDI, "dataimportcrons", "Namespaced", ["dic", "dics"], ["all"], False, [
        ("Format", "string", ".status.sourceFormat")]),
    "StorageProfile": (CDI, "storageprofiles", "Cluster", [], [], True, []),
    "CDIConfig": (CDI, "cdiconfigs", "Cluster", [], [], False, []),
    "CDI": (CDI, "cdis", "Cluster", ["cdi", "cdis"], [], False, [AGE, PHASE]),
    "ObjectTransfer": (CDI, "objecttransfers", "Cluster", ["ot", "ots"], [], True, [AGE, PHASE]),
    "VolumeImportSource": (CDI, "volumeimportsources", "Namespaced", [], [], False, []),
    "VolumeUploadSource": (CDI, "volumeuploadsources", "Namespaced", [], [], False, []),
    "VolumeCloneSource": (CDI, "volumeclonesources", "Namespaced", [], [], False, []),
    "OvirtVolumePopulator": (FORKLIFT, "ovirtvolumepopulators", "Namespaced", ["ovvp", "ovvps"], [],
                             False, []),
    "OpenstackVolumePopulator": (FORKLIFT, "openstackvolumepopulators", "Namespaced",
                                 ["osvp", "osvps"], [], False, []),
}


def find(kind, name):
    return next(o for o in OBJECTS if o["kind"] == kind and o["metadata"]["name"] == name)


def nodes(schema, path=""):
    """(path, node) of every node of a schema."""
    yield path, schema
    for name, member in schema.get("properties", {}).items():
        yield from nodes(member, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


class Generated(unittest.TestCase):
    def test_slipway_yaml_is_up_to_date(self):
        got = subprocess.run([MANIFESTS / "generate", "--check"], capture_output=True, text=True,
                             check=False)
        self.assertEqual((got.returncode, got.stderr), (0, ""))

    def test_another_image_is_put_everywhere(self):
        got = subprocess.run([MANIFESTS / "generate", "--image", "registry.example/x:1"],
                             capture_output=True, text=True, check=True).stdout

        self.assertIn("image: registry.example/x:1\n", got)
        self.assertIn("--image=registry.example/x:1\n", got)
        self.assertEqual(re.findall(r"\bslipway:[0-9]", got.split("---", 1)[1]), [])

    def test_sed_replaces_the_image_as_the_documentation_says(self):
        text = (MANIFESTS / "slipway.yaml").read_text()
        got = subprocess.run(["sed", r"s,\bslipway:[0-9.]*$,registry.example/x:1,"], input=text,
                             capture_output=True, text=True, check=True).stdout
        want = subprocess.run([MANIFESTS / "generate", "--image", "registry.example/x:1"],
                              capture_output=True, text=True, check=True).stdout

        self.assertEqual(got.split("---", 1)[1], want.split("---", 1)[1])


class Kinds(unittest.TestCase):
    def test_each_is_named_as_in_the_contract(self):
        got = {}
        for crd in CRDS:
            spec, names, (version,) = crd["spec"], crd["spec"]["names"], crd["spec"]["versions"]
            columns = [(c["name"], c["type"], c["jsonPath"])
                       for c in version.get("additionalPrinterColumns", [])]
            got[names["kind"]] = (spec["group"], names["plural"], spec["scope"],
                                  names.get("shortNames", []), names.get("categories", []),
                                  "status" in version["subresources"], columns)
            self.assertEqual(crd["metadata"]["name"], f"{names['plural']}.{spec['group']}")
            self.assertEqual(version["name"], "v1beta1")
            self.assertEqual(version["schema"]["openAPIV3Schema"]["required"], ["spec"])
        self.assertEqual(got, KINDS)

    def test_data_volume_comes_last(self):
        self.assertEqual(CRDS[-1]["spec"]["names"]["kind"], "DataVolume")

    def test_schemas_are_structural_and_explained(self):
        for (_, kind), schema in crdschema.kinds_of(CRDS).items():
            for path, node in nodes(schema):
                where = f"{kind}{path}"
                self.assertTrue("type" in node or node.get("x-kubernetes-int-or-string"), where)
                self.assertFalse({"$use", "$unchanged", "$ref", "oneOf", "allOf"} & set(node), where)
                self.assertFalse("properties" in node and "additionalProperties" in node, where)
                if path and not path.endswith("[]") and path != ".metadata":
                    self.assertTrue(node.get("description", "").endswith("."), where)
                for name in node.get("required", []):
                    self.assertIn(name, node["properties"], where)

    def test_the_contracts_fields_are_there(self):
        schema = crdschema.kinds_of(CRDS)[f"{CDI}/v1beta1", "DataVolume"]
        spec = schema["properties"]["spec"]["properties"]

        self.assertEqual(set(spec), {
            "source", "sourceRef", "pvc", "storage", "priorityClassName", "serviceAccountName",
            "contentType", "checkpoints", "finalCheckpoint", "preallocation"})
        self.assertEqual(set(spec["source"]["properties"]), {
            "http", "s3", "gcs", "registry", "pvc", "snapshot", "upload", "blank", "imageio", "vddk"})
        self.assertEqual(set(spec["source"]["properties"]["http"]["properties"]), {
            "url", "secretRef", "certConfigMap", "extraHeaders", "secretExtraHeaders", "checksum",
            "insecureSkipVerify"})
        self.assertEqual(set(schema["properties"]["status"]["properties"]), {
            "claimName", "phase", "progress", "restartCount", "conditions"})


def granted(kind, name):
    """(group, resource, verb) of every rule of a role."""
    return {(group, resource, verb) for rule in find(kind, name)["rules"]
            for group in rule["apiGroups"] for resource in rule["resources"]
            for verb in rule["verbs"]}


def needed():
    """What the controller's source asks of the API server: the table of kinds says what is watched, the
    calls of sw_act_*() what is written. Events and the Lease are kube/'s."""
    table = re.compile(r'\[(SW_KIND_\w+)\] = \{ "\w+",\s+"([^"]*)",\s+"\w+",\s+"(\w+)",\s+'
                       r'(?:true|false),\s+(true|false)')
    kinds = {name: (group, plural, status == "true") for name, group, plural, status in
             table.findall((SOURCE / "kind.c").read_text())}
    found = {("", "events", "create"), ("", "events", "patch")}
    for name, (group, plural, _) in kinds.items():
        if name != "SW_KIND_CONFIG_MAP":    # those of its own namespace: a Role
            found |= {(group, plural, "list"), (group, plural, "watch")}
    for path in SOURCE.glob("*.c"):
        for call, name in re.findall(r"sw_act_(\w+)\([^;]*?\b(SW_KIND_\w+),", path.read_text()):
            group, plural, has_status = kinds[name]
            if call in ("note", "warn"):    # an event about the object
                continue
            if call == "apply":
                found |= {(group, plural, "create"), (group, plural, "patch")}
            elif call == "patch_status":
                found.add((group, plural + "/status" if has_status else plural, "patch"))
            else:
                found |= {(group, plural, call.removesuffix("_exactly")), (group, plural, "get")}
    return found


class Rights(unittest.TestCase):
    def test_the_controller_may_do_what_its_source_does_and_no_more(self):
        got = granted("ClusterRole", "slipway-controller")
        owners = {x for x in got if x[1].endswith("/finalizers")}

        self.assertEqual(got - owners, needed())
        self.assertEqual({x[1] for x in owners}, {
            "persistentvolumeclaims/finalizers", "datavolumes/finalizers", "cdis/finalizers"})
        self.assertEqual(granted("Role", "slipway-controller"), {
            ("coordination.k8s.io", "leases", "get"), ("coordination.k8s.io", "leases", "create"),
            ("coordination.k8s.io", "leases", "update"), ("", "configmaps", "list"),
            ("", "configmaps", "watch")})

    def test_the_controller_has_no_wildcards(self):
        for kind in ("ClusterRole", "Role"):
            for rule in find(kind, "slipway-controller")["rules"]:
                for words in rule.values():
                    self.assertNotIn("*", words)

    def test_the_controller_reads_no_secrets(self):
        for kind in ("ClusterRole", "Role"):
            for rule in find(kind, "slipway-controller")["rules"]:
                self.assertNotIn("secrets", rule["resources"])

    def test_every_binding_leads_somewhere(self):
        names = {(o["kind"], o["metadata"]["name"]) for o in OBJECTS}
        for o in OBJECTS:
            if o["kind"].endswith("Binding"):
                self.assertIn((o["roleRef"]["kind"], o["roleRef"]["name"]), names)
                for subject in o["subjects"]:
                    if subject["kind"] == "ServiceAccount":
                        self.assertIn(("ServiceAccount", subject["name"]), names)

    def test_users_get_the_roles_that_others_refer_to(self):
        for verb in ("admin", "edit", "view"):
            role = find("ClusterRole", f"{CDI}:{verb}")
            self.assertEqual(role["metadata"]["labels"][
                f"rbac.authorization.k8s.io/aggregate-to-{verb}"], "true")


class ControlPlane(unittest.TestCase):
    def test_the_deployment_meets_pod_security_restricted(self):
        pod = find("Deployment", "slipway-controller")["spec"]["template"]["spec"]
        (container,) = pod["containers"]

        self.assertEqual(pod["securityContext"], {
            "runAsNonRoot": True, "runAsUser": 107, "runAsGroup": 107,
            "seccompProfile": {"type": "RuntimeDefault"}})
        self.assertEqual(container["securityContext"], {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]}})
        self.assertEqual(container["imagePullPolicy"], "IfNotPresent")

    def test_the_deployment_waits_for_nothing(self):
        pod = find("Deployment", "slipway-controller")["spec"]["template"]["spec"]
        (container,) = pod["containers"]

        self.assertNotIn("volumes", pod)
        self.assertNotIn("envFrom", container)
        for probe in ("startupProbe", "readinessProbe"):
            self.assertLessEqual(container[probe]["periodSeconds"], 2)

    def test_selectors_find_the_pods(self):
        labels = find("Deployment", "slipway-controller")["spec"]["template"]["metadata"]["labels"]
        selectors = [find("Deployment", "slipway-controller")["spec"]["selector"]["matchLabels"],
                     find("PodDisruptionBudget", "slipway-controller")["spec"]["selector"]["matchLabels"],
                     find("Service", "cdi-prometheus-metrics")["spec"]["selector"]]
        for selector in selectors:
            self.assertLessEqual(selector.items(), labels.items())


class Examples(unittest.TestCase):
    def test_every_object_of_ours_fits_its_schema(self):
        schemas = crdschema.kinds_of(CRDS)
        seen = 0
        for path in [*EXAMPLES, *sorted((MANIFESTS / "catalog").glob("*.yaml"))]:
            for o in yaml.safe_load_all(path.read_text()):
                schema = schemas.get((o["apiVersion"], o["kind"]))
                if schema:
                    self.assertEqual(list(crdschema.problems(schema, o)), [], path.name)
                    seen += 1
        self.assertGreater(seen, 20)

    def test_the_validator_finds_mistakes(self):
        schema = crdschema.kinds_of(CRDS)[f"{CDI}/v1beta1", "DataVolume"]
        http = {"url": "https://images.example.org/disk.img"}
        good = {"apiVersion": f"{CDI}/v1beta1", "kind": "DataVolume", "metadata": {"name": "x"},
                "spec": {"source": {"http": http},
                         "storage": {"resources": {"requests": {"storage": "1Gi"}}}}}
        self.assertEqual(list(crdschema.problems(schema, good)), [])
        for change in ({"source": {"http": {**http, "sum": "x"}}}, {"source": {"http": {}}},
                       {"contentType": "tar"}, {"preallocation": "yes"}, {"checkpoints": {}},
                       {"storage": {"resources": {"requests": {"storage": "1 GB"}}}}):
            bad = {**good, "spec": {**good["spec"], **change}}
            self.assertEqual(len(list(crdschema.problems(schema, bad))), 1, change)

    def test_all_fetch_from_the_host_that_tests_replace(self):
        for path in EXAMPLES:
            for url in re.findall(r"https?://[^\s'\"]+", path.read_text()):
                self.assertTrue(url.startswith("https://images.example.org/"), f"{path.name}: {url}")

    def test_the_readme_lists_them(self):
        text = (MANIFESTS / "examples" / "README.md").read_text()
        self.assertEqual(sorted(re.findall(r"\]\((\S+\.yaml)\)", text)), [p.name for p in EXAMPLES])

    def test_all_names_are_different(self):
        names = []
        for path in EXAMPLES:
            names += [(o["kind"], o["metadata"]["name"])
                      for o in yaml.safe_load_all(path.read_text())]
        self.assertEqual(len(names), len(set(names)))


if __name__ == "__main__":
    unittest.main()
