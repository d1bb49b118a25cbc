"""Objects in stores: listed, read, and copied for the renderer. `objects` alone knows obstore.

obstore's threads do not survive a fork, and the loader forks: what the client's own process asks goes through `apart`.
"""
