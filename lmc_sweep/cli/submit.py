"""``lmc-sweep submit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lmc_sweep.cli.arguments import MaxFailures, Overrides, StoreOption, SweepFile


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("submit")(submit_command)


def submit_command(
    sweep_file: SweepFile,
    store: StoreOption = None,
    address: Annotated[
        str,
        typer.Option(
            "--address",
            metavar="auto|URL",
            help="The dashboard of the cluster, such as http://HOST:8265; auto finds one on this machine.",
        ),
    ] = "auto",
    working_dir: Annotated[
        Path | None,
        typer.Option(
            "--working-dir",
            metavar="DIR",
            help="A folder to send to all nodes, for modules and checkpoints of your own.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Return once the cluster has the job; do not follow it.")
    ] = False,
    overrides: Overrides = None,
    max_failures: MaxFailures = None,
) -> None:
    """Hand a sweep to a Ray cluster as a job, and follow it: its exit code becomes this one's.

    The job is `lmc-sweep run` on the head node. It goes on when this command ends or loses its connection;
    Ctrl-C only stops following, and the same command follows again. `lmc-sweep cancel STORE` stops it in
    order. A store at a path must be mounted there on all nodes; s3://bucket/prefix needs no mount.
    """
    from lmc_sweep.cli.console import console, printable, say
    from lmc_sweep.execution import preflight, ray_submission
    from lmc_sweep.planning.sweep_files import load

    out = console()
    sweep = load(sweep_file, overrides or ())
    named = preflight.user_code(sweep)
    if named and working_dir is None:
        say(
            out,
            f"{', '.join(named)}: must be importable on every node. --working-dir DIR sends a folder along.",
        )
    client = ray_submission.connect(address)
    more = () if max_failures is None else ("--max-failures", str(max_failures))
    uri = store or sweep.store
    job = ray_submission.submit(client, sweep, uri, working_dir, more)
    say(
        out,
        f"Job {job.id} {'submitted' if job.is_new else 'runs already'}. Watch it: lmc-sweep status {uri} "
        f"--watch. Stop it: lmc-sweep cancel {uri}",
    )
    if no_wait:
        return

    def write(text: str) -> None:
        typer.echo("\n".join(map(printable, text.split("\n"))), err=True, nl=False)

    try:
        ended = ray_submission.follow(client, job.id, write)
    except KeyboardInterrupt:
        say(out, f"The job {job.id} goes on. The same command follows it again.")
        raise typer.Exit(130) from None
    if ended.message:
        say(out, f"{job.id}: {ended.message}.")
    raise typer.Exit(ended.exit_code)
