#!/usr/bin/env python3
"""The rules of the tree that a program can check: who includes whom, sizes, names, words.

usage: rules.py [ROOT]    prints each violation as FILE:LINE: message; exit status 1 if there is any

Each rule is a function of a Tree that yields violations; docs/architecture.md says why the rules are what they are.
"""
import os
import re
import subprocess
import sys

LIBRARY_BELOW_ENGINE = {"base", "text", "codec", "kernels", "model"}

# What a room may include besides itself and upg/upg.h.  A name with a slash is a single header.
MAY_INCLUDE = {
    "base": set(),
    "text": {"base"},
    "codec": {"base"},
    "kernels": {"base", "codec"},
    "bench": {"base", "codec", "kernels"},
    "model": {"base", "text", "codec", "kernels"},
    "gpu": {"base", "codec", "model", "engine/backend.h"},
    "engine": LIBRARY_BELOW_ENGINE | {"gpu/gpu.h"},
    "constrain": {"base", "text"},
    "evaluate": LIBRARY_BELOW_ENGINE | {"engine"},
    "compress": LIBRARY_BELOW_ENGINE | {"engine", "evaluate"},
    "server": {"base/embed.h"},
    "pull": {"base"},
    "cli": {"server/server.h", "pull/pull.h"},
}
PROGRAMS = {"server", "cli"}  # may print and exit; the library may not

MAX_FILE_BYTES = 26_000_000
MAX_TREE_BYTES = 60_000_000
MAX_LINES = 800
SOURCE = (".c", ".h", ".py", ".sh")

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)
STRING_OR_COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)
INTRINSICS = {"immintrin.h", "x86intrin.h", "arm_neon.h", "arm_sve.h", "cpuid.h"}
TIER_FILE = re.compile(r"_(avx2|avx512|amx|neon|x86)\.[ch]$")
ENDS_OR_PRINTS = re.compile(
    r"\b(exit|_exit|abort|printf|vprintf|puts|putchar|perror)\s*\(|\bfprintf\s*\(\s*std(?:out|err)\b")
# Spelled in pieces, so that this file does not break its own rules.
MACHINE_PATH = re.compile("/" + "(?:home|Users|root|work)/[A-Za-z0-9_]|/" + "tmp/(?:build|ckpt|venv)")
DEBT = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|\bx" + r"fail\b|pytest\.sk" + r"ip|\bsk" + r"ip\(\)")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


class Tree:
    """A checkout: relative paths of its files (tracked and new ones that git does not ignore) and their contents."""

    def __init__(self, root, paths=None):
        self.root = root
        self.paths = sorted(paths if paths is not None else self._list())

    def _list(self):
        out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=self.root,
                             capture_output=True, check=True).stdout
        paths = {os.fsdecode(p) for p in out.split(b"\0") if p}
        return [p for p in paths if os.path.isfile(os.path.join(self.root, p))]

    def size(self, path):
        return os.path.getsize(os.path.join(self.root, path))

    def text(self, path):
        """The file as text, or None if it is binary."""
        with open(os.path.join(self.root, path), "rb") as file:
            data = file.read()
        if b"\0" in data[:8192]:
            return None
        return data.decode("utf-8", "replace")

    def has(self, path):
        return os.path.exists(os.path.join(self.root, path))

    def code(self):
        """(path, room) of the C files of the rooms."""
        for path in self.paths:
            parts = path.split("/")
            if parts[0] == "src" and len(parts) > 2 and path.endswith((".c", ".h")):
                yield path, parts[1]


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def includes_follow_the_layers(tree):
    for path, room in tree.code():
        if room not in MAY_INCLUDE:
            yield f"{path}:1: room '{room}' has no line in MAY_INCLUDE"
            continue
        text = tree.text(path)
        for match in INCLUDE.finditer(text):
            quote, name = match.groups()
            where = f"{path}:{line_of(text, match.start())}"
            if name == "upg/upg.h" or (quote == '"' and tree.has(f"{os.path.dirname(path)}/{name}")):
                continue
            used = name.split("/")[0]
            if used not in MAY_INCLUDE:
                if quote == '"':
                    yield f"{where}: \"{name}\" is no header of this tree"
            elif used != room and used not in MAY_INCLUDE[room] and name not in MAY_INCLUDE[room]:
                allowed = ", ".join(sorted(MAY_INCLUDE[room])) or "only upg/upg.h"
                yield f"{where}: {room} may not include {name} (allowed: {allowed})"
            elif not tree.has(f"src/{name}"):
                yield f"{where}: src/{name} does not exist"


