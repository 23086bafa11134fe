"""Whatever publishers and readers do: received and missed are what was published, in order."""

from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.support.topic_programs import OPTIONS, STEPS, Step, run_in_memory


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(OPTIONS, STEPS)
def test_received_and_missed_are_what_was_published(
    options: dict[str, Any], steps: list[Step]
) -> None:
    run_in_memory(options, steps)
