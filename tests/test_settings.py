"""Settings are keywords or environment variables; invalid ones are refused by name."""

from dataclasses import fields
from typing import Any

import pytest

from flash_events import ConfigurationError, Settings
from flash_events.settings import SettingsOptions


def test_the_defaults_are_those_of_the_field() -> None:
    settings = Settings()
    assert (settings.heartbeat_seconds, settings.grace_seconds) == (15.0, 30.0)
    assert (settings.log_bytes, settings.log_events) == (2**20, 1000)
    assert (settings.max_runs_per_page, settings.max_runs_per_connection) == (32, 256)


def test_the_environment_sets_missing_keywords() -> None:
    environment = {
        "FLASH_EVENTS_HEARTBEAT_SECONDS": "2.5",
        "FLASH_EVENTS_LOG_EVENTS": "7",
        "FLASH_EVENTS_ALLOWED_ORIGINS": "https://a.example, https://b.example",
        "FLASH_EVENTS_TRUST_FORWARDED_HOST": "yes",
        "FLASH_EVENTS_DEBUG": "false",
    }
    settings = Settings.load(environment, log_events=9)
    assert settings == Settings(
        heartbeat_seconds=2.5,
        log_events=9,
        allowed_origins=("https://a.example", "https://b.example"),
        trust_forwarded_host=True,
        debug=False,
    )


@pytest.mark.parametrize("empty", ["", " "])
def test_t13_an_empty_variable_sets_nothing(empty: str) -> None:
    """As compose files and CI leave them: `FLASH_EVENTS_DEBUG=` must not hide errors."""
    names = [field.name.upper() for field in fields(Settings)]
    assert Settings.load({f"FLASH_EVENTS_{name}": empty for name in names}) == Settings()


def test_one_origin_needs_no_list() -> None:
    assert Settings.load({}, allowed_origins="https://a.example").allowed_origins == (
        "https://a.example",
    )


@pytest.mark.parametrize(
    ("environment", "given", "says"),
    [
        ({}, {"hartbeat": 1}, "'hartbeat'. Did you mean heartbeat_seconds?"),
        ({}, {"x": 1}, "Unknown setting 'x'. Known are: allowed_origins, "),
        ({}, {"grace_seconds": float("nan")}, "to be a number above 0, got nan"),
        ({}, {"trust_forwarded_host": "false"}, "Expected trust_forwarded_host to be True or Fal"),
        ({}, {"metrics": None}, "Expected metrics to be True or False, got None"),
        ({}, {"identify": lambda: "me"}, "Write: def identify(request): ..."),
        ({}, {"allowed_origins": "*"}, "such as https://portal.example or"),
        ({}, {"allowed_origins": ["portal.example"]}, "got 'portal.example'. Remove path"),
        ({"FLASH_EVENTS_ALLOWED_ORIGINS": "https://a.example/"}, {}, "got 'https://a.example/'"),
        ({}, {"command_props": 3}, "Expected command_props to be a list of strings, got 3"),
        ({"FLASH_EVENTS_IDENTIFY": "me"}, {}, "Write: FlashEvents(app, identify=...)"),
        ({}, {"grace_seconds": -1}, "Expected grace_seconds to be a number above 0, got -1"),
        ({}, {"heartbeat_seconds": 31}, "Expected heartbeat_seconds to be at most 30"),
        ({}, {"log_events": "many"}, "Expected log_events to be a number above 0"),
        ({"FLASH_EVENTS_LOG_BYTES": "1MB"}, {}, "FLASH_EVENTS_LOG_BYTES to be a whole number"),
        ({"FLASH_EVENTS_DEBUG": "maybe"}, {}, "Expected FLASH_EVENTS_DEBUG to be true or false"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(
    environment: dict[str, str], given: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Settings.load(environment, **given)
    assert says in str(raised.value)


def test_the_keywords_of_flash_events_are_its_settings() -> None:
    assert list(SettingsOptions.__annotations__) == [field.name for field in fields(Settings)]
