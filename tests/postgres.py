"""A PostgreSQL server of its own for a test: in an empty folder, on a socket in it, of an unprivileged user."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import needs


@contextmanager
def server() -> Iterator[str]:
    """A URL that lacks the database's name in one place: format(name). "postgres" is there already."""
    programs = needs.postgres()
    with tempfile.TemporaryDirectory(prefix="hubel-pg-") as name:  # a socket's path has 107 letters at most
        folder, as_whom = Path(name), {}
        if os.geteuid() == 0:  # it refuses to run for root
            as_whom = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            os.chown(folder, *owner("nobody"))
        data = folder / "data"
        run = {"check": True, "capture_output": True, "cwd": folder, **as_whom}
        subprocess.run([programs / "initdb", "-D", data, "-A", "trust", "-U", "hubel", "--no-sync"], **run)
        settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        control = [programs / "pg_ctl", "-D", data, "-w"]
        subprocess.run([*control, "-l", folder / "log", "-o", settings, "start"], **run)
        try:
            yield f"postgresql://hubel@/{{}}?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **run)


def owner(user: str) -> tuple[int, int]:
    import pwd

    found = pwd.getpwnam(user)
    return found.pw_uid, found.pw_gid
