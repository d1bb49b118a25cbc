"""The service: `frame` carries bodies and outcomes, `pages` is a chain that reads pages, `engine` runs networks.

Imports go one way: `pages` imports `engine`, all may import `errors`, and configuration names the chain to `frame`.
"""

__version__ = "0.1.0"
