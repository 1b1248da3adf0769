"""One file by the hub's own client, over plain HTTP.

Its arguments are the hub's address, a folder, the repository and the file; writes the seconds.
"""

import sys
import time

from huggingface_hub import hf_hub_download


def main(endpoint: str, folder: str, repository: str, file: str) -> None:
    """Fetch it."""
    began = time.perf_counter()
    hf_hub_download(repository, file, endpoint=endpoint, cache_dir=folder)
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main(*sys.argv[1:])
