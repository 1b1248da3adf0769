"""What a key covers, of the `models` operations that can do more than their name says."""

from pathlib import Path

import httpx

from sensorium.control.keys import KeyStore
from tests.models import files
from tests.servers import serving


def test_describing_a_model_loads_it_only_for_those_who_may_load(tmp_path: Path) -> None:
    files.mlp(tmp_path / "models" / "mlp")
    store = KeyStore(tmp_path)
    looks = store.create("looks", ("models.get", "models.list"))[1]
    loads = store.create("loads", ("models.get", "models.load"))[1]
    environ = {"SENSORIUM_API_KEYS": "of-the-owner-abcdefgh", "SENSORIUM_DATA_DIR": str(tmp_path)}
    with serving("--workers", "1", environ=environ) as server, server.client() as http:

        def get(key: str, *, load: bool) -> httpx.Response:
            headers = {"authorization": f"Bearer {key}"}
            return http.post("/v1/models/get", json={"model": "mlp", "load": load}, headers=headers)

        refused = get(looks, load=True)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert "models.load" in refused.json()["detail"]
        metadata = http.get("/v2/models/mlp", headers={"authorization": f"Bearer {looks}"})
        assert metadata.status_code == 403
        assert get(looks, load=False).json()["loaded"] is None
        assert get(loads, load=True).json()["loaded"]["name"] == "mlp"
        assert get(looks, load=True).json()["loaded"]["name"] == "mlp", "it is there by now"
