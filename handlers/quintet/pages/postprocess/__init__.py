"""Outputs of networks into quads and tokens, in batched tensors alone. May import the records of `pages`."""
