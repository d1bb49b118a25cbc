"""The photo chain: what a photo shows that may have to be hidden before others see it.

May import `quintet.engine`, `quintet.tensors`, `quintet.stages`, `quintet.pixels` and `quintet.errors`. Knows no
server.
"""
