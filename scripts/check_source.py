#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Source rules that no compiler checks: banned functions, licence line, sizes, include guards."""

import pathlib
import re
import sys

from check_layers import ROOT, blank_out

MAX_SOURCE_LINES = 800
MAX_HEADER_LINES = 300
MAX_COLUMNS = 100

# Unsafe everywhere, tests and bench included.
BANNED_EVERYWHERE = (
    "strcpy strcat sprintf vsprintf strncpy strncat strtok gets alloca atoi atol atoll atof").split()

# Banned in the product: there is one place for each, or a better way.
BANNED_IN_PRODUCT = (
    "strtol strtoll strtoul strtoull malloc calloc realloc free strdup strndup assert printf vprintf "
    "puts exit _exit abort signal localtime gmtime localtime_r rand srand random uv_now time "
    "gettimeofday clock_gettime sleep usleep system popen").split()

# path prefix: functions that may be called there, and why
ALLOWED = {
    "src/base/mem.c": "malloc calloc realloc free abort",   # the one door to the heap
    "src/base/check.c": "abort",                            # a failed invariant ends the process
    "src/base/clock.c": "clock_gettime",                    # the one clock
    "src/store/journal/env.c": "_exit",                     # LMDB would abort, at every start
    "src/app/": "printf puts exit _exit",                   # the command line's own output
}

LANGUAGES_WITH_SPDX = {".c": "/* ", ".h": "/* ", ".py": "# ", ".sh": "# ", ".cmake": "# "}
SCRIPTS_WITH_SPDX = {"CMakeLists.txt", "run", "test", "build", "deps", "fuzz", "bench", "runtime_packages"}
SPDX = "SPDX-License-Identifier: Apache-2.0"

TYPEDEF = re.compile(r"\btypedef\s+(struct|union)(\s+\w+)?\s*(\{|\*?\s*\w+\s*;)")
CALL = re.compile(r"(?<![\w.])(?<!->)([A-Za-z_]\w*)\s*\(")


def allowed_in(name):
    allowed = set()
    for prefix, functions in ALLOWED.items():
        if name.startswith(prefix):
            allowed.update(functions.split())
    return allowed


def files(*folders):
    for folder in folders:
        yield from sorted(p for p in (ROOT / folder).rglob("*") if p.is_file())


class Checker:
    def __init__(self):
        self.errors = []
        self.guards = {}

    def error(self, name, line, message):
        self.errors.append(f"{name}:{line}: {message}")

    def check_calls(self, name, code):
        banned = set(BANNED_EVERYWHERE)
        if name.startswith(("src/", "include/")):
            banned.update(BANNED_IN_PRODUCT)
        banned -= allowed_in(name)
        for match in CALL.finditer(code):
            if match.group(1) in banned:
                line = code.count("\n", 0, match.start()) + 1
                self.error(name, line, f"{match.group(1)}() is banned here")

    def check_size(self, name, lines):
        limit = MAX_HEADER_LINES if name.endswith(".h") else MAX_SOURCE_LINES
        if len(lines) > limit:
            self.error(name, len(lines), f"{len(lines)} lines, the limit is {limit}")
        for number, line in enumerate(lines, 1):
            if len(line) > MAX_COLUMNS:
                self.error(name, number, f"{len(line)} columns, the limit is {MAX_COLUMNS}")
            if "\t" in line or line != line.rstrip():
                self.error(name, number, "tab, or white space at the end of the line")
            if re.search(r"\b(TODO|FIXME|XXX)\b", line):
                self.error(name, number, "unfinished business belongs in the issue tracker")

    def check_guard(self, name, text):
        guard = re.search(r"^#ifndef (\w+)\n#define (\w+)$", text, re.M)
        stem = re.sub(r"\W", "_", pathlib.PurePath(name).stem).upper()
        if not guard or guard.group(1) != guard.group(2):
            self.error(name, 1, "no include guard")
        elif not re.fullmatch(rf"LL_(\w+_)?{stem}_H", guard.group(1)):
            self.error(name, 1, f"the guard is {guard.group(1)}, expected LL_…{stem}_H")
        elif guard.group(1) in self.guards:
            self.error(name, 1, f"{self.guards[guard.group(1)]} has the same guard")
        else:
            self.guards[guard.group(1)] = name
        if not text.endswith("#endif\n") and not re.search(r"#endif /\*[^\n]*\*/\n$", text):
            self.error(name, 1, "the last line of a header is its #endif")

    def check_spdx(self, path, name, lines):
        lead = LANGUAGES_WITH_SPDX.get(path.suffix)
        if lead is None and path.name in SCRIPTS_WITH_SPDX:
            lead = "# "
        if lead is None:
            return
        head = lines[:1] if lead == "/* " else lines[:2]
        if not any(line.startswith(lead + SPDX) for line in head):
            self.error(name, 1, f"the first line is not the licence line ({SPDX})")

    def check_c(self, name, text, lines):
        self.check_size(name, lines)
        code = blank_out(text)
        self.check_calls(name, code)
        if name.endswith(".h"):
            self.check_guard(name, text)
        for match in re.finditer(r'^\s*#\s*include\s*"[^"]+\.c"', text, re.M):
            self.error(name, text.count("\n", 0, match.start()) + 1, "a source is never included")
        for match in TYPEDEF.finditer(code):
            line = code.count("\n", 0, match.start()) + 1
            self.error(name, line, "no typedef for structs and unions")
        for match in re.finditer(r"^[^\"'\n]*(?<!:)//", re.sub(r"/\*.*?\*/", "", text), re.M):
            self.error(name, 1, f"comments are /* */: {match.group(0).strip()[:60]}")


def main():
    checker = Checker()
    n_files = 0
    for path in files("src", "include", "test", "bench", "scripts", "third_party", ".ci"):
        name = path.relative_to(ROOT).as_posix()
        is_c = path.suffix in (".c", ".h")
        if name.startswith(("test/data/", "test/fuzz/corpus/")) or "__pycache__" in name:
            continue
        if not is_c and path.suffix not in LANGUAGES_WITH_SPDX and path.name not in SCRIPTS_WITH_SPDX:
            continue
        text = path.read_text(encoding="utf-8")
        lines = text.split("\n")[:-1]
        checker.check_spdx(path, name, lines)
        if is_c:
            checker.check_c(name, text, lines)
        n_files += 1
    print("\n".join(checker.errors + [f"source: {n_files} files, {len(checker.errors)} errors"]))
    return 1 if checker.errors else 0


if __name__ == "__main__":
    sys.exit(main())
