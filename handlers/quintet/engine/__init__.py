"""Where and how networks run: device, number format, weights, calls, copies, CUDA graphs, timings.

May import `quintet.errors`. Knows no chain: which networks there are, whoever makes an `Engine` says.
"""
