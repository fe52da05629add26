#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rejects includes and library identifiers that cross the layers.

The folders under src/ are the layers. MODULES says, for each of them, which contract headers are
its own and which modules it may include; LIBRARIES says who may touch which library. A module in a
subfolder (http/server) is a module of its own.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "include" / "longline"

LEVEL_0 = ["base"]
LEVEL_1 = LEVEL_0 + ["json", "config", "metrics", "model"]
LEVEL_2 = LEVEL_1 + ["net"]
LEVEL_3 = LEVEL_2 + [
    "http", "http/server", "http/client", "store", "sign", "auth", "match", "vault",
]
LEVEL_4 = LEVEL_3 + ["registry", "dest", "dest/webhook", "deliver", "publish"]
LEVEL_5 = LEVEL_4 + ["api", "api/native"]

# module: (modules it may include, contract headers besides <module>.h and <module>_*.h)
MODULES = {
    "base": ([], (
        "err check mem str buf arena list heap map blob enc id clock rng log ckd hash date file "
        "version turn").split()),
    "json": (LEVEL_0, []),
    "config": (LEVEL_0, []),
    "metrics": (LEVEL_0, []),
    "model": (LEVEL_0 + ["json"], "tenant destination event attempt topic".split()),
    "net": (LEVEL_1, "loop timer mailbox addr stream listener tls dial dns signals".split()),
    "http": (LEVEL_2, ["url"]),
    "http/server": (LEVEL_2 + ["http"], ["http_server"]),
    "http/client": (LEVEL_2 + ["http"], ["http_client"]),
    "store": (LEVEL_2, ["record"]),
    "sign": (LEVEL_1, []),
    "auth": (LEVEL_1 + ["sign"], ["jwt"]),
    "match": (LEVEL_1, ["filter"]),
    "vault": (LEVEL_1, []),
    "registry": (LEVEL_2 + ["match", "store", "vault"], []),
    "dest": (LEVEL_2 + ["http/client", "store"], []),
    "dest/webhook": (LEVEL_2 + ["http", "http/client", "sign", "dest"], ["dest_webhook", "webhook"]),
    "deliver": (LEVEL_2 + ["store", "dest"], []),
    "publish": (LEVEL_2 + ["match", "store", "registry", "deliver"], []),
    "api": (LEVEL_4, []),
    "api/native": (LEVEL_4 + ["api"], []),
    "app": (LEVEL_5, []),
}

# Where only a part of a module may be used: (user, used): headers
ONLY_THESE = {
    ("store", "net"): {"loop", "mailbox"},
    ("dest", "store"): {"record"},
}

