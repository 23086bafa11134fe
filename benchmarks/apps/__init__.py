"""Apps that the works are measured with."""
