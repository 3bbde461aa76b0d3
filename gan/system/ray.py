"""The connection to a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

from gan.errors import ConfigError
from gan.system.processes import usable_cores

# it reports to nobody
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_KNOCK_SECONDS = 5.0


def import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise ConfigError(
            f"Ray cannot be imported ({error}); install it with: pip install -r requirements-cluster.txt"
        ) from error
    return ray


@contextlib.contextmanager
def connection(ray: Any, address: str | None, cores: int) -> Iterator[None]:
    """A Ray for the block: the one at ``address``, or one of ``cores`` CPUs here that ends with it."""
    # a Ray that is started here reads these when it starts
    before = {name: os.environ.get(name) for name in _QUIET}
    try:
        _init(ray, address, {} if address else {"num_cpus": cores})
        yield
    finally:
        ray.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def connect(address: str | None) -> Any:
    """The module ray, connected for as long as this process lives: to ``address``, or to a Ray started here,
    which leaves one core to whoever answers visitors. ConfigError where it is not installed or does not
    answer."""
    ray = import_ray()
    if not ray.is_initialized():  # a hot reload has one already
        here = {} if address else {"num_cpus": max(1, usable_cores() - 1)}
        _init(ray, address, here, "correct RAY_ADDRESS, or leave it out for a Ray here")
    return ray


def _init(
    ray: Any,
    address: str | None,
    settings: dict[str, Any],
    otherwise: str = "leave --address out",
) -> None:
    on_termination = signal.getsignal(signal.SIGTERM)
    os.environ.update(_QUIET)
    if address is None:
        settings = {**settings, "include_dashboard": False}
    try:
        _knock(address)
        ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **settings
        )
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise ConfigError(
            f"no Ray could be reached at {address or 'this machine'} ({error}); start one with "
            f"`ray start --head`, or {otherwise}"
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_termination)  # Ray's own aborts the process


def _knock(address: str | None) -> None:
    """OSError where nobody listens at HOST:PORT: Ray itself would look for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()


def describe_problem(problem: Exception) -> str:
    """The last lines of what Ray says, as of a child that ended."""
    lines = [line for line in str(problem).strip().splitlines() if line.strip()]
    return "\n".join(lines[-5:]) or type(problem).__name__
