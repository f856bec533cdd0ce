# SPDX-License-Identifier: Apache-2.0
"""hostile.py DIR: write malformed images to DIR/NAME, and DIR/index.json with, for each, the rule that it
breaks and how it has to be refused. A row: name, what it breaks, (kind of error, part
of the message), image. Rows that a file may accept and a stream must refuse are left to the unit tests."""
import json
import os
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import imagelib  # noqa: E402
from imagelib import build, vhd_footer  # noqa: E402
from vhdxlib import (GUID, LOG_GUID, MIB, PAGE, vhdx_header, vhdx_log_entry,  # noqa: E402
                     vhdx_regions)
from vmdklib import vmdk_text  # noqa: E402

BAD, NO = "bad_data", "unsupported"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"


def patched(image, *changes):
    out = bytearray(image)
    for at, fmt, *values in changes:
        struct.pack_into(fmt, out, at, *values)
    return bytes(out)


def vdi():
    yield "vdi-version", "only 1.1 is known", (NO, "version"), build("vdi", "usual", version=0x20000)
    yield "vdi-type-undo", "undo images need a parent", (NO, "undo"), build("vdi", "usual", type=3)
    yield "vdi-type-diff", "so do differencing ones", (NO, "differencing"), build("vdi", "usual", type=4)
    yield "vdi-type-0", "no such type", (NO, "type 0"), build("vdi", "usual", type=0)
    yield "vdi-parent", "a parent's UUID", (NO, "parent"), build("vdi", "usual", parent=b"p" * 16)
    yield "vdi-link", "a link to a snapshot", (NO, "parent"), build("vdi", "usual", link=b"l" * 16)
    for sector in (0, 4096):
        yield f"vdi-sector-{sector}", "sectors have 512 bytes", (BAD, "sectors of"), build(
            "vdi", "usual", sector=sector)
    yield "vdi-extra", "data in front of each block", (NO, "extra"), build("vdi", "usual", extra=512)
    usual = build("vdi", "usual")
    for block in (0, 1, 511, 513, 3 << 20, 1 << 31, 0xffffffff):
        yield f"vdi-block-{block}", "a power of two of at least a sector", (BAD, "blocks of"), patched(
            usual, (0x178, "<I", block))
    yield "vdi-map-in-header", "the map lies in the header", (BAD, "block map at"), build(
        "vdi", "usual", map_off=0)
    yield "vdi-map-odd", "and on a sector", (BAD, "block map at"), build("vdi", "usual", map_off=513)
    yield "vdi-data-in-header", "data lies in the header", (BAD, "data at"), build(
        "vdi", "usual", data_off=0)
    yield "vdi-map-past-end", "the map ends after the file", (BAD, "block map"), build(
        "vdi", "usual", map_off=1 << 30)
    yield "vdi-data-past-end", "blocks lie after the file", (BAD, "guest offset"), build(
        "vdi", "usual", data_off=1 << 30)
    yield "vdi-few-blocks", "fewer blocks than the disk has", (BAD, "map"), build("vdi", "usual", blocks=3)
    yield "vdi-no-blocks", "none at all", (BAD, "map"), build("vdi", "usual", blocks=0)
    yield "vdi-size-huge", "larger than any disk", (NO, "limit"), patched(
        build("vdi", "usual"), (0x170, "<Q", (1 << 64) - 512))
    yield "vdi-size-wraps", "rounding it up wraps", (NO, "limit"), patched(
        build("vdi", "usual"), (0x170, "<Q", (1 << 64) - 1))
    yield "vdi-size-table", "a disk whose map is larger than the file", (BAD, ""), patched(
        build("vdi", "usual", blocks=0xffffffff), (0x170, "<Q", 1 << 40))
    for entry in (41, 0x7fffffff, 0xfffffffd):
        yield f"vdi-entry-{entry}", "an entry beyond all blocks", (BAD, "entry 0"), patched(
            usual, (512, "<I", entry))
    yield "vdi-entry-behind", "a block after the end of the file", (BAD, "guest offset"), patched(
        usual, (512, "<I", 39))


