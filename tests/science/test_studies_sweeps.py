import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import distributed
import joblib
import numpy as np
import pytest
import torch
from scipy.special import expit

from demod.artifacts import load_tensors
from demod.studies.random_problems import SUCCESS, recover_problems
from demod.studies.statistics import exponent, half_point
from demod.studies.sweeps import sweep

TASKS = [
    {"n": 2, "p": 2, "inner1": [20], "inner2": [20], "ell": ell, "trials": 3, "iterations": 40} for ell in range(60, 100, 5)
]


def contents(folder: Path) -> dict[str, bytes]:
    """The finished tasks; a write that was killed leaves a hidden file, which no one reads."""
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*.safetensors")}


def test_the_results_are_those_of_the_tasks_in_their_order(tmp_path):
    results = sweep(recover_problems, TASKS, tmp_path, seed=1, jobs=1)
    assert [set(result) for result in results] == [{"error", "residual", "iterations"}] * len(TASKS)
    for task, result in zip(TASKS, results, strict=True):
        (path,) = [path for path in tmp_path.iterdir() if load_tensors(path)[1]["task"] == task]
        assert torch.equal(load_tensors(path)[0]["error"], result["error"])


@pytest.mark.processes
def test_the_number_of_workers_and_the_order_of_the_tasks_change_no_byte(tmp_path):
    sweep(recover_problems, TASKS, tmp_path / "one", seed=1, jobs=1)
    sweep(recover_problems, TASKS[::-1], tmp_path / "two", seed=1, jobs=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_another_seed_or_task_has_another_stream(tmp_path):
    twin = [{**TASKS[0], "number": k} for k in range(2)]
    (a, b), (c, _) = (sweep(draw_number, twin, tmp_path, seed=seed, jobs=1) for seed in (1, 2))
    assert len({a["number"].item(), b["number"].item(), c["number"].item()}) == 3


def draw_number(task, rng):
    return {"number": torch.randn(1, generator=rng, dtype=torch.float64)}


def test_finished_tasks_are_not_run_again(tmp_path):
    sweep(draw_number, TASKS[:3], tmp_path, seed=1, jobs=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    sweep(draw_number, TASKS[:5], tmp_path, seed=1, jobs=1)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(tmp_path.iterdir())) == 5


def test_a_task_that_occurs_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="tasks has 1 that occur twice"):
        sweep(draw_number, [TASKS[0], TASKS[0]], tmp_path, seed=1)


def test_other_inputs_make_all_tasks_anew_with_the_same_streams(tmp_path):
    first, second, third = (
        sweep(draw_number, TASKS[:2], tmp_path, seed=1, jobs=1, inputs=inputs)
        for inputs in (None, {"data": "a"}, {"data": "b"})
    )
    assert len(list(tmp_path.iterdir())) == 6
    assert [result["number"] for result in first] == [result["number"] for result in second]
    assert [result["number"] for result in first] == [result["number"] for result in third]


def test_a_task_has_the_stream_that_it_always_had(tmp_path):
    (result,) = sweep(draw_number, [{"n": 2, "noise": 0.0}], tmp_path, seed=3)
    stream = torch.Generator().manual_seed(0xBD0524EF)  # the first 32 bits of the SHA-256 of [{"n": 2, "noise": 0.0}, 3, ""]
    assert torch.equal(result["number"], torch.randn(1, generator=stream, dtype=torch.float64))


def test_the_state_of_torch_changes_no_bit_of_a_task(tmp_path):
    (expected,) = sweep(recover_problems, TASKS[:1], tmp_path / "usual", seed=1)
    torch.set_default_device("meta")
    try:
        with torch.inference_mode():
            (found,) = sweep(recover_problems, TASKS[:1], tmp_path / "other", seed=1)
    finally:
        torch.set_default_device(None)
    assert torch.equal(found["error"], expected["error"])


@pytest.mark.parametrize(("jobs", "kind", "message"), [(0, ValueError, "jobs is 0"), (1.5, TypeError, "jobs is 1.5")])
def test_jobs_that_cannot_be_are_refused(tmp_path, jobs, kind, message):
    with pytest.raises(kind, match=message):
        sweep(draw_number, TASKS[:1], tmp_path, seed=1, jobs=jobs)


# Losses. A task waits for a token, so that a test decides how many finish and the others are at work when the blow falls.


def waiting_task(task, rng):
    """Take a token from the folder that TOKENS names, or wait for one, then run."""
    while True:
        for token in Path(os.environ["TOKENS"]).iterdir():
            try:
                token.unlink()
            except FileNotFoundError:  # another worker was faster
                continue
            return recover_problems(task, rng)
        time.sleep(0.01)


@pytest.fixture
def hand_out(tmp_path, monkeypatch):
    """Allow so many more tasks to run."""
    folder, numbers = tmp_path / "tokens", itertools.count()
    folder.mkdir()
    monkeypatch.setenv("TOKENS", str(folder))

    def allow(tasks):
        for _ in range(tasks):
            (folder / f"{next(numbers)}").touch()

    return allow


def wait_for(folder, tasks, patience=600):
    end = time.monotonic() + patience
    while not folder.is_dir() or len(contents(folder)) < tasks:
        assert time.monotonic() < end, f"not {tasks} tasks in {patience} s"
        time.sleep(0.01)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from test_studies_sweeps import TASKS, waiting_task
