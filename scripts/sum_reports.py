#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sums JUnit reports: sum_reports.py FOLDER FAILED_STAGES.

Prints a line per report and, last, "N passed, N failed". A stage that failed without a failed test
in its report (it did not build, or its runner broke) counts as one failure, so that the last line
never looks better than the run was.
"""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def count(path):
    """Returns (passed, failed, skipped) of one report."""
    passed = failed = skipped = 0
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        status = case.get("status", "")
        if case.find("failure") is not None or case.find("error") is not None or status == "fail":
            failed += 1
        elif case.find("skipped") is not None or status in ("notrun", "disabled"):
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main():
    folder, failed_stages = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    totals = [0, 0, 0]
    failed_reports = 0
    for path in sorted(folder.glob("*.xml")):
        counts = count(path)
        failed_reports += counts[1] > 0
        totals = [total + n for total, n in zip(totals, counts)]
        print(f"{path.stem}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped")
    totals[1] += max(0, failed_stages - failed_reports)
    line = f"{totals[0]} passed, {totals[1]} failed"
    if totals[2]:
        line += f", {totals[2]} skipped"
    print(line)
    return 1 if totals[1] or failed_stages else 0


if __name__ == "__main__":
    sys.exit(main())
