"""Maps of probabilities into quads, in batched tensors alone. May import the records of `pages`."""
