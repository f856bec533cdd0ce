# SPDX-License-Identifier: Apache-2.0
"""Container images for the cluster: one made of the helper, others loaded from tarballs."""
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile

import paths

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64", "s390x": "s390x"}


def _add(tar, name, data, mode=0o644):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))


def _layer(program):
    """A layer with one program, /helper, and a directory to mount things on."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        with open(program, "rb") as f:
            _add(tar, "helper", f.read(), 0o755)
        info = tarfile.TarInfo("data")
        info.type, info.mode = tarfile.DIRTYPE, 0o777
        tar.addfile(info)
    return out.getvalue()


def write_helper_image(program, target):
    """An OCI image layout in a tarball, named paths.HELPER_IMAGE; it pauses unless told else."""
    layer = _layer(program)
    packed = gzip.compress(layer, 1, mtime=0)
    config = json.dumps({
        "architecture": ARCHITECTURES[os.uname().machine], "os": "linux",
        "config": {"Entrypoint": ["/helper"], "Cmd": ["pause"], "User": "107:107"},
        "rootfs": {"type": "layers",
                   "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }).encode()
    media = "application/vnd.oci.image."

    def entry(data, kind, **more):
        return {"mediaType": media + kind, "size": len(data),
                "digest": "sha256:" + hashlib.sha256(data).hexdigest(), **more}

    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": media + "manifest.v1+json",
        "config": entry(config, "config.v1+json"),
        "layers": [entry(packed, "layer.v1.tar+gzip")]}).encode()
    index = json.dumps({
        "schemaVersion": 2, "manifests": [entry(manifest, "manifest.v1+json", annotations={
            "io.containerd.image.name": paths.HELPER_IMAGE,
            "org.opencontainers.image.ref.name": paths.HELPER_IMAGE})]}).encode()
    with tarfile.open(target, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        for blob in (packed, config, manifest):
            _add(tar, "blobs/sha256/" + hashlib.sha256(blob).hexdigest(), blob)
        _add(tar, "index.json", index)


def ctr(*args):
    """containerd's own client, in the namespace that kubelet uses."""
    done = subprocess.run(["ctr", "--address", paths.CONTAINERD, "--namespace", "k8s.io", *args],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError("ctr %s: %s" % (" ".join(args), done.stderr.strip()))
    return done.stdout


def load(tarball):
    """Make the images of the tarball known to kubelet; returns their names."""
    before = set(ctr("images", "list", "--quiet").split())
    ctr("images", "import", tarball)
    return sorted(set(ctr("images", "list", "--quiet").split()) - before)


def digests():
    """{name: digest} of the images that kubelet knows."""
    rows = (line.split() for line in ctr("images", "list").splitlines()[1:])
    return {row[0]: row[2] for row in rows}
