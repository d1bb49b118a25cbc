"""Pages drawn from a seed, with the truth beside them: what the demo, the tests and the benchmarks read.

`generate.py` is the way in; a page goes through documents/ (what is on it), sheet.py (ink and truth together) and
degrade.py (what a scanner and a camera do to it).
"""
