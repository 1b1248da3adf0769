"""`sensorium config`: what is set, and where it was set."""

from typing import Any

from sensorium.app import Settings, load_settings
from sensorium.cli.render import Output
from sensorium.core.settings import PREFIX, Secret


def show(*, output: Output = Output()) -> None:  # noqa: B008 - frozen
    """Show every setting, its value and where the value comes from.

    A flag of `sensorium serve` wins over the environment, that over .env, that over
    sensorium.toml, that over the default. Secrets are never shown.
    """
    settings = load_settings()
    rows = [(each, _value(settings, each.name)) for each in settings.account]
    if output.as_json:
        output.value(
            [
                {
                    "name": each.name,
                    "value": value,
                    "origin": each.origin,
                    "flag": "--" + _key(each.name).replace("_", "-"),
                    "variable": PREFIX + _key(each.name).upper(),
                    "description": each.description,
                }
                for each, value in rows
            ]
        )
        return
    output.table(
        ["setting", "value", "from", "what it is"],
        [(each.name, _text(value), each.origin, each.description) for each, value in rows],
        styles=["" if each.origin == "default" else "bold" for each, _ in rows],
        kept=2,
    )


def _key(name: str) -> str:
    return name.partition(".")[2]


def _value(settings: Settings, name: str) -> Any:
    """The value in use; three stars for a secret that is set."""
    section, _, key = name.partition(".")
    value = getattr(getattr(settings, section), key)
    if isinstance(value, Secret):
        return "***" if value else ""
    return value


def _text(value: Any) -> str:
    """A value as one would write it in the environment."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
