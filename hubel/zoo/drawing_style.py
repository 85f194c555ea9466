"""Colours, type and legend of a network's picture. A colour never tells alone: the titles say it, too."""

from __future__ import annotations

from collections.abc import Sequence

from hubel.zoo.drawing_parts import Fork, Item, Repeat

# kind: fill, line, and what it is called in the legend
COLOURS = {
    "input": ("#ffffff", "#8a8f98", ""), "conv": ("#dbe8f8", "#4d7fc0", "convolution"),
    "pool": ("#dcf0e0", "#4f9a63", "pooling"), "fc": ("#fbe6d0", "#cf8434", "fully connected"),
    "attention": ("#ecdff6", "#8a5bb5", "attention"), "join": ("#ffffff", "#50565f", ""),
    "norm": ("#efe9dc", "#a08c5b", "norm"), "squash": ("#f9dfe0", "#c45c62", "activation"),
    "drop": ("#e6e6e6", "#9a9a9a", "dropout"), "other": ("#eeeeee", "#7d838c", "other"),
}  # fmt: skip
NOTES = {"norm": "#b39b5e", "squash": "#d4656b", "drop": "#a3a6ab"}  # stripes at the foot of a box

STYLE = (
    'text{font-family:"Helvetica Neue",Helvetica,Arial,"DejaVu Sans",sans-serif;text-anchor:middle;fill:#23272e}'
    ".name,.about,.key,.aside{text-anchor:start}.aside.before,.times{text-anchor:end}"
    ".name{font-size:19px;font-weight:700}.name.long{font-size:13px}.about{font-size:12px;fill:#59606b}.key{font-size:11px;fill:#40464f}"
    ".title{font-size:11.5px;font-weight:600}.sign{font-size:16px;font-weight:600}.shape,.aside{font-size:10px;fill:#59606b}"
    ".aside.place{font-size:9.5px;fill:#767c86}.times{font-size:14px;font-weight:700;fill:#50565f}"
    ".line{fill:none;stroke:#7a818b;stroke-width:1.3}.box{stroke-width:1.3}"
    ".frame{fill:#f6f7f9;stroke:#a9afb8;stroke-width:1.2;stroke-dasharray:5 4}"
)


def css() -> str:
    """The style sheet: every kind of box, its two other faces as a volume, and the stripes."""
    boxes = "".join(
        f".box.{kind}{{fill:{fill};stroke:{line}}}.top.{kind}{{fill:{_mixed(fill, '#ffffff', 0.5)}}}"
        f".side.{kind}{{fill:{_mixed(fill, line, 0.25)}}}"
        for kind, (fill, line, _) in COLOURS.items()
    )
    return (
        STYLE + boxes + "".join(f"rect.{note}:not(.box){{fill:{colour}}}" for note, colour in NOTES.items())
    )


def _mixed(a: str, b: str, share: float) -> str:
    """A colour between two, `share` of the way from a to b."""
    parts = [(int(a[i : i + 2], 16), int(b[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(x + (y - x) * share):02x}" for x, y in parts)


def _used(items: Sequence[Item]) -> tuple[set[str], set[str]]:
    """Kinds of boxes, and of notes, that a picture has."""
    kinds: set[str] = set()
    notes: set[str] = set()
    for item in items:
        inside: Sequence[Item] = ()
        if isinstance(item, Fork):
            inside = [i for branch in item.branches for i in branch] + ([item.join] if item.join else [])
        elif isinstance(item, Repeat):
            inside = item.items
        else:
            kinds.add(item.kind)
            notes |= set(item.notes)
        more_kinds, more_notes = _used(inside) if inside else (set(), set())
        kinds, notes = kinds | more_kinds, notes | more_notes
    return kinds, notes


def legend(items: Sequence[Item]) -> tuple[str, float]:
    """What the colours mean, of those that the picture has  ->  svg, width."""
    kinds, notes = _used(items)
    drawn, x = "", 0.0
    for kind, (_, _, said) in COLOURS.items():
        if said and (kind in kinds or kind in notes):
            if kind in kinds:
                drawn += f'<rect class="box {kind}" x="{x:.0f}" y="-10" width="16" height="12" rx="3"/>'
            else:
                drawn += f'<rect class="{kind}" x="{x:.0f}" y="-6" width="16" height="3.5" rx="1.7"/>'
            drawn += f'<text class="key" x="{x + 22:.0f}" y="0">{said}</text>'
            x += 22 + 6.2 * len(said) + 24
    return drawn, x
