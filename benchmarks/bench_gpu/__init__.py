"""`make bench-gpu`: what the chain does with a GPU, in under eight minutes, without a network."""
