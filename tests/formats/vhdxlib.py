# SPDX-License-Identifier: Apache-2.0
"""VHDX images by hand: imagelib.py."""
import struct
import uuid

from imagebase import Bad, Blocks, assemble, get, put, up

MIB = 1 << 20
PAGE = 4096
GUID = {"bat": "2DC27766-F623-4200-9D64-115E9BFD4A08", "metadata": "8B7CA206-4790-4B9A-B8FE-575F050F886E",
        "params": "CAA16737-FA36-4D43-B3B6-33F0AA44E76B", "size": "2FA54224-CD1B-4876-B211-5DBED83BF4B8",
        "page83": "BECA12AB-B2E6-4523-93EF-C309E000C746",
        "logical": "8141BF1D-A96F-4709-BA47-F233A8FAAB5F",
        "physical": "CDA348C7-445D-4471-9CC9-E9885251C556"}
GUID = {k: uuid.UUID(v).bytes_le for k, v in GUID.items()}
LOG_GUID = bytes(range(1, 17))


def crc32c_table():
    table = []
    for c in range(256):
        for _ in range(8):
            c = c >> 1 ^ (0x82f63b78 if c & 1 else 0)
        table.append(c)
    return table


CRC32C = crc32c_table()


def crc32c(data):
    crc = 0xffffffff
    for b in data:
        crc = crc >> 8 ^ CRC32C[(crc ^ b) & 255]
    return crc ^ 0xffffffff


def sealed(data):
    """With the checksum at offset 4 that it must have."""
    return data[:4] + struct.pack("<I", crc32c(data[:4] + bytes(4) + data[8:])) + data[8:]


def is_sealed(data, signature):
    return data[:4] == signature and sealed(data) == data


def vhdx_header(sequence, log=(0, MIB, 0), version=1):
    """log: offset, length, whether it is to be replayed"""
    return sealed((b"head" + bytes(4) + struct.pack("<Q", sequence) + bytes(32) +
                   (LOG_GUID if log[2] else bytes(16)) + struct.pack("<HHIQ", 0, version, log[1], log[0])
                   ).ljust(PAGE, b"\0"))


def vhdx_regions(entries):
    table = b"regi" + bytes(4) + struct.pack("<II", len(entries), 0)
    for guid, off, length, required in entries:
        table += guid + struct.pack("<QII", off, length, required)
    return sealed(table.ljust(64 << 10, b"\0"))


def vhdx_metadata(entries):
    """(guid, bytes, flags) each"""
    head = b"metadata" + struct.pack("<HH", 0, len(entries)) + bytes(20)
    body = b""
    for guid, content, flags in entries:
        head += guid + struct.pack("<IIII", (64 << 10) + len(body), len(content), flags, 0)
        body += content
    return (head.ljust(64 << 10, b"\0") + body).ljust(MIB, b"\0")


def vhdx_log_entry(sequence, writes, tail=0, at=0, guid=LOG_GUID):
    """writes: (file offset, a page or the length of zeroes)"""
    del at
    descriptors, sectors = b"", b""
    for off, what in writes:
        if isinstance(what, int):
            descriptors += b"zero" + bytes(4) + struct.pack("<QQQ", what, off, sequence)
        else:
            descriptors += b"desc" + what[-4:] + what[:8] + struct.pack("<QQ", off, sequence)
            sectors += b"data" + struct.pack("<I", sequence >> 32) + what[8:-4] + struct.pack(
                "<I", sequence & 0xffffffff)
    head = up(64 + len(descriptors), PAGE)
    entry = b"loge" + bytes(4) + struct.pack("<IIQII", head + len(sectors), tail, sequence, len(writes), 0
                                             ) + guid + struct.pack("<QQ", 0, 0) + descriptors
    return sealed(entry.ljust(head, b"\0") + sectors)