def vhd():
    yield "vhd-checksum", "the footer's copy has a wrong checksum", (BAD, "checksum"), build(
        "vhd", "usual", checksum=1)
    yield "vhd-header-checksum", "so has the header", (BAD, "dynamic header: checksum"), build(
        "vhd", "usual", header_sum=1)
    yield "vhd-cookie", "no cookie", (BAD, "cxsparse"), build("vhd", "usual", cookie=b"cxsparsf")
    yield "vhd-differencing", "it needs a parent", (NO, "differencing"), build("vhd", "usual", kind=4)
    for kind in (0, 2, 5, 0xffffffff):
        yield f"vhd-type-{kind}", "not a type that begins with a copy", (BAD, "type"), build(
            "vhd", "usual", kind=kind)
    for off in (0, 100, 511, 513):
        yield f"vhd-header-at-{off}", "the header lies in the footer or off a sector", (
            BAD, "dynamic header at"), build("vhd", "usual", data_off=off)
    for off in (1 << 40, (1 << 64) - 512):
        yield f"vhd-header-past-{off:x}", "the header ends after the file", (BAD, "dynamic header"), build(
            "vhd", "usual", data_off=off)
    yield "vhd-self", "the footer is the header", (BAD, "cxsparse"), build(
        "vhd", "usual", data_off=512, cookie=b"conectix")
    yield "vhd-version", "an unknown version", (NO, "version"), build("vhd", "usual", version=0x20000)
    for size in (0, 100, 3000, 1 << 31, 0xffffffff):
        yield f"vhd-block-{size}", "blocks are a power of two", (BAD, "blocks of"), build_vhd_block(size)
    for off in (0, 1, 700):
        yield f"vhd-table-at-{off}", "the table lies off a sector or in the footer", (
            BAD, "block table at"), build("vhd", "usual", table=off)
    for off in (1 << 40, (1 << 64) - 512, (1 << 63) - 512):
        yield f"vhd-table-past-{off:x}", "the table ends after the file, or wraps", (
            BAD, "block table"), build("vhd", "usual", table=off)
    yield "vhd-few-entries", "fewer entries than the disk has blocks", (BAD, "table has"), build(
        "vhd", "usual", entries=1)
    yield "vhd-size", "larger than any disk", (NO, "limit"), \
        vhd_footer((1 << 64) - 512) + build("vhd", "usual")[512:]
    usual = build("vhd", "usual")
    yield "vhd-entry-0", "a block in the footer's copy", (BAD, "entry 0"), patched(usual, (1536, ">I", 0))
    yield "vhd-entry-past", "a block after the file", (BAD, "guest offset 0"), patched(
        usual, (1536, ">I", 0xfffffffe))
    body = bytes(8192)
    yield "vhd-fixed-size", "the footer of a larger disk", (BAD, "damaged"), body + vhd_footer(8704, kind=2)
    yield "vhd-fixed-type", "the footer of a dynamic disk without its copy", (BAD, "damaged"), \
        body + vhd_footer(8192, kind=3)


def build_vhd_block(size):
    usual = build("vhd", "usual")
    head = bytearray(usual[512:1536])
    struct.pack_into(">I", head, 32, size)
    struct.pack_into(">I", head, 36, imagelib.vhd_sum(bytes(head), 36))
    return usual[:512] + bytes(head) + usual[1536:]


