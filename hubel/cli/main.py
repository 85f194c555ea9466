"""`hubel`: the commands under one roof, and the one place where errors become exit codes.

0 done · 1 our bug · 2 the caller's input is wrong · 3 a stored artifact cannot be trusted or read · 4 stopped early but
saved · 130 interrupted. Heavy imports happen inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hubel.cli import (
    attack,
    compare,
    data,
    describe,
    dream,
    evaluate,
    explain,
    export,
    fewshot,
    measure,
    predict,
    serve,
    stylize,
    train,
    verify,
    walk,
    zoo,
)
from hubel.errors import HubelError, Interrupted


class _Commands(TyperGroup):
    """Typer ends on Ctrl-C by itself, in ways that differ between its versions; our errors pass through it."""

    def invoke(self, ctx: Any) -> Any:
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
for command in (
    train,
    evaluate,
    predict,
    export,
    explain,
    attack,
    dream,
    stylize,
    fewshot,
    describe,
    walk,
    verify,
    compare,
    zoo,
    data,
    measure,
    serve,
):
    command.add(app)


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


def complain(text: str) -> None:
    """The message on standard error, under our name; what might steer a terminal is taken out."""
    from hubel.data.labels import printable

    lines = "\n".join(map(printable, text.split("\n")))
    sys.stderr.write(f"hubel: {lines}\n")


if __name__ == "__main__":
    entry()
