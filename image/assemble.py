#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""assemble.py: from our programs and a sysroot to a container image.

The root of the image holds our programs, gpgv, the libraries that they need, the certificates of the
public authorities, and what tells a scanner where all that is from. Nothing else: no shell, no package
manager. image/oci.py packs it. The same input gives the same bytes.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import oci     # noqa: E402  (after the path)
import sbom    # noqa: E402

TOP = pathlib.Path(__file__).resolve().parent.parent
MIB = 1 << 20

# The largest image that we accept, in bytes unpacked.
SIZE_LIMIT = 60 * MIB

# Programs of Debian that ours start.
HELPERS = {"gpgv": "usr/bin/gpgv"}
# Files that no program names as a library: how the system calls itself, and all licences.
PLAIN_FILES = {
    "base-files": ["etc/debian_version", "etc/os-release", "usr/lib/os-release",
                   "usr/share/common-licenses/*"],
    # Names in archives are UTF-8; libarchive wants a locale for that.
    "libc-bin": ["usr/lib/locale/C.utf8/*", "usr/lib/locale/C.utf8/LC_MESSAGES/*"],
}
CERTIFICATES = "usr/share/ca-certificates/mozilla"

# uid and gid 107 are those of qemu's files in KubeVirt's volumes.
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\n"
                  "slipway:x:107:107:slipway:/:/usr/sbin/nologin\n"
                  "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nslipway:x:107:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
FOLDERS = ["dev", "etc", "proc", "run", "sys", "tmp", "var/tmp"]
LINKS = {"bin": "usr/bin", "lib": "usr/lib", "sbin": "usr/sbin"}


def main():
    parser = argparse.ArgumentParser(description="assemble the container image")
    for option in ("arch", "suite", "triplet", "sysroot", "programs", "out"):
        parser.add_argument("--" + option, required=True)
    args = parser.parse_args()

    sysroot = Sysroot(args.sysroot, args.triplet)
    out = pathlib.Path(args.out)
    programs = sorted(pathlib.Path(args.programs).iterdir())
    base, own, packages = choose(sysroot, programs)
    shutil.rmtree(out / "root", ignore_errors=True)
    write_root(out / "root", {**base, **own})
    info = {"arch": args.arch, "suite": args.suite, "version": version(), "revision": revision()}
    digest = oci.write_image(out, info, [base, own])
    sbom.write(out / "sbom.json", info, packages, programs, digest)
    return report(out, base, own, programs, digest)


def version():
    """The version of the project, as its build file says it."""
    return re.search(r"version: '([^']+)'", (TOP / "meson.build").read_text()).group(1)


def revision():
    """The commit that is built, or "" outside of a Git checkout."""
    got = subprocess.run(["git", "-C", TOP, "describe", "--always", "--abbrev=40", "--dirty",
                          "--exclude=*"], capture_output=True, text=True, check=False)
    return got.stdout.strip()


class Sysroot:
    """The unpacked packages, and who brought which file."""

    def __init__(self, root, triplet):
        self.root = pathlib.Path(root)
        self.triplet = triplet
        self.about = pathlib.Path(root + ".packages")
        self.owner = {}
        for listing in sorted(self.about.glob("*.files")):
            for line in listing.read_text().splitlines():
                if not line.endswith("/"):
                    self.owner[usr_merged(line.removeprefix("./"))] = listing.stem

    def package_of(self, path):
        if path not in self.owner:
            sys.exit(f"assemble.py: no package owns {path}")
        return self.owner[path]

    def libraries_of(self, file):
        """What the ELF file names as NEEDED, and its interpreter, by soname."""
        text = subprocess.run(["readelf", "--dynamic", "--program-headers", "--wide", file],
                              capture_output=True, text=True, check=True,
                              env={**os.environ, "LC_ALL": "C"}).stdout
        names = re.findall(r"\(NEEDED\)\s+Shared library: \[([^\]]+)\]", text)
        return names, re.findall(r"Requesting program interpreter: ([^\]]+)\]", text)

    def find_library(self, soname):
        """Path, below the root, of a library."""
        for folder in (f"usr/lib/{self.triplet}", "usr/lib"):
            if os.path.lexists(self.root / folder / soname):
                return f"{folder}/{soname}"
        sys.exit(f"assemble.py: no library {soname} in the sysroot")


def usr_merged(path):
    """/lib and friends are links to /usr/lib and friends."""
    return "usr/" + path if re.match(r"(bin|sbin|lib\w*)/", path) else path


