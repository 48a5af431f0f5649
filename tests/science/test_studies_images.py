from pathlib import Path

import numpy as np
import pytest
import torch

from demod.artifacts import load_tensors, read_json
from demod.data import FAMILIES, MNISTUnavailableError
from demod.priors.weights import prior_hashes
from demod.studies import blocks as image_blocks
from demod.studies import images as image_study
from demod.studies.blocks import STUDY_SEED, image_block, letters
from demod.studies.images import ImageTask, Study, make_study, run_task, study_tasks
from demod.studies.methods import CLASSICAL, METHODS, SEEDS
from demod.studies.statistics import bootstrap

SMALL = {"family": "edge", "number": 0, "count": 2}
STORED = Path(__file__).parents[2] / "demod_book/results/image-study.npz"


def test_a_block_is_the_same_for_every_method_and_differs_from_the_next():
    first, again, other = (image_block("stripes", number, 2, noise=0.05) for number in (0, 0, 1))
    for a, b, c in zip(first[:3], again[:3], other[:3], strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_noise_and_missing_pixels_are_what_they_are_said_to_be():
    w, x, clean, none = image_block("edge", 0, 4)
    *_, noisy, mask = image_block("edge", 0, 4, noise=0.05, missing=0.5)
    assert none is None
    torch.testing.assert_close(clean, w * x)
    inside = (clean > 0.2) & (clean < 0.8)  # not cut off
    assert (noisy - clean)[inside].std().item() == pytest.approx(0.05, rel=0.05)
    assert mask.double().mean().item() == pytest.approx(0.5, abs=0.03)
    assert ((noisy >= 0) & (noisy <= 1)).all()


def test_bumps_that_are_wide_are_flatter_than_the_papers():
    assert (
        image_block("wide", 0, 8)[1].flatten(1).min(1).values.mean()
        > image_block("bump", 0, 8)[1].flatten(1).min(1).values.mean()
    )


def test_letters_are_black_on_white_and_follow_the_alphabet():
    images = letters(0, 27)
    assert torch.equal(images[0], images[26])
    assert (images.amax((1, 2)) == 1).all()
    assert (images.amin((1, 2)) < 0.1).all()
    assert len({image.sum().item() for image in images[:26]}) == 26


@pytest.mark.parametrize(("noise", "missing"), [(-0.1, 0.0), (float("nan"), 0.0), (0.0, 1.0), (0.0, -0.5)])
def test_noise_and_shares_that_cannot_be_are_refused(noise, missing):
    with pytest.raises(ValueError, match="noise ≥ 0 and 0 ≤ missing < 1 are required"):
        image_block("edge", 0, 2, noise=noise, missing=missing)


def stream():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("method", ["log_quadratic", "homomorphic", "bias_field", "input", "constant"])
def test_a_task_scores_each_image(method):
    found = run_task(ImageTask(method, **SMALL, noise=0.02), stream())
    assert all(values.shape == (2,) for values in found.values())
    assert (found["psnr"] > 0).all()
    assert (found["seconds"] > 0).all()


@pytest.mark.parametrize("method", ["algorithm_1", "untuned", "relu", "paper", "notebook"])
def test_a_descent_takes_its_changes_and_improves_with_iterations(method):
    where = {**SMALL, "family": "bump" if method == "notebook" else "edge"}
    few, more = (run_task(ImageTask(method, **where, iterations=k, starts=1), stream()) for k in (1, 30))
    assert (more["residual"] < few["residual"]).all()


@pytest.mark.parametrize("method", ["constant", "oracle"])
def test_iterations_are_refused_where_there_is_no_descent(method):
    with pytest.raises(ValueError, match="iterations and starts are of a descent"):
        run_task(ImageTask(method, **SMALL, iterations=3), stream())


def test_tasks_differ_and_cover_every_method_and_family():
    tasks = study_tasks(4)
    assert len(set(tasks)) == len(tasks)
    assert {task.method for task in tasks} == {*METHODS, SEEDS.name}
    assert {*FAMILIES, "wide"} == {task.family for task in tasks}
    assert sum(task.count for task in study_tasks(8) if task == ImageTask("paper", "bump", task.number, 32)) == 256


@pytest.mark.parametrize(("blocks", "message"), [(0, "blocks is 0, but it must be at least 1"), (76, "only 75 blocks")])
def test_blocks_that_would_meet_the_digits_of_other_tasks_are_refused(blocks, message):
    with pytest.raises(ValueError, match=message):
        study_tasks(blocks)


def test_an_unknown_method_or_block_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="method is 'magic', but the study has algorithm_1"):
        ImageTask("magic", **SMALL)
    with pytest.raises(ValueError, match="training_seed is of the method seeds, but method is 'relu'"):
        ImageTask("relu", **SMALL, training_seed=1)
    monkeypatch.setattr(image_blocks, "mnist_available", lambda: True)
    monkeypatch.setattr(image_blocks, "load_mnist", lambda split: (torch.zeros(5010, 28, 28).byte().numpy(), None))
    with pytest.raises(ValueError, match="the digits are 5,000 to 9,999; take an earlier block"):
        image_block("bump", 100, 32)