def instruction_sets_stay_in_their_files(tree):
    for path, room in tree.code():
        if room == "kernels" or TIER_FILE.search(path):
            continue
        text = tree.text(path)
        for match in INCLUDE.finditer(text):
            if match.group(2) in INTRINSICS:
                yield f"{path}:{line_of(text, match.start())}: {match.group(2)} belongs into src/kernels or a file named after its tier"


def library_never_prints_or_exits(tree):
    for path, room in tree.code():
        if room in PROGRAMS:
            continue
        # Blank out strings and comments, keeping the line numbers.
        text = STRING_OR_COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), tree.text(path))
        for match in ENDS_OR_PRINTS.finditer(text):
            yield f"{path}:{line_of(text, match.start())}: the library does not print or exit: {match.group().strip()}"


def files_are_small(tree):
    total = 0
    for path in tree.paths:
        size = tree.size(path)
        total += size
        if size > MAX_FILE_BYTES:
            yield f"{path}:1: {size} bytes; at most {MAX_FILE_BYTES}"
    if total > MAX_TREE_BYTES:
        yield f".:1: the checkout has {total} bytes; at most {MAX_TREE_BYTES}"


def long_files_say_why(tree):
    for path in tree.paths:
        if not path.endswith(SOURCE):
            continue
        lines = (tree.text(path) or "").split("\n")
        if len(lines) > MAX_LINES and "long because" not in "\n".join(lines[:30]).lower():
            yield f"{path}:1: {len(lines)} lines; split it, or say 'Long because ...' in its head comment"


def no_paths_of_a_machine(tree):
    yield from _words(tree, MACHINE_PATH, lambda path: True, "names a path of somebody's machine")


def no_debts(tree):
    places = ("src/", "include/", "tests/", "python/", "bench/", "scripts/", "cmake/")
    yield from _words(tree, DEBT, lambda path: path.startswith(places) and path.endswith(SOURCE + (".txt", ".cmake")),
                      "do it, or write it into the document of known limits")


def _words(tree, pattern, is_checked, message):
    for path in tree.paths:
        text = tree.text(path) if is_checked(path) else None
        for match in pattern.finditer(text or ""):
            yield f"{path}:{line_of(text, match.start())}: '{match.group()}': {message}"


def architecture_names_every_room(tree):
    page = tree.text("docs/architecture.md")
    rooms = {room for _, room in tree.code()}
    named = set(re.findall(r"^\s*src/(\w+)/", page, re.M))
    for room in sorted(rooms - named):
        yield f"docs/architecture.md:1: does not name src/{room}/"
    for room in sorted(named - rooms):
        yield f"docs/architecture.md:1: names src/{room}/, which does not exist"


def links_lead_somewhere(tree):
    for path in tree.paths:
        if not path.endswith(".md"):
            continue
        text = tree.text(path)
        for match in LINK.finditer(text):
            target = match.group(1)
            if "://" in target or target.startswith("mailto:"):
                continue
            if not tree.has(os.path.normpath(os.path.join(os.path.dirname(path), target))):
                yield f"{path}:{line_of(text, match.start())}: link to {target}, which does not exist"


RULES = [includes_follow_the_layers, instruction_sets_stay_in_their_files, library_never_prints_or_exits, files_are_small,
         long_files_say_why, no_paths_of_a_machine, no_debts, architecture_names_every_room, links_lead_somewhere]


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "..")
    tree = Tree(root)
    violations = [v for rule in RULES for v in rule(tree)]
    print("\n".join(violations), end="\n" if violations else "")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
