"""Known holes in the pinned packages: 0 where there is none, or nobody could be asked; 1 where there is one.

    python .ci/audit.py constraints.txt

pip-audit asks the package index for advisories. A service that is not reached in time is said and is no failure: the
code is as good as it was. A hole that does not concern us goes into KNOWN with the reason.
"""

from __future__ import annotations

import json
import subprocess
import sys

PATIENCE = 120  # seconds for all of it
KNOWN: dict[str, str] = {}  # advisory -> why it does not concern us


def main() -> int:
    command = ["pip-audit", "--requirement", sys.argv[1], "--no-deps", "--disable-pip", "--format", "json"]
    command += ["--progress-spinner", "off", "--timeout", "15"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        packages = json.loads(done.stdout)["dependencies"]
    except FileNotFoundError:
        return said("pip-audit is not installed")
    except subprocess.TimeoutExpired:
        return said(f"no answer within {PATIENCE} s")
    except (ValueError, KeyError, TypeError):
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return said(f"no answer that can be read ({last[0][:200]})")
    asked = [package for package in packages if "vulns" in package]
    holes = [(p, hole) for p in asked for hole in p["vulns"] if hole["id"] not in KNOWN]
    for package, hole in holes:
        mended = ", ".join(hole.get("fix_versions", [])) or "no version yet"
        sys.stdout.write(f"{package['name']} {package['version']}: {hole['id']}, mended in {mended}\n")
    sys.stdout.write(
        f"audit: {len(asked)} of {len(packages)} pinned packages are known to the index, {len(holes)} holes\n"
    )
    return 1 if holes else 0


def said(why: str) -> int:
    sys.stdout.write(f"audit: not done, {why}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
