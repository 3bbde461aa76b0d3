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

# no usage reports, and no change of CUDA_VISIBLE_DEVICES for workers without a GPU
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_PORT_SECONDS = 5.0


def import_ray() -> Any:
    """The module ray. ConfigError if it is not installed."""
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
    """Connect to Ray for the block: at ``address``, or started here with ``cores`` CPUs until its end."""
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
    """The module ray, connected for the life of this process: to ``address``, or to a Ray started here,
    which leaves one core for the app. ConfigError if Ray is not installed or does not answer."""
    ray = import_ray()
    if not ray.is_initialized():  # a hot reload of the app keeps the connection
        here = {} if address else {"num_cpus": max(1, usable_cores() - 1)}
        _init(ray, address, here, "correct RAY_ADDRESS, or unset it to use a Ray on this machine")
    return ray


def _init(
    ray: Any,
    address: str | None,
    settings: dict[str, Any],
    remedy: str = "leave --address out",
) -> None:
    on_termination = signal.getsignal(signal.SIGTERM)
    os.environ.update(_QUIET)
    if address is None:
        settings = {**settings, "include_dashboard": False}
    try:
        _check_port(address)
        ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **settings
        )
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise ConfigError(
            f"Ray cannot be reached at {address or 'this machine'} ({error}); start one with "
            f"`ray start --head`, or {remedy}"
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_termination)  # Ray's own aborts the process


def _check_port(address: str | None) -> None:
    """OSError if nothing listens at HOST:PORT. Ray itself would try for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_PORT_SECONDS).close()


def describe_problem(problem: Exception) -> str:
    """The last lines of an error of Ray, as `Outcome.error` has those of a child."""
    lines = [line for line in str(problem).strip().splitlines() if line.strip()]
    return "\n".join(lines[-5:]) or type(problem).__name__