# identifier prefix: (pattern, modules that may use it, headers that belong to it)
LIBRARIES = {
    "libuv": (r"\b(uv|UV)_\w+", ["net"], r"uv(/.*)?\.h"),
    "c-ares": (r"\b(ares|ARES)_\w+", ["net"], r"ares\w*\.h"),
    "LMDB": (r"\b(mdb|MDB)_\w+", ["store"], r"lmdb\.h"),
    "Mbed TLS": (r"\b(mbedtls|MBEDTLS|psa|PSA)_\w+", ["net", "sign", "auth", "vault"],
                 r"(mbedtls|psa)/.*\.h"),
    "Mbed TLS (connections)": (r"\bmbedtls_ssl_\w+", ["net"], r"mbedtls/ssl.*\.h"),
    "libsodium": (r"\b(sodium|crypto|randombytes)_\w+\s*\(", ["sign", "auth", "vault"],
                  r"sodium(/.*)?\.h"),
    "llhttp": (r"\b(llhttp|LLHTTP)_\w+", ["http", "http/server", "http/client"], r"llhttp\.h"),
    "libidn2": (r"\b(idn2|IDN2)_\w+", ["http"], r"idn2\.h"),
    "yyjson": (r"\b(yyjson|YYJSON)_\w+",
               ["json", "model", "match", "registry", "publish", "api", "api/native", "auth",
                "dest/webhook"],
               r"yyjson\.h"),
    "inih": (r"\bini_parse\w*", ["config"], r"ini\.h"),
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank_out(text):
    """Replaces comments and literals by spaces, so that line numbers stay right."""
    return COMMENT_OR_STRING.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def owner_of_header(stem):
    """The module a contract header belongs to, or None."""
    for module, (_, extra) in MODULES.items():
        if stem in extra or stem == module:
            return module
    candidates = [m for m in MODULES if stem.startswith(m.replace("/", "_") + "_")]
    return max(candidates, key=len) if candidates else None


def module_of_source(path):
    parts = path.relative_to(ROOT / "src").parent.parts
    for n in range(len(parts), 0, -1):
        name = "/".join(parts[:n])
        if name in MODULES:
            return name
    return None


class Checker:
    def __init__(self):
        self.errors = []

    def error(self, path, text, offset, message):
        line = text.count("\n", 0, offset) + 1
        self.errors.append(f"{path.relative_to(ROOT)}:{line}: {message}")

    def check_contract_include(self, path, text, match, module):
        stem = match.group(2)[len("longline/"):-len(".h")]
        used = owner_of_header(stem)
        if used is None:
            self.error(path, text, match.start(), f"longline/{stem}.h belongs to no module")
        elif used != module and used not in MODULES[module][0]:
            self.error(path, text, match.start(), f"{module} must not include {used} ({stem}.h)")
        elif stem not in ONLY_THESE.get((module, used), {stem}):
            allowed = ", ".join(sorted(ONLY_THESE[(module, used)]))
            self.error(path, text, match.start(), f"{module} may use only {allowed} of {used}")

    def check_private_include(self, path, text, match, module):
        name = match.group(2)
        # A header of the module's own folder, also when named from src/ or from a subfolder of it.
        folder = module.split("/")[0]
        places = [path.parent / name, ROOT / "src" / module / name, ROOT / "src" / folder / name]
        if name.startswith(folder + "/"):
            places.append(ROOT / "src" / name)
        if ".." in pathlib.PurePath(name).parts or not any(p.exists() for p in places):
            self.error(path, text, match.start(), f'"{name}" is not a header of {module}')

    def check_library_include(self, path, text, match, module):
        for library, (_, users, headers) in LIBRARIES.items():
            if re.fullmatch(headers, match.group(2)) and module not in users:
                self.error(path, text, match.start(), f"{module} must not include {library}")

    def check_file(self, path, module):
        text = path.read_text(encoding="utf-8")
        for match in INCLUDE.finditer(text):
            if match.group(2).startswith("longline/"):
                self.check_contract_include(path, text, match, module)
            elif match.group(1) == '"':
                self.check_private_include(path, text, match, module)
            else:
                self.check_library_include(path, text, match, module)
        code = blank_out(text)
        for library, (pattern, users, _) in LIBRARIES.items():
            if module not in users:
                for match in re.finditer(pattern, code):
                    self.error(path, text, match.start(),
                               f"{module} must not use {library} ({match.group(0).strip('( ')})")


def main():
    checker = Checker()
    n_files = 0
    for path in sorted((ROOT / "src").rglob("*.[ch]")):
        module = module_of_source(path)
        if module is None:
            checker.error(path, "", 0, "the folder is in no row of scripts/check_layers.py")
            continue
        checker.check_file(path, module)
        n_files += 1
    for path in sorted(CONTRACTS.rglob("*.h")):
        module = owner_of_header(path.relative_to(CONTRACTS).as_posix()[:-len(".h")])
        if module is None:
            checker.error(path, "", 0, "the header is in no row of scripts/check_layers.py")
            continue
        checker.check_file(path, module)
        n_files += 1
    print("\n".join(checker.errors + [f"layers: {n_files} files, {len(checker.errors)} errors"]))
    return 1 if checker.errors else 0


if __name__ == "__main__":
    sys.exit(main())
