#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every row of the contract in rows.txt is shown by a pair, and pairs name no other rows. TAP."""
import glob
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FEWEST = 120    # pairs; a glob that finds nothing must not pass


def rows():
    """The rows in scope."""
    with open(os.path.join(HERE, "rows.txt"), encoding="utf-8") as f:
        lines = [line.strip() for line in f]
    return [line for line in lines if line and line[0] not in "#-"]


def covered():
    """Row: the files that name it."""
    found = {}
    for path in sorted(glob.glob(os.path.join(HERE, "pairs", "*", "*.json"))):
        with open(path, encoding="utf-8") as f:
            for row in json.load(f)["covers"]:
                found.setdefault(row, []).append(os.path.relpath(path, HERE))
    return found


def report(number, name, wrong):
    print(("not " if wrong else "") + f"ok {number} - {name}")
    for line in wrong:
        print("# " + line)
    return not wrong


def main():
    have, want = covered(), rows()
    files = {path for paths in have.values() for path in paths}
    print("1..4")
    good = [
        report(1, "no_row_stands_twice", sorted({r for r in want if want.count(r) > 1})),
        report(2, "every_row_is_covered", [r for r in want if r not in have]),
        report(3, "every_name_is_a_row",
               [f"{p}: {r}" for r, paths in have.items() if r not in want for p in paths]),
        report(4, "there_are_enough_pairs",
               [] if len(files) >= FEWEST else [f"only {len(files)} files"]),
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
