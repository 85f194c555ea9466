"""`hubel walk WHAT`: the terminal classroom. Every operation by hand, a number at a time, and any network's cells.

Each family of walks is one file; this one lists them. Nothing that is typed is evaluated.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from hubel.cli.walk import graph, kernel, losses, network, operations, optimizers, options

# group -> command -> (function, one line)
WALKS: dict[str, dict[str, tuple[Any, str]]] = {
    "Windows": {
        "conv2d": (operations.convolve, "Convolution; the kernel slides unflipped."),
        "conv1d": (operations.convolve_row, "The same along a row."),
        "convolve2d": (operations.convolve, "True convolution: the kernel is flipped."),
        "convolve1d": (operations.convolve_row, "The same along a row."),
        "conv_transpose2d": (operations.convolve_back, "Transposed: every cell stamps the kernel."),
        "max_pool2d": (operations.pool, "The largest number of each window."),
        "avg_pool2d": (operations.pool, "The mean of each window."),
        "global_avg_pool2d": (operations.pool_whole, "The mean of each channel."),
    },
    "Activations": {
        "sigmoid": (operations.activate, "1 / (1 + e^-x)"),
        "tanh": (operations.activate, "(e^x - e^-x) / (e^x + e^-x)"),
        "relu": (operations.activate, "max(x, 0)"),
        "relu6": (operations.cap, "min(max(x, 0), 6)"),
        "gelu": (operations.activate, "x times the share of a normal distribution that lies below x."),
        "leaky_relu": (operations.leak, "x, or a little of it where it is below 0."),
        "softmax": (operations.compete, "Numbers as shares of 1."),
        "log_softmax": (operations.compete, "The logarithm of these shares."),
    },
    "Layers": {
        "linear": (operations.connect, "Fully connected: rows of weights times the input."),
        "batch_norm": (operations.normalise, "Each channel to mean 0 and variance 1."),
        "layer_norm": (operations.normalise_rows, "Each row to mean 0 and variance 1."),
        "scaled_dot_product_attention": (operations.attend, "Queries ask keys, and take values by the answers."),
        "dropout": (operations.drop, "Units left out by a mask."),
        "local_response_norm": (operations.respond, "Divided by what neighbouring channels answer."),
    },
    "Losses": {
        "mean_squared_error": (losses.squared, "The mean of the squared differences."),
        "cross_entropy": (losses.of_probabilities, "Of probabilities, for one class of several."),
        "cross_entropy_with_logits": (losses.of_logits, "The same of the numbers before softmax."),
        "binary_cross_entropy": (losses.of_probabilities, "Of probabilities, for yes or no."),
        "binary_cross_entropy_with_logits": (losses.of_logits, "The same of the numbers before sigmoid."),
    },
    "Steps of optimizers": {
        "gd": (optimizers.descend, "Gradient descent."),
        "momentum": (optimizers.roll, "With a velocity that is kept."),
        "nesterov": (optimizers.roll, "The same, looking ahead."),
        "rmsprop": (optimizers.rmsprop, "Divided by the mean size of the gradient."),
        "adam": (optimizers.adapt, "Both, freed from their start at 0."),
        "adamw": (optimizers.adapt, "The same, with weight decay kept out of it."),
    },
}  # fmt: skip
WALKS["Graphs and pictures"] = {
    "kernel": (kernel.kernel, "A hand-made kernel on a picture, or the list of them."),
    "graph": (graph.graph, "The computational graph of an expression, with derivatives."),
}
WALKS["A trained network"] = {
    "network": (network.network, "How one of its cells came about."),
}
EXAMPLES = {
    "network": ["runs/digits-1 photo.png", "runs/digits-1 photo.png --layer features.3 --map 4 --at 5,7", "runs/digits-1 --item 7 --layer features.3 --json"],
    "kernel": ["sobel-x photo.png -o edges.png", "laplacian photo.png", "'0 -1 0; -1 5 -1; 0 -1 0' photo.png"],
    "graph": ["'2*10*1.1'", "'(apple*2 + orange*3) * tax' --let apple=10 --let orange=15 --let tax=1.1", "'x=1; y=2; t=x+y; z=t**2'"],
    "conv2d": ["--padding 1 --stride 2 --bias 1", "--padding same --step", "--input photo.png --kernel sobel-x --at 10,20", "--input '1 2; 3 4 | 5 6; 7 8' --kernel '1 0; 0 1 | 1 1; 1 1' --backward"],
    "conv1d": ["--padding full", "--input '1 0 0 1 0 0' --kernel '1 1/2 1/4'"],
    "convolve2d": ["--input '1 1 1; -1 0 -3; 2 1 1' --kernel '1 0; 0 -1'", "--padding full --step"],
    "convolve1d": ["--padding full", "--padding same --backward"],
    "conv_transpose2d": ["--stride 2 --padding 1", "--input '1 2; 3 4' --kernel '1 1; 1 1' --stride 1 --step"],
    "max_pool2d": ["--stride 1", "--size 3 --stride 2 --padding 1 --backward"],
    "avg_pool2d": ["--stride 1", "--size 3 --padding 1 --no-count-padding"],
    "linear": ["--input '1 2; 3 4' --weights '0.5 -1' --bias 2 --backward"],
    "batch_norm": ["--gamma '2 1' --beta '0 1'", "--mean '3 1' --variance '4 1' --at 0,0,1,2"],
    "layer_norm": ["--gamma '2 1 1' --beta '0 0 1'", "--input '1 3; 2 8' --eps 0 --backward"],
    "scaled_dot_product_attention": ["--q '1 0' --k '1 0; 0 1' --v '10 0; 0 10'", "--at 0,1 --backward"],
    "dropout": ["--mask '1 1 0 0 1' --p 0.4 --backward"],
    "global_avg_pool2d": ["--input '1 2; 3 4 | 0 0; 0 8' --backward"],
    "relu6": ["--input '-1 3 8' --backward"],
    "local_response_norm": ["--size 5 --alpha 5e-4 --k 2", "--backward"],
    "leaky_relu": ["--input '-3 -1 0.5; 2 0 -4' --slope 0.2 --backward"],
    "mean_squared_error": ["--answer '1 2; 3 4' --target '1 1; 1 1' --backward"],
    "cross_entropy": ["--answer '0.6 0.4' --target '1 0'", "--answer '0.8 0.2' --target '1 0' --backward"],
    "cross_entropy_with_logits": ["--answer '2 1 0.1; 0 3 0' --target '1 0 0; 0 1 0' --backward"],
    "binary_cross_entropy": ["--answer '0.9 0.2' --target '1 0' --backward"],
    "binary_cross_entropy_with_logits": ["--answer '3 -2' --target '1 0' --backward"],
    "gd": ["--parameters '1 -2' --gradients '0.5 0.1; 0.2 0' --rate 0.1 --steps 2"],
    "momentum": ["--parameters '1 -2' --gradients '0.5 0.1' --momentum 0.5 --steps 3"],
    "nesterov": ["--parameters '1 -2' --gradients '0.5 0.1' --steps 3"],
    "rmsprop": ["--parameters '1 -2' --gradients '0.5 0.1' --no-under-root"],
    "adam": ["--parameters '1 -2' --gradients '0.5 0.1' --rate 0.1 --steps 3"],
    "adamw": ["--parameters '1 -2' --gradients '0.5 0.1' --decay 0.1 --json"],
    "softmax": ["--input '2 1 0.1'", "--input '1 2 3; 0 0 5' --axis 0 --backward"],
}  # fmt: skip


class _Walks(TyperGroup):
    """Names may be typed with - for _; a mistake that the definitions find becomes one of the caller."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, cmd_name.replace("-", "_"))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """What is no name of a walk is a run, where there is one."""
        if self.get_command(ctx, args[0]) or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        if Path(args[0]).exists() or "/" in args[0]:
            return super().resolve_command(ctx, ["network", *args])
        from hubel.errors import UnknownName

        raise UnknownName("walk", args[0], self.commands, hint="Or name the folder of a run, and a picture.")

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ValueError as e:
            from hubel.definitions import DefinitionError
            from hubel.errors import InputError

            if isinstance(e, DefinitionError):
                # definitions count without grammar: "x has 1 channels"
                raise InputError(re.sub(r"\b1 (channel|map|cell|number|group)s\b", r"1 \1", str(e))) from e
            raise


app = typer.Typer(cls=_Walks)


@app.callback(invoke_without_command=True)
def walk(ctx: typer.Context) -> None:
    """Follow the arithmetic: an operation by hand, a computational graph, a kernel on a picture, a network's cells."""
    if ctx.invoked_subcommand is not None:
        return
    from hubel.cli import show

    room = min(show.console().width, 120)
    for group, walks in WALKS.items():
        show.say(group)
        for name, (_, line) in walks.items():
            said = textwrap.wrap(line, room - 36)
            show.say("\n".join([f"  {name:<34}{said[0]}", *(f"{'':36}{more}" for more in said[1:])]))
    show.say("\nEach has an example of its own: hubel walk conv2d")
    show.say("Its options:                    hubel walk conv2d --help")
    show.say("A trained network:              hubel walk RUN PICTURE")


def _examples(name: str) -> str:
    """What stands under the options, a command a line."""
    rests = EXAMPLES.get(name, ["--input '-1.5 0 2' --backward"])
    return "\n\n".join(["Examples:", *(f"hubel walk {name} {rest}" for rest in rests)])


for _group, _walks in WALKS.items():
    for _name, (_function, _line) in _walks.items():
        app.command(
            _name,
            cls=options.Signed,
            help=_function.__doc__ or _line,
            short_help=_line,
            epilog=_examples(_name),
            rich_help_panel=_group,
        )(_function)


def add(to: typer.Typer) -> None:
    to.add_typer(app, name="walk")
