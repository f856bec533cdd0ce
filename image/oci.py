# SPDX-License-Identifier: Apache-2.0
"""Packs content into an OCI image, as a layout and as a tarball that containerd, docker and podman load.

Content is a dict from path to what is there, see assemble.py. Times are zero, owners root, names sorted:
the same content gives the same digests.

Sources: OCI image-spec 1.1 (layout, manifest, config); the tarball has docker's manifest.json besides,
for loaders that know nothing newer.
"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import tarfile

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EPOCH = "1970-01-01T00:00:00Z"
NAME = "slipway"


def mode_of(path, file):
    """Programs and the loader can be executed, all else only read."""
    return 0o755 if os.access(file, os.X_OK) or path.startswith("usr/bin/") else 0o644


def unpacked_size(content):
    """Bytes of all files."""
    return sum(len(what) if isinstance(what, bytes) else what.stat().st_size
               for what in content.values()
               if isinstance(what, bytes) or (isinstance(what, pathlib.Path) and
                                              not what.is_symlink()))


def _folders(content):
    """Every folder that has to be there, parents first."""
    found = {path for path, what in content.items() if what is None}
    for path in content:
        while "/" in path:
            path = path.rsplit("/", 1)[0]
            found.add(path)
    return sorted(found)


def _entry(path, kind, mode):
    info = tarfile.TarInfo(path)
    info.type, info.mode = kind, mode
    return info


def _add(tar, path, what):
    if isinstance(what, pathlib.Path) and what.is_symlink():
        what = os.readlink(what)
    if isinstance(what, str):
        info = _entry(path, tarfile.SYMTYPE, 0o777)
        info.linkname = what
        tar.addfile(info)
        return
    data = what if isinstance(what, bytes) else what.read_bytes()
    mode = 0o644 if isinstance(what, bytes) else mode_of(path, what)
    info = _entry(path, tarfile.REGTYPE, mode)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def layer(content):
    """A layer, as the bytes of a tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in _folders(content):
            tar.addfile(_entry(path, tarfile.DIRTYPE, 0o1777 if path.endswith("tmp") else 0o755))
        for path in sorted(p for p, what in content.items() if what is not None):
            _add(tar, path, content[path])
    return out.getvalue()


class Blobs:
    """blobs/sha256 of a layout."""

    def __init__(self, folder):
        self.folder = folder / "blobs" / "sha256"
        self.folder.mkdir(parents=True)

    def add(self, media_type, data):
        """Store data; returns its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def add_json(self, media_type, value):
        return self.add(media_type, json.dumps(value, sort_keys=True).encode())


def _packed(data, cache):
    """gzip; the layer of libraries is large and rarely changes, so it is kept."""
    kept = cache / (hashlib.sha256(data).hexdigest() + ".gz")
    if not kept.exists():
        cache.mkdir(exist_ok=True)
        for old in sorted(cache.iterdir(), key=lambda p: p.stat().st_mtime)[:-6]:
            old.unlink()
        kept.write_bytes(gzip.compress(data, 6, mtime=0))
    return kept.read_bytes()


def _config(info, diff_ids):
    labels = {
        "org.opencontainers.image.title": "Slipway",
        "org.opencontainers.image.description": "KubeVirt boot disks: importer, controller, tools",
        "org.opencontainers.image.version": info["version"],
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.base.name": f"debian:{info['suite']}",
    }
    if info["revision"]:
        labels["org.opencontainers.image.revision"] = info["revision"]
    return {
        "created": EPOCH,
        "architecture": info["arch"],
        "os": "linux",
        "config": {
            "User": "107:107",
            "Env": ["PATH=/usr/bin"],
            "Cmd": ["/usr/bin/slipway", "--help"],
            "WorkingDir": "/",
            "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": EPOCH, "created_by": "image/build"} for _ in diff_ids],
    }


def write_image(out, info, contents):
    """out/oci and out/slipway.tar, one layer for each content. Returns the manifest's digest."""
    layout = out / "oci"
    shutil.rmtree(layout, ignore_errors=True)
    blobs = Blobs(layout)
    tars = [layer(content) for content in contents]
    layers = [blobs.add(LAYER, _packed(tar, out / "layers")) for tar in tars]
    diff_ids = ["sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars]
    config = blobs.add_json(CONFIG, _config(info, diff_ids))
    manifest = blobs.add_json(MANIFEST, {"schemaVersion": 2, "mediaType": MANIFEST,
                                         "config": config, "layers": layers})
    reference = f"docker.io/library/{NAME}:{info['version']}"
    manifest["platform"] = {"os": "linux", "architecture": info["arch"]}
    manifest["annotations"] = {"io.containerd.image.name": reference,
                               "org.opencontainers.image.ref.name": info["version"]}
    _write_json(layout / "index.json", {"schemaVersion": 2, "mediaType": INDEX,
                                        "manifests": [manifest]})
    _write_json(layout / "oci-layout", {"imageLayoutVersion": "1.0.0"})
    _write_json(layout / "manifest.json", [{"Config": _blob(config), "Layers": [_blob(x) for x in layers],
                                            "RepoTags": [f"{NAME}:{info['version']}"]}])
    _write_tarball(layout, out / "slipway.tar")
    return manifest["digest"]


def _blob(descriptor):
    return "blobs/" + descriptor["digest"].replace(":", "/")


def _write_json(path, value):
    path.write_text(json.dumps(value, sort_keys=True) + "\n")


def _write_tarball(layout, target):
    content = {str(p.relative_to(layout)): p for p in layout.rglob("*") if p.is_file()}
    part = target.with_suffix(".part")
    part.write_bytes(layer(content))
    part.replace(target)
