# SPDX-License-Identifier: Apache-2.0
"""The files of the source tree, without build directories and Git's own."""
import os

from csource import Source

SCRIPTS = (".py", ".sh")


class Tree:
    """Read once, then looked at by every check."""

    def __init__(self, root):
        self.root = os.path.abspath(root)
        self.paths = sorted(self._walk())
        self._texts = {}
        self._c = {}

    def _walk(self):
        for folder, folders, files in os.walk(self.root):
            top = folder == self.root
            folders[:] = [d for d in folders if d not in (".git", "__pycache__") and
                          not (top and d.startswith("build"))]
            for name in files:
                if not name.endswith(".swp") and name != ".git":  # a file in a worktree
                    yield os.path.relpath(os.path.join(folder, name), self.root)

    def text(self, path):
        """Content of a text file; "" when it is missing or not UTF-8 (a seed, a picture)."""
        if path not in self._texts:
            try:
                with open(os.path.join(self.root, path), encoding="utf-8") as f:
                    self._texts[path] = f.read()
            except (OSError, UnicodeDecodeError):
                self._texts[path] = ""
        return self._texts[path]

    def texts(self):
        """(path, text) of every text file."""
        for path in self.paths:
            yield path, self.text(path)

    def sources(self):
        """(path, text) of C files and scripts: what people write as code."""
        for path, text in self.texts():
            if path.endswith((".c", ".h") + SCRIPTS) or text.startswith("#!"):
                yield path, text

    def c_sources(self):
        """(path, Source) of C files."""
        for path in self.paths:
            if path.endswith((".c", ".h")):
                if path not in self._c:
                    self._c[path] = Source(self.text(path))
                yield path, self._c[path]
