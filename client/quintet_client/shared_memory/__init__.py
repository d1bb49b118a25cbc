"""The feed of a service on the same host: pages decoded into memory that its workers map. Off unless asked for.

Implements the interface of `service.transport.Transport`, which is all that the others see of it, and `slabs`.
"""
