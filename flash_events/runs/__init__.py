"""Runs: executions of event callbacks that stream updates to pages."""
