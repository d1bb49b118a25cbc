"""The service as a process: pack its archive, start it, bound what it holds, keep it running, stop it.

No tensors.

May import `quintet.pages` and `quintet.engine`; nothing may import it.
"""
