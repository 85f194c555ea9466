"""The audit of pinned packages fails for a hole, and for nothing else: a stand-in for pip-audit says each in turn."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import pytest
from blocks import ROOT

HOLE = {"id": "CVE-2026-1", "fix_versions": ["13.0.1"], "aliases": [], "description": ""}
SOUND = {
    "dependencies": [
        {"name": "numpy", "version": "2.4.6", "vulns": []},
        {"name": "torch", "skip_reason": "not found"},
    ]
}
HOLED = {"dependencies": [*SOUND["dependencies"], {"name": "pillow", "version": "13.0.0", "vulns": [HOLE]}]}


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script of Unix")
@pytest.mark.parametrize(
    ("prints", "ends", "code", "said"),
    [
        (json.dumps(SOUND), 0, 0, "audit: 1 of 2 pinned packages are known to the index, 0 holes"),
        (json.dumps(HOLED), 1, 1, "pillow 13.0.0: CVE-2026-1, mended in 13.0.1"),
        ("", 1, 0, "audit: not done, no answer that can be read (connection refused)"),
        ("[]", 1, 0, "audit: not done, no answer that can be read"),
    ],
)  # fmt: skip
def test_only_a_hole_is_a_failure(tmp_path, prints, ends, code, said):
    stand_in = tmp_path / "pip-audit"
    stand_in.write_text(
        f"#!{sys.executable}\nimport sys\nprint({prints!r})\nprint('connection refused', file=sys.stderr)\nsys.exit({ends})\n"
    )
    stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)
    done = audited({**os.environ, "PATH": str(tmp_path)})
    assert done.returncode == code
    assert said in done.stdout


def test_without_the_tool_it_says_so(tmp_path):
    done = audited({**os.environ, "PATH": str(tmp_path)})
    assert (done.returncode, done.stdout) == (0, "audit: not done, pip-audit is not installed\n")


def audited(environment):
    command = [sys.executable, str(ROOT / ".ci" / "audit.py"), str(ROOT / "constraints.txt")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
