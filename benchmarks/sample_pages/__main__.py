"""`python -m benchmarks.sample_pages`: see generate.py."""

import sys

from benchmarks.sample_pages.generate import main

if __name__ == "__main__":
    sys.exit(main())
