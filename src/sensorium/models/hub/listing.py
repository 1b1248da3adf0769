"""What a hub lists of a repository, asked through its own library; imported only when needed."""

from collections.abc import Callable
from typing import Any

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from sensorium.core.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    SensoriumError,
    UnavailableError,
)
from sensorium.core.settings import Secret
from sensorium.models.hub.selection import Listing, RemoteFile

TIMEOUT_S = 10.0
ATTEMPTS = 4
MAX_WAIT_S = 30.0


def list_repository(
    repository: str, revision: str, *, endpoint: str, token: Secret, pause: Callable[[float], None]
) -> Listing:
    """What a repository holds at a revision; tried again, after a `pause`, where that may help.

    Raises:
        NotFoundError: there is no such repository or revision, or it is not to be seen.
        ForbiddenError: its terms are to be accepted first, or the token may not see it.
        UnavailableError: the hub cannot be reached, or has trouble.
    """
    shown = token or _own_token()
    api = HfApi(endpoint=endpoint or None, token=shown.reveal().strip() or False)
    for attempt in range(ATTEMPTS):
        try:
            info = api.model_info(
                repository, revision=revision or None, files_metadata=True, timeout=TIMEOUT_S
            )
            return _listing(info, api.endpoint, shown)
        except Exception as error:  # the hub's library has several HTTP libraries by version
            wait = _worth_waiting(error)
            if wait is None or wait > MAX_WAIT_S or attempt == ATTEMPTS - 1:
                raise _problem(repository, revision, error) from error
        pause(wait or 0.3 * 2**attempt)
    raise AssertionError("the loop returns or raises")


def _own_token() -> Secret:
    """`HF_TOKEN`, or the token of the hub's own log-in."""
    return Secret("" if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token() or "")


def _listing(info: Any, endpoint: str, token: Secret) -> Listing:
    card = info.card_data
    licence = getattr(card, "license", "") or ""
    if licence == "other":
        licence = getattr(card, "license_name", "") or licence
    return Listing(
        endpoint=endpoint,
        token=token,
        commit=str(info.sha or ""),
        licence=str(licence)[:200],
        task=str(info.pipeline_tag or "")[:200],
        files=tuple(_file(sibling) for sibling in info.siblings or ()),
    )


def _file(sibling: Any) -> RemoteFile:
    lfs = sibling.lfs
    if lfs is not None:
        return RemoteFile(sibling.rfilename, int(lfs.size), sha256=str(lfs.sha256))
    size = None if sibling.size is None else int(sibling.size)
    return RemoteFile(sibling.rfilename, size, blob=str(sibling.blob_id or ""))


def _worth_waiting(error: Exception) -> float | None:
    """Seconds that the hub wants one to wait, 0 where it does not say; None: do not ask again."""
    if not isinstance(error, HfHubHTTPError):
        known = (HFValidationError, OfflineModeIsEnabled, ValueError, TypeError, LookupError)
        return None if isinstance(error, known) else 0.0
    status = error.response.status_code if error.response is not None else 0
    if status != 429 and status < 500:
        return None
    told = error.response.headers.get("retry-after", "")
    return float(told) if told.isdigit() else 0.0


def _problem(repository: str, revision: str, error: Exception) -> SensoriumError:
    match error:
        case GatedRepoError() | DisabledRepoError():
            return ForbiddenError(
                f"{repository} is closed: accept its terms on the hub, then set HF_TOKEN to a "
                "token of that account"
            )
        case RepositoryNotFoundError():
            return NotFoundError(
                f"the hub has no model {repository}, or shows it only to a token: "
                "look at the name, or set HF_TOKEN"
            )
        case RevisionNotFoundError():
            return NotFoundError(f"{repository} has no revision {revision[:80]!r}")
        case HFValidationError():
            return InvalidInputError(f"the hub takes no repository of the name {repository}")
        case OfflineModeIsEnabled():
            return UnavailableError("HF_HUB_OFFLINE is set, and this model is not here")
        case HfHubHTTPError():
            return _answered(repository, error)
        case ValueError() | TypeError() | LookupError() | AttributeError():
            return UnavailableError("the hub's answer makes no sense: is the endpoint a hub?")
    return UnavailableError(
        "the hub cannot be reached: look at the network, the proxy and HF_ENDPOINT"
    )


def _answered(repository: str, error: HfHubHTTPError) -> SensoriumError:
    status = error.response.status_code if error.response is not None else 0
    if status in (401, 403):
        return ForbiddenError(f"the hub does not show {repository} to this token: set HF_TOKEN")
    if status == 404:
        return NotFoundError(f"the hub has no model {repository}")
    return UnavailableError(
        f"the hub answers {status}; try again later", retry_after_s=_worth_waiting(error)
    )
