"""Pages in memory that client and service share, instead of in bodies. May import `quintet.frame` and `quintet.errors`.

`handshake` needs the standard library alone: the client imports it too.
"""
