"""The stages of the page chain, one callable each: prepare, network, decode. Text detection is `quintet.stages`'s.

May import what lies below chains, and all of `pages` but the chain and its results.
"""
