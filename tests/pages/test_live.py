"""The page that computes, in a real browser, against the package on the same inputs."""

import pytest
import torch

from demod.data import distortion, resize
from demod.descent import descend
from demod.expectation import contraction
from demod.gauss_newton import solve
from demod.generators import ReLUGenerator
from demod.landscape import branches
from demod.priors.image import draw_codes
from demod.settings import RELU_SETTING
from demod_book.pages.live import PRIORS, rounded_prior

PAGE = "chapters/try.html"
STEP = RELU_SETTING.step * 2 / 4096
PRIORS_ON_PAGE = "const priors = [prior(demodWeights.signal), prior(demodWeights.modulator)];"
RUN = f"""([Solver, y, h, m, iterations, options]) => {{
  {PRIORS_ON_PAGE}
  const of = (values) => Float64Array.from(values);
  const solver = new demodEngine[Solver](...priors, of(y), of(h), of(m), options);
  while (solver.iterations < iterations && !solver.ended) solver.iterate();
  const {{ first, second, objective }} = solver;
  return [[...first.z], [...second.z], [...first.value], [...second.value], objective];
}}"""


@pytest.fixture(scope="module")
def page(html, browser):
    """The page, opened as a file."""
    page = browser.new_page()
    page.goto(f"file://{html / PAGE}")
    yield page
    page.close()


@pytest.fixture(scope="module")
def networks():
    return tuple(rounded_prior(name) for name in PRIORS.values())


def problem(networks, number):
    """A product of images in the ranges, and starting codes."""
    rng = torch.Generator().manual_seed(number)
    h0, m0, h, m = (draw_codes(G, (), rng).double() for G in networks * 2)
    return networks[0](h0) * networks[1](m0), h, m


def on_page(page, solver, y, h, m, iterations, **options):
    found = page.evaluate(RUN, [solver, y.tolist(), h.tolist(), m.tolist(), iterations, options])
    return [torch.tensor(values, dtype=torch.float64) for values in found]


def relative(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("number", range(3))
def test_algorithm_1_on_the_page_is_that_of_the_package_over_100_iterations(page, networks, number):
    y, h, m = problem(networks, number)
    found = on_page(page, "AlgorithmOne", y, h, m, 100, stepSize=STEP, momentum=RELU_SETTING.momentum)
    expected = descend(*networks, y, h=h, m=m, step_size=STEP, momentum=RELU_SETTING.momentum, iterations=100, tolerance=0)
    compared = (expected.h, expected.m, expected.signal, expected.modulator, expected.objective[-1])
    assert max(relative(a, b) for a, b in zip(found, compared, strict=True)) < 1e-5
    assert expected.objective[-1] < expected.objective[0] / 2  # it went somewhere


def test_without_the_sign_check_the_page_goes_where_the_package_goes(page, networks):
    y, h, m = problem(networks, 0)
    short = STEP / 30  # with a longer step a start from the wrong side diverges
    found = on_page(page, "AlgorithmOne", y, -h, m, 20, stepSize=short, signCheck=False)
    checked = on_page(page, "AlgorithmOne", y, -h, m, 20, stepSize=short)
    expected = descend(*networks, y, h=-h, m=m, step_size=short, iterations=20, tolerance=0, reflect_every=0)
    assert relative(found[0], expected.h) < 1e-5
    assert relative(checked[0], expected.h) > 0.1


@pytest.mark.parametrize("number", range(3))
def test_gauss_newton_on_the_page_ends_where_that_of_the_package_ends(page, networks, number):
    y, h, m = problem(networks, number)
    found = on_page(page, "GaussNewton", y, h, m, 30)
    expected = solve(*networks, y, h=h, m=m, iterations=30, tolerance=0)
    compared = (expected.h, expected.m, expected.signal, expected.modulator)
    assert max(relative(a, b) for a, b in zip(found, compared, strict=False)) < 1e-4
    residuals = [((2 * f).sqrt() / y.norm()).item() for f in (found[-1], expected.objective[-1])]
    assert residuals[0] == pytest.approx(residuals[1], abs=1e-4)


def test_the_lamp_of_the_page_is_the_papers_distortion(page):
    found = torch.tensor(page.evaluate("() => [...demodEngine.lamp(0.7, 23.5)]"), dtype=torch.float64)
    assert (found - resize(distortion(0.7, 23.5)).flatten()).abs().max() < 1e-6


def test_the_valleys_of_the_page_are_those_of_the_package(page):
    rng = torch.Generator().manual_seed(7)
    G1, G2 = (ReLUGenerator.gaussian((1, 20, 80), rng) for _ in range(2))
    one = torch.ones(1, dtype=torch.float64)
    sides = [[G(one).tolist(), G(-one).tolist()] for G in (G1, G2)]
    found = page.evaluate("([a, b]) => demodEngine.valleys(demodEngine.parabolas(a, b))", sides)
    expected = branches(G1, G2, G1(one) * G2(one))
    assert [valley["t"] for valley in found] == pytest.approx(expected.product.tolist(), rel=1e-12)
    assert [valley["height"] for valley in found] == pytest.approx(expected.value.tolist(), abs=1e-12)
    shown = page.evaluate("() => [1, 2, 3, 8].map(demodEngine.contraction)")
    assert shown == pytest.approx([contraction(d) for d in (1, 2, 3, 8)], abs=1e-12)


def test_networks_of_the_page_keep_the_norm_that_the_theory_gives_them(page):
    script = """() => {
      const normal = demodEngine.gaussians(demodEngine.stream(5));
      const networks = Array.from({ length: 200 }, () => demodEngine.scalarNetwork([1, 60, 240], normal));
      return networks.reduce((sum, [side]) => sum + demodEngine.norm(side) ** 2, 0) / networks.length;
    }"""
    assert page.evaluate(script) == pytest.approx(1 / 4, rel=0.1)  # ‖G(1)‖² is 2^-d on average, here ± 2 %


def test_a_digit_is_recovered_with_the_keyboard_alone(html, browser):
    page = browser.new_page()
    page.goto(f"file://{html / PAGE}")
    page.focus("#live-digit")
    page.keyboard.press("7")
    before = page.evaluate("() => [...exhibit.y]")
    page.focus("#live-place")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => [...exhibit.y]") != before
    page.focus("#live-jump")
    page.keyboard.press("Enter")
    page.wait_for_function("() => /dB/.test(document.getElementById('live-said').textContent)", timeout=120_000)
    said = page.inner_text("#live-said")
    assert "Gauss–Newton: " in said
    assert float(said.split("digit ")[1].split(" dB")[0]) > 20
    page.close()


def test_a_finger_or_a_mouse_draws_and_a_run_is_stopped(html, browser):
    page = browser.new_page()
    page.goto(f"file://{html / PAGE}")
    page.select_option("#live-digit", "")
    white = page.evaluate("() => exhibit.signal.reduce((a, b) => a + b)")
    box = page.locator("#live-draw").bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 90, steps=5)
    page.mouse.up()
    assert page.evaluate("() => exhibit.signal.reduce((a, b) => a + b)") < white - 50
    page.click("#live-walk")
    page.click("#live-stop")
    page.wait_for_timeout(300)
    assert page.inner_text("#live-said") == "Stopped."
    page.close()


def test_the_page_and_all_that_it_alone_loads_take_at_most_three_megabytes(html):
    files = [html / PAGE, *(html / "live").iterdir(), *(html / "_static/live").iterdir()]
    assert sum(path.stat().st_size for path in files) <= 3e6
