# SPDX-License-Identifier: Apache-2.0
"""A bill of materials of the image: SPDX 2.3 as JSON. Source: spdx.github.io/spdx-spec/v2.3."""

import hashlib
import json
import re
from urllib.parse import quote


def write(path, info, packages, programs, digest):
    """packages: name to the sysroot's files about it, without their suffix."""
    entries = [_ours(info, digest)]
    entries += [_debian(name, about, info["suite"]) for name, about in sorted(packages.items())]
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"slipway-{info['version']}-{info['arch']}",
        "documentNamespace": f"https://slipway.io/spdx/{digest.replace(':', '-')}",
        "creationInfo": {"created": "1970-01-01T00:00:00Z", "creators": ["Tool: image/build"]},
        "packages": entries,
        "files": [_file(program) for program in programs],
        "relationships":
            [_relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-slipway")] +
            [_relation("SPDXRef-slipway", "CONTAINS", e["SPDXID"]) for e in entries[1:]] +
            [_relation("SPDXRef-slipway", "CONTAINS", _id("file", p.name)) for p in programs],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def _id(kind, name):
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", f"{kind}-{name}")


def _relation(one, kind, other):
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def _ours(info, digest):
    return {
        "SPDXID": "SPDXRef-slipway", "name": "slipway", "versionInfo": info["version"],
        "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "licenseDeclared": "Apache-2.0", "licenseConcluded": "Apache-2.0",
        "copyrightText": "NOASSERTION", "primaryPackagePurpose": "CONTAINER",
        "checksums": [{"algorithm": "SHA256", "checksumValue": digest.split(":")[1]}],
    }


def _debian(name, about, suite):
    control = dict(re.findall(r"^([A-Z][\w-]*): (.*)$",
                              about.with_name(name + ".control").read_text(), re.MULTILINE))
    purl = (f"pkg:deb/debian/{quote(name)}@{quote(control['Version'])}"
            f"?arch={control['Architecture']}&distro={suite}")
    return {
        "SPDXID": _id("deb", name), "name": name, "versionInfo": control["Version"],
        "supplier": f"Organization: {re.sub(r' *<.*', '', control['Maintainer'])}",
        "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "licenseDeclared": "NOASSERTION", "licenseConcluded": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "checksums": [{"algorithm": "SHA256",
                       "checksumValue": about.with_name(name + ".sha256").read_text().strip()}],
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                          "referenceLocator": purl}],
    }


def _file(program):
    data = program.read_bytes()
    return {
        "SPDXID": _id("file", program.name), "fileName": f"./usr/bin/{program.name}",
        "licenseConcluded": "Apache-2.0", "copyrightText": "NOASSERTION",
        "checksums": [{"algorithm": "SHA1", "checksumValue": hashlib.sha1(data).hexdigest()},
                      {"algorithm": "SHA256", "checksumValue": hashlib.sha256(data).hexdigest()}],
    }
