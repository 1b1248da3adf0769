"""LiteLLM's proxy before one OpenAI server. Its arguments are the server's address, workers, port.

It is set up as its documents say for production: logs only of errors, no database, no telemetry,
no key, and its own list of prices instead of one that it would fetch.
"""

import os
import sys
import tempfile
from pathlib import Path

CONFIG = """\
model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "{url}", api_key: any}}
litellm_settings: {{set_verbose: false, json_logs: true, telemetry: false}}
"""
SETTINGS = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
}

if __name__ == "__main__":
    url, workers, port = sys.argv[1:]
    config = Path(tempfile.gettempdir()) / f"litellm-{port}.yaml"
    config.write_text(CONFIG.format(url=url))
    program = str(Path(sys.executable).with_name("litellm"))
    arguments = [program, "--config", str(config), "--host", "127.0.0.1", "--port", port]
    os.execve(program, [*arguments, "--num_workers", workers], {**os.environ, **SETTINGS})
