"""Runs: generators that stream into the page."""
