# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that a machine can check. Each check takes a Tree and yields one message
per violation, "file:line: what is wrong and what to do"."""
import re


# docs/ARCHITECTURE.md's table: who may include whom. The folders named pass on what they may
# include themselves, so only the highest ones stand here.
FOLDERS = {
    "common": [],
    "formats": ["common"],
    "net": ["common"],
    "transfer": ["formats"],
    "importer": ["transfer", "net"],
    "cli": ["importer"],
    "kube": ["net"],
    "controller": ["kube"],
}

# Libraries with an interface of their own: only these files see them.
LIBRARIES = {
    r"json-c/": ["common/json.c", "common/json_tree.c"],
    r"archive(_entry)?\.h": ["transfer/archive_read.c"],
    r"curl/": ["net/"],
    r"microhttpd\.h": ["net/"],
    r"libnbd\.h": ["importer/", "transfer/"],
    r"yaml\.h": ["common/yaml_tree.c"],
}

# Function: what to use instead. These overflow or cannot report an error; tests may not use them
# either.
BANNED = {
    "strcpy": "struct sw_buf", "strcat": "struct sw_buf", "strncat": "struct sw_buf",
    "stpcpy": "struct sw_buf", "sprintf": "struct sw_buf", "vsprintf": "struct sw_buf",
    "gets": "sw_read_full", "strtok": "strsep", "strtok_r": "strsep",
    "atoi": "sw_parse_u64", "atol": "sw_parse_u64", "atoll": "sw_parse_u64",
    "atof": "sw_parse_u64", "alloca": "a buffer with a ceiling",
    "tmpnam": "mkstemp", "tempnam": "mkstemp", "mktemp": "mkstemp",
}
# These wrap around, race with threads or run what an attacker writes.
BANNED_OUTSIDE_TESTS = {
    "strtol": "sw_parse_u64", "strtoll": "sw_parse_u64", "strtoul": "sw_parse_u64",
    "strtoull": "sw_parse_u64", "sscanf": "sw_parse_u64",
    "system": "posix_spawn", "popen": "posix_spawn", "fork": "posix_spawn", "vfork": "posix_spawn",
    "signal": "sigaction", "strerror": "strerror_r or sw_err_sys",
    "localtime": "localtime_r", "gmtime": "gmtime_r", "ctime": "strftime", "asctime": "strftime",
}
# Only a program's main.c, or x_main.c, ends the process.
BANNED_OUTSIDE_MAIN = {"exit": "return an error", "_exit": "return an error",
                       "abort": "assert for our own bugs, an error for input"}
# Functions that a file may call after all, and why.
ALLOWED = {
    ("cli/signals.c", "_exit"),     # a second Ctrl-C, in the signal handler
}
# Callbacks whose parameters a library dictates.
FOREIGN_SIGNATURES = {
    "net/http_server.c": ["on_request"],    # libmicrohttpd: MHD_AccessHandlerCallback
}
# formats/ is pure: bytes in, placements out.
BANNED_IN_FORMATS = {name: "nothing: formats/ has no descriptors, sockets, threads or clock"
                     for name in ("open", "openat", "fopen", "read", "pread", "write", "pwrite",
                                  "socket", "poll", "pthread_create", "pthread_mutex_lock",
                                  "printf", "fprintf", "getenv", "time", "clock_gettime")}

FUNCTION_LINES = 60
PARAMETERS = 6
FILE_LINES = 600


def includes(tree):
    """Includes point only down the table of docs/ARCHITECTURE.md."""
    for path, source in tree.c_sources():
        folder = path.split("/")[0]
        if folder == "tests":
            continue
        if folder not in FOLDERS:
            yield f"{path}:1: '{folder}/' has no row in tests/house/checks.py (FOLDERS)"
            continue
        for line, quoted, target in source.includes():
            yield from _check_include(path, line, quoted, target, folder)


def _check_include(path, line, quoted, target, folder):
    if not quoted:
        for pattern, allowed in LIBRARIES.items():
            if re.match(pattern, target) and not any(path.startswith(a) for a in allowed):
                yield (f"{path}:{line}: <{target}> belongs to {', '.join(allowed)}: "
                       "use the interface that wraps it")
        return
    owner = target.split("/")[0]
    if "/" not in target:
        yield f"{path}:{line}: name the folder: #include \"{folder}/{target}\""
    elif owner not in FOLDERS:
        yield f"{path}:{line}: includes \"{target}\", and '{owner}/' is no folder of ours"
    elif owner != folder and owner not in _reach(folder):
        yield (f"{path}:{line}: {folder}/ may not include \"{target}\": only "
               f"{', '.join(sorted(_reach(folder))) or 'itself'}")


def _reach(folder):
    """Every folder below this one."""
    below = set(FOLDERS[folder])
    for lower in FOLDERS[folder]:
        below |= _reach(lower)
    return below


def functions(tree):
    """Functions stay short and take few parameters."""
    for path, source in tree.c_sources():
        if path.startswith("tests/"):
            continue
        for f in source.functions():
            if f.length > FUNCTION_LINES:
                yield (f"{path}:{f.line}: {f.name}() has {f.length} lines, at most "
                       f"{FUNCTION_LINES}: parse, validate, act")
            if f.parameters > PARAMETERS and f.name not in FOREIGN_SIGNATURES.get(path, []):
                yield (f"{path}:{f.line}: {f.name}() takes {f.parameters} parameters, at most "
                       f"{PARAMETERS}: make a struct")


def banned(tree):
    """Functions that overflow, race or end the process."""
    for path, source in tree.c_sources():
        names = dict(BANNED)
        if not path.startswith("tests/"):
            names.update(BANNED_OUTSIDE_TESTS)
            if not re.search(r"[/_]main\.c$", path):
                names.update(BANNED_OUTSIDE_MAIN)
            if path.startswith("formats/"):
                names.update(BANNED_IN_FORMATS)
        for line, name in source.calls(names):
            if (path, name) in ALLOWED or _ignores_signal(source, line):
                continue
            yield f"{path}:{line}: {name}() is banned; use {names[name]}"


def _ignores_signal(source, line):
    """signal(SIGPIPE, SIG_IGN) has none of signal()'s faults: there is no handler."""
    return re.search(r"\bsignal\(SIG\w+, SIG_(IGN|DFL)\)", source.code.split("\n")[line - 1])


