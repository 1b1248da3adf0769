"""From the providers that were asked for to those that compute, with nothing swapped in silence.

    chosen = choose(options.providers, available("onnxruntime"), fallback=options.fallback)
    session = InferenceSession(path, providers=chosen.names)
    chosen = confirmed(chosen, session.get_providers(), fallback=options.fallback)

ONNX Runtime takes the CPU with a warning where a provider is missing or its libraries do not load,
so both ends are looked at: what is asked for, and what the session really has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.models.hardware.schema import Provider

CPU = "cpu"
_ADVICE = "ask for another, or allow the CPU in its place with fallback"


@dataclass(frozen=True)
class Choice:
    """Providers of one engine, the first that can do a thing before the others."""

    providers: tuple[Provider, ...]
    degraded: str = ""
    """Why these are not the ones that were asked for; empty where they are."""

    @property
    def ids(self) -> list[str]:
        """Our names of them."""
        return [each.id for each in self.providers]

    @property
    def names(self) -> list[str]:
        """The engine's names of them."""
        return [each.name for each in self.providers]


def choose(requested: Sequence[str], known: Sequence[Provider], *, fallback: bool) -> Choice:
    """Those of one engine's providers that were asked for, by our name or the engine's.

    Nothing asked for is the CPU. With `fallback`, one that is not to be had is left out, the CPU
    takes its place where none is left, and `degraded` says so.

    Raises:
        InvalidInputError: the engine has no provider of that name.
        UnavailableError: one is not available here; says why.
    """
    chosen: dict[str, Provider] = {}
    refused: list[str] = []
    for name in requested or (CPU,):
        found = _find(name, known)
        if found is not None and found.available:
            chosen[found.id] = found
        elif not fallback:
            raise _refusal(name, found, known)
        else:
            refused.append(f"{found.id}: {found.reason}" if found else f"{name}: unknown")
    if not chosen:
        chosen[CPU] = _cpu(known, refused)
    return Choice(tuple(chosen.values()), "; ".join(refused))


def confirmed(choice: Choice, used: Sequence[str], *, fallback: bool) -> Choice:
    """The choice as the engine carried it out; `used` are the engine's names of what computes.

    Raises:
        UnavailableError: it left one out, which is not allowed.
    """
    kept = tuple(each for each in choice.providers if each.name in used)
    lost = [each.id for each in choice.providers if each.name not in used]
    if not lost:
        return choice
    why = f"{', '.join(lost)} could not be started: its libraries do not load or do not fit"
    if not fallback:
        raise UnavailableError(f"{why}; {_ADVICE}", details={"providers": lost})
    degraded = "; ".join(filter(None, [choice.degraded, why]))
    return replace(choice, providers=kept, degraded=degraded)


def _find(name: str, known: Sequence[Provider]) -> Provider | None:
    plain = name.casefold().replace("-", "_")
    by_id = (each for each in known if each.id == plain)
    by_name = (each for each in known if each.name.casefold() == name.casefold())
    return next(by_id, None) or next(by_name, None)


def _refusal(
    name: str, found: Provider | None, known: Sequence[Provider]
) -> InvalidInputError | UnavailableError:
    if found is None:
        ids = [each.id for each in known]
        return InvalidInputError(
            f"there is no provider {name[:64]!r}; there are {', '.join(ids)}",
            details={"known": ids},
        )
    return UnavailableError(
        f"{found.id} is not available here: {found.reason}; {_ADVICE}",
        details={"provider": found.id, "reason": found.reason},
    )


def _cpu(known: Sequence[Provider], refused: Sequence[str]) -> Provider:
    found = _find(CPU, known)
    if found is None or not found.available:
        why = found.reason if found is not None else "the engine has none"
        raise UnavailableError(f"{'; '.join(refused)}; and not even the CPU: {why}")
    return found
