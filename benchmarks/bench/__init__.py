"""`make bench`: the seed's script, peers, our chain habit by habit, the service and the floor, on the same pages.

Each row lives in a process (or service) of its own that stays warm from its first visit to its last; the rows are
visited in turn, repeat by repeat, so that what slows the machine down meanwhile slows all of them down.
"""
