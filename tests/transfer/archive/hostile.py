# SPDX-License-Identifier: Apache-2.0
"""Archives that must not do what they say. Each is (name, bytes, exit code, words of the message):
the comment in front says which rule it breaks. CANARY stands for a directory outside the target."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../formats"))
from tarlib import (BLOCK, END, directory, gnu_long, gnu_sparse, hardlink, header, member,
                    pax, pax_raw, record, symlink)

BAD, UNSUPPORTED, NO_SPACE = 6, 7, 8
FILE = member("good", b"first\n")


def archives(canary):
    up = "../" * 12 + canary.lstrip("/")
    return [
        # A member's name climbs out of the directory.
        ("climbing-name", FILE + member(up + "/x", b"no") + END, BAD, "contains '..'"),
        # ... in the middle of the name.
        ("climbing-inside", FILE + directory("d") + member("d/../../x", b"no") + END, BAD,
         "contains '..'"),
        # ... hidden in a pax record.
        ("climbing-pax", pax(path=up + "/x") + member("innocent", b"no") + END, BAD,
         "contains '..'"),
        # ... hidden in a GNU long name.
        ("climbing-long-name", gnu_long(up + "/x") + member("innocent", b"no") + END, BAD,
         "contains '..'"),
        # ... in ustar's prefix field.
        ("climbing-prefix", member("x", b"no", tail=b"../..") + END, BAD, "contains '..'"),
        # ... of a directory.
        ("climbing-directory", directory("../d") + END, BAD, "contains '..'"),
        # A symbolic link to a place outside.
        ("absolute-link", symlink("l", canary) + END, BAD, "is absolute"),
        # ... by its relative name.
        ("climbing-link", symlink("l", up) + END, BAD, "leads out"),
        # ... from inside, one ".." too many.
        ("climbing-link-inside", directory("a") + symlink("a/l", "../../x") + END, BAD,
         "leads out"),
        # ... in a pax record.
        ("absolute-link-pax", pax(linkpath=canary) + symlink("l", "x") + END, BAD, "is absolute"),
        # Two links, each harmless as text: s is three levels down and leads to the top, and from
        # there ".." of the second one climbs out.
        ("two-links", directory("a/b/c") + symlink("a/b/c/s", "../../..") +
         symlink("l", "a/b/c/s/../../x") + END, BAD, "'..' behind a name"),
        # A link, and a member below it: would follow the link, were it followed.
        ("through-a-link", directory("d") + symlink("l", "d") + member("l/x", b"no") + END, BAD,
         "is no directory"),
        # ... with a directory member of the link's name in between, which may not keep the link.
        ("below-a-file", member("f", b"x") + member("f/x", b"no") + END, BAD, "is no directory"),
        # Another name for a file outside, to be written through by the next member.
        ("hard-link-outside", hardlink("h", canary + "/file") + member("h", b"no") + END, BAD,
         "has not brought"),
        # ... by a climbing name.
        ("hard-link-climbs", hardlink("h", up + "/file") + END, BAD, "contains '..'"),
        # A hard link to a symbolic link moves it to where it leads elsewhere.
        ("hard-link-to-link", directory("a/b") + symlink("a/b/l", "../../good") + FILE +
         hardlink("h", "a/b/l") + END, BAD, "other than a file"),
        # ... to a directory.
        ("hard-link-to-directory", directory("d") + hardlink("h", "d") + END, BAD,
         "other than a file"),
        # ... below a link.
        ("hard-link-through-link", directory("d") + member("d/f", b"x") + symlink("l", "d") +
         hardlink("h", "l/f") + END, BAD, "is no directory"),
        # ... to a member that comes later.
        ("hard-link-forward", hardlink("h", "later") + member("later", b"x") + END, BAD,
         "has not brought"),
        # ... to nothing.
        ("hard-link-empty", hardlink("h", ".") + END, BAD, "hard link to nothing"),
        # A character device: /dev/mem by another name.
        ("character-device", header("mem", kind=b"3", device=(1, 1)) + END, UNSUPPORTED,
         "device node"),
        # A block device.
        ("block-device", header("sda", kind=b"4", device=(8, 0)) + END, UNSUPPORTED,
         "device node"),
        # A fifo that makes a reader wait for ever.
        ("fifo", header("pipe", kind=b"6") + END, UNSUPPORTED, "a fifo"),
        # A file where a directory was, with what is in it.
        ("file-over-directory", directory("d") + member("d/x", b"x") + member("d", b"no") + END,
         BAD, "was a directory before"),
        # A link where a directory was.
        ("link-over-directory", directory("d") + symlink("d", "e") + END, BAD,
         "was a directory before"),
        # The name that unfinished work has.
        ("reserved-name", member(".slipway-unpacking", b"x") + END, BAD, "kept for unfinished"),
        # A member that is the directory itself, but no directory.
        ("file-is-the-root", member(".", b"x") + END, BAD,
         "empty name"),
        # A symbolic link in the directory's own place.
        ("link-is-the-root", symlink("./.", "x") + END, BAD, "empty name"),
        # A name of 5,000 bytes.
        ("long-name", pax(path="n" * 5000) + member("x", b"x") + END, UNSUPPORTED,
         "longer than the limit of 4095"),
        # A component of 256 bytes, which no file system of Linux takes.
        ("long-component", pax(path="n" * 256) + member("x", b"x") + END, 1, "File name too long"),
        # A link's target of 5,000 bytes.
        ("long-link", pax(linkpath="n" * 5000) + symlink("x", "y") + END, UNSUPPORTED,
         "longer than the limit of 4095"),
        # 129 directories inside each other.
        ("deep-name", pax(path="d/" * 128 + "f") + member("x", b"x") + END, UNSUPPORTED,
         "deeper than the limit of 128"),
        # Terminal control sequences and a line end in a name that gets into a message.
        ("control-characters", member("a\x1b]0;x\x07\n/../b", b"x") + END, BAD, "a?]0;x??/../b"),
        # The header's checksum is wrong.
        ("wrong-checksum", FILE + header("x", checksum=1) + END, BAD, "tar: "),
        # A negative size.
        ("negative-size", header("x", raw_size=b"\xff" * 12) + END, BAD, "tar: "),
        # 2^63 bytes.
        ("size-2-63", header("x", raw_size=b"\x80\0\0\0" + (1 << 63).to_bytes(8, "big")) + END,
         None, ""),
        # 8 EiB less one, which no disk has.
        ("size-8-eib", header("x", raw_size=b"\x80\0\0\0" + ((1 << 63) - 1).to_bytes(8, "big")) +
         END, None, ""),
        # A petabyte that does not come: refused before it is waited for.
        ("size-1-pib", header("x", size=1 << 50) + END, NO_SPACE,
         "larger than the reported available storage"),
        # A size that is no number.
        ("size-letters", header("x", raw_size=b"elephant\0\0\0\0") + b"data".ljust(BLOCK), None, ""),
        # pax says another size than the header, and the archive ends in between.
        ("pax-size-larger", pax(size="4096") + member("x", b"x" * 512) + END, BAD, "tar: "),
        # A pax record that is longer than its header.
        ("pax-record-overruns", pax_raw(b"99 path=x\n") + FILE + END, None, ""),
        # A pax record of length 0: a reader that adds it goes round for ever.
        ("pax-record-zero", pax_raw(b"0 path=x\n") + FILE + END, None, ""),
        # A pax record whose length wraps.
        ("pax-record-wraps", pax_raw(b"18446744073709551617 path=x\n") + FILE + END, None, ""),
        # 2 MiB of pax header.
        ("pax-huge", pax_raw(record("comment", b"x" * (2 << 20))) + FILE + END, None, ""),
        # A gigabyte of pax header that does not come.
        ("pax-huge-claim", header("p", size=1 << 30, kind=b"x") + FILE + END, None, ""),
        # Headers that only announce headers, without end.
        ("long-names-without-end", gnu_long("a" * 400) * 3000 + FILE + END, None, ""),
        # ... global ones.
        ("globals-without-end", pax_raw(record("comment", b"x"), kind=b"g") * 3000 + FILE + END,
         None, ""),
        # A sparse table that goes on without end: 21 extents in each further block.
        ("sparse-without-end", gnu_sparse("s", [(0, 0)], 1 << 40, b"", extended=[
            b"".join(b"00000000000\0" b"00000000000\0" for _ in range(21)) + b"\1" + bytes(7)
        ] * 4000) + END, None, ""),
        # Extents that lie over each other and outside the file.
        ("sparse-overlaps", gnu_sparse("s", [(0, 512), (0, 512), (1 << 40, 512)], 1024,
                                       b"x" * 1536) + END, None, ""),
        # An extent at the end of all offsets.
        ("sparse-wraps", gnu_sparse("s", [((1 << 63) - 512, 1024)], 1024, b"x" * 1024) + END,
         None, ""),
        # The table says more data than the member has.
        ("sparse-too-little-data", gnu_sparse("s", [(0, 4096)], 4096, b"x" * 512) + END, None, ""),
        # A map in front of the data (pax 1.0) that claims more entries than there are bytes.
        ("sparse-10-count", pax(GNU__sparse__major="1", GNU__sparse__minor="0",
                                GNU__sparse__name="s", GNU__sparse__realsize="1024") +
         member("x", b"99999999999\n0\n512\n".ljust(512, b"\0") + b"x" * 512) + END, None, ""),
        # ... with a number of a million digits.
        ("sparse-10-digits", pax(GNU__sparse__major="1", GNU__sparse__minor="0",
                                 GNU__sparse__name="s", GNU__sparse__realsize="1024") +
         member("x", b"1" * 1000000) + END, None, ""),
        # An empty name.
        ("empty-name", member("", b"x") + END, BAD, ""),
        # Not an archive at all.
        ("text", b"<!doctype html><html>login</html>" * 50, BAD, "tar: "),
        # Zeroes and then something: an archive without members, and what stands behind it.
        ("random", bytes(range(256)) * 40, BAD, "tar: "),
        # The end mark is missing.
        ("no-end", FILE, BAD, "truncated"),
        # The padding of the last member is missing.
        ("no-padding", FILE[:BLOCK + 6], BAD, "tar: "),
        # A member of an unknown kind with data: to be skipped as a file by the standard, but we
        # cannot know.
        ("one-byte", b"x", BAD, "tar: "),
    ]


def truncations():
    """One archive with all kinds of members; cut anywhere it is refused."""
    return (directory("d") + pax(path="d/long-" + "n" * 120) + member("x", b"x" * 700) +
            gnu_long("y" * 150) + member("y", b"y") + symlink("d/l", "../good") + FILE +
            hardlink("h", "good") + gnu_sparse("s", [(0, 512), (8192, 512)], 65536, b"s" * 1024))
