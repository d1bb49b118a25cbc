"""Documents in: what PDF and TIFF files hold, and their pages as images; opened in a process of its own."""
