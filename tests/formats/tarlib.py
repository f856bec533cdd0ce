# SPDX-License-Identifier: Apache-2.0
"""Tar archives byte by byte, the malformed ones too: what no tool writes on request.

    tar = member("a", b"data") + directory("d") + END
"""

BLOCK = 512
END = bytes(2 * BLOCK)


def octal(value, width):
    """A number field: octal digits and a NUL; base-256 (GNU) when it does not fit or is negative."""
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    return bytes([0x80 if value >= 0 else 0xff]) + (value % 256 ** (width - 1)).to_bytes(
        width - 1, "big")


def header(name, size=0, kind=b"0", link=b"", mode=0o644, mtime=1000000000, magic=b"ustar\0" b"00",
           checksum=None, raw_size=None, tail=b"", device=(0, 0)):
    """One header block. raw_size: the 12 bytes of the field instead of a number."""
    name, link = as_bytes(name), as_bytes(link)
    block = bytearray(BLOCK)
    block[0:len(name[:100])] = name[:100]
    block[100:108] = octal(mode, 8)
    block[108:116] = block[116:124] = octal(0, 8)
    block[124:136] = raw_size or octal(size, 12)
    block[136:148] = octal(mtime, 12)
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[157:157 + len(link[:100])] = link[:100]
    block[257:265] = magic
    block[329:337], block[337:345] = octal(device[0], 8), octal(device[1], 8)
    block[345:345 + len(tail)] = tail
    total = sum(block) if checksum is None else checksum
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode()


def padded(data):
    return data + bytes(-len(data) % BLOCK)


def member(name, data=b"", **fields):
    return header(name, len(data), **fields) + padded(data)


def directory(name, **fields):
    return header(name, kind=b"5", **{"mode": 0o755, **fields})


def symlink(name, target):
    return header(name, kind=b"2", link=target, mode=0o777)


def hardlink(name, target):
    return header(name, kind=b"1", link=target)


def record(key, value):
    """One pax record, its own length in front."""
    body = b" " + as_bytes(key) + b"=" + as_bytes(value) + b"\n"
    n = len(body)
    while len(b"%d" % n) + len(body) != n:
        n = len(b"%d" % n) + len(body)
    return b"%d" % n + body


def pax(**records):
    """A pax header for the next member; '__' in a key stands for '.', '_' stays."""
    return pax_raw(b"".join(record(k.replace("__", "."), v) for k, v in records.items()))


def pax_raw(data, kind=b"x"):
    return member("PaxHeaders/x", data, kind=kind)


def gnu_long(name, kind=b"L"):
    """GNU's way to a long name (L) or a long link (K)."""
    return member("././@LongLink", as_bytes(name) + b"\0", kind=kind, magic=b"ustar  \0")


def gnu_sparse(name, extents, size, data, extended=()):
    """Old GNU sparse member: (offset, length) pairs, four in the header, 21 in each extension."""
    def table(pairs):
        return b"".join(octal(o, 12) + octal(n, 12) for o, n in pairs)

    block = bytearray(header(name, len(data), kind=b"S", magic=b"ustar  \0"))
    block[345:512] = bytes(167)
    block[386:386 + 24 * len(extents[:4])] = table(extents[:4])
    rest = extents[4:]
    block[482] = 1 if rest or extended else 0
    block[483:495] = octal(size, 12)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    out = bytes(block)
    while rest:
        part, rest = rest[:21], rest[21:]
        out += (table(part).ljust(504, b"\0") + bytes([1 if rest else 0])).ljust(BLOCK, b"\0")
    return out + b"".join(extended) + padded(data)