@pytest.mark.parametrize(
    ("task", "stored"),
    [
        (ImageTask("relu", "edge", 200, 12), {"method": "relu", "family": "edge", "number": 200, "count": 12}),
        (ImageTask("relu", "edge", 2, 1, noise=0.0),
         {"method": "relu", "family": "edge", "number": 2, "count": 1, "noise": 0.0}),
        (ImageTask("paper", "bump", 8, 5, starts=1, start=0),
         {"method": "paper", "family": "bump", "number": 8, "count": 5, "starts": 1, "again": 0}),
        (ImageTask("seeds", "bump", 2, 12, training_seed=3),
         {"method": "seeds", "family": "bump", "number": 2, "count": 12, "again": 3}),
    ],
)  # fmt: skip
def test_a_task_is_stored_as_what_it_states_and_comes_back(task, stored):
    assert task.stored() == stored
    assert ImageTask.read(stored) == task


def test_the_stored_study_lists_the_tasks_that_would_make_it_again():
    card = read_json(STORED.with_suffix(".json"))
    assert [task.stored() for task in study_tasks(card["blocks"])] == card["cells"]
    assert [ImageTask.read(stored).stored() for stored in card["cells"]] == card["cells"]


@pytest.fixture
def study():
    tasks = [
        ImageTask("relu", "bump", 0, 2),
        ImageTask("relu", "bump", 1, 3),
        ImageTask("relu", "bump", 0, 1, noise=0.05),
        ImageTask("paper", "bump", 0, 1, noise=0.0),
    ]
    return Study(tasks, [{"psnr": 10.0 * k + torch.arange(task.count)} for k, task in enumerate(tasks)])


def test_results_are_selected_by_all_conditions(study):
    assert study.select("psnr", method="relu", family="bump").tolist() == [0, 1, 10, 11, 12]
    assert study.select("psnr", method="relu", family="bump", noise=0.05).tolist() == [20]
    assert study.select("psnr", method="paper", family="bump").tolist() == [30]
    with pytest.raises(ValueError, match="no task of the study has"):
        study.select("psnr", method="paper", family="bump", noise=0.05)
    with pytest.raises(ValueError, match="conditions are nosie, but a task is known by method, family, noise"):
        study.select("psnr", method="paper", family="bump", nosie=0.05)


def test_medians_are_those_of_the_selected_images(study):
    table = study.medians("psnr", ["relu"], ["bump"], [{"noise": 0.0}, {"noise": 0.05}])
    assert table.tolist() == [[10, 20]]


def test_a_stored_study_comes_back(study, tmp_path):
    study.save(tmp_path / "study.npz", {"command": "demod study"})
    found = Study.load(tmp_path / "study.npz")
    assert found.tasks == study.tasks
    for a, b in zip(found.results, study.results, strict=True):
        assert torch.equal(a["psnr"], b["psnr"])


# Making it


@pytest.fixture
def quick(monkeypatch):
    """A study of one trivial task, whose digits are those of `digits`."""
    digits = {"test": np.full((10_000, 28, 28), 200, np.uint8)}
    monkeypatch.setattr(image_study, "study_tasks", lambda blocks: [ImageTask("constant", **SMALL)])
    monkeypatch.setattr(image_blocks, "mnist_available", lambda: True)
    for module in (image_blocks, image_study):
        monkeypatch.setattr(module, "load_mnist", lambda split: (digits[split], None))
    return digits


