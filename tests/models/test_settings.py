"""Aliases in the settings: each leads to a model in the end, or the server does not start."""

import pytest

from sensorium.app import load_settings
from sensorium.core.errors import InvalidInputError
from sensorium.models.settings import ModelSettings
from tests.servers import serving


def test_an_alias_of_an_alias_leads_to_the_model() -> None:
    told = {"big": "org/m:q8", "vectors": "default", "same": "same"}
    settings = ModelSettings(model_aliases=told, default_model="big", default_embedding="vectors")
    assert settings.aliases == {
        "big": "org/m:q8",
        "vectors": "org/m:q8",
        "same": "same",
        "default": "org/m:q8",
        "default-embedding": "org/m:q8",
    }


@pytest.mark.parametrize(
    ("aliases", "circle"),
    [("a=b,b=a", "a = b = a"), ("x=a,a=b,b=c,c=a", "a = b = c = a"), ("a=default", "a = default")],
)
def test_aliases_in_a_circle_are_an_error_at_the_start(aliases: str, circle: str) -> None:
    environ = {"SENSORIUM_MODEL_ALIASES": aliases, "SENSORIUM_DEFAULT_MODEL": "a"}
    with pytest.raises(InvalidInputError, match=f"in a circle: .*{circle}"):
        load_settings(environ=environ)


def test_the_default_model_may_be_an_alias() -> None:
    environ = {"SENSORIUM_MODEL_ALIASES": "big=tinylm", "SENSORIUM_DEFAULT_MODEL": "big"}
    with serving("--workers", "1", environ=environ) as server, server.client() as http:
        asked = {"model": "default", "prompt": "a", "max_tokens": 1}
        assert http.post("/v1/text/complete", json=asked).status_code == 200
