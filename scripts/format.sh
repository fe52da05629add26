#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Formats every C file in place; with --check, only says which are not formatted.

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

options=(-i)
if [ "${1:-}" = --check ]; then
    options=(--dry-run -Werror)
fi
find include src test bench -name '*.[ch]' -print0 | xargs -0 -r clang-format "${options[@]}"
