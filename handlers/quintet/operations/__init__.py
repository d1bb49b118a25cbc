"""The service as processes, without tensors: archive, start, stop, the gate before TorchServe and its supervisor.

May import `quintet.pages` and `quintet.engine`; nothing may import it.
"""
