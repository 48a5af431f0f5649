import re
from pathlib import Path

import pytest

from demod_book.claims.judge import Claim, Criterion, Verdict, judge
from demod_book.claims.ledger import GROUPS, LEDGER
from demod_book.claims.terminal import plain

ROOT = Path(__file__).parents[2]
TEXTS = {
    (claim.id, number): text
    for claim in LEDGER.values()
    for number, text in enumerate((claim.statement, claim.place, *(criterion.text for criterion in claim.criteria)))
}


def claim(*criteria: Criterion, **settings) -> Claim:
    return Claim("X1", "Theorem 0", "A statement.", criteria, **settings)


BOUNDED = claim(Criterion("slope", "the slope", low=-0.65, high=-0.35), Criterion("share", "the share", low=0.9))


# Judging


def test_a_claim_is_reproduced_if_every_bounded_criterion_holds():
    assert judge(BOUNDED, {"slope": (-0.5, 0.02), "share": 0.95}).verdict is Verdict.REPRODUCED


@pytest.mark.parametrize("measured", [{"slope": -0.7, "share": 0.95}, {"slope": -0.5, "share": 0.89}])
def test_a_claim_is_falsified_if_one_criterion_fails(measured):
    judgement = judge(BOUNDED, measured)
    assert judgement.verdict is Verdict.FALSIFIED
    assert sorted(result.holds for result in judgement.results) == [False, True]


@pytest.mark.parametrize("slope", [-0.65, -0.35])
def test_bounds_are_included(slope):
    assert judge(BOUNDED, {"slope": slope, "share": 0.9}).verdict is Verdict.REPRODUCED


def test_a_claim_without_bounds_is_measured():
    judgement = judge(claim(Criterion("gap", "the gap")), {"gap": 1e9})
    assert (judgement.verdict, judgement.results[0].holds) == (Verdict.MEASURED, None)


def test_a_number_without_bounds_does_not_decide():
    mixed = claim(Criterion("error", "the error", high=0), Criterion("gap", "the gap"))
    assert judge(mixed, {"error": 0, "gap": -1e9}).verdict is Verdict.REPRODUCED


def test_the_value_decides_and_not_the_end_of_its_interval():
    assert judge(BOUNDED, {"slope": (-0.5, -0.9, -0.1), "share": (0.9, 0.6, 1.0)}).verdict is Verdict.REPRODUCED


@pytest.mark.parametrize(("ratio", "verdict"), [(1e-9, Verdict.VACUOUS), (2.0, Verdict.MEASURED)])
def test_a_theorem_whose_hypotheses_are_out_of_reach_is_vacuous_and_one_within_reach_is_not_proved(ratio, verdict):
    theorem = claim(Criterion("epsilon", "the ratio", high=1), vacuous_if_held=True)
    assert judge(theorem, {"epsilon": ratio}).verdict is verdict


def test_a_criterion_without_a_value_is_named():
    with pytest.raises(ValueError, match="X1 was given no share; its criteria are slope, share"):
        judge(BOUNDED, {"slope": -0.5})


def test_a_value_without_a_criterion_is_named():
    with pytest.raises(ValueError, match="X1 has no criterion width"):
        judge(BOUNDED, {"slope": -0.5, "share": 1, "width": 3})


@pytest.mark.parametrize("slope", [float("nan"), float("inf"), (-0.5, float("nan")), (-0.5, -0.1), (-0.5, -0.4, -0.3)])
def test_a_value_that_is_not_finite_or_outside_its_interval_is_not_judged(slope):
    with pytest.raises(ValueError, match="X1: slope is"):
        judge(BOUNDED, {"slope": slope, "share": 1})


@pytest.mark.parametrize(
    ("low", "high", "required"),
    [
        (None, None, "–"),
        (0.9, None, "≥ 0.9"),
        (None, 1e-12, "≤ 1e-12"),
        (-0.65, -0.35, "-0.65 to -0.35"),
        (8100, 8100, "8100"),
    ],
)
def test_what_is_required_is_said_in_words(low, high, required):
    assert Criterion("x", "x", low=low, high=high).required == required


