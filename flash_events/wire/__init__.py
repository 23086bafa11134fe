"""The wire format: events, requests, and values as JSON."""
