# SPDX-License-Identifier: Apache-2.0
"""qcow2 for tests: an independent reader, the oracle for damaged images, and a writer that puts
every part of an image wherever a test wants it. Written from QEMU's docs/interop/qcow2, slowly and
plainly; checked against qemu-img by test-qcow2lib.py."""
import struct
import zlib

OFFSET = 0x00FFFFFFFFFFFE00
COMPRESSED = 1 << 62
COPIED = 1 << 63


class Bad(Exception):
    """The image contradicts the specification, or is of a kind that is never read."""


class Image:
    """Reads an image held in memory. What lies past the end of the file reads as zero."""

    def __init__(self, data):
        self.data = data
        if len(data) < 72 or data[:4] != b"QFI\xfb":
            raise Bad("header")
        (self.version, backing, _, self.bits, self.size, crypt, self.l1_size, self.l1_off,
         self.rt_off, self.rt_clusters) = struct.unpack_from(">IQIIQIIQQI", data, 4)
        incompat = struct.unpack_from(">Q", data, 72)[0] if self.version >= 3 else 0
        if self.version not in (2, 3) or not 9 <= self.bits <= 21 or crypt or backing:
            raise Bad("header")
        if incompat & ~0x11:
            raise Bad("features")
        self.extended = bool(incompat & 0x10)
        self.cluster = 1 << self.bits
        self.width = 16 if self.extended else 8
        self.entries = self.cluster // self.width

    def at(self, off, n):
        part = self.data[off:off + n]
        return part + bytes(n - len(part))

    def u64(self, off):
        return struct.unpack(">Q", self.at(off, 8))[0]

    def inflate(self, entry):
        x = 62 - (self.bits - 8)
        off = entry & ((1 << x) - 1)
        sectors = ((entry & ~(COPIED | COMPRESSED)) >> x) + 1
        try:
            out = zlib.decompressobj(-15).decompress(self.at(off, sectors * 512 - off % 512),
                                                     self.cluster)
        except zlib.error as e:
            raise Bad("deflate") from e
        if len(out) != self.cluster:
            raise Bad("short cluster")
        return out

    def subclusters(self, off, bitmap):
        step = self.cluster // 32
        if bitmap & bitmap >> 32 & 0xFFFFFFFF or (bitmap & 0xFFFFFFFF and not off):
            raise Bad("bitmap")
        return b"".join(self.at(off + i * step, step) if bitmap >> i & 1 else bytes(step)
                        for i in range(32))

    def guest_cluster(self, table, index):
        at = table + index * self.width
        entry = self.u64(at)
        off = entry & OFFSET
        if entry & COMPRESSED:
            return self.inflate(entry)
        if off % self.cluster:
            raise Bad("alignment")
        if self.extended:
            return self.subclusters(off, self.u64(at + 8))
        if entry & 1 and self.version < 3:
            raise Bad("zero bit")
        return self.at(off, self.cluster) if off and not entry & 1 else None

    def guest(self):
        """The whole disk."""
        out = bytearray(self.size)
        for l1 in range(-(-self.size // (self.cluster * self.entries))):
            table = self.u64(self.l1_off + 8 * l1) & OFFSET
            if not table:
                continue
            if table % self.cluster:
                raise Bad("alignment")
            for i in range(self.entries):
                pos = (l1 * self.entries + i) * self.cluster
                if pos >= self.size:
                    break
                part = self.guest_cluster(table, i)
                if part:
                    out[pos:pos + self.cluster] = part[:self.size - pos]
        return bytes(out)


def table_ranges(data):
    """Where the header and every table of an intact image lies: [(offset, length)]."""
    img = Image(data)
    ranges = [(0, 112), (img.l1_off, img.l1_size * 8)]
    for i in range(img.l1_size):
        table = img.u64(img.l1_off + 8 * i) & OFFSET
        if table:
            ranges.append((table, img.cluster))
    return [(off, min(n, len(data) - off)) for off, n in ranges]


class Writer:
    """Lays out an image part by part: alloc() hands out clusters in the order of the calls, set_*
    say what stands where. Refcounts are written last and are right for whole clusters, so that
    qemu-img opens the image and 'qemu-img check' can be asked."""

    def __init__(self, size, bits=16, version=3, extended=False):
        self.size, self.bits, self.version, self.extended = size, bits, version, extended
        self.cluster = 1 << bits
        self.width = 16 if extended else 8
        self.entries = self.cluster // self.width
        self.l1_n = max(1, -(-size // (self.cluster * self.entries)))
        self.parts = {}         # file offset: bytes
        self.end = self.cluster
        self.l1_off = None
        self.l2 = {}            # index in L1: (file offset, bytearray)
        self.backing = b""

    def alloc(self, n_bytes):
        self.align()
        off = self.end
        self.end += -(-n_bytes // self.cluster) * self.cluster
        return off

    def place_l1(self):
        self.l1_off = self.alloc(self.l1_n * 8)

    def place_l2(self, index):
        self.l2[index] = (self.alloc(self.cluster), self.l2.get(index, (0, bytearray(self.cluster)))[1])

    def entry(self, guest_cluster, value, bitmap=None):
        index = guest_cluster // self.entries
        if index not in self.l2:
            self.l2[index] = (0, bytearray(self.cluster))
        at = guest_cluster % self.entries * self.width
        struct.pack_into(">Q", self.l2[index][1], at, value)
        if self.extended:
            struct.pack_into(">Q", self.l2[index][1], at + 8,
                             bitmap if bitmap is not None else 0xFFFFFFFF)

    def data(self, guest_cluster, content, bitmap=None):
        off = self.alloc(self.cluster)
        self.parts[off] = content.ljust(self.cluster, b"\0")
        self.entry(guest_cluster, off | COPIED, bitmap)
        return off

    def compressed(self, guest_cluster, content, at=None, stream=None):
        """Put a compressed cluster at `at` (None: at the end, byte-packed behind the last one)."""
        if stream is None:
            deflate = zlib.compressobj(9, zlib.DEFLATED, -12)
            stream = deflate.compress(content.ljust(self.cluster, b"\0")) + deflate.flush()
        off = self.end if at is None else at
        self.parts[off] = stream
        self.end = max(self.end, off + len(stream))
        x = 62 - (self.bits - 8)
        sectors = (off + len(stream) - 1) // 512 - off // 512
        self.entry(guest_cluster, COMPRESSED | sectors << x | off, 0)
        return off

    def align(self):
        self.end = -(-self.end // self.cluster) * self.cluster

    def header(self, rt_off, rt_clusters):
        head = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", self.version,
                           0, 0, self.bits, self.size, 0, self.l1_n, self.l1_off, rt_off,
                           rt_clusters, 0, 0)
        if self.version >= 3:
            head += struct.pack(">QQQIIB7x", 0x10 if self.extended else 0, 0, 0, 4, 112, 0)
        return head

    def refcounts(self):
        """A refcount table and blocks of 16-bit counts at the end, counting themselves."""
        self.align()
        per_block = self.cluster // 2
        n_blocks = 1
        while True:
            rt_clusters = -(-n_blocks * 8 // self.cluster)
            total = self.end // self.cluster + rt_clusters + n_blocks
            if n_blocks * per_block >= total:
                break
            n_blocks += 1
        counts = [1] * total
        for off in (o for o in self.parts if o % self.cluster or len(self.parts[o]) < self.cluster):
            for c in range(off // self.cluster, (off + len(self.parts[off]) - 1) // self.cluster + 1):
                counts[c] = 0
        for table in self.l2.values():
            for at in range(0, self.cluster, self.width):
                entry = struct.unpack_from(">Q", table[1], at)[0]
                if entry & COMPRESSED:
                    x = 62 - (self.bits - 8)
                    off = entry & ((1 << x) - 1)
                    end = (off // 512 + ((entry & ~(COPIED | COMPRESSED)) >> x) + 1) * 512
                    for c in range(off // self.cluster, (end - 1) // self.cluster + 1):
                        counts[c] = counts[c] + 1 if c < len(counts) else 0
        rt_off = self.alloc(rt_clusters * self.cluster)
        first = self.alloc(n_blocks * self.cluster)
        table = b"".join(struct.pack(">Q", first + i * self.cluster) for i in range(n_blocks))
        self.parts[rt_off] = table.ljust(rt_clusters * self.cluster, b"\0")
        blocks = b"".join(struct.pack(">H", c) for c in counts)
        self.parts[first] = blocks.ljust(n_blocks * self.cluster, b"\0")
        return rt_off, rt_clusters

    def image(self):
        if self.l1_off is None:
            self.align()
            self.place_l1()
        for index, (off, _) in sorted(self.l2.items()):
            if not off:
                self.align()
                self.place_l2(index)
        rt = self.refcounts()
        out = bytearray(self.end)
        for off, part in self.parts.items():
            out[off:off + len(part)] = part
        for i in range(self.l1_n):
            if i in self.l2:
                struct.pack_into(">Q", out, self.l1_off + 8 * i, self.l2[i][0] | COPIED)
                out[self.l2[i][0]:self.l2[i][0] + self.cluster] = self.l2[i][1]
        head = self.header(*rt)
        out[:len(head)] = head
        return bytes(out)
