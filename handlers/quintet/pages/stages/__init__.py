"""The five networks of the chain, one callable a stage: prepare, network, decode.

May import `quintet.engine`, and all of `pages` but the chain and its results.
"""
