# SPDX-License-Identifier: Apache-2.0
"""Containers that must not become a disk. Each is (name, bytes, exit code, words of the message): the
comment in front says which rule it breaks."""
import gzip
import io
import lzma
import struct
import zlib
import zipfile

from hostile import BAD, UNSUPPORTED
from tarlib import (BLOCK, END, directory, gnu_long, gnu_sparse, hardlink, header, member, pax,
                    pax_raw, record, symlink)

DISK = b"QFI\xfb\0\0\0\3" + bytes(504)
RAW = b"\0\1\2\3" * 256
SPARSE_10 = {"GNU__sparse__major": "1", "GNU__sparse__minor": "0", "GNU__sparse__name": "d"}


def zip_of(*members, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in members:
            z.writestr(name, data)
    return out.getvalue()


def local(name, method=0, flags=0, crc=0, packed=0, size=0, extra=b""):
    return struct.pack("<IHHHHHIIIHH", 0x04034b50, 20, flags, method, 0, 33, crc, packed, size,
                       len(name), len(extra)) + name + extra


def end_record(entries, size=0, offset=0, comment=b""):
    return struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, entries, entries, size, offset,
                       len(comment)) + comment


def patched(data, at, new):
    return data[:at] + new + data[at + len(new):]


def tars():
    two = member("a.img", RAW) + member("b.img", RAW)
    return [
        # Two disks: which one?
        ("two-disks", two + END, UNSUPPORTED, "more than one disk inside: 'a.img' and 'b.img'"),
        # ... of which the second has another format.
        ("two-formats", member("a.img", RAW) + member("b.qcow2", DISK) + END, UNSUPPORTED,
         "more than one disk"),
        # No disk, but a link of its name to a file of the host.
        ("link-as-disk", symlink("disk.img", "/etc/passwd") + END, UNSUPPORTED, "none of the 1"),
        # ... a hard link.
        ("hard-link-as-disk", hardlink("disk/disk.img", "/etc/shadow") + END, UNSUPPORTED,
         "none of the 1"),
        # ... a device.
        ("device-as-disk", header("disk/sda", kind=b"4", device=(8, 0)) + END, UNSUPPORTED,
         "none of the 1"),
        # ... a VMDK descriptor that names a file of the host.
        ("descriptor-as-disk", member("d.vmdk", b"# Disk DescriptorFile\nRW 1 FLAT \"/etc/passwd\" 0\n")
         + END, UNSUPPORTED, "none of the 1"),
        # Only text.
        ("text-only", member("a", b"text\n") + directory("d") + END, UNSUPPORTED, "none of the 2"),
        # An archive in an archive.
        ("tar-in-tar", member("a.tar", member("d", DISK) + END) + END, UNSUPPORTED,
         "more than 1 container"),
        # ... in a zip.
        ("tar-in-zip", zip_of(("a.tar", member("d", DISK) + END)), UNSUPPORTED,
         "more than 1 container"),
        # Three compressions.
        ("three-compressions", gzip.compress(member("d", gzip.compress(lzma.compress(DISK))) + END),
         UNSUPPORTED, "more than 2 compressions"),
        # The header of the second member is wrong by one bit.
        ("wrong-checksum", member("a.ovf", b"x") + header("d", checksum=1) + END, BAD,
         "the header at 1024 has a wrong checksum"),
        # ... behind the disk: found when all of it has been written, but not shown.
        ("wrong-checksum-late", member("d.img", RAW) + header("e", checksum=1) + END, BAD,
         "the header at 1536 has a wrong checksum"),
        # A negative size.
        ("negative-size", header("d", raw_size=b"\xff" * 12) + END, BAD, "impossible size"),
        # More than 63 bits of size.
        ("size-2-63", header("d", raw_size=b"\x80\0\0\0" + (1 << 63).to_bytes(8, "big")) + END, BAD,
         "impossible size"),
        # A size in letters.
        ("size-letters", header("d", raw_size=b"elephant\0\0\0\0") + END, BAD, "impossible size"),
        # 8 EiB that do not come.
        ("size-8-eib", header("d", raw_size=b"\x80\0\0\0" + ((1 << 63) - 1).to_bytes(8, "big")) +
         RAW, BAD, "truncated"),
        # Cut in the disk, in its padding, and before the mark of the end.
        ("cut-in-disk", member("d", RAW)[:900], BAD, "truncated"),
        ("cut-in-padding", member("d", RAW[:600])[:-1], BAD, "truncated"),
        ("no-end", member("d", RAW), BAD, "truncated"),
        # Something behind the end.
        ("garbage-behind", member("d", RAW) + END + b"x", BAD, "garbage behind the end"),
        # A second archive behind the end, which readers that go on would see.
        ("second-archive", member("d", RAW) + END + member("e", RAW) + END, BAD,
         "garbage behind the end"),
        # Part of a file that other volumes have.
        ("multi-volume", header("d", 512, kind=b"M") + RAW[:512] + END, UNSUPPORTED,
         "goes on in another volume"),
        # 1 GiB of pax records that do not come.
        ("pax-huge-claim", header("p", size=1 << 30, kind=b"x") + member("d", RAW) + END,
         UNSUPPORTED, "more than 1048576 bytes of names and tables"),
        # Long names without end.
        ("long-names-without-end", gnu_long("a" * 400) * 1200 + member("d", RAW) + END, UNSUPPORTED,
         "more than 1048576 bytes of names and tables"),
        # A sparse table without end.
        ("sparse-without-end", gnu_sparse("d", [(0, 0)], 1 << 40, b"", extended=[
            b"".join(b"00000000000\0" b"00000000000\0" for _ in range(21)) + b"\1" + bytes(7)
        ] * 2100) + END, UNSUPPORTED, "more than 1048576 bytes of names and tables"),
        # pax records: a length that is too long, zero, too short, wraps, or no number.
        ("pax-overruns", pax_raw(b"99 path=x\n") + member("d", RAW) + END, BAD, "wrong length"),
        ("pax-zero", pax_raw(b"0 path=x\n") + member("d", RAW) + END, BAD, "wrong length"),
        ("pax-short", pax_raw(b"3 path=x\n") + member("d", RAW) + END, BAD, "wrong length"),
        ("pax-wraps", pax_raw(b"18446744073709551617 path=x\n") + member("d", RAW) + END, BAD,
         "wrong length"),
        ("pax-letters", pax_raw(b"ab path=x\n") + member("d", RAW) + END, BAD, "wrong length"),
        # No '=', no line end.
        ("pax-no-value", pax_raw(b"9 pathx\n ") + member("d", RAW) + END, BAD, ""),
        ("pax-no-line-end", pax_raw(b"10 path=xx") + member("d", RAW) + END, BAD, "wrong length"),
        # A size that is no number, or negative.
        ("pax-size-negative", pax(size="-1") + member("d", RAW) + END, BAD, "impossible number"),
        ("pax-size-huge", pax(size="9" * 30) + member("d", RAW) + END, BAD, "impossible number"),
        # A version of sparse files that nobody wrote.
        ("sparse-version-2", pax(GNU__sparse__major="2") + member("d", RAW) + END, UNSUPPORTED,
         "version 2"),
        # Extents over each other, backwards, outside, at the end of all numbers.
        ("sparse-overlaps", gnu_sparse("d", [(0, 512), (256, 512)], 4096, RAW) + END, BAD,
         "extent 1 of a sparse member"),
        ("sparse-backwards", gnu_sparse("d", [(512, 512), (0, 512)], 4096, RAW) + END, BAD,
         "extent 1 of a sparse member"),
        ("sparse-outside", gnu_sparse("d", [(8192, 1024)], 4096, RAW) + END, BAD,
         "extent 0 of a sparse member"),
        ("sparse-wraps", gnu_sparse("d", [((1 << 63) - 1, (1 << 63) - 1)], 4096, RAW) + END, BAD,
         "extent 0 of a sparse member"),
        # The extents have more, or fewer, bytes than the archive.
        ("sparse-too-many", gnu_sparse("d", [(0, 2048)], 4096, RAW) + END, BAD,
         "the archive has 1024"),
        ("sparse-too-few", gnu_sparse("d", [(0, 512)], 4096, RAW) + END, BAD, "the archive has 1024"),
        # A map in the data with a count of 2^62, with letters, with an empty number, without end.
        ("map-count", pax(**SPARSE_10, GNU__sparse__realsize="1024") +
         member("d", b"4611686018427387904\n0\n".ljust(512, b"\0") + RAW) + END, BAD, "damaged"),
        ("map-letters", pax(**SPARSE_10, GNU__sparse__realsize="1024") +
         member("d", b"one\n".ljust(512, b"\0") + RAW) + END, BAD, "damaged"),
        ("map-empty-number", pax(**SPARSE_10, GNU__sparse__realsize="1024") +
         member("d", b"1\n\n\n".ljust(512, b"\0") + RAW) + END, BAD, "damaged"),
        ("map-digits", pax(**SPARSE_10, GNU__sparse__realsize="1024") +
         member("d", b"1" * 4096) + END, BAD, "damaged"),
        ("map-no-data", pax(**SPARSE_10, GNU__sparse__realsize="1024") + member("d", b"1\n0\n") +
         END, BAD, "smaller than its map"),
        ("map-no-size", pax(**SPARSE_10) + member("d", b"0\n".ljust(512, b"\0")) + END, BAD,
         "without its real size"),
        # Half an extent, and one that is no number.
        ("map-half", pax(GNU__sparse__size="4096", GNU__sparse__map="0,512,1024") +
         member("d", RAW[:512]) + END, BAD, "half an extent"),
        ("map-blank", pax(GNU__sparse__size="4096", GNU__sparse__map="0, 512") +
         member("d", RAW[:512]) + END, BAD, "impossible sparse map"),
        # A name with control characters gets into the message.
        ("control-characters", member("a\x1b[2J\n.img", RAW) + member("b.img", RAW) + END,
         UNSUPPORTED, "'a?[2J?.img'"),
        # An archive that only begins like one.
        ("magic-only", bytes(257) + b"ustar\0" b"00" + bytes(BLOCK), None, ""),
        # pax records behind the last member: of what?
        ("pax-at-the-end", member("d", RAW) + pax(path="x"), BAD, "truncated"),
        # A comment of a megabyte.
        ("pax-comment", pax_raw(record("comment", b"x" * (1 << 20))) + member("d", RAW) + END,
         UNSUPPORTED, "more than 1048576 bytes"),
    ]


