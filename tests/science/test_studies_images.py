from pathlib import Path

import pytest
import torch

from demod.artifacts import read_json
from demod.data import FAMILIES
from demod.priors.weights import weight_hashes
from demod.studies import images as image_study
from demod.studies.images import CLASSICAL, METHODS, Study, image_block, letters, study_cell, study_cells
from demod.studies.statistics import bootstrap

SMALL = {"family": "edge", "number": 0, "count": 2}


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


@pytest.mark.parametrize("method", ["log_quadratic", "homomorphic", "bias_field", "input", "constant"])
def test_a_cell_scores_each_image(method):
    found = study_cell({"method": method, **SMALL, "noise": 0.02}, torch.Generator().manual_seed(0))
    assert all(values.shape == (2,) for values in found.values())
    assert (found["psnr"] > 0).all()
    assert (found["seconds"] > 0).all()


@pytest.mark.parametrize("method", ["algorithm_1", "untuned", "relu", "paper", "notebook"])
def test_a_descent_takes_its_changes_and_improves_with_iterations(method):
    family = "bump" if method == "notebook" else "edge"
    few, more = (
        study_cell(
            {"method": method, **SMALL, "family": family, "iterations": k, "starts": 1}, torch.Generator().manual_seed(0)
        )
        for k in (1, 30)
    )
    assert (more["residual"] < few["residual"]).all()


def test_cells_differ_and_cover_every_method_and_family():
    cells = study_cells(4)
    assert len({tuple(sorted(cell.items())) for cell in cells}) == len(cells)
    assert {cell["method"] for cell in cells} == {*METHODS, "seeds"}
    assert {*FAMILIES, "wide"} == {cell["family"] for cell in cells}
    assert sum(cell["count"] for cell in study_cells(8) if cell == {**cell, "method": "paper"} and len(cell) == 4) == 256


def test_an_unknown_method_or_block_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="method is 'magic', but the study has algorithm_1"):
        study_cell({"method": "magic", **SMALL}, torch.Generator())
    monkeypatch.setattr(image_study, "mnist_available", lambda: True)
    monkeypatch.setattr(image_study, "load_mnist", lambda split: (torch.zeros(5010, 28, 28).byte().numpy(), None))
    with pytest.raises(ValueError, match="the digits are 5,000 to 9,999; take an earlier block"):
        image_block("bump", 100, 32)


@pytest.fixture
def study():
    cells = [
        {"method": "a", "family": "bump", "number": 0, "count": 2},
        {"method": "a", "family": "bump", "number": 1, "count": 3},
        {"method": "a", "family": "bump", "number": 0, "count": 1, "noise": 0.05},
        {"method": "b", "family": "bump", "number": 0, "count": 1, "noise": 0.0},
    ]
    return Study(cells, [{"psnr": 10.0 * k + torch.arange(cell["count"])} for k, cell in enumerate(cells)])


def test_results_are_selected_by_all_conditions(study):
    assert study.select("psnr", method="a", family="bump").tolist() == [0, 1, 10, 11, 12]
    assert study.select("psnr", method="a", family="bump", noise=0.05).tolist() == [20]
    assert study.select("psnr", method="b", family="bump").tolist() == [30]
    with pytest.raises(ValueError, match="no cell of the study has"):
        study.select("psnr", method="b", family="bump", noise=0.05)


def test_medians_are_those_of_the_selected_images(study):
    table = study.medians("psnr", ["a"], ["bump"], [{"noise": 0.0}, {"noise": 0.05}])
    assert table.tolist() == [[10, 20]]


def test_a_stored_study_comes_back(study, tmp_path):
    study.save(tmp_path / "study.npz", {"command": "demod study"})
    found = Study.load(tmp_path / "study.npz")
    assert found.cells == study.cells
    for a, b in zip(found.results, study.results, strict=True):
        assert torch.equal(a["psnr"], b["psnr"])


def test_a_bootstrap_interval_covers_the_median_as_often_as_it_says():
    rng = torch.Generator().manual_seed(0)
    hits = 0
    for _ in range(200):
        median, low, high = bootstrap(torch.randn(40, generator=rng), rng, draws=400)
        assert low <= median <= high
        hits += low <= 0 <= high
    assert 180 <= hits <= 199  # 190 expected; five standard deviations are 15


def test_the_classical_methods_are_those_of_the_baselines():
    assert set(CLASSICAL) < set(METHODS)
    assert len(CLASSICAL) == 5


def test_the_stored_study_is_of_the_shipped_weights_and_as_large_as_the_readme_says():
    root = Path(__file__).parents[2]
    study, card = (
        Study.load(root / "demod_book/results/image-study.npz"),
        read_json(root / "demod_book/results/image-study.json"),
    )
    assert card["weights"] == weight_hashes()
    digits = len(study.select("psnr", method="algorithm_1", family="bump"))
    assert f"{digits} in the" in " ".join((root / "README.md").read_text(encoding="utf-8").split())
