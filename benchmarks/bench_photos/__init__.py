"""The photo chain beside the script that one would write first: `python -m benchmarks.bench_photos`.

May import the sample photos, `benchmarks.quad_match` and the photo chain. Also the reference of tests/chain.
"""
