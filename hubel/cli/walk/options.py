"""The options that walks share."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

SIGNED = re.compile(r"-[\d.(]|-\w+\s*[-+*/(]")  # -1 0 1, -(1+2), -x*2


class Signed(TyperCommand):
    """A word that begins with a number's sign is no option: '-1 0 1', '-2**2', '-x*2'."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        letters = {
            opt for param in self.params for opt in param.opts if len(opt) == 2
        }  # -o may hold a value: -oa-b.png
        takes = {opt for param in self.params if not getattr(param, "is_flag", False) for opt in param.opts}
        end = args.index("--") if "--" in args else len(args)
        words = [
            f" {word}" if SIGNED.match(word) and word[:2] not in letters and before not in takes else word
            for before, word in zip(["", *args], args[:end], strict=False)
        ]
        return super().parse_args(ctx, [*words, *args[end:]])


Input = Annotated[str, typer.Option("--input", "-i", metavar="NUMBERS", help="'1 2; 3 4': rows parted by ;, channels by |. Or a file: .csv, .npy, a picture (as grey).")]  # fmt: skip
Kernel = Annotated[str, typer.Option("--kernel", "-k", metavar="NUMBERS", help="As the input; kernels parted by ||. Or the name of a hand-made one, as sobel-x.")]  # fmt: skip
Bias = Annotated[str | None, typer.Option(metavar="NUMBERS", help="One number for each map.")]
Stride = Annotated[
    str, typer.Option(help="Cells from one window to the next: s, or along rows and columns: s,t.")
]
Padding = Annotated[str, typer.Option(help="valid, same, full, p, or top,bottom,left,right.")]
Dilation = Annotated[
    str, typer.Option(help="Cells from one number of the kernel to the next: 2 leaves one out.")
]
Groups = Annotated[int, typer.Option(help="Into how many groups channels and maps are parted.")]
Step = Annotated[bool, typer.Option("--step", help="One cell at a time, its window marked: Enter for the next, q to end.")]  # fmt: skip
Every = Annotated[bool, typer.Option("--all", help="Every cell, however many there are.")]
At = Annotated[str | None, typer.Option("--at", metavar="I,J", help="One cell only; MAP,I,J where there are several maps.")]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print everything as numbers in JSON and nothing else.")]
Backward = Annotated[
    bool, typer.Option("--backward", help="The gradients too, for an upstream gradient of ones.")
]
Upstream = Annotated[str | None, typer.Option("--dy", metavar="NUMBERS", help="The upstream gradient, in the output's shape; implies --backward.")]  # fmt: skip
