#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make-image-seeds.py [DIR]: write the hand-made images of tests/fuzz/<format>, each layout of
tests/formats/imagelib.py once. The committed files came from here."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "formats"))
sys.dont_write_bytecode = True
import imagelib  # noqa: E402
from vhdxlib import pieces  # noqa: E402

EXTRA = {"parallels": {"old": dict(layout="reverse", ext=False)},
         "vhd": {"tiny-blocks": dict(layout="usual", block=512, size=3 * 512, used=(0, 2))},
         "vdi": {"static": dict(layout="usual", type=2, used=range(41))},
         "vmdk": {"zero-grains": dict(layout="usual", flags=5, version=2)},
         "qed": {"two-tables": dict(layout="reverse", table_size=2)}}


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else HERE
    for kind, layouts in imagelib.LAYOUTS.items():
        format_name, _, variant = kind.partition("_")
        folder = os.path.join(root, format_name)
        os.makedirs(folder, exist_ok=True)
        seeds = {variant if variant and len(layouts) == 1 else f"{variant}-{name}" if variant else name:
                 dict(layout=name) for name in layouts}
        for name, how in {**seeds, **EXTRA.get(kind, {})}.items():
            image = imagelib.build(kind, **how)
            if format_name == "vhdx":       # see tests/fuzz/fuzz-vhdx.c
                image = b"\0" + pieces(image)
            with open(os.path.join(folder, name), "wb") as f:
                f.write(image)


if __name__ == "__main__":
    main()
