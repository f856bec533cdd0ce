# SPDX-License-Identifier: Apache-2.0
"""Validates objects against the schemas of CustomResourceDefinitions: as strictly as 'kubectl apply
--validate=strict', so that a misspelt field is found. Rules in CEL are the API server's."""
import re

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}


def kinds_of(crds):
    """(apiVersion, kind) to the schema of the whole object."""
    found = {}
    for crd in crds:
        for version in crd["spec"]["versions"]:
            name = f"{crd['spec']['group']}/{version['name']}"
            found[name, crd["spec"]["names"]["kind"]] = version["schema"]["openAPIV3Schema"]
    return found


def problems(schema, value, path=""):
    """What is wrong with value, one sentence each."""
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            yield f"{path}: is no quantity"
        elif isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
            yield f"{path}: {value!r} is no quantity"
        return
    if value is None and schema.get("nullable"):
        return
    kind = schema["type"]
    if not isinstance(value, TYPES[kind]) or (kind == "integer" and isinstance(value, bool)):
        yield f"{path}: {type(value).__name__} where {kind} is wanted"
        return
    yield from {"object": _object, "array": _array}.get(kind, _scalar)(schema, value, path)


def _object(schema, value, path):
    properties, rest = schema.get("properties", {}), schema.get("additionalProperties")
    for name in schema.get("required", []):
        if name not in value:
            yield f"{path}.{name}: is missing"
    if path == ".metadata":
        return
    for name, member in value.items():
        if name in properties:
            yield from problems(properties[name], member, f"{path}.{name}")
        elif rest:
            yield from problems(rest, member, f"{path}.{name}")
        else:
            yield f"{path}.{name}: no such field"


def _array(schema, value, path):
    if len(value) > schema.get("maxItems", len(value)):
        yield f"{path}: more than {schema['maxItems']} items"
    for i, item in enumerate(value):
        yield from problems(schema["items"], item, f"{path}[{i}]")


def _scalar(schema, value, path):
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path}: {value!r} does not match"
    if len(str(value)) < schema.get("minLength", 0):
        yield f"{path}: too short"
