"""Results of a benchmark."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured quantity of one contender, once in each round.

    Attributes:
        work: what was to be done; the heading of its table.
        contender: who did it.
        quantity: what was measured, with its unit: "updates/s", "ms to the last in the DOM".
        samples: one per round; empty where it did not get there.
        note: what the number does not say: "1 of 2,000 arrives".
    """

    work: str
    contender: str
    quantity: str
    samples: tuple[float, ...]
    note: str = ""
