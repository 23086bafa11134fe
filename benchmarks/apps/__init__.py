"""Apps that the works measure."""
