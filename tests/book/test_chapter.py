import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from PIL import Image

from demod.artifacts import load_arrays, read_json, sha256
from demod.priors import weights as shipped
from demod_book import chapter as module
from demod_book.chapter import begin
from demod_book.figures.style import canvas


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder of our own, as JupyterLab has it: nothing says where figures and numbers go."""
    monkeypatch.chdir(tmp_path)
    for variable in ("DEMOD_FIGURES", "DEMOD_NUMBERS", "DEMOD_PLOTLY", "DEMOD_SWEEPS"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def chapter(folder):
    return begin("landscape", profile="quick", device="cpu", seed=2019)


@pytest.fixture(autouse=True)
def outputs(monkeypatch):
    """What the cells show, as a notebook would store it: data by MIME type, and "metadata"."""
    shown = []

    def display(content, metadata=None, *, raw=False):
        data, own = (content, {}) if raw else DisplayFormatter().format(content)
        shown.append({**data, "metadata": own | (metadata or {})})

    monkeypatch.setattr(module, "display", display)
    return shown


def drawing():
    fig, ax = canvas(size=(4.0, 3.0))
    ax.plot([0, 1])
    return fig


@pytest.mark.parametrize(("profile", "value"), [("quick", 60), ("full", 400)])
def test_a_choice_follows_the_profile_and_both_values_are_recorded(folder, profile, value):
    chapter = begin("landscape", profile=profile, device="cpu", seed=2019)
    assert chapter.choose("networks", quick=60, full=400) == value
    assert read_json("_build/numbers/landscape.json")["choices"] == {"networks": {"quick": 60, "full": 400}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"profile": "fast"}, "profile is 'fast'"), ({"device": "gpu"}, "device is 'gpu'")],
)
def test_an_unknown_setting_is_refused_by_name(folder, settings, message):
    with pytest.raises(ValueError, match=message):
        begin("landscape", **({"profile": "quick", "device": "cpu", "seed": 2019} | settings))


@pytest.mark.parametrize("slug", ["../x", "a/b", "", ".", "x.ipynb", "Ümlaut", "my chapter", "-x", "C:x", 7, None])
def test_a_slug_that_leads_elsewhere_or_cannot_name_files_is_refused_and_nothing_written(folder, slug):
    with pytest.raises(ValueError, match=r"slug is .* rename the notebook"):
        begin(slug, profile="quick", device="cpu", seed=2019)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (2**63, ValueError), (10**20, ValueError), (0.5, TypeError)])
def test_a_seed_outside_of_its_range_is_refused_by_name(folder, seed, error):
    with pytest.raises(error, match="seed is"):
        begin("landscape", profile="quick", device="cpu", seed=seed)
    assert begin("landscape", profile="quick", device="cpu", seed=2**63 - 1).rng().initial_seed() == 2**63 - 1


DECLARED = 'profile = "quick"\ndevice: str = "auto"\nseed = 2019'


@pytest.mark.parametrize(("injected", "unknown"), [('profil = "full"', "profil"), ("seed = 7\nSeed = 7\nn = 1", "Seed, n")])
def test_a_parameter_of_papermill_that_the_notebook_does_not_have_is_refused_by_name(folder, monkeypatch, injected, unknown):
    shell = SimpleNamespace(user_ns={"In": ["", DECLARED, f"# Parameters\n{injected}\n", "%precision 3"]})
    monkeypatch.setattr(module, "get_ipython", lambda: shell)
    with pytest.raises(
        ValueError, match=f"papermill was given {unknown}, but the notebook's parameters are profile, device, "
    ):
        begin("landscape", profile="quick", device="cpu", seed=2019)
    shell.user_ns["In"][2] = '# Parameters\nseed = 7\nprofile = "full"\n'
    assert begin("landscape", profile="quick", device="cpu", seed=2019).quick


def test_cuda_is_refused_where_there_is_none(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match='use "auto" or "cpu"'):
        begin("landscape", profile="quick", device="cuda", seed=2019)


def test_auto_takes_the_cpu_where_there_is_no_cuda(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert begin("landscape", profile="quick", device="auto", seed=2019).device == torch.device("cpu")


def test_a_stream_starts_afresh_each_time_it_is_asked_for(chapter):
    first, second = torch.rand(3, generator=chapter.rng(3)), torch.rand(3, generator=chapter.rng(3))
    assert torch.equal(first, second)


def test_streams_differ_by_number_and_by_seed(chapter):
    other = begin("landscape", profile="quick", device="cpu", seed=2020)
    seeds = [rng.initial_seed() for rng in (chapter.rng(), chapter.rng(0), chapter.rng(1), other.rng(), other.rng(1))]
    assert len(set(seeds)) == 5


def test_a_figure_leaves_four_files_and_shows_the_png(chapter, outputs):
    chapter.figure(drawing(), "figure-1b", f=torch.arange(3.0), h=[1, 2])
    files = {path.name for path in (module.Path("_build/figures/landscape")).iterdir()}
    assert files == {"figure-1b.svg", "figure-1b.png", "figure-1b.npz", "figure-1b.json"}
    assert [set(output) & {"image/png", "text/html"} for output in outputs] == [{"image/png"}]
    assert outputs[0]["metadata"]["image/png"]["width"] == 4 * 96


def test_a_drawing_is_stored_with_few_colours_that_look_the_same_and_a_grey_one_is_kept_exactly(tmp_path):
    fig, ax = canvas(size=(4.0, 3.0))
    ax.imshow(np.linspace(0, 1, 10_000).reshape(100, 100))  # a colour map, the hardest case
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for name, save in (("drawn", lambda path: fig.savefig(path, dpi=200)), ("grey", Image.fromarray(grey).save)):
        save(tmp_path / f"{name}.png")
        before = (tmp_path / f"{name}.png").stat().st_size
        with Image.open(tmp_path / f"{name}.png") as image:
            original = np.asarray(image.convert("RGB"), float)
        module.few_colours(tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.mode == "P"
            error = np.asarray(image.convert("RGB"), float) - original
        if name == "grey":
            assert not error.any()
        else:
            assert 10 * np.log10(255**2 / np.square(error).mean()) > 40  # decibels: no eye sees it
            assert (tmp_path / f"{name}.png").stat().st_size < 0.7 * before


def test_the_arrays_of_a_figure_come_back_with_their_provenance(chapter):
    chapter.data("MNIST test digits")
    chapter.choose("networks", quick=60, full=400)
    chapter.figure(drawing(), "figure-1b", f=torch.arange(3.0), h=[1, 2])
    arrays, card = load_arrays("_build/figures/landscape/figure-1b.npz")
    np.testing.assert_array_equal(arrays["f"], [0, 1, 2])
    np.testing.assert_array_equal(arrays["h"], [1, 2])
    assert card["chapter"] == "landscape"
    assert card["figure"] == "figure-1b"
    assert card["data"] == ["MNIST test digits"]
    assert (card["profile"], card["seed"], card["device"]) == ("quick", 2019, "CPU")
    assert {"weights", "commit", "seconds", "versions", "choices", "sha256"} <= card.keys()


def test_a_large_array_is_stored_in_single_precision_unless_its_range_is_lost(chapter):
    wide = torch.linspace(0, 1, 10_000, dtype=torch.float64)
    arrays = {"small": wide[:10], "large": wide, "tiny": wide * 1e-300, "holes": torch.where(wide > 0.5, torch.nan, wide)}
    chapter.figure(drawing(), "figure-1b", **arrays)
    stored, _ = load_arrays("_build/figures/landscape/figure-1b.npz")
    assert {name: array.dtype.name for name, array in stored.items()} == {
        "small": "float64",
        "large": "float32",
        "tiny": "float64",
        "holes": "float32",
    }
    np.testing.assert_allclose(stored["large"], wide.numpy(), rtol=1e-7)


def test_the_same_figure_is_the_same_svg_to_the_byte(chapter):
    svg = module.Path("_build/figures/landscape/figure-1b.svg")
    chapter.figure(drawing(), "figure-1b")
    first = svg.read_bytes()
    chapter.figure(drawing(), "figure-1b")
    assert svg.read_bytes() == first


def test_a_figure_names_the_weights_if_they_could_be_loaded(chapter, monkeypatch):
    monkeypatch.setitem(module.sys.modules, "demod.priors.weights", shipped)
    chapter.figure(drawing(), "figure-2")
    weights = read_json("_build/figures/landscape/figure-2.json")["weights"]
    assert weights == {path.stem: sha256(path) for path in shipped.WEIGHTS.glob("*.safetensors")} != {}
    monkeypatch.delitem(module.sys.modules, "demod.priors.weights")
    chapter.figure(drawing(), "figure-2")
    assert read_json("_build/figures/landscape/figure-2.json")["weights"] == {}


@pytest.mark.parametrize("value", [26.3149, np.float32(26.3149), torch.tensor(26.3149), torch.tensor([26.3149])])
def test_a_number_is_recorded_raw_and_shown_formatted(chapter, value):
    texts = chapter.number("psnr_digit", value, "{:.1f}"), chapter.number.psnr_digit
    number = read_json("_build/numbers/landscape.json")["numbers"]["psnr_digit"]
    assert number["text"] == "26.3"
    assert number["value"] == pytest.approx(26.3149, rel=1e-6)  # float32 holds seven digits
    assert [repr(text) for text in texts] == ["26.3", "26.3"]  # a kernel shows it without quotation marks


@pytest.mark.parametrize("value", [float("nan"), torch.tensor(torch.inf), "26.3", None])
def test_what_is_not_one_finite_number_is_not_recorded(chapter, value):
    with pytest.raises(ValueError, match="psnr_digit is"):
        chapter.number("psnr_digit", value)


def test_a_number_that_was_not_recorded_is_told_with_those_that_were(chapter):
    with pytest.raises(AttributeError, match="no number is called rho; there are none yet"):
        _ = chapter.number.rho
    chapter.number("rho_2", 0.318)
    with pytest.raises(AttributeError, match="no number is called rho_3; there are rho_2"):
        _ = chapter.number.rho_3


def test_a_name_that_the_prose_could_not_spell_is_refused(chapter):
    with pytest.raises(ValueError, match="'digits-tuned' is no name for a number"):
        chapter.number("digits-tuned", 1)


def test_what_the_prose_shows_is_told_in_the_namespace_of_the_notebook(chapter, outputs, monkeypatch):
    monkeypatch.setattr(module, "get_ipython", lambda: SimpleNamespace(user_ns={"number": chapter.number, "x": 0.318309}))
    module.tell('number("rho", x, "{:.2f}")', "number.rho", 'f"{x:.1f}"', "17")
    assert outputs[0][module.TEXTS] == ["0.32", "0.32", "0.3", "17"]


def test_a_number_with_all_its_digits_is_not_shown(chapter, monkeypatch):
    monkeypatch.setattr(module, "get_ipython", lambda: SimpleNamespace(user_ns={"x": np.float64(0.318309)}))
    with pytest.raises(TypeError, match=r"x is a float64; record it with number\(name, value, form\)"):
        module.tell("x")


@pytest.mark.parametrize(
    ("slope", "verdict", "word"),
    [((torch.tensor(-0.5), 0.02), "reproduced", "holds"), ((np.float64(0.2), 0.02), "falsified", "**fails**")],
)
def test_a_claim_is_judged_recorded_and_shown_in_plain_markdown(chapter, outputs, slope, verdict, word):
    chapter.claim("L6", slope=slope)
    record = read_json("_build/numbers/landscape.json")["claims"]["L6"]
    assert record == {"measured": {"slope": [pytest.approx(float(slope[0])), 0.02]}}
    assert record["measured"] == {"slope": [pytest.approx(float(slope[0])), 0.02]}
    assert outputs[0]["metadata"] == {"demod": {"claim": "L6"}}
    shown = outputs[0]["text/markdown"]
    assert shown.startswith(f"**Claim L6: {verdict}.** ")
    assert f"| ≤ 0: {word} |" in shown
    assert "<" not in shown.replace("<br>", "")


def test_the_ends_of_an_interval_are_passed_on(chapter):
    chapter.claim("L6", slope=(torch.tensor(-0.5), -0.55, np.float64(-0.45)))
    measured = read_json("_build/numbers/landscape.json")["claims"]["L6"]["measured"]
    assert measured == {"slope": [-0.5, -0.55, -0.45]}
    assert read_json("_build/numbers/landscape.json")["claims"]["L6"]["measured"] == {"slope": [-0.5, -0.55, -0.45]}


def test_a_measured_number_stands_in_the_box_without_a_bound(chapter, outputs):
    chapter.claim("A7", slope=1)
    assert outputs[0]["text/markdown"].split("\n")[6].endswith("| 1 | no bound |")


def test_a_claim_measured_again_replaces_its_measurement(chapter):
    for slope in (0.0, -0.5):
        chapter.claim("L6", slope=slope)
    claims = read_json("_build/numbers/landscape.json")["claims"]
    assert claims == {"L6": {"measured": {"slope": -0.5}}}


def test_a_claim_that_is_not_in_the_ledger_is_refused(chapter):
    with pytest.raises(ValueError, match="no claim 'L99' in the ledger; its claims are M1, M2"):
        chapter.claim("L99", slope=1)


@pytest.mark.parametrize("slope", [float("nan"), (torch.tensor(1.0), torch.inf), "steep", (None, 0.1)])
def test_what_is_not_one_finite_number_is_not_judged(chapter, slope):
    with pytest.raises(ValueError, match="slope is"):
        chapter.claim("L6", slope=slope)
    assert read_json("_build/numbers/landscape.json")["claims"] == {}


def test_data_are_listed_once_and_in_order(chapter):
    for description in ("MNIST test digits", "distortions", "MNIST test digits"):
        chapter.data(description)
    assert read_json("_build/numbers/landscape.json")["data"] == ["MNIST test digits", "distortions"]


def test_the_build_says_where_figures_and_numbers_go(folder, monkeypatch):
    monkeypatch.setenv("DEMOD_FIGURES", str(folder / "a"))
    monkeypatch.setenv("DEMOD_NUMBERS", str(folder / "b"))
    chapter = begin("landscape", profile="quick", device="cpu", seed=2019)
    chapter.figure(drawing(), "figure-1b")
    assert sorted(os.listdir(folder)) == ["a", "b"]  # noqa: PTH208 - names only


class Surface:
    """Stands in for a plotly figure: it records how it is asked for its HTML."""

    def __init__(self):
        self.asked = {}

    def update_layout(self, *, height):
        self.asked["height"] = height

    def to_html(self, **settings):
        self.asked |= settings
        return "<div>surface</div>"

    def _repr_html_(self):
        return "itself"


def test_in_the_book_an_interactive_figure_loads_the_books_own_plotly(chapter, outputs, monkeypatch):
    monkeypatch.setenv("DEMOD_PLOTLY", "../plotly.min.js")
    surface = Surface()
    chapter.interactive(surface, "figure-1a-interactive", height=400)
    assert outputs[0]["text/html"] == '<div class="demod-interactive"><div>surface</div></div>'
    wanted = {"height": 400, "include_plotlyjs": "../plotly.min.js", "include_mathjax": False, "full_html": False}
    assert wanted.items() <= surface.asked.items()


def test_outside_the_book_an_interactive_figure_shows_itself(chapter, outputs):
    chapter.interactive(Surface(), "figure-1a-interactive")
    assert outputs[0]["text/html"] == "itself"


def test_the_record_is_json_that_any_reader_accepts(chapter):
    chapter.choose("widths", quick=(1, 2), full=(3, 4))
    assert json.loads(module.Path("_build/numbers/landscape.json").read_text())["choices"]["widths"]["full"] == [3, 4]


def test_a_choice_between_two_that_are_the_same_is_refused(chapter):
    with pytest.raises(ValueError, match="images is 12 in both profiles, so that there is nothing to choose; assign it"):
        chapter.choose("images", quick=12, full=12)


# Results of longer runs


def test_tasks_of_sweeps_are_kept_apart_by_chapter(chapter, folder, monkeypatch):
    assert chapter.sweeps_folder().resolve() == (folder / "_build" / "sweeps" / "landscape").resolve()
    monkeypatch.setenv("DEMOD_SWEEPS", str(folder / "elsewhere"))
    assert chapter.sweeps_folder() == folder / "elsewhere" / "landscape"


def test_a_stored_result_is_found_from_any_folder(chapter):
    assert chapter.stored("results/benchmark-descend.json").is_file()


def test_a_result_that_is_not_there_is_named_with_those_that_are(chapter):
    with pytest.raises(ValueError, match=r"name is 'results/none.json', but the stored files are: .*results/benchmark-wdc"):
        chapter.stored("results/none.json")