from demod.studies.sweeps import sweep
if __name__ == "__main__":
    sweep(waiting_task, TASKS, {folder!r}, seed=1, jobs=2)
"""


@pytest.mark.processes
@pytest.mark.parametrize("kills", [1, pytest.param(5, marks=pytest.mark.nightly)])
def test_a_sweep_that_is_killed_leaves_the_bytes_of_one_that_is_not(tmp_path, hand_out, kills):
    hand_out(len(TASKS))
    sweep(waiting_task, TASKS, tmp_path / "whole", seed=1, jobs=1)
    script, killed = tmp_path / "script.py", tmp_path / "killed"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), folder=str(killed)))
    for kill in range(kills):
        hand_out(1)
        process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
        wait_for(killed, kill + 1)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert len(contents(killed)) == kill + 1
    hand_out(len(TASKS) - kills)
    subprocess.run([sys.executable, str(script)], check=True)
    assert contents(killed) == contents(tmp_path / "whole")


def test_a_cluster_leaves_the_same_bytes(tmp_path):
    sweep(draw_number, TASKS, tmp_path / "here", seed=1, jobs=1)
    local = {"processes": False, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**local) as cluster, distributed.Client(cluster), joblib.parallel_config(backend="dask"):
        sweep(draw_number, TASKS, tmp_path / "cluster", seed=1)
    assert contents(tmp_path / "cluster") == contents(tmp_path / "here")


@pytest.mark.nightly
def test_a_cluster_that_loses_a_worker_in_mid_sweep_leaves_the_same_bytes(tmp_path, hand_out):
    hand_out(len(TASKS))
    sweep(waiting_task, TASKS, tmp_path / "here", seed=1, jobs=1)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = list(client.run(os.getpid).values())

        def kill_one():
            hand_out(2)
            wait_for(tmp_path / "cluster", 2)
            os.kill(pids[0], signal.SIGKILL)
            hand_out(len(TASKS) - 2)

        killer = threading.Thread(target=kill_one)
        killer.start()
        with joblib.parallel_config(backend="dask"):
            sweep(waiting_task, TASKS, tmp_path / "cluster", seed=1)
        killer.join()
        assert pids[0] not in client.run(os.getpid).values()
    assert contents(tmp_path / "cluster") == contents(tmp_path / "here")


# What the tasks do


def test_a_problem_with_enough_measurements_is_recovered():
    task = {"n": 5, "p": 6, "ell": 600, "trials": 20, "iterations": 1500, "tolerance": 1e-8}
    result = recover_problems(task, torch.Generator().manual_seed(3))
    assert (result["error"] <= SUCCESS).sum() >= 19
    assert result["error"].shape == result["residual"].shape == result["iterations"].shape == (20,)


def test_noise_of_a_given_ratio_is_left_as_the_residual():
    task = {"n": 2, "p": 2, "inner1": [30], "inner2": [30], "ell": 1000, "trials": 4, "iterations": 500, "noise": 0.1}
    result = recover_problems(task, torch.Generator().manual_seed(3))
    assert ((result["residual"] > 0.09) & (result["residual"] < 0.105)).all()


def test_several_starts_return_the_one_with_the_least_residual():
    task = {"n": 1, "p": 1, "inner1": [50], "inner2": [50], "ell": 300, "trials": 10, "iterations": 300, "reflect_every": 0}
    one, many = (recover_problems({**task, "starts": k}, torch.Generator().manual_seed(3)) for k in (1, 8))
    assert (one["error"] > SUCCESS).any()  # a wrong quadrant
    assert (many["error"] <= SUCCESS).sum() > (one["error"] <= SUCCESS).sum()


def test_a_network_that_switches_off_is_a_failure():
    task = {"n": 2, "p": 2, "inner1": [1], "inner2": [1], "ell": 50, "trials": 30, "iterations": 1}
    result = recover_problems(task, torch.Generator().manual_seed(3))
    assert (result["error"] == 1).sum() > 10  # half of the single units are off, for each network
    assert result["residual"].isfinite().all()


# Fits


def test_the_half_point_is_found_within_its_error():
    rng = np.random.default_rng(0)
    sizes, misses = np.array([40, 60, 80, 100, 140]), []
    for _ in range(200):
        half, error = half_point(sizes, rng.binomial(50, expit(6 * np.log(sizes / 75))), 50)
        misses.append(np.log(half / 75) / error)
    assert 0.8 < np.std(misses) < 1.2
    assert abs(np.mean(misses)) < 0.3


def test_a_jump_from_none_to_all_has_its_half_point_between():
    half, error = half_point([10, 20, 40, 80], [0, 0, 30, 30], 30)
    assert 20 < half < 40
    assert 0 < error < 0.5


@pytest.mark.parametrize("successes", [[0, 1, 2], [30, 29, 28]])
def test_sizes_that_do_not_bracket_one_half_are_refused(successes):
    with pytest.raises(ValueError, match="some sizes must give less than half, some more"):
        half_point([10, 20, 40], successes, 30)


def test_the_exponent_of_a_power_law_is_its_exponent():
    sizes = [5, 10, 20, 40]
    slope, error = exponent(sizes, [3 * size**1.7 for size in sizes], [0.1, 0.1, 0.2, 0.1])
    assert slope == pytest.approx(1.7)
    assert 0.03 < error < 0.12