def qed():
    for size in (0, 512, 4097, 1 << 27, 0xffffffff):
        yield f"qed-cluster-{size}", "4 KiB to 64 MiB, a power of two", (BAD, "clusters of"), patched(
            build("qed", "usual"), (4, "<I", size))
    for size in (0, 3, 32, 0xffffffff):
        yield f"qed-tables-{size}", "1 to 16 clusters, a power of two", (BAD, "tables of"), patched(
            build("qed", "usual"), (8, "<I", size))
    usual = build("qed", "usual")
    for size in (0, 0xffffffff):
        yield f"qed-header-{size}", "a header of no or too many clusters", (BAD, "clusters long"), patched(
            usual, (12, "<I", size))
    yield "qed-feature", "an unknown feature", (NO, "features"), build("qed", "usual", features=8)
    yield "qed-backing", "the token of the pod as backing file", (NO, "never opened"), patched(
        build("qed", "usual", features=1, backing_off=100, backing_len=len(TOKEN)),
        (100, f"{len(TOKEN)}s", TOKEN.encode()))
    for off, n in ((0, 10), (100, 0), (100, 5000), (0xffffff00, 100)):
        yield f"qed-backing-{off}-{n}", "its name lies nowhere", (BAD, "backing"), build(
            "qed", "usual", features=1, backing_off=off, backing_len=n)
    for off in (0, 100, 5000):
        yield f"qed-l1-{off}", "the L1 table lies off a cluster", (BAD, "L1 table"), build("qed", "usual", l1=off)
    for off in (1 << 40, (1 << 64) - 4096, (1 << 63) - 4096):
        yield f"qed-l1-past-{off:x}", "it ends after the file, or wraps", (BAD, "L1 table"), build(
            "qed", "usual", l1=off)
    yield "qed-size-odd", "no multiple of a sector", (BAD, "multiple"), patched(
        build("qed", "usual"), (48, "<Q", 1000))
    yield "qed-size-cover", "more than the tables cover", (BAD, "cover"), patched(
        build("qed", "usual"), (48, "<Q", 1 << 31))
    yield "qed-l2-odd", "an L2 table off a cluster", (BAD, "entry 0"), patched(usual, (4096, "<Q", 8200))
    yield "qed-l2-self", "an L2 table that is the L1 table, and names itself", (BAD, ""), patched(
        usual, (4096, "<Q", 4096 + 8))
    yield "qed-l2-past", "an L2 table after the file", (BAD, "L2 table"), patched(
        usual, (4096, "<Q", 1 << 30))
    for off in (2, 512, 4097):
        yield f"qed-cluster-at-{off}", "a cluster off a cluster, or in the header", (
            BAD, "entry 0"), patched(usual, (8192, "<Q", off))
    for off in (1 << 30, (1 << 64) - 4096):
        yield f"qed-cluster-past-{off:x}", "a cluster after the file, or wrapping", (BAD, ""), patched(
            usual, (8192, "<Q", off))


def parallels():
    yield "parallels-version", "version 2 is the only one", (NO, "version"), build(
        "parallels", "usual", version=3)
    for n in (0, 0xffffffff, (256 << 11) + 1):
        yield f"parallels-cluster-{n}", "clusters of no or too many sectors", (BAD, "clusters of"), build(
            "parallels", "usual", tracks=n)
    yield "parallels-sectors", "the size in bytes wraps", (BAD, "sectors"), patched(
        build("parallels", "usual"), (36, "<Q", 1 << 60))
    yield "parallels-size", "larger than any disk", (NO, "limit"), patched(
        build("parallels", "usual"), (36, "<Q", 1 << 50))
    yield "parallels-entries", "fewer entries than clusters", (BAD, "table"), build(
        "parallels", "usual", entries=2)
    yield "parallels-table", "a table longer than the file", (BAD, "block table"), patched(
        build("parallels", "usual", entries=0xffffffff), (36, "<Q", (1 << 34) - 4))
    usual = build("parallels", "usual", ext=False)
    yield "parallels-in-table", "a cluster inside the table", (BAD, "entry 0"), patched(
        patched(usual, (32, "<I", 1000)), (64, "<I", 1))
    yield "parallels-past", "a cluster after the file", (BAD, "guest offset"), patched(
        usual, (64, "<I", 0xffffffff))


