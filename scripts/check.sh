#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The static checks: format, layers, source rules, headers that compile alone, clang's warnings,
# clang-tidy, cppcheck. scripts/check.sh [STEP...] runs only the named ones.

# The steps are called by name.
# shellcheck disable=SC2317,SC2329

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# clang-tidy understands only the flags of a clang build.
readonly BUILD=$root/build/check

step_format() {
    scripts/format.sh --check
}

step_layers() {
    python3 scripts/check_layers.py
}

step_source() {
    python3 scripts/check_source.py
}

step_scripts() {
    shellcheck scripts/build scripts/deps scripts/fuzz scripts/run scripts/runtime_packages scripts/test \
        scripts/*.sh .ci/run
}

configure() {
    cmake -S "$root" -B "$BUILD" -G Ninja --log-level=WARNING -DLL_BUILD=debug -DLL_BENCH=ON \
        -DCMAKE_C_COMPILER=clang
}

step_headers() {
    configure && cmake --build "$BUILD" --target all_verify_interface_header_sets
}

step_clang() {
    configure && cmake --build "$BUILD" --parallel "$(nproc)"
}

step_tidy() {
    configure && find src -name '*.c' -print0 | sort -z |
        xargs -0 -r -n 1 -P "$(nproc)" clang-tidy -p "$BUILD" --quiet
}

step_cppcheck() {
    configure && cppcheck --quiet --std=c11 --enable=warning,performance,portability \
        --inline-suppr --error-exitcode=1 -j "$(nproc)" --suppressions-list=scripts/cppcheck.txt \
        -D_POSIX_C_SOURCE=200809L -I include -I "$BUILD/generated" src
}

main() {
    local steps=("$@") step failed=()
    [ $# -gt 0 ] || steps=(format layers source scripts headers clang tidy cppcheck)
    "$root/scripts/deps" check
    for step in "${steps[@]}"; do
        if ! declare -F "step_$step" >/dev/null; then
            echo "check: no step '$step'" >&2
            exit 2
        fi
        printf '=== %s\n' "$step"
        "step_$step" || failed+=("$step")
    done
    if [ ${#failed[@]} -gt 0 ]; then
        echo "check: failed: ${failed[*]}"
        exit 1
    fi
    echo "check: all passed"
}

main "$@"
