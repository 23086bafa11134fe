"""The HTTP endpoint: requests of pages, and the event streams that answer them."""
