"""What reads a row's pages in process: the seed's script, the peers, our chain habit by habit, the networks alone.

Each module's `make` gives a reader. May import the peers' packages and `benchmarks.networks`, and nothing of the room
above.
"""
