# SPDX-License-Identifier: Apache-2.0
"""Just enough of C to check a house's rules: comments, literals, includes, function bodies.

Not a parser: it relies on clang-format (a function's braces stand alone in the first column)."""
import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<line>//[^\n]*)
      | (?P<block>/\*.*?\*/)
      | (?P<string>"(?:\\.|[^"\\\n])*")
      | (?P<char>'(?:\\.|[^'\\\n])*')""",
    re.DOTALL | re.VERBOSE)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)
_NAME = re.compile(r"(\w+)\s*\(")


def _blank(text):
    """The same number of lines and columns, nothing in them."""
    return re.sub(r"[^\n]", " ", text)


@dataclass
class Function:
    name: str
    line: int        # of the opening brace
    length: int      # lines from the opening brace to the closing one
    parameters: int


class Source:
    """One C file. `code` is its text with comments and the insides of literals blanked out."""

    def __init__(self, text):
        self.text = text
        self.line_comments = []     # line numbers of // comments
        self.code = _TOKEN.sub(self._strip, text)

    def _strip(self, match):
        if match.lastgroup == "line":
            self.line_comments.append(self.text.count("\n", 0, match.start()) + 1)
        if match.lastgroup in ("string", "char"):
            inner = match.group()
            return inner[0] + _blank(inner[1:-1]) + inner[-1]
        return _blank(match.group())

    def includes(self):
        """(line, quoted, path) of each #include; the paths come from the text, as `code` has none."""
        for m in _INCLUDE.finditer(self.text):
            if self.code[m.start():m.end()].strip():
                yield self.text.count("\n", 0, m.start(1)) + 1, m.group(1) == '"', m.group(2)

    def calls(self, names):
        """(line, name) wherever one of the names is followed by a parenthesis."""
        pattern = re.compile(r"(?<![\w.>])(" + "|".join(map(re.escape, names)) + r")\s*\(")
        for number, line in enumerate(self.code.split("\n"), 1):
            for m in pattern.finditer(line):
                yield number, m.group(1)

    def functions(self):
        """Every function definition: an opening and a closing brace alone in the first column."""
        lines = self.code.split("\n")
        start = None
        for i, line in enumerate(lines):
            if line.rstrip() == "{":
                start = i
            elif line.startswith("}") and start is not None:
                if line.rstrip() == "}":
                    signature = _signature(lines, start)
                    yield Function(_name(signature), start + 1, i - start, _count(signature))
                start = None


def _signature(lines, start):
    """The lines above an opening brace, up to the one that begins in the first column."""
    first = start - 1
    while first > 0 and not re.match(r"[A-Za-z_]", lines[first]):
        first -= 1
    return " ".join(lines[first:start])


def _name(signature):
    m = _NAME.search(signature)
    return m.group(1) if m else "?"


def _count(signature):
    """Parameters between the outermost parentheses that follow the name."""
    m = _NAME.search(signature)
    if not m:
        return 0
    depth, commas, inside = 0, 0, ""
    for c in signature[m.end() - 1:]:
        depth += {"(": 1, ")": -1}.get(c, 0)
        if depth == 0:
            break
        commas += c == "," and depth == 1
        inside += c
    return 0 if inside.strip("( ") in ("", "void") else commas + 1
