"""Many runs from one small file: every combination of settings, trained, scored and tabulated.

A file in TOML says what varies (``[grid]``, lists), what does not (``[fixed]``, single values) and
how the whole is called; the keys are those of `TrainConfig`, and of its networks below ``model``::

    name = "sizes"
    [grid]
    size = [200, "1%"]
    seed = [0, 1, 2]
    [fixed]
    updates = 300
    [fixed.model]
    hidden_units = 128

A sweep is a folder with one folder a run (see `gan.run`), the configurations its children were
given, and ``results.jsonl``: one row a finished run. The rows say nothing that the manifests of the
runs do not say; a row that is lost or torn is written again from there.
"""

from __future__ import annotations

import contextlib
import difflib
import itertools
import json
import math
import os
import tomllib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gan import checkpoint, cluster, data, jobs, judge, parallel, run, trainer, zoo
from gan.config import BUDGETS, LOSSES, RECIPES, ModelConfig, TrainConfig, recipe_config
from gan.errors import CheckpointError, ConfigError, GanError

RESULTS = "results.jsonl"
PLACES = ("local", "ray")
TOGETHER = 16  # runs trained as one on a GPU; what is best there has not been measured
MOST_RUNS = 100_000  # more is a slip: a list too many multiplies
_MODEL = "model."
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@dataclass(frozen=True)
class Sweep:
    """What a file asks for: its name, and the runs in the order in which they are made."""

    name: str
    configs: tuple[TrainConfig, ...]


# --- reading -------------------------------------------------------------------------------