@pytest.mark.parametrize(
    ("measured", "shown"),
    [
        ((-0.4912, 0.0213), "-0.491 ± 0.021"),
        ((24.13, 1.7), "24.1 ± 1.7"),
        ((1234.5, 99.9), "1234 ± 100"),
        ((3e-9, 2e-10), "3.00e-09 ± 2.0e-10"),
        ((0.5, 0.0), "0.5"),
        ((1.0, 0.8064, 1.0), "1 (95 %: 0.806 to 1)"),
        (4.9274e-15, "4.93e-15"),
        (1000, "1000"),
    ],
)
def test_a_value_is_shown_with_the_digits_that_its_error_leaves(measured, shown):
    assert judge(claim(Criterion("x", "x")), {"x": measured}).results[0].shown == shown


# The ledger


def test_every_claim_is_in_the_ledger_once_and_in_a_group():
    wanted = {"M": 3, "F": 3, "L": 8, "W": 8, "S": 5, "A": 7, "I": 8}
    assert list(LEDGER) == [f"{group}{number}" for group in GROUPS for number in range(1, wanted[group] + 1)]
    assert all(name == claim.id for name, claim in LEDGER.items())


@pytest.mark.parametrize("name", LEDGER)
def test_the_criteria_of_a_claim_have_names_of_their_own_and_bounds_in_order(name):
    criteria = LEDGER[name].criteria
    names = [criterion.name for criterion in criteria]
    assert len(set(names)) == len(names) > 0
    assert all(criterion.name.isidentifier() for criterion in criteria)
    assert all(None in (criterion.low, criterion.high) or criterion.low <= criterion.high for criterion in criteria)


def test_only_theorem_2_is_asked_whether_it_is_vacuous():
    assert [name for name, claim in LEDGER.items() if claim.vacuous_if_held] == ["W8"]


def test_texts_fit_into_the_cell_of_a_table_and_their_math_is_closed():
    assert [name for name, text in TEXTS.items() if "|" in text or "\n" in text or text.count("$") % 2] == []


def test_texts_hold_no_tex_outside_of_math():
    assert [name for name, text in TEXTS.items() if "\\" in re.sub(r"\$[^$]*\$", "", text)] == []


# The terminal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"$\lVert \nabla f - t \rVert / \lVert t \rVert$ in $\ell$", "‖∇ f - t‖ / ‖t‖ in ℓ"),
        (r"at $\lvert hm \rvert = \rho_2^2$, $c \ge 10^{-3}$", "at |hm| = ρ₂², c ≥ 10⁻³"),
        (r"$\frac12 \lVert y_0 \rVert^2$, $\frac1c m_0$", "1/2 ‖y₀‖², 1/c m₀"),
        (r"$\hat\epsilon$ off $\mathcal{K}$, $n_{d-1}$", "ϵ\u0302 off 𝒦, n_{d-1}"),
        ("no math", "no math"),
    ],
)
def test_tex_is_shown_on_the_terminal_in_unicode(text, shown):
    assert plain(text) == shown


def test_every_text_of_the_ledger_can_be_shown_on_the_terminal():
    texts = [text for claim in LEDGER.values() for text in (claim.statement, *(c.text for c in claim.criteria))]
    assert [text for text in texts if set(plain(text)) & set("$\\")] == []


# What the prose says of claims and checks


@pytest.mark.parametrize("page", [*ROOT.glob("chapters/*.ipynb"), *ROOT.glob("chapters/*.md")], ids=lambda path: path.name)
def test_every_claim_that_the_prose_refers_to_is_in_the_ledger(page):
    assert set(re.findall(r"<!-- claim (.*?) -->", page.read_text(encoding="utf-8"))) <= LEDGER.keys()


def test_every_check_that_the_corrections_name_exists():
    named = re.findall(r"`(test_\w+)`", (ROOT / "chapters/errata.md").read_text(encoding="utf-8"))
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) >= 20
    assert [name for name in named if f"def {name}(" not in tests] == []
