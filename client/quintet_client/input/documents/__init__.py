"""What PDF and TIFF files hold: `renderer` asks, and `child` opens them, in a process of its own.

`pdf`, `tiff` and `encoding` run in that process alone, and may import the service's decoding. The others start without.
"""
