"""The feed of a service on the same host: pages decoded into memory that its workers map. Off unless asked for.

Stands behind the interface of `service.transport.Transport`, which is all that the others see of it, and `slabs`.
"""
