"""The `tncc` command. stdout carries results, stderr progress and messages; exit codes are docs/cli.md's contract."""

from __future__ import annotations

import io
import os
import signal
import sys
from types import FrameType

import click

import tncc
from tncc.errors import CompileError, Error

EXIT_CHECK_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

COMMANDS = {
    "compile": "tncc.cli.compile",
    "run": "tncc.cli.run",
    "inspect": "tncc.cli.inspect",
    "verify": "tncc.cli.verify",
    "opt": "tncc.cli.opt",
    "import": "tncc.cli.import_",
    "export": "tncc.cli.export",
    "train": "tncc.cli.train",
}


class LazyGroup(click.Group):
    """Imports a command's module when it is used: `tncc --help` does not wait for ONNX."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        import importlib

        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(tncc.__version__, prog_name="tncc")
def cli() -> None:
    """Compile ONNX models for TrueNorth-class neuromorphic chips and run them, exact to the last spike.

    Exit codes: 0 done; 1 a check that was asked for failed; 2 bad input or usage; 130 interrupted.
    """


def _terminated(number: int, frame: FrameType | None) -> None:
    raise SystemExit(EXIT_TERMINATED)  # what is half written goes as it does after an error


def main() -> None:
    """The command line's entry point: every error a user can cause is one message and exit code 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that are not UTF-8, terminals that are not
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = cli.main(standalone_mode=False)
        if sys.stdout is not None:  # it is where our caller closed it: `tncc run ... >&-`
            sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = EXIT_BAD_INPUT
    except Error as error:
        code = f"[{error.code}]" if isinstance(error, CompileError) else ""  # docs/errors.md lists them
        click.echo(f"error{code}: {error}", err=True)
        code = EXIT_BAD_INPUT
    except MemoryError:
        click.echo("error: not enough memory", err=True)
        code = EXIT_BAD_INPUT
    except BrokenPipeError:  # the reader of our stdout has gone: `tncc inspect | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:  # a disk that is full, a folder that goes away: what no place nearer to it has named
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {where}{error.strerror or error}", err=True)
        code = EXIT_BAD_INPUT
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        code = EXIT_INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)
