"""`python -m benchmarks.bench`: see command.py."""

import sys

from benchmarks.bench.command import main

if __name__ == "__main__":
    sys.exit(main())
