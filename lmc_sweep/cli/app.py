"""The entry point: the commands, how errors are shown, and the exit codes.

0 all done; 1 finished, but some items failed; 2 bad usage or a bad sweep file, nothing started;
3 the program itself failed; 130 interrupted; 141 the reader of its output went away, as shells count a closed
pipe. Heavy packages are imported inside the commands that need them.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from typing import Annotated, NoReturn

import typer

from lmc_sweep import __version__
from lmc_sweep.cli import (
    align,
    cancel,
    claims,
    compact,
    compare,
    count,
    datasets,
    export,
    merge,
    plan,
    plot,
    query,
    report,
    repro,
    retry,
    run,
    spec,
    status,
    submit,
    verify,
)
from lmc_sweep.errors import SweepError
from lmc_sweep.redaction import redact

# Typer carries its own copy of click, whose base of all usage errors it does not export.
_ParserError: type[Exception] = typer.BadParameter.__bases__[0].__bases__[0]

EXIT_USAGE = 2
EXIT_BROKEN = 3
EXIT_INTERRUPTED = 130
EXIT_PIPE_CLOSED = 141

app = typer.Typer(
    name="lmc-sweep",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    run,
    submit,
    plan,
    status,
    cancel,
    retry,
    query,
    plot,
    report,
    compare,
    claims,
    align,
    spec,
    count,
    export,
    verify,
    repro,
    merge,
    compact,
):
    module.register(app)
app.add_typer(datasets.app, name="datasets")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lmc-sweep {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks. May stand anywhere on the line.")
    ] = False,
) -> None:
    """Train thousands of networks, align them by permutation search, measure every barrier.

    A sweep is one YAML file. Running it again does only what is missing, after a crash too:

      lmc-sweep run configs/quickstart.yaml

      lmc-sweep query runs/quickstart "SELECT method, avg(loss_barrier) FROM barriers GROUP BY method"

      lmc-sweep plot runs/quickstart density --output density.png
    """


def main() -> None:
    """Runs the command line and exits with its code."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        code = app(arguments, standalone_mode=False, prog_name="lmc-sweep")
        sys.stdout.flush()  # here, where a closed pipe is caught, and not when Python ends
    except typer.Exit as stop:
        code = stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = EXIT_INTERRUPTED
    except _ParserError as error:
        if not arguments:  # nothing was asked: the error's text is the help
            typer.echo(error.format_message(), err=True)  # type: ignore[attr-defined]
            sys.exit(EXIT_USAGE)
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "lmc-sweep"
        _complain(f"{where}: {error.format_message()} See {where} --help.", debug)  # type: ignore[attr-defined]
        code = EXIT_USAGE
    except SweepError as error:
        _complain(str(error), debug)
        code = EXIT_USAGE
    except SystemExit as stop:  # Typer's on a closed pipe, else code of the user's own, imported or called
        if _is_closed_pipe(stop.__context__):
            _end_quietly()
        _complain(
            f"lmc-sweep failed: a module of your own exited ({stop.code}) where it was used. What a script "
            'does belongs under `if __name__ == "__main__":`. --debug shows where.',
            debug,
        )
        code = EXIT_BROKEN
    except Exception as error:  # a bug, or a machine that gives out: still one line, and what to do
        if _is_closed_pipe(error):
            _end_quietly()
        told = " ".join(str(error).split())[:500]
        _complain(f"lmc-sweep failed: {type(error).__name__}: {told}. --debug shows where.", debug)
        code = EXIT_BROKEN
    sys.exit(code if isinstance(code, int) else 0)


def _is_closed_pipe(error: BaseException | None) -> bool:
    """Whether the reader of our own output went away; connections to others break with the same error."""
    if not isinstance(error, OSError) or error.errno != errno.EPIPE:
        return False
    return bool(_closed_streams())


def _closed_streams() -> list[int]:
    """Those of standard output and standard error that nobody reads any more."""
    poll = select.poll()
    for stream in (1, 2):
        poll.register(stream, 0)  # errors are told unasked
    return [stream for stream, event in poll.poll(0) if event & select.POLLERR]


def _end_quietly() -> NoReturn:
    """Exits without a word, in a way that leaves Python nothing to flush into the closed pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in _closed_streams():
        os.dup2(nowhere, stream)
    sys.exit(EXIT_PIPE_CLOSED)


def _complain(text: str, debug: bool) -> None:
    """Says it on standard error, without the secrets that a text may quote."""
    if debug:
        import traceback

        typer.echo(redact(traceback.format_exc()), err=True)
    typer.echo(redact(text), err=True)
