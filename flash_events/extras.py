"""The packages of the extras, and how to install them."""

EXTRAS = {
    "arrow": ("pyarrow>=19",),
    "celery": ("celery>=5.7,<6", "redis[hiredis]>=6.4,<9"),
    "examples": ("dash-ag-grid>=33", "dash-mantine-components>=2.6", "pandas>=2", "pillow>=10"),
    "redis": ("redis[hiredis]>=6.4,<9",),
}
"""The packages of each extra that an error message names, as in `pyproject.toml`."""


def how_to_install(extra: str) -> str:
    """Return the sentence of an error message that says how to install an extra.

    It names the packages rather than the extra, because flash-events itself may not come from a
    package index. It uses double quotes, because the Windows command line has no other ones.
    """
    packages = " ".join(f'"{package}"' for package in EXTRAS[extra])
    return f"To install what is missing: pip install {packages}"
