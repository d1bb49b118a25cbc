"""`python -m benchmarks.bench_gpu`: first the packages and models out of their folders, then command.py."""

import importlib
import sys

from benchmarks.bench_gpu.options import parse
from benchmarks.bench_gpu.provide import provide


def main() -> int:
    """Run the command."""
    options = provide(parse())
    # Only now can what the wheels brought be imported.
    code: int = importlib.import_module("benchmarks.bench_gpu.command").run(options)
    return code


if __name__ == "__main__":
    sys.exit(main())
