"""Something to look at: `quintet view` serves a run on loopback, `quintet report` writes it as one HTML file."""
