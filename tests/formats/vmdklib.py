# SPDX-License-Identifier: Apache-2.0
"""VMDK images by hand: imagelib.py."""
import struct
import zlib

from imagebase import Bad, Blocks, assemble, get, order, pattern, put, up

VMDK_GRAINS, VMDK_GT = 1 << 16 | 1 << 17, 512 * 4


def vmdk_text(kind, sectors, parent="ffffffff", extents=None):
    text = ["# Disk DescriptorFile", "version=1", "CID=12345678", f"parentCID={parent}",
            f'createType="{kind}"', "", *(extents or [f'RW {sectors} SPARSE "hand.vmdk"']), ""]
    return "\n".join(text).encode()


def vmdk_header(f):
    head = b"KDMV" + struct.pack("<IIQQQQIQQQB4sH", f["version"], f["flags"], f["capacity"], f["grain"],
                                 f["text_at"], f["text_n"], f["entries"], 0, f["gd"], f["first"], 0,
                                 f["newlines"], f["algorithm"])
    return head.ljust(512, b"\0")


def vmdk_fields(size, grain, kind, change):
    f = dict(version=1, flags=1, capacity=size // 512, grain=grain // 512, text_at=1, text_n=2,
             entries=512, gd=0, first=0, newlines=b"\n \r\n", algorithm=0, text=None)
    f["text"] = vmdk_text(kind, size // 512)
    f.update(change)
    return f


def build_vmdk(layout, size=40 * 512 + 512, grain=4096, used=(0, 2, 3, 5), **change):
    """monolithicSparse: descriptor, directory, tables, grains."""
    n_gt = -(-size // (grain * 512))
    gd_at, gt_at = 3 * 512, 4 * 512
    first = gt_at + n_gt * VMDK_GT
    if layout == "last":
        first = 3 * 512
        gd_at = first + len(used) * grain
        gt_at = gd_at + 512
    out = bytearray(3 * 512)
    blocks = Blocks(out, first, grain, used, layout)
    put(out, gd_at, struct.pack(f"<{n_gt}I", *(gt_at // 512 + 4 * t for t in range(n_gt))))
    put(out, gt_at, bytes(n_gt * VMDK_GT))
    for i, at in blocks.at.items():
        struct.pack_into("<I", out, gt_at + 4 * i, at // 512)
    f = vmdk_fields(size, grain, "monolithicSparse", dict(gd=gd_at // 512, first=first // 512) | change)
    if f["flags"] & 4 and 1 not in used:
        struct.pack_into("<I", out, gt_at + 4, 1)
    put(out, 0, vmdk_header(f))
    put(out, 512, f["text"])
    return bytes(out)


def build_vmdk_stream(layout, size=40 * 512 + 512, grain=4096, used=(0, 2, 3, 5), **change):
    """streamOptimized. Layout "front": tables in front and no footer, as qemu-img writes it; others:
    tables, directory and footer behind the grains that they map, as VMware and VirtualBox do."""
    front = layout == "front"
    n_gt = -(-size // (grain * 512))
    first = (4 * 512 + n_gt * VMDK_GT) if front else 3 * 512
    out, tables, directory = bytearray(first), [[0] * 512 for _ in range(n_gt)], [0] * n_gt
    keep = {k: change.pop(k) for k in ("sizes", "lbas", "eos", "types", "footer") if k in change}

    def marker(value, kind):
        put(out, up(len(out), 512), struct.pack("<QII", value, 0, keep.get("types", {}).get(kind, kind)
                                                ).ljust(512, b"\0"))

    def table(t):
        if not any(tables[t]):
            return
        marker(4, 1)
        directory[t] = len(out) // 512
        put(out, len(out), struct.pack("<512I", *tables[t]))

    todo = order(used, layout)
    for k, i in enumerate(todo):
        data = zlib.compress(pattern(i, min(grain, size - i * grain) if i % 2 else grain))
        at = up(len(out), 512)
        tables[i // 512][i % 512] = at // 512
        put(out, at, struct.pack("<QI", keep.get("lbas", {}).get(i, i * grain // 512),
                                 keep.get("sizes", {}).get(i, len(data))) + data)
        if not front and (k + 1 == len(todo) or todo[k + 1] // 512 != i // 512):
            table(i // 512)
    f = vmdk_fields(size, grain, "streamOptimized", dict(
        version=3, flags=1 | VMDK_GRAINS, algorithm=1, first=first // 512,
        gd=3 if front else (1 << 64) - 1) | change)
    if front:
        directory = [4 + 4 * t for t in range(n_gt)]
        put(out, 3 * 512, struct.pack(f"<{n_gt}I", *directory))
        for t in range(n_gt):
            put(out, (4 + 4 * t) * 512, struct.pack("<512I", *tables[t]))
    else:
        marker(up(4 * n_gt, 512) // 512, 2)
        gd_at = len(out)
        put(out, gd_at, struct.pack(f"<{n_gt}I", *directory).ljust(up(4 * n_gt, 512), b"\0"))
        marker(1, 3)
        put(out, len(out), vmdk_header(f | dict(gd=gd_at // 512) | keep.get("footer", {})))
        if keep.get("eos", True):
            marker(0, 0)
    put(out, 0, vmdk_header(f))
    put(out, 512, f["text"])
    return bytes(out)


def vmdk_open(data):
    """(flags, size, grain, offset of the directory)"""
    head = get(data, 0, 512)
    _, version, flags, capacity, grain, at, n, entries, _, gd, _, _, newlines, algorithm = \
        struct.unpack_from("<4sIIQQQQIQQQB4sH", head)
    if head[:4] != b"KDMV" or version not in (1, 2, 3) or entries != 512:
        raise Bad("header")
    if (flags & 1 and newlines != b"\n \r\n") or grain > 1 << 19 or grain & (grain - 1) or not grain:
        raise Bad("header")
    if flags & VMDK_GRAINS not in (0, VMDK_GRAINS) or algorithm != (1 if flags & VMDK_GRAINS else 0):
        raise Bad("compression")
    if not at or not 0 < n <= 2048:
        raise Bad("descriptor")
    if gd == (1 << 64) - 1 and flags & VMDK_GRAINS:
        footer = data[-1024:-512]
        if len(data) % 512 or footer[:56] + footer[64:] != head[:56] + head[64:]:
            raise Bad("footer")
        gd = struct.unpack_from("<Q", footer, 56)[0]
    text = get(data, at * 512, n * 512).split(b"\0")[0].decode("latin-1")
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip().lower() == "parentcid" and value.strip(' "\t').lower() != "ffffffff":
            raise Bad("parent")
        if key.strip().lower() == "createtype" and value.strip(' "\t').lower() not in (
                "monolithicsparse", "streamoptimized", ""):
            raise Bad("type")
    if sum(line.strip().upper().startswith(("RW ", "RDONLY ", "NOACCESS "))
           for line in text.split("\n")) > 1:
        raise Bad("extents")
    if not gd:
        raise Bad("directory")
    return flags, capacity * 512, grain * 512, gd * 512


def read_vmdk(data):
    flags, size, grain, gd_at = vmdk_open(data)
    n, found = -(-size // grain), {}
    if size > 1 << 26:
        raise Bad("size")
    tables = struct.unpack(f"<{-(-n // 512)}I", get(data, gd_at, -(-n // 512) * 4))
    for t, sector in enumerate(tables):
        if not sector:
            continue
        for i, e in enumerate(struct.unpack("<512I", get(data, sector * 512, VMDK_GT))):
            guest = t * 512 + i
            if guest >= n or not e or (e == 1 and flags & 4):
                continue
            left = min(grain, size - guest * grain)
            found[guest] = vmdk_grain(data, e * 512, left, flags)
    return assemble(size, grain, found)


def vmdk_grain(data, at, left, flags):
    if at == 512:
        raise Bad("grain in the header")
    if not flags & VMDK_GRAINS:
        return get(data, at, left)
    length = struct.unpack("<I", get(data, at + 8, 4))[0]
    inflate = zlib.decompressobj()
    try:
        out = inflate.decompress(get(data, at + 12, length), left)
    except zlib.error as e:
        raise Bad(str(e)) from e
    if len(out) < left:
        raise Bad("short grain")
    return out
