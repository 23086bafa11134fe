"""Sharing: topics and shared values, on one ordered log per name."""
