"""Encoded images to pixels on the device, in child processes with limits. For any chain whose bodies are images.

May import `quintet.engine`, `quintet.tensors` and `quintet.errors`. `images` and `raw_pictures` need Pillow and NumPy
alone, `documents` pypdfium2 too: the client imports them as well.
"""
