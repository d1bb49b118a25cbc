"""`make bench-gpu`: what the chain does with a GPU, in about ten minutes, without a network.

`command` runs each of `steps` through `child`, in a process of its own.
"""
