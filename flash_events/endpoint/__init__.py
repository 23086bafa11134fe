"""The endpoint: what a page asks of the server, and what it gets."""