def vmdk():
    for n, fmt, at, name in ((0, "<I", 4, "version"), (9, "<I", 4, "version")):
        yield f"vmdk-version-{n}", "versions 1 to 3", (NO, name), patched(build("vmdk", "usual"), (at, fmt, n))
    yield "vmdk-text-mode", "line ends were changed on the way", (BAD, "ends of lines"), build(
        "vmdk", "usual", newlines=b"\n \n\n")
    for n in (0, 3, 1 << 20, (1 << 64) - 1):
        yield f"vmdk-grain-{n:x}", "grains of a power of two sectors", (BAD, "grains of"), patched(
            build("vmdk", "usual"), (20, "<Q", n))
    for n in (0, 256, 0xffffffff):
        yield f"vmdk-entries-{n}", "512 entries in a table", (BAD, "entries"), build("vmdk", "usual", entries=n)
    yield "vmdk-capacity-wraps", "its bytes wrap", (BAD, "sectors"), build("vmdk", "usual", capacity=1 << 60)
    yield "vmdk-capacity", "larger than any disk", (NO, "limit"), build("vmdk", "usual", capacity=1 << 50)
    yield "vmdk-tables", "more tables than may be remembered", (NO, "--memory"), patched(
        build("vmdk", "usual", capacity=1 << 36), (20, "<Q", 1))
    yield "vmdk-algorithm", "an unknown compression", (BAD, "compression 2"), build(
        "vmdk_stream", "usual", algorithm=2)
    yield "vmdk-no-markers", "compressed without markers", (NO, "markers"), build(
        "vmdk_stream", "usual", flags=1 | 1 << 16)
    yield "vmdk-no-descriptor", "one part of a split disk", (NO, "split"), build("vmdk", "usual", text_at=0)
    for n in (0, 5000, (1 << 64) - 1):
        yield f"vmdk-descriptor-{n:x}", "a descriptor of no or too many sectors", (
            BAD, "descriptor of"), build("vmdk", "usual", text_n=n)
    for at in (1 << 40, (1 << 64) - 1):
        yield f"vmdk-descriptor-at-{at:x}", "it ends after the file, or wraps", (BAD, "descriptor"), build(
            "vmdk", "usual", text_at=at)
    for at in (0, (1 << 64) - 1, 1 << 40, 1 << 58):
        yield f"vmdk-gd-{at:x}", "the directory lies nowhere", (BAD, "grain directory"), build(
            "vmdk", "usual", gd=at)
    yield "vmdk-parent", "a child of a parent", (NO, "parent"), build(
        "vmdk", "usual", text=vmdk_text("monolithicSparse", 41, parent="1234abcd"))
    for kind in ("twoGbMaxExtentSparse", "vmfsSparse", "fullDevice"):
        yield f"vmdk-{kind}", "a disk of several files", (NO, kind), build(
            "vmdk", "usual", text=vmdk_text(kind, 41))
    yield "vmdk-extents", "extents that name the host's files", (NO, "2 files"), build(
        "vmdk", "usual", text=vmdk_text("monolithicSparse", 41, extents=[
            f'RW 8 FLAT "{TOKEN}" 0', 'RW 8 FLAT "/etc/passwd" 0']))
    yield "vmdk-text-token", "a descriptor that names the token", (NO, "never"), vmdk_text(
        "custom", 8, extents=[f'RW 8 FLAT "{TOKEN}" 0', 'RW 8 FLAT "/etc/passwd" 0'])
    yield "vmdk-text-flat", "a descriptor alone", (NO, "--format raw"), vmdk_text(
        "monolithicFlat", 8, extents=['RW 8 FLAT "/etc/passwd" 0'])
    usual = build("vmdk", "usual")
    yield "vmdk-gt-past", "a table after the file", (BAD, "grain table"), patched(
        usual, (1536, "<I", 0xffffffff))
    yield "vmdk-gt-overlap", "tables that overlap", (BAD, "overlap"), patched(
        build("vmdk", "usual", grain=512, size=1200 * 512), (1536, "<II", 4, 5))
    yield "vmdk-grain-past", "a grain after the file", (BAD, "guest offset"), patched(
        usual, (2048, "<I", 0xffffffff))
    yield "vmdk-grain-1", "the mark of zeroes without its flag", (BAD, "sector 1"), patched(
        usual, (2048, "<I", 1))
    yield "vmdk-footer", "a footer that contradicts the header", (BAD, "footer"), build(
        "vmdk_stream", "usual", footer=dict(capacity=1))
    yield "vmdk-footer-gd", "a footer without a directory", (BAD, ""), build(
        "vmdk_stream", "usual", footer=dict(gd=0))
    yield "vmdk-stream-cut", "no footer", (BAD, ""), build("vmdk_stream", "usual")[:-1024]
    for n in (0, 0xffffffff, 70000):
        yield f"vmdk-marker-{n}", "a marker that says a wrong length", (BAD, ""), build(
            "vmdk_stream", "usual", sizes={2: n})
    yield "vmdk-adler", "a grain with a wrong checksum", (BAD, ""), broken_grain()