def closure(sysroot, files):
    """Every library that these files need, directly or not, as paths below the root. Links appear
    beside what they lead to."""
    found, waiting = {}, list(files)
    while waiting:
        names, interpreters = sysroot.libraries_of(waiting.pop())
        paths = [sysroot.find_library(name) for name in names]
        paths += [usr_merged(path.lstrip("/")) for path in interpreters]
        for path in paths:
            while path not in found:
                found[path] = sysroot.root / path
                waiting.append(sysroot.root / path)
                if not (sysroot.root / path).is_symlink():
                    break
                target = os.path.join(os.path.dirname(path), os.readlink(sysroot.root / path))
                path = usr_merged(os.path.normpath(target).lstrip("/"))
    return found


# Content of an image is a dict from path to: a pathlib.Path (copy that file or link), bytes, a link's
# target as str, or None (a folder). All of it belongs to root, and nobody else may write.

def choose(sysroot, programs):
    """(what is Debian's, what is ours, names of Debian's packages)."""
    helpers = {path: sysroot.root / path for path in HELPERS.values()}
    base = closure(sysroot, [*programs, *helpers.values()]) | helpers
    for patterns in PLAIN_FILES.values():
        for pattern in patterns:
            found = {str(p.relative_to(sysroot.root)): p for p in sysroot.root.glob(pattern)
                     if not p.is_dir()}
            if not found:
                sys.exit(f"assemble.py: nothing matches {pattern}")
            base |= found
    packages = sorted({sysroot.package_of(path) for path in base} | {"ca-certificates"})
    base |= {folder: None for folder in FOLDERS} | LINKS
    base |= {path: text.encode() for path, text in ACCOUNTS.items()}
    base["etc/ssl/certs/ca-certificates.crt"] = certificates(sysroot)
    if any(path.startswith("usr/lib64/") for path in base):
        base["lib64"] = "usr/lib64"
    for package in packages:
        base |= papers(sysroot, package)
    return base, {f"usr/bin/{p.name}": p for p in programs}, \
        {name: sysroot.about / name for name in packages}


def certificates(sysroot):
    """The bundle that ca-certificates makes when it is installed."""
    files = sorted((sysroot.root / CERTIFICATES).glob("*.crt"))
    return b"".join(f.read_bytes().rstrip(b"\n") + b"\n" for f in files)


def papers(sysroot, package):
    """A package's licence, and its entry in dpkg's database in the form for images without dpkg."""
    control = (sysroot.about / f"{package}.control").read_text().rstrip("\n")
    first, rest = control.split("\n", 1)
    licence = sysroot.root / "usr/share/doc" / package / "copyright"
    return {
        f"var/lib/dpkg/status.d/{package}":
            f"{first}\nStatus: install ok installed\n{rest}\n".encode(),
        f"usr/share/doc/{package}/copyright": licence.resolve(strict=True).read_bytes(),
    }


def write_root(root, content):
    """The image's content as files, to be looked at and entered."""
    for path, what in sorted(content.items()):
        target = root / path
        (target if what is None else target.parent).mkdir(parents=True, exist_ok=True)
        if isinstance(what, str):
            target.symlink_to(what)
        elif isinstance(what, bytes):
            target.write_bytes(what)
        elif what is not None and what.is_symlink():
            target.symlink_to(os.readlink(what))
        elif what is not None:
            shutil.copyfile(what, target)
            target.chmod(oci.mode_of(path, what))
    for path in ("tmp", "var/tmp"):
        (root / path).chmod(0o1777)


def report(out, base, own, programs, digest):
    """A table for people; fails when the image has outgrown its limit."""
    total = oci.unpacked_size(base) + oci.unpacked_size(own)
    packed = os.path.getsize(out / "slipway.tar")
    for program in programs:
        print(f"  {program.name:24} {program.stat().st_size / MIB:7.2f} MiB")
    print(f"  {'libraries and the rest':24} {oci.unpacked_size(base) / MIB:7.2f} MiB")
    print(f"  {'image, unpacked':24} {total / MIB:7.2f} MiB of at most {SIZE_LIMIT // MIB}")
    print(f"  {'image, packed':24} {packed / MIB:7.2f} MiB")
    print(f"  {digest}")
    print(f"image: {os.path.relpath(out / 'slipway.tar', TOP)}")
    if total > SIZE_LIMIT:
        print(f"assemble.py: more than {SIZE_LIMIT // MIB} MiB", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
