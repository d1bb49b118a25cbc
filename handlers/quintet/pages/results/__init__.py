"""Records into results: reading order and JSON-ready values, after the one copy to the host.

May import `quintet.engine`, `pixels.geometry`, and the records and settings of `pages`.
"""
