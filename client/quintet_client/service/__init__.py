"""The way to the service: one HTTP transport, tokens, what an answer means, retries, the sender, the status question.

Knows pages as bytes with a name, no files and no run. Imports nothing of the other rooms.
"""
