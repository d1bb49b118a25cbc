"""Networks as flat lists of operations: their form, what rewrites them when they are loaded, and operations of our own.

May import `quintet.errors`; `quintet.engine` and its conversion import it.
"""
