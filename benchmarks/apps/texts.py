"""The message of the benchmarks of topics, of 60 bytes as JSON."""

TEXT = "message" + 51 * "."