def zips():
    good = zip_of(("disk.img", RAW))
    end = len(good) - 22
    central = struct.unpack_from("<I", good, end + 16)[0]
    raw_crc = zlib.crc32(RAW)
    return [
        # Two disks.
        ("zip-two-disks", zip_of(("a.img", RAW), ("b.img", RAW)), UNSUPPORTED, "more than one disk"),
        # No disk.
        ("zip-text", zip_of(("a", b"text")), UNSUPPORTED, "none of the 1"),
        # Encrypted.
        ("zip-encrypted", patched(good, 6, b"\1\0"), UNSUPPORTED, "is encrypted"),
        # A method that we do not have: 12 is bzip2, 14 LZMA, 93 zstd.
        ("zip-bzip2", zip_of(("d", RAW), method=zipfile.ZIP_BZIP2), UNSUPPORTED, "neither stored"),
        ("zip-lzma", zip_of(("d", RAW), method=zipfile.ZIP_LZMA), UNSUPPORTED, "neither stored"),
        # Stored, and its length comes behind it.
        ("zip-stored-descriptor", local(b"d", flags=8) + RAW, UNSUPPORTED, "its length behind it"),
        # The checksum is wrong; the lengths are.
        ("zip-checksum", patched(good, 14, b"\0\0\0\0"), BAD, "checksum or one of its lengths"),
        ("zip-size", patched(good, 22, b"\0\0\0\0"), BAD, "checksum or one of its lengths"),
        ("zip-packed", patched(good, 18, b"\1\0\0\0"), BAD, "longer than the member"),
        # Deflate data that is none.
        ("zip-deflate", patched(good, 38, b"\xff\xff\xff\xff"), BAD, "corrupt deflate data"),
        # Cut everywhere that something begins.
        ("zip-cut-header", good[:20], None, ""),
        ("zip-cut-name", good[:33], BAD, "truncated"),
        ("zip-cut-data", good[:45], BAD, "truncated"),
        ("zip-cut-directory", good[:central + 9], BAD, "truncated"),
        ("zip-cut-end", good[:-1], BAD, "truncated"),
        # The directory lists less, or more, than there is.
        ("zip-no-directory", good[:central] + end_record(0), BAD, "other members"),
        ("zip-directory-twice", good[:end] + good[central:end] + end_record(2), BAD,
         "lists more members"),
        ("zip-count", patched(good, end + 10, b"\7\0"), BAD, "other members"),
        # Another archive behind the first: who begins at the end sees that one.
        ("zip-behind", good + zip_of(("other", RAW)), BAD, "garbage behind"),
        # A member behind the directory.
        ("zip-member-late", good[:end] + local(b"x"), BAD, "behind the directory"),
        # Split over several files.
        ("zip-split", patched(good, end + 4, b"\1\0"), UNSUPPORTED, "split over several"),
        # A comment that is longer than what there is.
        ("zip-comment", patched(good, end + 20, b"\xff\xff"), BAD, "truncated"),
        # zip64: the extra field is too short for the size that stands in it.
        ("zip64-short", local(b"d", crc=raw_crc, packed=0xffffffff, size=0xffffffff,
                              extra=struct.pack("<HHQ", 1, 8, 1024)) + RAW, BAD, "too short"),
        # ... says 8 EiB.
        ("zip64-huge", local(b"d", crc=raw_crc, packed=0xffffffff, size=0xffffffff,
                             extra=struct.pack("<HHQQ", 1, 16, 1 << 62, 1 << 62)) + RAW, BAD,
         "truncated"),
        # ... a locator of no record.
        ("zip64-locator", good[:end] + struct.pack("<IIQI", 0x07064b50, 0, 0, 1) + good[end:], BAD,
         "locator of nothing"),
        # ... a record of 2^63 bytes.
        ("zip64-record", good[:end] + struct.pack("<IQ", 0x06064b50, 1 << 63) + bytes(44) +
         good[end:], BAD, "impossible length"),
        # Nothing that a zip archive may go on with.
        ("zip-unknown", good[:central] + b"PK\x7f\x7f" + good[central + 4:], BAD, "neither a member"),
    ]


def containers():
    return tars() + zips()
