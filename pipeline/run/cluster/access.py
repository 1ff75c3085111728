"""Who may use a cluster: Ray's token authentication.

A process that has no token can neither join a cluster, nor read or run anything there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import ray._private.ray_constants as constants
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from pipeline.errors import RequestError

MODE, TOKEN, PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # off: Ray listens on loopback only, as on macOS


@contextmanager
def private_cluster() -> Iterator[None]:
    """A cluster that is started meanwhile is this machine's alone and has a token of its own."""
    with _environment({MODE: "token", TOKEN: secrets.token_hex(32), PATH: None, LOOPBACK: "0"}):
        clusters, constants.ENABLE_RAY_CLUSTER = constants.ENABLE_RAY_CLUSTER, False
        try:
            yield
        finally:
            constants.ENABLE_RAY_CLUSTER = clusters


@contextmanager
def users_cluster() -> Iterator[None]:
    """Clusters are joined with the user's token, if there is one and no mode was asked for.

    Ray itself looks for it at the address `auto` only.
    """
    with _environment({}):
        with _environment({MODE: "token"} if has_token() and MODE not in os.environ else {}):
            yield


def has_token() -> bool:
    """Whether this user has one."""
    return bool(AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True))


def no_token(address: str) -> RequestError:
    """What to say where a cluster does not let us in."""
    return RequestError(
        f"--address {address}: this cluster wants its token, and what was sent is none or another "
        "one; set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file that holds it (`ray "
        "get-auth-token` on the head node prints it)"
    )


@contextmanager
def _environment(changes: dict[str, str | None]) -> Iterator[None]:
    """Variables that Ray and its processes read meanwhile; None: not set."""
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    # Not afterwards: threads of a Ray that is ending would abort without a token.
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
    try:
        yield
    finally:
        _set(before)


def _set(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