def read(path: Path) -> Sweep:
    """The sweep that a TOML file describes. ConfigError, naming file, key, value and what is known,
    for anything in it that cannot work.

    All runs of one seed come before those of the next, so that an early end leaves whole tables;
    among the other keys the last in the file varies fastest.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path} is missing; name a file like docs/sweeps/example.toml"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    for key in content:
        _know(key, ("name", "grid", "fixed"), str(path))
    grid, fixed = (_settings(path, table, content.get(table, {})) for table in ("grid", "fixed"))
    if not grid:
        raise ConfigError(f"{path}: [grid] is empty; give it at least one list: size = [200, 600]")
    for key in fixed:
        if key in grid:
            raise ConfigError(f"{path}: {key} is in [grid] and in [fixed]; leave it in one of them")
    single = {key: _value(f"{path}: [fixed] {key}", key, value) for key, value in fixed.items()}
    lists = {key: _values(f"{path}: [grid] {key}", key, values) for key, values in grid.items()}
    count = math.prod(len(values) for values in lists.values())
    if count > MOST_RUNS:
        raise ConfigError(f"{path}: [grid] makes {count:,} runs; at most {MOST_RUNS:,} are meant")
    keys = sorted(lists, key=lambda key: key != "seed")  # the rest stays in the file's order
    combinations = itertools.product(*(lists[key] for key in keys))
    chosen = [dict(zip(keys, values, strict=True)) for values in combinations]
    configs = [_config(str(path), single | varied) for varied in chosen]
    _refuse_twins(path, chosen, configs)
    return Sweep(_name(path, content.get("name")), tuple(configs))


def _know(key: str, known: Iterable[str], where: str) -> None:
    known = sorted(known)
    if key not in known:
        raise ConfigError(
            f"{where} does not know {key!r}{_nearest(key, known)}; it knows {', '.join(known)}"
        )


def _nearest(text: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(text, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _name(path: Path, name: Any) -> str:
    plain = isinstance(name, str) and name and set(name) <= _NAME_CHARACTERS
    if not plain or name.startswith("."):
        raise ConfigError(
            f"{path}: name={name!r} must be a name for a folder: letters, digits, dot, dash, underscore"
        )
    return str(name)


def _settings(path: Path, table: str, content: Any) -> dict[str, Any]:
    """{"size": ..., "model.latent_dim": ...}: one level, all keys known."""
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: {table}={content!r} must be a table: [{table}]")
    model = content.get("model", {})
    if not isinstance(model, dict):
        raise ConfigError(f"{path}: [{table}] model={model!r} must be a table: [{table}.model]")
    for key in content:
        _know(key, TrainConfig().to_dict(), f"{path}: [{table}]")
    for key in model:
        _know(key, ModelConfig().to_dict(), f"{path}: [{table}.model]")
    outer = {key: value for key, value in content.items() if key != "model"}
    return outer | {f"{_MODEL}{key}": value for key, value in model.items()}


def _values(where: str, key: str, values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise ConfigError(f"{where}={values!r} must be a list; single values belong in [fixed]")
    if not values:
        raise ConfigError(f"{where} is an empty list; give it a value or leave it out")
    made = [_value(where, key, value) for value in values]
    for index, value in enumerate(made):
        if value in made[:index]:
            raise ConfigError(f"{where}={values!r} has {values[index]!r} twice; leave one out")
    return made


def _value(where: str, key: str, value: Any) -> Any:
    """``value`` as the configuration wants it: sizes as numbers, and no 1 where 1.0 is meant."""
    inner = key.removeprefix(_MODEL)
    default = getattr(ModelConfig() if inner != key else TrainConfig(), inner)
    if isinstance(value, dict | list):
        raise ConfigError(f"{where}={value!r} must be a single value, such as {default!r}")
    if isinstance(value, bool) != isinstance(default, bool):
        raise ConfigError(f"{where}={value!r} must be a value such as {default!r}")
    if isinstance(default, float) and isinstance(value, int):
        value = float(value)
    sources = ("mnist", "stacked", "drawn")
    known = {"recipe": RECIPES, "budget": BUDGETS, "loss": LOSSES, "source": sources}.get(key, ())
    try:
        if key == "size" and isinstance(value, str):
            value = data.parse_size(value)
        if key == "source" and isinstance(value, str):
            data.parse_source(value)
    except GanError as error:
        hint = _nearest(str(value), known)
        raise ConfigError(f"{where}={value!r}: {error}{hint}") from error
    if key == f"{_MODEL}img_channels":  # right or wrong only together with the source
        return value
    try:
        _config(where, {key: value})
    except ConfigError as error:
        raise ConfigError(f"{error}{_nearest(str(value), known)}") from error
    return value


def _config(where: str, settings: Mapping[str, Any]) -> TrainConfig:
    """{"size": ..., "model.latent_dim": ...} on top of the recipe that is among them."""
    changes = {key: value for key, value in settings.items() if not key.startswith(_MODEL)}
    model = {k.removeprefix(_MODEL): v for k, v in settings.items() if k.startswith(_MODEL)}
    recipe = changes.pop("recipe", TrainConfig().recipe)
    try:
        return recipe_config(recipe, **changes, model=model)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _refuse_twins(
    path: Path, chosen: Sequence[Mapping[str, Any]], configs: Sequence[TrainConfig]
) -> None:
    """Two runs that differ only in what their budget does not look at are one run, paid twice."""
    default = TrainConfig()
    seen: dict[TrainConfig, Mapping[str, Any]] = {}
    for settings, config in zip(chosen, configs, strict=True):
        unused = "updates" if config.budget == "epochs" else "epochs"
        twin = replace(config, **{unused: getattr(default, unused)})
        if twin in seen:
            raise ConfigError(
                f"{path}: {dict(seen[twin])} and {dict(settings)} are the same run, because {unused} "
                f"changes nothing under budget={config.budget!r}; give the two budgets a file each"
            )
        seen[twin] = settings


# --- folders -------------------------------------------------------------------------------


def run_folder(config: TrainConfig, work: Path) -> Path:
    """Where the run of ``config`` lies below ``work``."""
    return work / run.run_name(config)


# --- the table of results ------------------------------------------------------------------


class Results:
    """``results.jsonl`` in the folder of a sweep: a line of JSON for every finished run below it.

    A row: ``folder`` (name of the run's folder, no two rows with the same), ``config``, ``final`` and
    ``best`` (null where the best moment was not clearly better than the end), each with its ``step``,
    ``figures`` ({name: {value, spread, n, draws}}), ``verdicts`` and what they were measured with,
    ``seconds`` of training, and ``provenance``.

    Opening brings it up to date: what is not a whole row is dropped, and every finished run that has
    no row, or another than its manifest says now, gets it. Only one process may have it open.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / RESULTS
        self._rows: dict[str, dict[str, Any]] = {}
        if self._path.exists() and not self._read():
            self._rewrite()
        for manifest in sorted(folder.glob(f"*/{run.MANIFEST}")):
            try:
                row = make_row(manifest.parent)
            except CheckpointError:
                continue  # not a run's; of one in its plan the sweep complains itself
            self.add(row)

    def _read(self) -> bool:
        """Takes in all whole rows; False where there was anything else."""
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise CheckpointError(f"{self._path} cannot be read ({error}); remove it") from error
        sound = content.endswith(b"\n") or not content
        for line in content.splitlines():
            try:
                row = json.loads(line)
                folder = str(row["folder"])
            except (ValueError, KeyError, TypeError):
                sound = False  # torn
                continue
            sound = sound and folder not in self._rows
            self._rows[folder] = row
        return sound

    def _rewrite(self) -> None:
        lines = [f"{json.dumps(row)}\n" for row in self._rows.values()]
        checkpoint.write_atomically(self._path, "".join(lines).encode())

    def add(self, row: dict[str, Any]) -> None:
        """Writes a row down unless it is there; instead of an older one of the same run."""
        before = self._rows.get(row["folder"])
        if before == row:
            return
        if before is None:  # known only once it is on disk
            checkpoint.append_line(self._path, json.dumps(row))
            self._rows[row["folder"]] = row
        else:
            self._rows[row["folder"]] = row
            self._rewrite()


def make_row(folder: Path) -> dict[str, Any]:
    """The row of a finished run, from its manifest. CheckpointError where that cannot be read."""
    cards = {card.snapshot: card for card in zoo.read_manifest(folder)}
    if "final" not in cards:
        raise CheckpointError(f"{folder / run.MANIFEST} has no final model; train the run anew")
    final, best = cards["final"], cards.get("best")
    try:
        seconds = final.provenance["seconds"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / run.MANIFEST} does not say how long the run took; train it anew"
        ) from error
    row = {
        "folder": folder.name,
        "config": final.config.to_dict(),
        "final": _scores(final),
        "best": None if best is None else _scores(best),
        "seconds": seconds,
        "provenance": final.provenance,
    }
    # as it will be read again: lists for tuples, null for what was not measured
    return json.loads(json.dumps(checkpoint.without_nan(row)))


