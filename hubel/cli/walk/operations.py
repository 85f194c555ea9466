"""The walks through operations: convolutions, poolings, activations, the fully connected layer, normalisations.

One function for each family of operations that share their options; which of them was asked for is the command's name.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hubel.cli.walk import options as o

# The lectures' examples: what is walked through where nothing else is given.
PICTURE, KERNEL = "1 2 3 0; 0 1 2 3; 3 0 1 2; 2 3 0 1", "2 0 1; 0 1 2; 1 0 2"
POOLED = "1 2 1 0; 0 1 2 3; 3 0 1 2; 2 4 0 1"
SIGNAL, FILTER = "1 2 3 0 1 0", "1 2 1"
UNFLIPPED = "Networks call it convolution; the kernel is not flipped, so it is a cross-correlation."
FLIPPED = (
    "The mathematician's convolution: the kernel is turned round, its last number first, and then slides."
)
MOST = 40_000_000  # numbers that an operation lays out at once: 320 MB


def convolve(
    ctx: typer.Context, input_: o.Input = PICTURE, kernel: o.Kernel = KERNEL, bias: o.Bias = None, stride: o.Stride = "1",
    padding: o.Padding = "valid", dilation: o.Dilation = "1", groups: o.Groups = 1,
    step: o.Step = False, every: o.Every = False, at: o.At = None, backward: o.Backward = False, dy: o.Upstream = None,
    json_: o.Json = False,
) -> None:  # fmt: skip
    from hubel.cli.walk import numbers
    from hubel.cli.walk.lesson import Lesson, View, teach

    x, w = numbers.picture(input_, "--input"), numbers.kernels(kernel, "--kernel")
    s, d = numbers.pair(stride, "--stride"), numbers.pair(dilation, "--dilation")
    p = numbers.padding(padding, w.shape[2:], d)
    b = None if bias is None else numbers.vector(bias, "--bias")
    settings = {"stride": s, "padding": p, "dilation": d, "groups": groups}
    sizes = _windowed(x.shape[2:], w.shape[2:], s, p, d)
    _bounded(x.shape[1], *w.shape[2:], *(size.value for size in sizes))
    note = FLIPPED if ctx.command.name == "convolve2d" else UNFLIPPED
    lesson = Lesson(ctx.command.name or "", {"x": x, "w": w, "b": b}, settings, sizes, note)
    teach(lesson, View(step, every, at, json_, backward, dy))


def convolve_row(
    ctx: typer.Context, input_: o.Input = SIGNAL, kernel: o.Kernel = FILTER, bias: o.Bias = None, stride: o.Stride = "1",
    padding: Annotated[str, typer.Option(help="valid (narrow), same, full (wide), p, or left,right.")] = "valid",
    dilation: o.Dilation = "1", groups: o.Groups = 1,
    step: o.Step = False, every: o.Every = False, at: o.At = None, backward: o.Backward = False, dy: o.Upstream = None,
    json_: o.Json = False,
) -> None:  # fmt: skip
    from hubel.cli.walk import numbers
    from hubel.cli.walk.lesson import Lesson, View, teach

    x = numbers.row(input_, "--input")
    w = numbers.rows(kernel, "--kernel", numbers.kernels(kernel, "--kernel"))
    (s,), (d,) = numbers.whole(stride, "--stride", 1, (1,)), numbers.whole(dilation, "--dilation", 1, (1,))
    p = numbers.padding(padding, w.shape[2:], d)
    b = None if bias is None else numbers.vector(bias, "--bias")
    ends: Any = p if isinstance(p, tuple) else (p, p)
    sizes = [_size("cells", x.shape[2], w.shape[2], s, ends, d)]
    _bounded(x.shape[1], w.shape[2], x.shape[2] + sum(ends))
    note = FLIPPED if ctx.command.name == "convolve1d" else UNFLIPPED
    settings = {"stride": s, "padding": p, "dilation": d, "groups": groups}
    lesson = Lesson(ctx.command.name or "", {"x": x, "w": w, "b": b}, settings, sizes, note)
    teach(lesson, View(step, every, at, json_, backward, dy))


def convolve_back(
    input_: o.Input = "1 2; 3 4", kernel: o.Kernel = "1 2 3; 0 1 0; 2 0 1", bias: o.Bias = None, stride: o.Stride = "2",
    padding: Annotated[str, typer.Option(help="Cells that are cut off the result: p, or top,bottom,left,right.")] = "0",
    output_padding: Annotated[str, typer.Option(help="Cells more at the bottom and on the right.")] = "0",
    dilation: o.Dilation = "1", groups: o.Groups = 1,
    step: o.Step = False, every: o.Every = False, at: o.At = None, backward: o.Backward = False, dy: o.Upstream = None,
    json_: o.Json = False,
) -> None:  # fmt: skip
    from hubel.cli.walk import numbers
    from hubel.cli.walk.lesson import Lesson, Size, View, teach
    from hubel.definitions import span
    from hubel.definitions.windows import sides

    x, w = numbers.picture(input_, "--input"), numbers.kernels(kernel, "--kernel")
    if len(w) == 1 and w.shape[1] == x.shape[1] > 1:
        w = w.swapaxes(0, 1)  # one map: its planes are those of the input's channels
    s, d = numbers.pair(stride, "--stride"), numbers.pair(dilation, "--dilation")
    p, extra = numbers.padding(padding, (1, 1)), numbers.pair(output_padding, "--output-padding", 0)
    b = None if bias is None else numbers.vector(bias, "--bias")
    settings = {"stride": s, "padding": p, "output_padding": extra, "groups": groups, "dilation": d}
    sizes = []
    for axis, i in (("rows", 0), ("columns", 1)):
        (H, U), (st, di, ex) = (x.shape[2 + i], w.shape[2 + i]), (_of(v, i) for v in (s, d, extra))
        cut = sides("padding", p)[i]
        text = f"({H} - 1) * {st} + {span(U, di)} - {cut[0]} - {cut[1]} + {ex}"
        sizes.append(Size(axis, text, (H - 1) * st + span(U, di) - sum(cut) + ex))
    _bounded(*w.shape[1:], *x.shape[2:])
    _bounded(w.shape[1] * groups, *(max(1, size.value + sum(cut)) for size in sizes))
    note = "Every input cell stamps the kernel, times its number, on the output; where stamps overlap they add up."
    teach(Lesson("conv_transpose2d", {"x": x, "w": w, "b": b}, settings, sizes, note), View(step, every, at, json_, backward, dy))  # fmt: skip


def pool(
    ctx: typer.Context, input_: o.Input = POOLED,
    size: Annotated[str, typer.Option(help="Of the window: 2, or rows,columns.")] = "2",
    stride: Annotated[str | None, typer.Option(help="Cells from one window to the next; by default the window's size.")] = None,
    padding: Annotated[str, typer.Option(help="p, or top,bottom,left,right.")] = "0",
    ceil: Annotated[bool, typer.Option("--ceil", help="Round the size up: a last window may hang over the edge.")] = False,
    dilation: Annotated[str, typer.Option(help="Of max_pool2d: cells from one number of the window to the next.")] = "1",
    count_padding: Annotated[bool, typer.Option(help="Of avg_pool2d: the zeros of the padding count in the mean.")] = True,
    step: o.Step = False, every: o.Every = False, at: o.At = None, backward: o.Backward = False, dy: o.Upstream = None,
    json_: o.Json = False,
) -> None:  # fmt: skip
    from hubel.cli.walk import numbers
    from hubel.cli.walk.lesson import Lesson, View, teach
    from hubel.errors import InputError

    x, k = numbers.picture(input_, "--input"), numbers.pair(size, "--size")
    s = k if stride is None else numbers.pair(stride, "--stride")
    d, p = numbers.pair(dilation, "--dilation"), numbers.padding(padding, (1, 1))
    settings: dict[str, Any] = {"kernel": k, "stride": s, "padding": p, "ceil": ceil}
    if ctx.command.name == "max_pool2d":
        if not count_padding:
            raise InputError(
                "--no-count-padding is of avg_pool2d; in max_pool2d padding is -inf and never wins"
            )
        settings["dilation"] = d
        note = "The largest number of each window. On the way back the first of the largest gets all of the gradient."
    else:
        if d not in (1, (1, 1)):
            raise InputError("--dilation is of max_pool2d; avg_pool2d has none")
        settings["count_padding"] = count_padding
        note = (
            "The mean of each window. On the way back each of its cells gets an even share of the gradient."
        )
    sizes = _windowed(x.shape[2:], (_of(k, 0), _of(k, 1)), s, p, d, ceil=ceil)
    teach(
        Lesson(ctx.command.name or "", {"x": x}, settings, sizes, note),
        View(step, every, at, json_, backward, dy),
    )


def pool_whole(
    input_: o.Input = "1 2 3; 4 5 9 | 0 0 6; 0 0 0",
    every: o.Every = False, at: o.At = None, backward: o.Backward = False, dy: o.Upstream = None, json_: o.Json = False,
) -> None:  # fmt: skip
    from hubel.cli.walk import numbers
    from hubel.cli.walk.lesson import Lesson, View, teach

    note = "One number for each channel, however large the picture is."
    lesson = Lesson("global_avg_pool2d", {"x": numbers.picture(input_, "--input")}, note=note)
    teach(lesson, View(False, every, at, json_, backward, dy))


def activate(
    ctx: typer.Context, input_: o.Input = "-2 -1 0 1 2",
    every: o.Every = False, at: o.At = None, backward: o.Backward = False, dy: o.Upstream = None, json_: o.Json = False,
) -> None:  # fmt: skip
    _activate(ctx, input_, {}, every, at, backward, dy, json_)


def cap(
    ctx: typer.Context, input_: o.Input = "-2 0 3 6 8",
    every: o.Every = False, at: o.At = None, backward: o.Backward = False, dy: o.Upstream = None, json_: o.Json = False,
) -> None:  # fmt: skip
    _activate(ctx, input_, {}, every, at, backward, dy, json_)


def leak(
    ctx: typer.Context, input_: o.Input = "-2 -1 0 1 2",
    slope: Annotated[float, typer.Option(help="Below 0.")] = 0.01,
    every: o.Every = False, at: o.At = None, backward: o.Backward = False, dy: o.Upstream = None, json_: o.Json = False,
) -> None:  # fmt: skip
    from hubel.cli.walk import numbers

    numbers.setting("--slope", slope)
    _activate(ctx, input_, {"slope": slope}, every, at, backward, dy, json_)


def compete(
    ctx: typer.Context, input_: o.Input = "1 2 3",
    axis: Annotated[int, typer.Option(help="Along which axis the numbers compete; -1 is along a row.")] = -1,
    every: o.Every = False, at: o.At = None, backward: o.Backward = False, dy: o.Upstream = None, json_: o.Json = False,
) -> None:  # fmt: skip
    from hubel.cli.walk import numbers
    from hubel.errors import InputError

    axes = numbers.plain(input_, "--input").ndim
    if not -axes <= axis < axes:
        raise InputError(f"--axis must be from {-axes} to {axes - 1} for an input of {axes} axes, got {axis}")
    _activate(ctx, input_, {"axis": axis}, every, at, backward, dy, json_)


def _activate(
    ctx: typer.Context, text: str, settings: dict[str, Any], every: bool, at: str | None, backward: bool, dy: str | None, json_: bool
) -> None:  # fmt: skip
    from hubel.cli.walk import numbers
    from hubel.cli.walk.lesson import Lesson, View, teach

    x = numbers.plain(text, "--input")
    teach(Lesson(ctx.command.name or "", {"x": x}, settings), View(False, every, at, json_, backward, dy))


def connect(
    input_: Annotated[str, typer.Option("--input", "-i", metavar="NUMBERS", help="A row of numbers for each item, parted by ;.")] = "1 2 3",
    weights: Annotated[str, typer.Option("--weights", "-w", metavar="NUMBERS", help="A row for each output, as long as the input.")] = "1 0 -1; 2 1 0.5",
    bias: Annotated[str | None, typer.Option(metavar="NUMBERS", help="One number for each output.")] = "0.5 -1",
    every: o.Every = False, at: o.At = None, backward: o.Backward = False, dy: o.Upstream = None, json_: o.Json = False,
) -> None:  # fmt: skip
    from hubel.cli.walk import numbers
    from hubel.cli.walk.lesson import Lesson, View, teach

    x, w = numbers.matrix(input_, "--input"), numbers.matrix(weights, "--weights")
    b = numbers.vector(bias, "--bias") if bias else None
    teach(Lesson("linear", {"x": x, "w": w, "b": b}), View(False, every, at, json_, backward, dy))


def normalise(
    input_: o.Input = "1 2 3; 4 5 6 | 0 0 0; 0 0 6",
    gamma: Annotated[str | None, typer.Option(metavar="NUMBERS", help="Scale: one number for each channel.")] = None,
    beta: Annotated[str | None, typer.Option(metavar="NUMBERS", help="Shift: one number for each channel.")] = None,
    mean: Annotated[str | None, typer.Option(metavar="NUMBERS", help="As remembered, for each channel: then it is batch norm in use, not in training.")] = None,
    variance: Annotated[str | None, typer.Option(metavar="NUMBERS", help="As remembered, for each channel.")] = None,
    eps: Annotated[float, typer.Option(help="Added to the variance, which may be 0.")] = 1e-5,
    every: o.Every = False, at: o.At = None, backward: o.Backward = False, dy: o.Upstream = None, json_: o.Json = False,
) -> None:  # fmt: skip
    from hubel.cli.walk import numbers
    from hubel.cli.walk.lesson import Lesson, View, teach
    from hubel.errors import InputError

    x = numbers.stack(input_, "--input")
    numbers.setting("--eps", eps, 0)
    given = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    found: dict[str, Any] = {
        name: None if text is None else numbers.vector(text, f"--{name}") for name, text in given.items()
    }
    scaled: dict[str, Any] = {"gamma": found["gamma"], "beta": found["beta"]}
    if (mean is None) != (variance is None):
        raise InputError("--mean and --variance go together: both as training remembered them, or neither")
    view = View(False, every, at, json_, backward, dy)
    if mean is None:
        note = "In training: mean and variance are of this batch, for each channel. Items are parted by ||."
        teach(Lesson("batch_norm", {"x": x, **scaled}, {"eps": eps}, note=note), view)
    else:
        note = "In use: mean and variance are those that training remembered."
        numbers.setting("--variance", min(found["variance"]), 0)
        arrays = {"x": x, "mean": found["mean"], "variance": found["variance"], **scaled}
        teach(Lesson("batch_norm_inference", arrays, {"eps": eps}, note=note), view)


def normalise_rows(
    input_: o.Input = "1 2 3; 4 5 12",
    gamma: Annotated[str | None, typer.Option(metavar="NUMBERS", help="Scale: one number for each place in a row.")] = None,
    beta: Annotated[str | None, typer.Option(metavar="NUMBERS", help="Shift: one number for each place in a row.")] = None,
    eps: Annotated[float, typer.Option(help="Added to the variance, which may be 0.")] = 1e-5,
    every: o.Every = False, at: o.At = None, backward: o.Backward = False, dy: o.Upstream = None, json_: o.Json = False,
) -> None:  # fmt: skip
    from hubel.cli.walk import numbers
    from hubel.cli.walk.lesson import Lesson, View, teach

    x = numbers.matrix(input_, "--input")
    g, b = (
        None if text is None else numbers.vector(text, option)
        for text, option in ((gamma, "--gamma"), (beta, "--beta"))
    )
    numbers.setting("--eps", eps, 0)
    note = "Mean and variance are of the row alone: whatever else is in the batch changes nothing."
    lesson = Lesson("layer_norm", {"x": x, "gamma": g, "beta": b}, {"eps": eps}, note=note)
    teach(lesson, View(False, every, at, json_, backward, dy))


def attend(
    q: Annotated[str, typer.Option("--q", metavar="NUMBERS", help="The queries, a row each.")] = "1 0; 0 2",
    k: Annotated[str, typer.Option("--k", metavar="NUMBERS", help="The keys, a row each, as long as a query.")] = "1 0; 0 1; 1 1",
    v: Annotated[str, typer.Option("--v", metavar="NUMBERS", help="The values, a row for each key.")] = "10 0; 0 10; 2 3",
    every: o.Every = False, at: o.At = None, backward: o.Backward = False, dy: o.Upstream = None, json_: o.Json = False,
) -> None:  # fmt: skip
    import numpy as np

    from hubel.cli.walk import numbers
    from hubel.cli.walk.lesson import Lesson, View, teach
    from hubel.definitions import softmax

    arrays = {name: numbers.matrix(text, f"--{name}") for name, text in (("q", q), ("k", k), ("v", v))}
    between = {}
    if arrays["q"].shape[1] == arrays["k"].shape[1]:  # the definition says it where they differ
        s = arrays["q"] @ arrays["k"].T / np.sqrt(arrays["q"].shape[1])
        between = {"s = q kᵀ / sqrt(E)": s, "p = softmax(s)": softmax(s)}
    note = "Each query is compared with every key; by the shares p that come of it, it takes the values."
    lesson = Lesson("scaled_dot_product_attention", arrays, note=note, between=between)
    teach(lesson, View(False, every, at, json_, backward, dy))


def drop(
    input_: o.Input = "1 2 3 4 5",
    mask: Annotated[str, typer.Option(metavar="NUMBERS", help="1 where a unit stays, 0 where it is left out; in the input's shape.")] = "1 0 1 1 0",
    p: Annotated[float, typer.Option("--p", help="The share that is left out on average.")] = 0.5,
    every: o.Every = False, at: o.At = None, backward: o.Backward = False, dy: o.Upstream = None, json_: o.Json = False,
) -> None:  # fmt: skip
    import numpy as np

    from hubel.cli.walk import numbers
    from hubel.cli.walk.lesson import Lesson, View, teach
    from hubel.errors import InputError

    x, kept = numbers.plain(input_, "--input"), numbers.plain(mask, "--mask")
    if not np.isin(kept, (0, 1)).all():
        odd = kept[~np.isin(kept, (0, 1))][0]
        raise InputError(f"--mask is 1 where a unit stays and 0 where it is left out, got {odd:g}")
    note = "In training; the mask is drawn at every step. In use nothing is left out, and nothing is divided."
    lesson = Lesson("dropout", {"x": x, "mask": kept}, {"p": p}, note=note)
    teach(lesson, View(False, every, at, json_, backward, dy))


def respond(
    input_: o.Input = "1 2 | 3 4 | 0 2 | 1 1",
    size: Annotated[int, typer.Option(help="How many channels around each, itself included.")] = 3,
    alpha: Annotated[float, typer.Option(help="Weight of the squares, shared out over the channels.")] = 1.0,
    beta: Annotated[float, typer.Option(help="Exponent.")] = 0.75,
    k: Annotated[float, typer.Option("--k", help="Added to the sum of squares.")] = 1.0,
    every: o.Every = False, at: o.At = None, backward: o.Backward = False, dy: o.Upstream = None, json_: o.Json = False,
) -> None:  # fmt: skip
    from hubel.cli.walk import numbers
    from hubel.cli.walk.lesson import Lesson, View, teach

    x = numbers.picture(input_, "--input")
    _bounded(x.shape[1], x.shape[1])
    numbers.setting("--alpha", alpha, 0)
    numbers.setting("--beta", beta)
    numbers.setting("--k", k, 0)
    note = "AlexNet's: a strong answer weakens those of the neighbouring maps at the same place."
    settings = {"size": size, "alpha": alpha, "beta": beta, "k": k}
    teach(
        Lesson("local_response_norm", {"x": x}, settings, note=note),
        View(False, every, at, json_, backward, dy),
    )


def _bounded(*sizes: int) -> None:
    """Refuse by the sizes, before anything takes memory."""
    from math import prod

    from hubel.errors import InputError

    if prod(sizes) > MOST:
        raise InputError(
            f"this takes {prod(sizes):,} numbers at once, more than the {MOST:,} of a walk: "
            "make the input, the kernel, the padding or the stride smaller"
        )


def _of(value: Any, axis: int) -> int:
    return int(value[axis] if isinstance(value, tuple) else value)


def _windowed(
    size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, *, ceil: bool = False
) -> list[Any]:
    """The size formula along rows and columns."""
    from hubel.definitions.windows import sides

    ends = sides("padding", padding)
    _bounded(size[0] + sum(ends[0]), size[1] + sum(ends[1]))
    return [
        _size(axis, size[i], kernel[i], _of(stride, i), ends[i], _of(dilation, i), ceil=ceil)
        for i, axis in enumerate(("rows", "columns"))
    ]


def _size(axis: str, cells: int, kernel: int, stride: int, ends: tuple[int, int], dilation: int, *, ceil: bool = False) -> Any:  # fmt: skip
    """floor((H + 2P - F) / S) + 1, with the numbers; a dilated kernel's span is said."""
    from hubel.cli.walk.lesson import Size
    from hubel.definitions.windows import fitting

    around = f" + 2*{ends[0]}" if ends[0] == ends[1] else f" + {ends[0]} + {ends[1]}"
    reach = str(kernel) if dilation == 1 else f"({kernel} + {kernel - 1}*{dilation - 1})"
    value = fitting(f"{axis}:", cells, kernel, stride, ends, dilation, ceil=ceil)
    return Size(axis, f"{'ceil' if ceil else 'floor'}(({cells}{around} - {reach}) / {stride}) + 1", value)