def test_a_study_says_which_data_and_weights_it_is_of(quick, tmp_path):
    study = make_study(tmp_path / "study.npz", tmp_path / "tasks", blocks=1, jobs=1, progress=False)
    card = read_json(tmp_path / "study.json")
    assert card["cells"] == [task.stored() for task in study.tasks]
    assert card["data"] == {"MNIST test digits": image_study.sha256(quick["test"])}
    assert card["weights"] == prior_hashes()
    assert (card["command"], card["blocks"], card["seed"]) == ("demod study --blocks 1", 1, STUDY_SEED)


def test_a_resumed_study_does_not_mix_data(quick, tmp_path):
    first, second = (make_study(tmp_path / "a.npz", tmp_path / "tasks", blocks=1, jobs=1, progress=False) for _ in range(2))
    assert torch.equal(first.results[0]["seconds"], second.results[0]["seconds"])  # not run again
    quick["test"] = np.full((10_000, 28, 28), 20, np.uint8)
    make_study(tmp_path / "b.npz", tmp_path / "tasks", blocks=1, jobs=1, progress=False)
    assert len(list((tmp_path / "tasks").glob("*.safetensors"))) == 2


def test_a_resumed_study_does_not_mix_weights(quick, tmp_path, monkeypatch):
    make_study(tmp_path / "a.npz", tmp_path / "tasks", blocks=1, jobs=1, progress=False)
    monkeypatch.setattr(image_study, "prior_hashes", lambda: {"digits": "f00"})
    make_study(tmp_path / "a.npz", tmp_path / "tasks", blocks=1, jobs=1, progress=False)
    tasks = list((tmp_path / "tasks").glob("*.safetensors"))
    assert len(tasks) == 2
    assert {load_tensors(path)[1]["task"]["method"] for path in tasks} == {"constant"}


def test_without_mnist_there_is_no_study_and_the_stored_one_stays(quick, tmp_path, monkeypatch):
    def load(split):
        raise MNISTUnavailableError("set DEMOD_DATA_DIR")

    (tmp_path / "study.npz").write_bytes(b"stored")
    monkeypatch.setattr(image_study, "load_mnist", load)
    with pytest.raises(MNISTUnavailableError, match="set DEMOD_DATA_DIR"):
        make_study(tmp_path / "study.npz", tmp_path / "tasks", blocks=1, progress=False)
    assert (tmp_path / "study.npz").read_bytes() == b"stored"
    assert not (tmp_path / "tasks").exists()


@pytest.mark.parametrize(("name", "jobs", "message"), [("a.npy", 1, "stored as .npz"), ("a.npz", 0, "jobs is 0")])
def test_what_could_not_be_written_or_run_is_refused_at_once(quick, tmp_path, name, jobs, message):
    with pytest.raises(ValueError, match=message):
        make_study(tmp_path / name, tmp_path / "tasks", blocks=1, jobs=jobs)


def test_a_bootstrap_interval_covers_the_median_as_often_as_it_says():
    rng = torch.Generator().manual_seed(0)
    hits = 0
    for _ in range(200):
        median, low, high = bootstrap(torch.randn(40, generator=rng), rng, draws=400)
        assert low <= median <= high
        hits += low <= 0 <= high
    assert 180 <= hits <= 199  # 190 expected; five standard deviations are 15


def test_the_classical_methods_are_those_of_the_baselines():
    assert CLASSICAL == ("log_quadratic", "log_subspace", "homomorphic", "bias_field", "pca_als")
    assert {METHODS[name].kind for name in ("input", "constant", "nearest")} == {"trivial"}


def test_the_stored_study_is_of_the_shipped_weights_and_as_large_as_the_readme_says():
    study, card = Study.load(STORED), read_json(STORED.with_suffix(".json"))
    assert card["weights"] == prior_hashes()
    digits = len(study.select("psnr", method="algorithm_1", family="bump"))
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"{digits} in the" in " ".join(readme.split())


def test_the_stored_study_says_that_it_is_of_mnist():
    assert list(read_json(STORED.with_suffix(".json"))["data"]) == ["MNIST test digits"]