def _scores(card: zoo.ModelCard) -> dict[str, Any]:
    verdicts = [verdict.kind for verdict in card.metrics.verdicts()]
    return {"step": card.step, "verdicts": verdicts, **card.metrics.to_dict()}


# --- running -------------------------------------------------------------------------------


def start(
    configs: Sequence[TrainConfig],
    folder: Path,
    workers: int | None = None,
    threads: int = 1,
    device: str = "auto",
    on: str = "local",
    address: str | None = None,
    together: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[zoo.Built]:
    """Trains what is not finished yet below ``folder`` and brings its table up to date after each run.

    ``on="local"``: in child processes, ``workers`` at a time, by default as many as the cores allow on
    the CPU and one on a GPU. ``on="ray"``: as tasks (see `gan.cluster`), on the Ray at ``address`` or on
    one started here for the purpose. ``together``: how many runs a local child trains as one
    (`gan.parallel`), where they differ in data and seed only; by default `TOGETHER` on a GPU and 1 on
    the CPU. Killed and called again, it goes on where it was; a run that
    failed is told with its error, does not stop the others, and is tried again by the next call.
    ``on_progress`` is told, every second, how many updates of all ``configs`` are done.
    ConfigError where another sweep works on the folder, CheckpointError where the table cannot be
    written: the finished run is on disk and gets its row from the next call.
    """
    if on not in PLACES:
        raise ConfigError(f"on={on!r} is unknown; choose one of {', '.join(PLACES)}")
    if address is not None and on != "ray":
        raise ConfigError(f"address={address!r} is that of a Ray; add --on ray, or leave it out")
    if together is not None and on == "ray":
        raise ConfigError(
            f"together={together} is for local runs; a Ray task trains one: leave it out"
        )
    with jobs.only_one(folder) as lock:
        results = Results(folder)
        done, todo = 0, []
        for config in configs:
            try:
                if run.is_finished(run_folder(config, folder), config):
                    make_row(run_folder(config, folder))  # a finished run without one is not sound
                    done += 1
                else:
                    todo.append(config)
            except GanError as error:
                yield zoo.Built(run.run_name(config), done, len(configs), 0.0, str(error))

        def tell() -> None:
            if on_progress is not None:
                on_progress(sum(run.updates_done(run_folder(c, folder), c) for c in configs))

        if not todo:
            tell()
            return
        if on == "ray":
            outcomes = _on_ray(todo, folder, workers, threads, device, address, tell)
        else:
            outcomes = _locally(todo, folder, workers, threads, device, together, lock, tell)
        with contextlib.closing(outcomes):  # the children end before the lock is let go
            for outcome in outcomes:
                name, error_text = run.run_name(todo[outcome.index]), ""
                row = None
                if outcome.code == 0:
                    try:
                        row = make_row(folder / name)
                    except CheckpointError as error:
                        error_text = str(error)
                else:
                    error_text = outcome.error or f"exit code {outcome.code}"
                if row is not None:
                    results.add(row)
                    done += 1
                yield zoo.Built(name, done, len(configs), outcome.seconds, error_text)


def default_workers(device: torch.device, threads: int) -> int:
    """How many runs go side by side: one a core on the CPU, one on anything else."""
    return max(1, jobs.usable_cores() // threads) if device.type == "cpu" else 1


def _locally(
    todo: Sequence[TrainConfig],
    folder: Path,
    workers: int | None,
    threads: int,
    device: str,
    together: int | None,
    lock: Sequence[int],
    tell: Callable[[], None],
) -> Generator[jobs.Outcome]:
    chosen = trainer.choose_device(device)
    _refuse_what_is_missing(todo)
    groups = group(todo, together or (1 if chosen.type == "cpu" else TOGETHER))
    commands = []
    for members in groups:
        settings, folders = [], []
        for name in (run.run_name(todo[index]) for index in members):
            settings.append(str(folder / "configs" / f"{name}.json"))
            folders.append(str(folder / name))
        for path, index in zip(settings, members, strict=True):
            checkpoint.write_json(Path(path), todo[index].to_dict())
        arguments = ["--config", *settings, "--out", *folders]
        arguments += ["--device", device, "--threads", str(threads)]
        if lock:  # a sweep that is killed cannot end its children: they watch it
            arguments += ["--parent", str(os.getpid())]
        commands.append(jobs.gan_command("train", *arguments))
    workers = workers or default_workers(chosen, threads)
    running = jobs.run_all(commands, workers, poll_seconds=1.0, on_wait=tell, pass_fds=lock)
    with contextlib.closing(running):
        for outcome in running:
            for index in groups[outcome.index]:
                finished = run.is_finished(run_folder(todo[index], folder), todo[index])
                # of several trained as one, those that had finished before it failed are not lost
                yield replace(outcome, index=index, code=0 if finished else outcome.code or 1)


def group(configs: Sequence[TrainConfig], most: int) -> list[list[int]]:
    """The places of ``configs`` in groups of up to ``most`` that can be trained as one, in the order of
    their first."""
    groups: list[list[int]] = []
    open_of: dict[Any, list[int]] = {}
    for index, config in enumerate(configs):
        key = parallel.together(config)
        members = open_of.get(key)
        if members is None or len(members) >= most:
            members = open_of[key] = []
            groups.append(members)
        members.append(index)
    return groups


def _refuse_what_is_missing(todo: Sequence[TrainConfig]) -> None:
    """What is missing is said now, once, and not by every child."""
    for name in judge.JUDGES:
        judge.load(name)
        judge.reference(name)
    largest: dict[tuple[str, int], int] = {}
    for config in todo:
        key = (config.source, config.data_seed)
        largest[key] = max(config.size, largest.get(key, 0))
    for (source, data_seed), size in largest.items():
        data.load(source, size, data_seed)


def _on_ray(
    todo: Sequence[TrainConfig],
    folder: Path,
    workers: int | None,
    threads: int,
    device: str,
    address: str | None,
    tell: Callable[[], None],
) -> Generator[jobs.Outcome]:
    if device == "auto":  # what this machine has: of the others nothing is known
        device = trainer.choose_device().type
    if address is None:
        chosen = trainer.choose_device(device)
        _refuse_what_is_missing(todo)
        if workers is None and chosen.type == "cuda":
            workers = torch.cuda.device_count()
        workers = workers or default_workers(chosen, threads)
    yield from cluster.run_all(
        [(config, run_folder(config, folder)) for config in todo],
        device,
        threads,
        workers,
        address,
        poll_seconds=1.0,
        on_wait=tell,
    )
