# SPDX-License-Identifier: Apache-2.0
"""Small images of the formats that have one map of blocks, made and read by hand: the second opinion
beside qemu-img, and the maker of legal layouts that no tool writes. Written from the same
specifications as the readers in formats/, and from nothing else.

    build(format, layout, ...)   bytes of an image file
    read(format, data)           bytes of its disk, or Bad

Layouts: usual (maps first, blocks ascending), reverse (blocks descending), last (every map that may
stand anywhere stands behind the data), shared (two guest blocks have one block of the file)."""
import struct

from imagebase import Bad, Blocks, assemble, get, pattern, put, up
from vhdxlib import build_vhdx, build_vhdx_log, read_vhdx
from vmdklib import build_vmdk, build_vmdk_stream, read_vmdk

# ---- VDI ----------------------------------------------------------------------------------------

def build_vdi(layout, size=40 * 512 + 512, block=512, used=(0, 3, 4, 17, 40), **change):
    n = -(-size // block)
    table = up(n * 4, 512)
    out = bytearray(512)
    map_off, data_off = 512, 512 + table
    if layout == "last":
        data_off = 512
        map_off = 512 + len(used) * block
    blocks = Blocks(out, data_off, block, used, layout)
    entries = [0xffffffff] * n
    for i, at in blocks.at.items():
        entries[i] = (at - data_off) // block
    if n > 1 and entries[1] == 0xffffffff:
        entries[1] = 0xfffffffe
    f = dict(version=0x10001, type=1, map_off=map_off, data_off=data_off, sector=512, size=size,
             block=block, extra=0, blocks=n, used=len(used), parent=bytes(16), link=bytes(16),
             magic=0xbeda107f)
    f.update(change)
    head = b"<<< by hand >>>\n".ljust(64, b"\0") + struct.pack("<IIIII", f["magic"], f["version"], 0x190,
                                                              f["type"], 0) + bytes(256)
    head += struct.pack("<II4IIQIIII", f["map_off"], f["data_off"], 0, 0, 0, f["sector"], 0, f["size"],
                        f["block"], f["extra"], f["blocks"], f["used"])
    head += bytes(32) + f["link"] + f["parent"]
    put(out, 0, head)
    put(out, map_off, struct.pack(f"<{n}I", *entries))
    return bytes(out)


def read_vdi(data):
    head = get(data, 0, 0x1c8)
    magic, version, _, kind = struct.unpack_from("<4I", head, 0x40)
    map_off, data_off = struct.unpack_from("<II", head, 0x154)
    sector, _, size, block, extra, n, _ = struct.unpack_from("<IIQIIII", head, 0x168)
    if (magic, version, sector, extra) != (0xbeda107f, 0x10001, 512, 0) or kind not in (1, 2):
        raise Bad("header")
    if any(head[0x1a8:0x1c8]) or block < 512 or block & (block - 1):
        raise Bad("parent or block size")
    if map_off % 512 or data_off % 512 or min(map_off, data_off) < 0x1c8:
        raise Bad("offsets")
    need = -(-size // block)
    if need > n:
        raise Bad("map too short")
    found = {}
    for i, e in enumerate(struct.unpack(f"<{need}I", get(data, map_off, need * 4))):
        if e < 0xfffffffe:
            if e >= need:
                raise Bad("entry")
            left = min(block, up(size, 512) - i * block)
            found[i] = get(data, data_off + e * block, left)
    return assemble(size, block, found)


# ---- VHD ----------------------------------------------------------------------------------------

def vhd_sum(data, field):
    return ~sum(data[:field] + data[field + 4:]) & 0xffffffff


def vhd_footer(size, kind=3, data_off=512, cookie=b"conectix", checksum=None):
    f = bytearray(cookie + struct.pack(">IIQI", 2, 0x10000, data_off, 0) + b"win " + bytes(8) +
                  struct.pack(">QQHBBI", size, size, 10, 4, 17, kind)).ljust(512, b"\0")
    struct.pack_into(">I", f, 64, vhd_sum(bytes(f), 64) if checksum is None else checksum)
    return bytes(f)


def build_vhd(layout, size=40 * 512 + 512, block=4096, used=(0, 2, 3, 5), **change):
    n = -(-size // block)
    bitmap = up(block // 512 // 8 or 1, 512)
    footer = dict(size=size)
    footer.update({k: change.pop(k) for k in ("kind", "data_off", "checksum") if k in change})
    out = bytearray(512)
    header_at, table_at = 512, 1536
    data_at = 1536 + up(n * 4, 512)
    if layout == "last":
        data_at = 512
        header_at = data_at + len(used) * (block + bitmap)
        table_at = header_at + 1024
        footer.setdefault("data_off", header_at)
    blocks = Blocks(out, data_at, block, used, layout, lead=bitmap)
    entries = [0xffffffff] * n
    for i, at in blocks.at.items():
        entries[i] = (at - bitmap) // 512
        put(out, at - bitmap, b"\xff" * bitmap)
    f = dict(cookie=b"cxsparse", table=table_at, version=0x10000, entries=n, block=block)
    f.update({k: v for k, v in change.items() if k in f})
    head = bytearray(f["cookie"] + struct.pack(">QQIII", 0xffffffffffffffff, f["table"], f["version"],
                                               f["entries"], f["block"])).ljust(1024, b"\0")
    struct.pack_into(">I", head, 36, change.get("header_sum", vhd_sum(bytes(head), 36)))
    put(out, 0, vhd_footer(**footer))
    put(out, header_at, bytes(head))
    put(out, table_at, struct.pack(f">{n}I", *entries))
    put(out, up(len(out), 512), vhd_footer(**footer))
    return bytes(out)


def read_vhd(data):
    footer = get(data, 0, 512)
    if footer[:8] != b"conectix" or struct.unpack_from(">I", footer, 64)[0] != vhd_sum(footer, 64):
        raise Bad("footer")
    (at,), (size,), (kind,) = (struct.unpack_from(f, footer, o)
                               for f, o in ((">Q", 16), (">Q", 48), (">I", 60)))
    if kind != 3 or at % 512 or at < 512:
        raise Bad("type or offset")
    head = get(data, at, 1024)
    _, table, version, n, block = struct.unpack_from(">QQIII", head, 8)
    if head[:8] != b"cxsparse" or struct.unpack_from(">I", head, 36)[0] != vhd_sum(head, 36):
        raise Bad("dynamic header")
    if version >> 16 != 1 or block < 512 or block & (block - 1) or table % 512 or table < 512:
        raise Bad("dynamic header")
    need = -(-size // block)
    if need > n:
        raise Bad("table too short")
    bitmap, found = up(block // 512 // 8 or 1, 512), {}
    for i, e in enumerate(struct.unpack(f">{need}I", get(data, table, need * 4))):
        if e == 0:
            raise Bad("entry")
        if e != 0xffffffff:
            left = min(block, up(size, 512) - i * block)
            found[i] = get(data, e * 512 + bitmap, left)
    return assemble(size, block, found)


def build_vhd_fixed(layout, size=40 * 512, **change):
    del layout
    f = dict(size=size, kind=2, data_off=0xffffffffffffffff)
    f.update(change)
    return b"".join(pattern(i, 512) if i % 3 else bytes(512) for i in range(size // 512)) + vhd_footer(**f)


def read_vhd_fixed(data):
    footer = data[-512:]
    if len(data) % 512 or len(data) < 1024 or footer[:8] != b"conectix":
        raise Bad("footer")
    if struct.unpack_from(">I", footer, 64)[0] != vhd_sum(footer, 64):
        raise Bad("checksum")
    if struct.unpack_from(">I", footer, 60)[0] != 2:
        raise Bad("type")
    if struct.unpack_from(">Q", footer, 48)[0] != len(data) - 512:
        raise Bad("size")
    return data[:-512]


# ---- QED ----------------------------------------------------------------------------------------

def build_qed(layout, size=8 * 4096 + 512, cluster=4096, table_size=1, used=(0, 3, 4, 8), **change):
    """qemu-img cannot read tables of one cluster, which are legal."""
    table = table_size * cluster
    per = table // 8
    out = bytearray(cluster)
    n_l2 = sorted({i // per for i in used})
    tables = (1 + len(n_l2)) * table
    l1_at = cluster
    data_at = cluster + tables
    if layout == "last":
        data_at = cluster
        l1_at = cluster + len(used) * cluster
    blocks = Blocks(out, data_at, cluster, used, layout)
    l2_at = {t: l1_at + (1 + k) * table for k, t in enumerate(n_l2)}
    put(out, l1_at, bytes(tables))
    for t, at in l2_at.items():
        struct.pack_into("<Q", out, l1_at + 8 * t, at)
    for i, at in blocks.at.items():
        struct.pack_into("<Q", out, l2_at[i // per] + 8 * (i % per), at)
    if n_l2 and 1 not in used:
        struct.pack_into("<Q", out, l2_at[n_l2[0]] + 8, 1)
    f = dict(magic=b"QED\0", cluster=cluster, table_size=table_size, header_size=1, features=0, l1=l1_at,
             size=size, backing_off=0, backing_len=0)
    f.update(change)
    put(out, 0, f["magic"] + struct.pack("<IIIQQQQQII", f["cluster"], f["table_size"], f["header_size"],
                                         f["features"], 0, 0, f["l1"], f["size"], f["backing_off"],
                                         f["backing_len"]))
    return bytes(out)


def read_qed(data):
    head = get(data, 0, 64)
    cluster, table_size, header_size, features, _, _, l1, size, _, _ = struct.unpack_from(
        "<IIIQQQQQII", head, 4)
    if head[:4] != b"QED\0" or cluster < 4096 or cluster > 1 << 26 or cluster & (cluster - 1):
        raise Bad("header")
    if table_size not in (1, 2, 4, 8, 16) or features & ~6 or not header_size or size % 512:
        raise Bad("header")
    if l1 < cluster or l1 % cluster or header_size * cluster >= 1 << 32:
        raise Bad("L1")
    per = table_size * cluster // 8
    if size > per * per * cluster:
        raise Bad("size")
    n, found = -(-size // cluster), {}
    for t, at in enumerate(struct.unpack(f"<{-(-n // per)}Q", get(data, l1, -(-n // per) * 8))):
        if not at:
            continue
        if at % cluster:
            raise Bad("L2")
        k = min(per, n - t * per)
        for i, e in enumerate(struct.unpack(f"<{k}Q", get(data, at, k * 8))):
            if e > 1:
                if e % cluster:
                    raise Bad("cluster")
                guest = t * per + i
                found[guest] = get(data, e, min(cluster, size - guest * cluster))
    return assemble(size, cluster, found)


# ---- Parallels ------------------------------------------------------------------------------------

def build_parallels(layout, size=40 * 512 + 512, sectors=4, used=(0, 3, 4, 10), ext=True, **change):
    block = sectors * 512
    n = -(-size // block)
    data_at = up(64 + 4 * n, block)
    out = bytearray(data_at)
    blocks = Blocks(out, data_at, block, used, layout)
    f = dict(magic=b"WithouFreSpacExt" if ext else b"WithoutFreeSpace", version=2, tracks=sectors,
             entries=n, sectors=size // 512, inuse=0)
    f.update(change)
    put(out, 0, f["magic"] + struct.pack("<5IQIIIQ", f["version"], 16, 10, f["tracks"], f["entries"],
                                         f["sectors"], f["inuse"], data_at // 512, 0, 0))
    for i, at in blocks.at.items():
        struct.pack_into("<I", out, 64 + 4 * i, at // (block if ext else 512))
    return bytes(out)


def read_parallels(data):
    head = get(data, 0, 64)
    version, _, _, sectors, n, size = struct.unpack_from("<5IQ", head, 16)
    ext = head[:16] == b"WithouFreSpacExt"
    if not ext:
        size &= 0xffffffff
    if (not ext and head[:16] != b"WithoutFreeSpace") or version != 2 or not sectors:
        raise Bad("header")
    block = sectors * 512
    size *= 512
    need = -(-size // block)
    if need > n:
        raise Bad("table too short")
    found = {}
    for i, e in enumerate(struct.unpack(f"<{need}I", get(data, 64, need * 4))):
        if e:
            at = e * (block if ext else 512)
            if at < 64 + 4 * n:
                raise Bad("entry")
            found[i] = get(data, at, min(block, size - i * block))
    return assemble(size, block, found)


BUILD = {"vdi": build_vdi, "vhd": build_vhd, "vhd_fixed": build_vhd_fixed, "qed": build_qed,
         "parallels": build_parallels, "vmdk": build_vmdk, "vmdk_stream": build_vmdk_stream,
         "vhdx": build_vhdx, "vhdx_log": build_vhdx_log}
READ = {"vdi": read_vdi, "vhd": read_vhd, "vhd_fixed": read_vhd_fixed, "qed": read_qed,
        "parallels": read_parallels, "vmdk": read_vmdk, "vmdk_stream": read_vmdk, "vhdx": read_vhdx,
        "vhdx_log": read_vhdx}
LAYOUTS = {"vdi": ("usual", "reverse", "last", "shared"),
           "vhd": ("usual", "reverse", "last", "shared"),
           "vhd_fixed": ("usual",),
           "qed": ("usual", "reverse", "last", "shared"),
           "parallels": ("usual", "reverse", "shared"),
           "vmdk": ("usual", "reverse", "last", "shared"),
           "vmdk_stream": ("usual", "reverse", "front"),
           "vhdx": ("usual", "reverse", "last", "shared"),
           "vhdx_log": ("usual",)}
QEMU = {"vdi": "vdi", "vhd": "vpc", "vhd_fixed": "vpc", "qed": "qed", "parallels": "parallels",
        "vmdk": "vmdk", "vmdk_stream": "vmdk", "vhdx": "vhdx", "vhdx_log": "vhdx"}


def build(kind, layout, /, **change):
    return BUILD[kind](layout, **change)


def read(kind, data):
    try:
        return READ[kind](data)
    except struct.error as e:
        raise Bad(str(e)) from e


def table_ranges(data):
    """Where single-bit flips are worth trying: where zeroes and other bytes stand together. Blocks
    hold no zeroes."""
    pieces = (range(at, min(at + 32, len(data))) for at in range(0, len(data), 32))
    return [(p.start, len(p)) for p in pieces
            if any(data[p.start:p.stop]) and 0 in data[p.start:p.stop]]
