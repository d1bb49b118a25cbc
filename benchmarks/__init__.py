"""Sample pages, scores and benchmarks: run from the repository root, never installed."""