def broken_grain():
    stream = bytearray(build("vmdk_stream", "front"))
    length = struct.unpack_from("<I", stream, 4 * 512 + 2048 + 8)[0]
    stream[4 * 512 + 2048 + 12 + length - 1] ^= 1
    return bytes(stream)


def vhdx():
    log = (MIB, MIB, True)
    headers = [vhdx_header(1), vhdx_header(2)]
    yield "vhdx-no-header", "neither header is valid", (BAD, "header: neither"), build(
        "vhdx", "usual", headers=[bytes(4096)] * 2)
    yield "vhdx-version", "an unknown version", (NO, "version"), build(
        "vhdx", "usual", headers=[vhdx_header(2, version=2)] * 2)
    yield "vhdx-log-empty", "a log that has nothing to replay", (BAD, "no valid sequence"), build(
        "vhdx", "usual", headers=[headers[0], vhdx_header(2, log)])
    for where in ((512 << 10, MIB, True), (MIB, 12345, True), (MIB, 0, True), (1 << 63, MIB, True)):
        yield f"vhdx-log-{where[0]:x}-{where[1]}", "a log off its alignment", (BAD, "a log of"), build(
            "vhdx", "usual", headers=[headers[0], vhdx_header(2, where)])
    yield "vhdx-log-huge", "a log of 4 GiB", (NO, "log: "), build(
        "vhdx", "usual", headers=[headers[0], vhdx_header(2, (MIB, 4095 * MIB, True))])
    yield "vhdx-log-broken", "entries that claim the whole log, and are broken", (BAD, "no valid"), build(
        "vhdx", "usual", log=[(at, b"loge".ljust(8, b"\1") + struct.pack("<IIQII", MIB, 0, at + 1, 0, 0) +
                               LOG_GUID + bytes(16)) for at in range(0, MIB, PAGE)])
    for name, entry in {
            "zero-length": (3 * MIB, 0), "zero-odd": (3 * MIB, 100), "zero-wraps": (1 << 63, PAGE),
            "zero-endless": (MIB, 1 << 60), "data-odd": (3 * MIB + 8, bytes(PAGE))}.items():
        yield f"vhdx-log-{name}", "a descriptor that is not legal", ((NO if "endless" in name else BAD), "log: "), \
            build("vhdx", "usual", log=[(0, vhdx_log_entry(5, [entry]))])
    yield "vhdx-log-block", "a log that writes into a block", (NO, "into the block"), build(
        "vhdx", "usual", log=[(0, vhdx_log_entry(5, [(4 * MIB, bytes(PAGE))]))])
    bat, meta = (GUID["bat"], 3 * MIB, MIB, 1), (GUID["metadata"], 2 * MIB, MIB, 1)
    yield "vhdx-no-bat", "no BAT", (BAD, "no BAT"), build("vhdx", "usual", regions=[meta])
    yield "vhdx-no-metadata", "no metadata", (BAD, "no metadata"), build("vhdx", "usual", regions=[bat])
    yield "vhdx-bat-twice", "two BATs", (BAD, "twice"), build("vhdx", "usual", regions=[bat, bat, meta])
    yield "vhdx-region-unknown", "an unknown region that is required", (NO, "unknown region"), build(
        "vhdx", "usual", regions=[bat, meta, (b"?" * 16, MIB, MIB, 1)])
    for off, n in ((3 * MIB + 1, MIB), (0, MIB), (3 * MIB, 0), (3 * MIB, 12345), (1 << 63, MIB)):
        yield f"vhdx-bat-{off:x}-{n}", "a region off its alignment", (BAD, "a region of"), build(
            "vhdx", "usual", regions=[(GUID["bat"], off, n, 1), meta])
    yield "vhdx-bat-past", "a BAT after the file", (BAD, "block allocation table"), build(
        "vhdx", "usual", regions=[(GUID["bat"], 1 << 40, MIB, 1), meta])
    yield "vhdx-regions-many", "more regions than fit the table", (BAD, ""), patched(
        build("vhdx", "usual"), (192 << 10, "64s", vhdx_regions([bat] * 2)[:8] + b"\xff" * 56),
        (256 << 10, "64s", bytes(64)))
    params, size = (GUID["params"], struct.pack("<II", MIB, 0), 4), (GUID["size"], struct.pack("<Q", MIB), 6)
    logical = (GUID["logical"], struct.pack("<I", 512), 6)
    yield "vhdx-no-size", "no disk size", (BAD, "no disk size"), build("vhdx", "usual", items=[params, logical])
    yield "vhdx-size-twice", "two of them", (BAD, "twice"), build(
        "vhdx", "usual", items=[params, size, size, logical])
    yield "vhdx-item-unknown", "an unknown item that is required", (NO, "unknown item"), build(
        "vhdx", "usual", items=[params, size, logical, (b"?" * 16, bytes(8), 4)])
    yield "vhdx-parent", "a differencing image", (NO, "differencing"), build("vhdx", "usual", params=(MIB, 2))
    for block in (0, 1, 512 << 10, 3 * MIB, 512 * MIB, 0x80000000):
        yield f"vhdx-block-{block}", "blocks of 1 to 256 MiB", (BAD, "blocks of"), build(
            "vhdx", "usual", params=(block, 0))
    for sector in (0, 513, 8192):
        yield f"vhdx-sector-{sector}", "sectors of 512 or 4096 bytes", (BAD, "sector size"), build(
            "vhdx", "usual", logical=sector) if sector else patched_sector()
    for n, kind in ((1000, BAD), ((1 << 64) - 512, NO), (1 << 47, NO), (1 << 42, BAD)):
        yield f"vhdx-size-{n:x}", "a size that no disk has, or that its BAT does not cover", (kind, ""), with_size(n)
    usual = build("vhdx", "usual")
    for entry in (4, 5, 7):
        yield f"vhdx-state-{entry}", "no such state", (BAD, "state"), patched(usual, (3 * MIB, "<Q", entry))
    for entry in (6, 1 << 63 | 6, 0xfffff << 44 | 6):
        yield f"vhdx-block-at-{entry:x}", "a block in the header, or beyond any file", (BAD, ""), patched(
            usual, (3 * MIB, "<Q", entry))
    yield "vhdx-metadata", "no metadata table", (BAD, "signature"), patched(usual, (2 * MIB, "<Q", 0))


