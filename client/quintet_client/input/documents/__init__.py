"""What PDF and TIFF files hold: `renderer` asks, and `child` opens them, in a process of its own.

`encoding` runs in that process alone, and may import the service's `pixels.documents`. The others start without.
"""
