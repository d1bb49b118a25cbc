"""The five stages. Each is one callable, record in, record out, in three steps: prepare, network, decode."""
