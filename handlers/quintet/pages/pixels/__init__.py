"""Bytes to pixels, and pixels to what a network sees. May import `quintet.engine`, and records and settings of `pages`.

`images` and `raw_pictures` need Pillow and NumPy alone: the client imports them too.
"""
