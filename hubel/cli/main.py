"""`hubel`: the commands under one roof, and the one place where errors become exit codes.

0 done · 1 our bug · 2 the caller's input is wrong · 3 a stored artifact cannot be trusted or read · 4 stopped early but
saved · 130 interrupted. Only the command that is called is imported, and heavy things inside it, so that --help
answers at once.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import io
import os
import shutil
import sys
import warnings
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from hubel.errors import HubelError, Interrupted
from hubel.memory import ran_out

# Name of the command and of its module -> what `hubel --help` says of it. The docstrings in the modules have the same
# words, which a test holds together: the modules themselves would take as long to read as all the rest of the help.
COMMANDS = {
    "train": "Train a network on DATA, measure it on the test part, and write everything into one run folder.",
    "launch": "Train in several processes on this machine, whose gradients are averaged; several machines: torchrun.",
    "evaluate": "Measure a trained network on its test part, or on other data, and write the predictions and a report.",
    "predict": "Answer for pictures (or rows of numbers). What cannot be read is named; the others are answered all the same.",
    "export": "Write a network to ONNX, from pixels 0..1 to logits; checked to answer as PyTorch does, or not written.",
    "explain": "Show what a network sees in pictures, and what speaks for its answers.",
    "attack": "Change pictures a little so that the network errs; over data, measure how much change it bears.",
    "dream": "Paint what a network would answer to most.",
    "stylize": "Repaint a picture in the style of another.",
    "fewshot": "Tell new classes apart by the nearest mean of features, from one or a few examples of each.",
    "describe": "Show a network layer by layer.",
    "verify": "Hold every definition, and every network replayed through them, against PyTorch.",
    "compare": "Put runs side by side: accuracy, item by item, settings that differ, curves.",
    "zoo": "List the networks: year, input, parameters, paper; or one in full, with its story.",
    "data": "Show what a data set holds, or list the known ones.",
    "measure": "Measure accuracy, time and memory of whole commands, over several seeds.",
    "serve": "Put trained networks on line: a service under /v1 for programs, and a page for people.",
    "walk": "Follow the arithmetic: an operation by hand, a computational graph, a kernel on a picture, a network's cells.",
}


NARROW = 72  # columns; in fewer, the tables of the help would cut the names of options


def _tables() -> Literal["rich"] | None:
    """How help is set: in tables, or in plain lines where these would be too narrow."""
    return "rich" if shutil.get_terminal_size().columns >= NARROW else None


def command(name: str) -> Any:
    """The command of that name, from its module, which is imported now."""
    roof = typer.Typer(rich_markup_mode=_tables())
    importlib.import_module(f"hubel.cli.{name}").add(roof)
    return typer.main.get_group(roof).commands[name]


class _Commands(TyperGroup):
    """Lists the commands by name and help alone, and imports the one that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] in COMMANDS:
            self.add_command(command(args[0]))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Typer ends on Ctrl-C by itself, in ways that differ between its versions; our errors pass through it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None


app = typer.Typer(
    name="hubel",
    cls=_Commands,
    help="Convolutional networks you can read, train, question and serve.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _unread() -> None:
    """What stands in a command's place until it is called."""


for _name, _help in COMMANDS.items():
    app.command(_name, help=_help, short_help=_help)(_unread)  # the short one is listed, and never cut


def _version(asked: bool) -> None:
    if asked:
        from hubel import __version__

        sys.stdout.write(f"hubel {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    pass


def entry() -> None:
    """main() as a process of its own, which then ends at once.

    Python would first take PyTorch apart, piece by piece, for 0.7 s. What has to be done at the end of a process is done:
    exit functions run, output is flushed.
    """
    code = 0
    try:
        main()
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a reader that has gone, a stream that is closed
            stream.flush()
    os._exit(code)


def main() -> None:
    """The command line. A traceback reaches the user only for our own bugs."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="replace"
            )  # where a letter cannot be written, a ? is better than an end
    # What Pillow has to say of a damaged picture is said by us, with the picture's name.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    app.rich_markup_mode = _tables()
    try:
        app(prog_name="hubel")
    except HubelError as e:
        complain(str(e))
        sys.exit(e.exit_code)
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(130)
    except OSError as e:
        # The machine's no: a full disk, a folder that may not be written. Not our bug, and not the caller's data.
        if e.filename is None and e.errno is None:
            raise
        where = f"{e.filename}: " if e.filename else ""
        complain(f"{where}{e.strerror or e}. Check that the place exists, may be written and has room")
        sys.exit(2)
    except (MemoryError, RuntimeError) as e:
        if not ran_out(e):
            raise
        complain(
            "the memory is too small for this. End other programs, or take fewer items, smaller pictures or a smaller network"
        )
        sys.exit(2)


def complain(text: str) -> None:
    """The message on standard error, under our name; what might steer a terminal is taken out."""
    from hubel.cli import show

    show.tell(f"hubel: {text}")


if __name__ == "__main__":
    entry()
