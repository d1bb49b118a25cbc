"""`quintet batch`: the job of `quintet read` on Ray, on this machine or a cluster."""

import argparse
import os
from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path

from quintet_client.cluster.settings import BatchSettings
from quintet_client.commands import Subparsers
from quintet_client.commands.runs import add_places, add_run_options, cancelled_by_signals, reported
from quintet_client.commands.service import MODEL_STORE, add_model_store, model_store_of
from quintet_client.commands.terminal import Help
from quintet_client.errors import UsageError
from quintet_client.run.events import Events
from quintet_client.run.report import Report
from quintet_client.service.transport import DEFAULT_MODEL, MODEL_VARIABLE

_EPILOG = """\
examples:
  quintet batch scans/ results/                   on the cores or GPUs of this machine
  quintet batch scans/ results/                   again: only what is missing or has changed
  quintet batch s3://bucket/scans s3://bucket/read --ray auto
                                                  on the cluster that this machine is a node of
  quintet batch list.txt s3://bucket/read --ray auto --gpus-per-actor 0.5

exit codes:
  0 every page ok, 1 unexpected error, 2 wrong usage, 3 finished but some pages failed, 4 cluster or store unreachable,
  5 not authorised, 6 output cannot be written, 130 interrupted (run again to go on)

"""


def add_to(commands: Subparsers) -> None:
    """Add `batch`."""
    parser = commands.add_parser(
        "batch",
        help="the same with Ray, on this machine or a cluster, without a service",
        description="Read every page of INPUT into parts below OUTPUT, with Ray. Run it again to do what is missing.",
        epilog=_EPILOG + MODEL_STORE,
        formatter_class=Help,
    )
    add_places(parser, "folder or address for parts, in Parquet")
    # The settings' own defaults are the options'; the paths are placeholders, since both arguments have to be given.
    parser.set_defaults(**asdict(BatchSettings(Path(), Path())))
    add = parser.add_argument
    add("--model", default=os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL, metavar="NAME", help="whose archive")
    add_model_store(parser)
    add("--archive", type=Path, default=None, metavar="F", help="what TorchServe serves; else the store's NAME.mar")
    add("--ray", metavar="ADDRESS", help="a running cluster: auto, or HOST:PORT; not given, Ray starts here")
    add("--actors", type=int, metavar="N", help="how many read at a time; not given, one a GPU, or one a node")
    add("--gpus-per-actor", type=float, metavar="F", help="GPUs of an actor, or a share of one; 0 for none")
    add("--block", type=int, metavar="N", help="most pages of a part")
    add("--stall-s", type=float, metavar="T", help="longest call of the chain with one page; twice that with 64")
    add_run_options(parser)
    add("--verbose", "-v", action="store_true", help="log more")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read, and print the summary or the events."""
    return reported(options, lambda events: _batch(options, events))


def _batch(options: argparse.Namespace, events: Events) -> Report:
    options.archive = (options.archive or model_store_of(options) / f"{options.model}.mar").absolute()
    settings = BatchSettings(**{field.name: getattr(options, field.name) for field in fields(BatchSettings)})
    for package in ("ray", "pyarrow"):
        if find_spec(package) is None:
            raise UsageError(
                f"`quintet batch` needs {package}, which is not installed: pip install 'quintet[cluster,serve]'"
            )
    from quintet_client.cluster.batch import batch_all  # noqa: PLC0415 - only this command needs Ray

    return batch_all(settings, cancelled_by_signals(), events)
