"""The client for other services: `QuintetClient`, its asyncio twin, typed results. Needs no torch.

Imports `service` and the reader of regular files in `input`; nothing of a bulk run.
"""
