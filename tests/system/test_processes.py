import itertools
import os
import subprocess
import sys
import time

import pytest

from gan.errors import ConfigError
from gan.system import processes


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _run(commands, workers=1):
    return list(processes.run_all(commands, workers, poll_seconds=0.01))


def test_every_child_reports_its_place_and_exit_code():
    outcomes = _run([_python(f"raise SystemExit({code})") for code in (0, 3, 1)])
    assert [(o.index, o.code) for o in outcomes] == [(0, 0), (1, 3), (2, 1)]


def test_no_commands_are_no_outcomes():
    assert _run([]) == []


def test_the_last_five_lines_of_stderr_come_back():
    code = "import sys; [print(n, file=sys.stderr) for n in range(20)]; print('out'); sys.exit(2)"
    (outcome,) = _run([_python(code)])
    assert outcome.error.splitlines() == ["15", "16", "17", "18", "19"]


def test_a_child_that_complains_at_length_is_not_blocked():
    # more than a pipe holds; the timer ends the child should nobody read
    code = (
        "import os, sys, threading\n"
        "timer = threading.Timer(5, os._exit, (9,)); timer.daemon = True; timer.start()\n"
        "sys.stderr.write('line\\n' * 100_000)\n"
    )
    (outcome,) = _run([_python(code)])
    assert outcome.code == 0
    assert outcome.error.splitlines() == ["line"] * 5


def test_complaints_in_another_encoding_are_no_trouble():
    code = "import sys; sys.stderr.buffer.write(b'caf\\xe9\\n'); sys.exit(1)"
    (outcome,) = _run([_python(code)])
    assert outcome.code == 1 and outcome.error.startswith("caf")


def test_a_killed_child_has_a_negative_code():
    (outcome,) = _run([_python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")])
    assert outcome.code == -9


def test_one_worker_runs_one_after_the_other(tmp_path):
    code = "import time; a = time.time(); time.sleep(0.05); print(a, time.time(), file=open({!r}, 'w'))"
    _run([_python(code.format(f"{tmp_path}/{n}")) for n in range(3)])
    spans = [tuple(map(float, (tmp_path / str(n)).read_text().split())) for n in range(3)]
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


def test_workers_run_side_by_side(tmp_path):
    # each waits for the other's sign, so neither ends unless both run at once
    code = (
        "import pathlib, sys, time\n"
        "mine, other = map(pathlib.Path, {!r})\n"
        "mine.touch()\n"
        "until = time.time() + 10\n"
        "while not other.exists():\n"
        "    time.sleep(0.01)\n"
        "    if time.time() > until: sys.exit(1)\n"
    )
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    outcomes = _run([_python(code.format((a, b))), _python(code.format((b, a)))], workers=2)
    assert sorted((o.index, o.code) for o in outcomes) == [(0, 0), (1, 0)]


def test_no_more_children_than_workers_run_at_once(tmp_path):
    code = (
        "import pathlib, time, os\n"
        "folder = pathlib.Path({!r})\n"
        "me = folder / str(os.getpid())\n"
        "me.touch(); time.sleep(0.1)\n"
        "alive = len(list(folder.glob('[0-9]*')))\n"
        "me.unlink()\n"
        "raise SystemExit(alive)\n"
    )
    outcomes = _run([_python(code.format(str(tmp_path)))] * 5, workers=2)
    assert len(outcomes) == 5
    assert {o.code for o in outcomes} <= {1, 2}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait_for(path) -> int:
    until = time.monotonic() + 10
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < until
        time.sleep(0.01)
    return int(path.read_text())


SLEEPER = "import os, time; print(os.getpid(), file=open({!r}, 'w')); time.sleep(60)"


def test_no_child_outlives_a_consumer_that_stops_asking(tmp_path):
    sleepers = [_python(SLEEPER.format(f"{tmp_path}/{n}")) for n in range(2)]
    quick = (
        "import pathlib, time\n"
        f"while not all(pathlib.Path({str(tmp_path)!r}, n).exists() for n in '01'): time.sleep(0.01)"
    )
    loop = processes.run_all([*sleepers, _python(quick)], workers=3, poll_seconds=0.01)
    assert next(loop).index == 2
    pids = [_wait_for(tmp_path / str(n)) for n in range(2)]
    assert all(map(_alive, pids))
    loop.close()
    assert not any(map(_alive, pids))


def test_no_child_outlives_an_interruption(tmp_path, monkeypatch):
    pids = []

    def interrupt(_):
        pids.append(_wait_for(tmp_path / "pid"))
        monkeypatch.undo()
        raise KeyboardInterrupt

    command = _python(SLEEPER.format(f"{tmp_path}/pid"))
    real_sleep = time.sleep
    monkeypatch.setattr(
        processes.time, "sleep", lambda s: real_sleep(s) if s == 0.01 else interrupt(s)
    )
    with pytest.raises(KeyboardInterrupt):
        list(processes.run_all([command], 1, poll_seconds=0.02))
    assert pids and not _alive(pids[0])


def test_our_own_program_is_run_by_this_python():
    assert processes.gan_command("zoo", "list") == [sys.executable, "-m", "gan", "zoo", "list"]


def test_without_a_worker_nothing_would_ever_end():
    with pytest.raises(ConfigError, match="workers=0"):
        next(processes.run_all([[sys.executable, "-c", ""]], 0))


def test_an_answer_is_what_a_command_prints_and_nothing_where_it_cannot():
    assert processes.output([sys.executable, "-c", "print(' yes ')"]) == "yes"
    assert processes.output([sys.executable, "-c", "raise SystemExit(1)"]) == ""
    assert processes.output([sys.executable, "-c", "import time; time.sleep(9)"], seconds=0.2) == ""
    assert processes.output(["no-such-program"]) == ""


def test_what_runs_in_the_background_is_gone_after_the_block(tmp_path):
    code = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    with processes.background([sys.executable, "-c", code], tmp_path):
        until = time.monotonic() + 20
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < until
            time.sleep(0.02)
        pid = int((tmp_path / "pid").read_text())
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_child_does_not_get_the_ctrl_c_of_its_parents_terminal():
    code = "import os, sys; sys.exit(os.getpgid(0) == int(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(os.getpgid(0))]
    assert [outcome.code for outcome in processes.run_all([command], 1, 0.01)] == [0]


def test_a_process_is_known_to_be_there():
    assert processes.exists(os.getpid())
    child = subprocess.Popen(_python(""))
    child.wait()
    assert not processes.exists(child.pid)
