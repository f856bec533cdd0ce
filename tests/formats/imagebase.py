# SPDX-License-Identifier: Apache-2.0
"""What imagelib.py, vmdklib.py and vhdxlib.py share."""


class Bad(Exception):
    """Not legal, or needs what is never read."""


def pattern(block, n):
    """Bytes that name the block they belong to; none of them is zero."""
    return bytes((block * 7 + i * 13 + (i >> 8) + 1) % 255 + 1 for i in range(n))


def up(n, to):
    return -(-n // to) * to


def order(blocks, layout):
    return sorted(blocks, reverse=layout == "reverse")


def put(out, off, data):
    if len(out) < off + len(data):
        out.extend(bytes(off + len(data) - len(out)))
    out[off:off + len(data)] = data


def get(data, off, n):
    if off + n > len(data):
        raise Bad(f"{n} bytes at {off} of {len(data)}")
    return data[off:off + n]


def assemble(size, block, found):
    """The disk, from {guest block: its bytes}."""
    out = bytearray(up(size, 512))
    for i, content in found.items():
        part = content[:max(0, len(out) - i * block)]
        out[i * block:i * block + len(part)] = part
    return bytes(out)


class Blocks:
    """Where the blocks of an image go: from `at` on, one after the other. `content` bytes of each are
    its pattern, the rest is zero; None: all."""

    def __init__(self, out, at, block, blocks, layout, lead=0, content=None):
        self.at = {}
        for i in order(blocks, layout):
            if layout == "shared" and self.at:
                self.at[i] = next(iter(self.at.values()))
                continue
            self.at[i] = at + lead
            put(out, at + lead, pattern(i, content or block).ljust(block, b"\0"))
            at += lead + block
        self.end = at