def build_vhdx(layout, size=2 * MIB + 512, block=MIB, used=(0, 2), sector=512, log=None, **change):
    """Blocks begin with 2 KiB of their pattern, the rest is zero. log: pages of the ring, [(offset in it, entry)]; then the header says it is to be replayed."""
    n = -(-size // block)
    ratio = (1 << 23) * sector // block
    index = {i: i + i // ratio for i in range(n)}
    bat_len = up((index[n - 1] + 1) * 8, MIB) if n else MIB
    log_at, meta_at, bat_at = MIB, 2 * MIB, 3 * MIB
    first = bat_at + bat_len
    if layout == "last":
        first = 2 * MIB
        meta_at = first + len(used) * block
        bat_at = meta_at + MIB
    out = bytearray(max(meta_at + MIB, bat_at + bat_len))
    blocks = Blocks(out, first, block, used, layout, content=2048)
    for i, at in blocks.at.items():
        struct.pack_into("<Q", out, bat_at + 8 * index[i], at | 6)
    if n > 1 and 1 not in used:
        struct.pack_into("<Q", out, bat_at + 8 * index[1], change.get("hole", 2))
    put(out, 0, b"vhdxfile" + "by hand".encode("utf-16-le"))
    f = dict(sequences=(1, 2), headers=None, params=(block, 0), size=size, logical=sector,
             regions=[(GUID["bat"], bat_at, bat_len, 1), (GUID["metadata"], meta_at, MIB, 1)], items=None)
    f.update({k: v for k, v in change.items() if k in f})
    where = (log_at, MIB, log is not None)
    headers = f["headers"] or [vhdx_header(s, where) for s in f["sequences"]]
    for k, h in enumerate(headers):
        put(out, (64 << 10) * (k + 1), h)
    for k in range(2):
        put(out, (192 << 10) + (64 << 10) * k, vhdx_regions(f["regions"]))
    put(out, meta_at, vhdx_metadata(f["items"] or [
        (GUID["params"], struct.pack("<II", *f["params"]), 4), (GUID["size"], struct.pack("<Q", f["size"]), 6),
        (GUID["page83"], bytes(16), 6), (GUID["logical"], struct.pack("<I", f["logical"]), 6),
        (GUID["physical"], struct.pack("<I", 4096), 6)]))
    for at, entry in log or ():
        for p in range(0, len(entry), PAGE):
            put(out, log_at + (at + p) % MIB, entry[p:p + PAGE])
    return bytes(out)


def build_vhdx_log(layout, **change):
    """The table names no block; the log does, in two entries that wrap around the ring's end, the second
    of which overrules the first. Older entries stand before them."""
    plain = build_vhdx(layout, **change)
    bat = bytearray(plain[3 * MIB:3 * MIB + PAGE])
    wrong = struct.pack("<Q", 99 * MIB | 6) + bytes(PAGE - 8)
    at = MIB - 2 * PAGE
    log = [(0, vhdx_log_entry(3, [(3 * MIB, wrong)], tail=0)), (8 * PAGE, vhdx_log_entry(4, [], tail=0)),
           (at, vhdx_log_entry(7, [(3 * MIB, wrong), (2 * MIB + PAGE, PAGE)], tail=at)),
           ((at + 2 * PAGE) % MIB, vhdx_log_entry(8, [(3 * MIB, bytes(bat))], tail=at))]
    out = bytearray(build_vhdx(layout, log=log, **change))
    put(out, 3 * MIB, bytes(PAGE))
    return bytes(out)


def vhdx_log_page(ring, at, guid):
    """The entry at this offset of the ring, or None."""
    head = ring[at:at + 64]
    length, tail, sequence, n = struct.unpack_from("<IIQI", head, 8)
    if head[:4] != b"loge" or head[32:48] != guid or not sequence or not 0 < length <= len(ring):
        return None
    if length % PAGE or tail % PAGE or tail >= len(ring) or up(64 + 32 * n, PAGE) > length:
        return None
    entry = (ring + ring)[at:at + length]
    return (length, tail, sequence, n, entry) if is_sealed(entry, b"loge") else None


def vhdx_replay(ring, guid):
    """{page offset: content}"""
    best = None
    for start in range(0, len(ring), PAGE):
        chain, at, used = [], start, 0
        while used < len(ring):
            e = vhdx_log_page(ring, at, guid)
            if not e or e[0] > len(ring) - used or (chain and e[2] != chain[-1][1][2] + 1):
                break
            chain.append((at, e))
            used += e[0]
            at = (at + e[0]) % len(ring)
        if chain and chain[-1][1][1] in [at for at, _ in chain]:
            if not best or chain[-1][1][2] > best[-1][1][2]:
                best = chain
    if not best:
        raise Bad("no active sequence")
    pages = {}
    for at, (_, _, sequence, n, entry) in best[[at for at, _ in best].index(best[-1][1][1]):]:
        data = up(64 + 32 * n, PAGE)
        for i in range(n):
            d = entry[64 + 32 * i:96 + 32 * i]
            off, number = struct.unpack_from("<QQ", d, 16)
            if number != sequence or off % PAGE:
                raise Bad("descriptor")
            if d[:4] == b"zero":
                length = struct.unpack_from("<Q", d, 8)[0]
                if not length or length % PAGE or length > 1 << 32:
                    raise Bad("zeroes")
                pages.update({off + k: bytes(PAGE) for k in range(0, length, PAGE)})
                continue
            sector = get(entry, data, PAGE)
            data += PAGE
            if d[:4] != b"desc" or sector[:8] != b"data" + struct.pack("<I", sequence >> 32):
                raise Bad("descriptor")
            if sector[-4:] != struct.pack("<I", sequence & 0xffffffff):
                raise Bad("descriptor")
            pages[off] = d[8:16] + sector[8:-4] + d[4:8]
    return pages


def read_vhdx(data):
    if data[:8] != b"vhdxfile":
        raise Bad("type")
    headers = [get(data, at << 10, PAGE) for at in (64, 128)]
    headers = [h for h in headers if is_sealed(h, b"head")]
    regions = [r for r in (get(data, at << 10, 64 << 10) for at in (192, 256)) if is_sealed(r, b"regi")]
    if not headers or not regions:
        raise Bad("front")
    head = max(headers, key=lambda h: struct.unpack_from("<Q", h, 8)[0])
    where = {}
    for i in range(struct.unpack_from("<I", regions[0], 8)[0]):
        guid, off, length, required = struct.unpack_from("<16sQII", regions[0], 16 + 32 * i)
        if required & 1 and guid not in (GUID["bat"], GUID["metadata"]):
            raise Bad("region")
        if guid in (GUID["bat"], GUID["metadata"]):
            if off % MIB or off < MIB or length % MIB or not length or guid in where:
                raise Bad("region")
            where[guid] = (off, length)
    if len(where) != 2:
        raise Bad("regions")
    _, version, log_len, log_at = struct.unpack_from("<HHIQ", head, 64)
    pages = {}
    if version != 1:
        raise Bad("version")
    if any(head[48:64]):
        if log_at % MIB or log_len % MIB or log_at < MIB or not log_len:
            raise Bad("log")
        pages = vhdx_replay(get(data, log_at, log_len), head[48:64])
    return vhdx_disk(data, where, pages)


def vhdx_disk(data, where, pages):
    def table(off, n):
        out = bytearray(get(data, off, n))
        for at, page in pages.items():
            a, b = max(at, off), min(at + PAGE, off + n)
            if a < b:
                out[a - off:b - off] = page[a - at:b - at]
        return bytes(out)

    meta, meta_len = where[GUID["metadata"]]
    head, items = table(meta, 64 << 10), {}
    if head[:8] != b"metadata":
        raise Bad("metadata")
    known = {v: k for k, v in GUID.items() if k not in ("bat", "metadata")}
    for i in range(struct.unpack_from("<H", head, 10)[0]):
        guid, off, length, flags = struct.unpack_from("<16sIII", head, 32 + 32 * i)
        name = known.get(guid)
        if not name and flags & 4 and guid != uuid.UUID("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C").bytes_le:
            raise Bad("item")
        if name in ("params", "size", "logical"):
            n = 4 if name == "logical" else 8
            if off < 64 << 10 or length < n or off + n > meta_len or name in items:
                raise Bad("item")
            items[name] = struct.unpack("<Q" if n == 8 else "<I", table(meta + off, n))[0]
    if len(items) != 3 or items["params"] >> 33 & 1 or items["logical"] not in (512, 4096):
        raise Bad("items")
    block, size = items["params"] & 0xffffffff, items["size"]
    if not MIB <= block <= 256 * MIB or block & (block - 1) or size % items["logical"]:
        raise Bad("items")
    ratio, n, found = (1 << 23) * items["logical"] // block, -(-size // block), {}
    bat, bat_len = where[GUID["bat"]]
    if n and (n + (n - 1) // ratio) * 8 > bat_len:
        raise Bad("BAT too short")
    for i in range(n):
        e = struct.unpack("<Q", table(bat + 8 * (i + i // ratio), 8))[0]
        if e & 7 > 3 and e & 7 != 6:
            raise Bad("state")
        if e & 7 == 6:
            at, left = e >> 20 << 20, min(block, size - i * block)
            if at < MIB or any(at < p + PAGE and p < at + block for p in pages):
                raise Bad("block")
            found[i] = get(data, at, left)
    return assemble(size, block, found)


def pieces(data):
    """A large image of mostly zeroes as (offset, bytes) of what is not: 4-byte offset and length each."""
    out, at = b"", 0
    while at < len(data):
        piece = data[at:at + 64].rstrip(b"\0")
        if piece:
            out += struct.pack("<IH", at, len(piece)) + piece
        at += 64
    return out + struct.pack("<IH", len(data), 0)
