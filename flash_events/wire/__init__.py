"""The wire: events, requests, and values as JSON."""
