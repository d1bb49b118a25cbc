"""What carries bodies to a chain and outcomes back: requests, frames, metrics, shared memory and their settings.

May import `quintet.errors` alone: it knows no chain, no engine and no server; `chain` says what it asks of a chain.
"""