def comments(tree):
    """One kind of comment, and none that promises work."""
    promise = re.compile(r"\b(TODO|FIXME|HACK)\b|\bXXX\b(?! #\d)")
    for path, source in tree.c_sources():
        for line in source.line_comments:
            yield f"{path}:{line}: write /* */, not //"
        for number, line in enumerate(source.text.split("\n"), 1):
            found = promise.search(line)
            if found:
                yield (f"{path}:{number}: {found.group()}: do it now, or open an issue and write "
                       "'XXX #number'")


def licence(tree):
    """Every source says under which licence it stands."""
    for path, text in tree.sources():
        if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(text.split("\n")[:3]):
            yield f"{path}:1: the first lines lack 'SPDX-License-Identifier: Apache-2.0'"


def file_length(tree):
    """A file is one idea, and fits a reader's head."""
    for path, text in tree.sources():
        lines = text.count("\n")
        if lines >= FILE_LINES:
            yield f"{path}:{lines}: {lines} lines, fewer than {FILE_LINES} are allowed: split it"


def guards(tree):
    """Header guards follow the path."""
    for path, source in tree.c_sources():
        if not path.endswith(".h") or path.startswith("tests/"):
            continue
        want = "SW_" + re.sub(r"[^A-Za-z0-9]", "_", path).upper()
        if f"#ifndef {want}\n#define {want}\n" not in source.text:
            yield f"{path}:1: the include guard is not {want}"


def fuzz_seeds(tree):
    """Every fuzz target is built and has seeds; every folder of seeds has a target."""
    rows = tree.text("tests/fuzz/meson.build")
    targets = {re.fullmatch(r"tests/fuzz/fuzz-(.+)\.c", p).group(1)
               for p in tree.paths if re.fullmatch(r"tests/fuzz/fuzz-(.+)\.c", p)}
    seeds = {p.split("/")[2] for p in tree.paths if re.match(r"tests/fuzz/[^/]+/", p)}
    for name in sorted(targets - seeds):
        yield f"tests/fuzz/fuzz-{name}.c:1: no seeds: put some into tests/fuzz/{name}/"
    for name in sorted(seeds - targets):
        yield f"tests/fuzz/{name}:1: seeds without a target tests/fuzz/fuzz-{name}.c"
    for name in sorted(targets):
        if not re.search(rf"^\s*'{re.escape(name)}'\s*:", rows, re.MULTILINE):
            yield f"tests/fuzz/fuzz-{name}.c:1: never built: add a row to tests/fuzz/meson.build"


def built(tree):
    """Every C file is named in a meson.build: code that nobody compiles rots."""
    for path, _ in tree.c_sources():
        folder, name = path.rsplit("/", 1)
        if not name.endswith(".c") or path.startswith("tests/fuzz/fuzz-"):
            continue
        test = re.fullmatch(r"test-(.+)\.c", name) if folder.startswith("tests/") else None
        rows = [f"{name}'"] + ([f"'{test.group(1)}'"] if test else [])
        if not any(row in tree.text(p) for row in rows for p in tree.paths
                   if p.endswith("meson.build") and folder.startswith(p[:-len("/meson.build")])):
            yield f"{path}:1: never built: no meson.build of its folder names it"


def events(tree):
    """docs/events.md lists exactly the events that the code logs, with their levels."""
    call = re.compile(r'\bsw_log_(error|warn|info|debug)\(\s*("([a-z0-9_.]+)")?')
    row = re.compile(r"^\| `([a-z0-9_.]+)` \| ([a-z, ]+) \|", re.MULTILINE)
    listed = {name: set(re.split(r", *", levels.strip()))
              for name, levels in row.findall(tree.text("docs/events.md"))}
    logged = {}
    for path, source in tree.c_sources():
        if path.startswith("tests/") or not path.endswith(".c"):
            continue
        for m in call.finditer(source.text):
            line = source.text.count("\n", 0, m.start()) + 1
            if not m.group(3):
                yield f"{path}:{line}: the event is no literal such as \"import.done\""
                continue
            logged.setdefault(m.group(3), set()).add(m.group(1))
            if m.group(1) not in listed.get(m.group(3), ()):
                yield (f"{path}:{line}: docs/events.md does not list `{m.group(3)}` with level "
                       f"{m.group(1)}")
    for name, levels in sorted(listed.items()):
        for level in sorted(levels - logged.get(name, set())):
            yield f"docs/events.md:1: `{name}` is listed with level {level}, but no code logs that"


def machine_paths(tree):
    """Nothing depends on the machine it was written on."""
    path_of_ours = re.compile(r"(?<![\w.$}{/<])/(?:work|home|root|tmp)/\w(?![\w-]*X{6})")
    for path, text in tree.texts():
        for number, line in enumerate(text.split("\n"), 1):
            found = path_of_ours.search(line)
            if found and not path.startswith("tests/house/"):
                yield (f"{path}:{number}: '{found.group()}...' is a path of one machine: use "
                       "mktemp, $XDG_CACHE_HOME or a path relative to the file")


CHECKS = [includes, functions, banned, comments, licence, file_length, guards, fuzz_seeds, built,
          events, machine_paths]