def with_size(n):
    at = build("vhdx", "usual").index(GUID["size"], 2 * MIB)
    usual = build("vhdx", "usual")
    off = 2 * MIB + struct.unpack_from("<I", usual, at + 16)[0]
    return patched(usual, (off, "<Q", n))


def patched_sector():
    usual = build("vhdx", "usual")
    at = usual.index(GUID["logical"], 2 * MIB)
    return patched(usual, (2 * MIB + struct.unpack_from("<I", usual, at + 16)[0], "<I", 0))


def others():
    for name, head, says in (("qcow1", b"QFI\xfb\0\0\0\1", "qcow version 1"), ("luks", b"LUKS\xba\xbe\0\1", "LUKS"),
                             ("bochs", b"Bochs Virtual HD Image", "Bochs"), ("cowd", b"COWD\1\0\0\0", "ESX COW"),
                             ("cloop", b"#!/bin/sh\n#V2.0 Format\n", "cloop"),
                             ("sesparse", b"\xbe\xba\xfe\xca\0\0\0\0", "SE sparse")):
        yield name, "refused by its name, never written as raw", (NO, says), head.ljust(8192, b"\0")
    yield "dmg", "its magic is at the end", (NO, "dmg"), bytes(10001) + b"koly\0\0\0\4\0\0\2\0".ljust(512, b"\0")


def rows():
    for kind in (vdi, vhd, qed, parallels, vmdk, vhdx, others):
        yield from kind()


def main():
    index = []
    for name, rule, (kind, part), image in rows():
        with open(os.path.join(sys.argv[1], name), "wb") as f:
            f.write(image)
        names_files = TOKEN.encode() in image or b"/etc/passwd" in image
        index.append(dict(name=name, rule=rule, kind=kind, part=part, names_files=names_files))
    with open(os.path.join(sys.argv[1], "index.json"), "w") as f:
        json.dump(index, f)


if __name__ == "__main__":
    main()
