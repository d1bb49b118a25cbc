"""The service as processes, without tensors: models, archive, start, stop, the gate before TorchServe, its supervisor.

May import `quintet.frame` and `quintet.engine`, and finds chains by name. `quintet.authoring` and the client's
commands alone may import it.
"""
