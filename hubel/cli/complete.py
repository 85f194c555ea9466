"""What the shell completes with Tab: networks, data sets, runs. Nothing here imports torch."""

from __future__ import annotations

from pathlib import Path


def networks(incomplete: str) -> list[str]:
    """Names of the zoo."""
    from hubel.zoo import names

    return [name for name in names() if name.startswith(incomplete)]


def data(incomplete: str) -> list[str]:
    """Known data sets, and paths."""
    from hubel.data.sources import NAMES

    return [*(name for name in NAMES if name.startswith(incomplete)), *paths(incomplete)]


def runs(incomplete: str) -> list[str]:
    """Run folders here and under runs/, and folders on the way to others."""
    said = sorted({*paths(incomplete), *paths(f"runs/{incomplete}")})
    folders = [path for path in said if path.endswith("/")]
    found = [path.rstrip("/") for path in folders if (Path(path) / "run.toml").is_file()]
    return found or folders


def networks_and_runs(incomplete: str) -> list[str]:
    """What `describe` takes."""
    return [*networks(incomplete), *runs(incomplete)]


def measurements(incomplete: str) -> list[str]:
    """What `measure` takes."""
    from hubel.evaluation.measurements import MEASUREMENTS

    return [name for name in MEASUREMENTS if name.startswith(incomplete)]


def styles(incomplete: str) -> list[str]:
    """What `stylize` takes as a style: networks of one style, and paths."""
    from hubel.zoo.public_weights import STYLES

    return [*(name for name in STYLES if name.startswith(incomplete)), *paths(incomplete)]


def paths(incomplete: str) -> list[str]:
    """Files and folders (with a / at the end) that begin so; hidden ones only where a dot was typed."""
    folder, _, begun = incomplete.rpartition("/")
    place = Path(f"{folder}/").expanduser() if "/" in incomplete else Path()
    try:
        entries = sorted(place.iterdir(), key=lambda entry: entry.name)
    except OSError:
        return []
    before = incomplete[: len(incomplete) - len(begun)]
    shown = [e for e in entries if e.name.startswith(begun) and (begun or not e.name.startswith("."))]
    return [f"{before}{entry.name}{'/' if entry.is_dir() else ''}" for entry in shown]


def methods(incomplete: str) -> list[str]:
    """What `explain` can be asked."""
    from hubel.explanation.methods import METHODS

    return [name for name in METHODS if name.startswith(incomplete)]
