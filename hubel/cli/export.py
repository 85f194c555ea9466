"""`hubel export RUN -o model.onnx`: a trained network as one ONNX file that answers as the run does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hubel.cli import complete
from hubel.cli.answering import Weights, found


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", autocompletion=complete.networks_and_runs, help="A run folder, or a model.safetensors alone; with --weights a network's name.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.onnx", help="The file, which must not exist yet.")] = Path("model.onnx"),
    weights: Weights = None,
    opset: Annotated[int, typer.Option(help="ONNX's operator set, 17 to 26: the lower, the more runtimes know it.")] = 17,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> None:  # fmt: skip
    """Write a network to ONNX, from pixels 0..1 to logits; checked to answer as PyTorch does, or not written."""
    import shlex

    from hubel.cli import show
    from hubel.export import export as write

    trained = found(run, weights, quiet=json_).run
    made = write(trained, out, opset=opset)
    if json_:
        show.as_json(made.to_dict())
        return
    because = f" ({made.note})" if made.note else ""
    units = "float32, in 0 to 1" if made.input == "pixels" else "float32"
    show.say(f"file     {made.file}: {made.bytes / 1e6:,.2f} MB, operator set {made.opset}")
    show.say(
        f"gives    {made.input} {show.shape(made.input_shape)} ({units})  ->  "
        f"{made.output} {show.shape(made.output_shape)}"
    )
    show.say(
        f"checked  ONNX Runtime's {made.output} are PyTorch's up to {made.difference:.1e}, "
        f"the largest is {made.largest:.3g}"
    )
    show.say(f"         on {made.compared}, one by one and as a batch{because}")
    items = "PICTURES…" if made.input == "pixels" else "ROWS.csv"
    show.say(f"\nTry next: hubel predict {shlex.quote(made.file)} {items}")


def add(app: typer.Typer) -> None:
    app.command()(export)
