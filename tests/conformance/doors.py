"""Every door that the suite knows, opened once; a new door is one driver and one line here."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sensorium.app import MODULES, App, load_settings
from sensorium.control.keys import KeyStore
from sensorium.core.dispatch import Principal
from sensorium.core.operation import Kind, Operation
from sensorium.core.registry import Registry
from tests.conformance import checks, drivers, grpc_driver, mcp_driver, native_driver, webrtc_driver
from tests.conformance.driver import FULL, Call, Driver
from tests.servers import Server

KINDS: tuple[type[Driver], ...] = (
    drivers.DispatcherDriver,
    drivers.IsolatedDriver,
    drivers.HttpDriver,
    drivers.EventsDriver,
    drivers.WebSocketDriver,
    grpc_driver.GrpcDriver,
    native_driver.NativeDriver,
    mcp_driver.McpDriver,
    webrtc_driver.WebRtcDriver,
)
NAMES = tuple(kind.name for kind in KINDS)
KEYED = tuple(kind.name for kind in KINDS if not kind.keyless)
TIMED = tuple(kind.name for kind in KINDS if kind.has_deadlines)
REFERENCE = drivers.DispatcherDriver.name
"""The door whose answers all others must give."""
FAILING = {
    "testing.fail": "internal",
    "testing.refuse": "invalid_input",
    "models.delete": "not_found",
    "models.generate": "not_found",
    "models.pull": "unavailable",
    "models.quantize": "not_found",
    "models.unload": "not_found",
    "resources.release": "not_found",
    "resources.renew": "not_found",
    "vision.describe": "not_supported",
    "webrtc.candidate": "not_found",
    "webrtc.close": "not_found",
}
"""Operations that fail, and how: those that are there for it, which alone have no example, and
those whose example names something that is not there."""
ROOM = {"webrtc_max_sessions": "1000", "offline": "true"}
"""How every server here is set: it has room for many sessions, and fetches nothing."""
SHARED = ("webrtc.join", "chat.complete", "chat.stream", "text.complete", "text.stream")
"""Operations whose answer depends on who else calls them at that moment, or on chance."""
WHOLE = ("models.infer",)
"""Operations whose requests must fit as a whole, too: what is made at random seldom does."""
NEVER_LOOKS = ("testing.stuck",)
"""Operations that never look whether they are still wanted."""


def carries(name: str, kind: Kind) -> bool:
    """Whether the door of that name carries operations of that kind."""
    return any(each.name == name and kind in each.kinds for each in KINDS)


def operations() -> list[Operation]:
    """Every operation there is, those of the plugin too."""
    registry = Registry(MODULES)
    registry.find_plugins()
    return list(registry)


@dataclass(frozen=True)
class Keys:
    """Keys that may do less than everything."""

    narrow: str
    slow: dict[str, str]
    """One for each door, because the first call spends it."""
    revoked: str
    principals: dict[str, Principal]
    """Whose they are, for a dispatcher without a key file."""


def make_keys(directory: Path) -> Keys:
    """Keys in a data folder."""
    store = KeyStore(directory)
    narrow, narrow_text = store.create("narrow", ("nothing.at_all", "system.metrics"))
    revoked, revoked_text = store.create("revoked")
    principals = {narrow_text: narrow.principal()}
    slow = {}
    for name in NAMES:
        key, slow[name] = store.create(f"slow {name}", rate_per_s=0.001)
        principals[slow[name]] = key.principal()
    store.revoke(revoked.id)
    return Keys(narrow_text, slow, revoked_text, principals)


@asynccontextmanager
async def opened(server: Server, keys: Keys, directory: Path) -> AsyncIterator[dict[str, Driver]]:
    """Every door by name, ready to be called. `server` has the keys of `directory`."""
    async with AsyncExitStack() as stack:
        found: list[Driver] = []
        for kind, isolated in ((drivers.DispatcherDriver, False), (drivers.IsolatedDriver, True)):
            app = await stack.enter_async_context(
                in_process(directory, isolated=isolated).running()
            )
            app.registry.find_plugins()
            app.start_workers()
            found.append(kind(app, principals=None if isolated else keys.principals))
        at = (server.url, server.process.pid)
        served = [
            door(*at)
            for door in (
                *(drivers.HttpDriver, drivers.EventsDriver, drivers.WebSocketDriver),
                *(mcp_driver.McpDriver, webrtc_driver.WebRtcDriver),
            )
        ]
        port = await grpc_driver.port_of(served[0])
        served.append(grpc_driver.GrpcDriver(*at, port, operations()))
        for driver in served:
            stack.push_async_callback(driver.close)
        found += served
        found.append(await stack.enter_async_context(native_driver.started()))
        for each in found:
            await checks.until(lambda each=each: _ready(each), f"{each.name} is ready")
        yield {each.name: each for each in found}


def in_process(directory: Path, *, isolated: bool) -> App:
    """A server without doors, in this process."""
    settings = load_settings(
        {"data_dir": str(directory), "api_keys": FULL, "workers": "2", **ROOM},
        environ={},
        directory=directory,
    )
    app = App(settings, isolated=isolated)
    app.webrtc.serve()
    return app


async def _ready(driver: Driver) -> bool:
    """Whether its workers are up and its plugins found."""
    answer = await driver.call(Call("system.ready"))
    known = await driver.call(Call("testing.inline", b'{"token":"a"}'))
    return b'"ready":true' in answer.items[0] and known.ended
