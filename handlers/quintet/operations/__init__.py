"""The service as a process: pack its archive, start it, see that it is ready, stop it. No tensors.

May import `quintet.pages` and `quintet.engine`; nothing may import it.
"""
