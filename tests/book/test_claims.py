import re
from pathlib import Path

import pytest

from demod.artifacts import write_json
from demod_book.claims import stored
from demod_book.claims.box import claim_blocks
from demod_book.claims.history import Dated, Order, State, bounds_set, dated, history, ledger_bounds, trace
from demod_book.claims.judge import WORDS, Claim, Criterion, Kind, Outcome, Verdict, judge
from demod_book.claims.ledger import GROUPS, LEDGER
from demod_book.claims.stored import judge_runs, store
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
    assert sorted(result.outcome for result in judgement.results) == [Outcome.FAILS, Outcome.HOLDS]


@pytest.mark.parametrize("slope", [-0.65, -0.35])
def test_bounds_are_included(slope):
    assert judge(BOUNDED, {"slope": slope, "share": 0.9}).verdict is Verdict.REPRODUCED


def test_a_claim_without_bounds_is_measured():
    judgement = judge(claim(Criterion("gap", "the gap")), {"gap": 1e9})
    assert (judgement.verdict, judgement.results[0].outcome) == (Verdict.MEASURED, Outcome.UNBOUNDED)


def test_a_number_without_bounds_does_not_decide():
    mixed = claim(Criterion("error", "the error", high=0), Criterion("gap", "the gap"))
    assert judge(mixed, {"error": 0, "gap": -1e9}).verdict is Verdict.REPRODUCED


@pytest.mark.parametrize(
    ("slope", "verdict"),
    [
        ((-0.5, -0.6, -0.4), Verdict.REPRODUCED),
        ((-0.5, -0.7, -0.4), Verdict.UNDECIDED),
        ((-0.7, -0.8, -0.6), Verdict.UNDECIDED),
        ((-0.8, -0.9, -0.7), Verdict.FALSIFIED),
        ((-0.5, 0.07), Verdict.REPRODUCED),  # to -.363
        ((-0.5, 0.08), Verdict.UNDECIDED),  # to -.343
        ((-0.2, 0.07), Verdict.FALSIFIED),  # from -.337
    ],
)
def test_the_interval_decides_and_not_the_value(slope, verdict):
    assert judge(BOUNDED, {"slope": slope, "share": 0.95}).verdict is verdict


def test_a_criterion_that_fails_decides_before_one_that_is_undecided():
    assert judge(BOUNDED, {"slope": (-0.5, 0.2), "share": 0.5}).verdict is Verdict.FALSIFIED


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_has_its_own_words(kind):
    line = claim(Criterion("error", "the error", high=1.0), kind=kind)
    assert tuple(judge(line, {"error": error}).verdict for error in (0, 2)) == WORDS[kind]
    assert judge(line, {"error": (1.0, 0.9, 1.1)}).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("ratio", "verdict"), [(1e-9, Verdict.VACUOUS), (2.0, Verdict.MEASURED), ((1.0, 0.1), Verdict.UNDECIDED)]
)
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


# Two runs


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A folder of stored runs, and the record of a full run that can be stored there."""
    monkeypatch.setattr(stored, "RESULTS", tmp_path)
    record = {name: None for name in stored.KEPT} | {"profile": "full", "commit": "0123456789"}
    path = tmp_path / "numbers" / "population.json"
    write_json(path, record | {"claims": {"L6": {"measured": {"slope": [-0.5, 0.02]}}}})
    return path


def test_a_stored_full_run_decides_beside_a_quick_one_and_not_beside_a_full_one(kept):
    quick = {"slope": [-0.3, 0.2]}
    assert judge_runs(LEDGER["L6"], "population", "quick", quick).judgement.verdict is Verdict.UNDECIDED
    store(kept)
    found = judge_runs(LEDGER["L6"], "population", "quick", quick)
    assert (found.judgement.verdict, found.here.verdict) == (Verdict.REPRODUCED, Verdict.UNDECIDED)
    assert judge_runs(LEDGER["L6"], "population", "full", quick).judgement.verdict is Verdict.UNDECIDED
    assert judge_runs(LEDGER["W1"], "population", "quick", {"slope": -0.5}).stored is None


def test_a_box_shows_both_runs_and_which_decides(kept):
    store(kept)
    found = judge_runs(LEDGER["L6"], "population", "quick", {"slope": [-0.31, 0.2]})
    verdict, _, criteria = claim_blocks(LEDGER["L6"], found)
    assert verdict.startswith("**Claim L6: reproduced.** ")
    assert verdict.endswith("in the stored full run")
    assert "commit 0123456" in criteria
    assert "| -0.500 ± 0.020 | -0.31 ± 0.20: undecided | ≤ 0: holds |" in criteria


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (None, "There is no run of population to keep; make one: demod build --profile full --chapter population"),
        ({"profile": "quick"}, "has the profile quick; what is kept is the full one: demod build"),
        ({"profile": "full", "claims": {}}, "measures no claim"),
    ],
)
def test_only_a_full_run_with_claims_is_kept(tmp_path, monkeypatch, record, problem):
    monkeypatch.setattr(stored, "RESULTS", tmp_path / "results")
    if record is not None:
        write_json(tmp_path / "population.json", record)
    with pytest.raises(ValueError, match=problem):
        store(tmp_path / "population.json")
    assert not (tmp_path / "results").exists()


def test_the_ledger_can_judge_every_stored_run():
    for path in stored.RESULTS.glob("full-*.json"):
        record = stored.stored_record(path.stem.removeprefix("full-"))
        assert record["profile"] == stored.PROFILE
        for name, claim in record["claims"].items():
            judge(LEDGER[name], stored.as_measured(claim["measured"]))


# When bounds were set

EARLY = {("X1", "slope"): (None, 1.0)}
MOVED = {("X1", "slope"): (None, 2.0)}
NONE, ONE = frozenset(), frozenset({"X1"})


@pytest.mark.parametrize(
    ("states", "found"),
    [
        ([("a", "", EARLY, NONE), ("b", "a", EARLY, ONE)], Dated(None, 1.0, "a", "b", Order.FIRST)),
        ([("a", "", EARLY, ONE)], Dated(None, 1.0, "a", "a", Order.SAME)),
        ([("a", "", EARLY, NONE), ("b", "a", MOVED, ONE)], Dated(None, 2.0, "b", "b", Order.SAME)),
        ([("a", "", EARLY, ONE), ("b", "a", MOVED, ONE)], Dated(None, 2.0, "b", "a", Order.AFTER)),
        ([("a", "", EARLY, NONE), ("b", "a", MOVED, NONE), ("c", "b", MOVED, ONE)], Dated(None, 2.0, "b", "c", Order.FIRST)),
        ([("a", "", {}, NONE), ("b", "a", EARLY, NONE), ("c", "a", {}, NONE), ("d", "c b", EARLY, ONE)],
         Dated(None, 1.0, "b", "d", Order.FIRST)),
    ],
    ids=["before", "together", "moved together", "moved after", "moved before", "on another branch"],
)  # fmt: skip
def test_the_history_tells_which_came_first_the_bound_or_the_number(states, found):
    traced = trace(State(commit, tuple(parents.split()), bounds, measured) for commit, parents, bounds, measured in states)
    assert traced == {("X1", "slope"): found}


def test_the_bounds_of_todays_ledger_are_read_from_its_source():
    bounds = {(claim.id, c.name): (c.low, c.high) for claim in LEDGER.values() for c in claim.criteria}
    assert ledger_bounds((ROOT / "demod_book/claims/ledger.py").read_text(encoding="utf-8")) == bounds


def test_a_bound_that_was_moved_since_is_not_dated():
    known = {"X1": {"slope": Dated(None, 1.0, "a", "b", Order.FIRST)}}
    assert dated(known, "X1", Criterion("slope", "s", high=1.0)).set == "a"
    assert dated(known, "X1", Criterion("slope", "s", high=2.0)) == Dated(None, 2.0)
    assert dated(known, "X2", Criterion("slope", "s", high=1.0)) == Dated(None, 1.0)


@pytest.mark.nightly
def test_the_stored_commits_of_the_bounds_are_those_of_the_history():
    known = {(name, key): found for name, criteria in bounds_set().items() for key, found in criteria.items()}
    now = trace(history(ROOT))
    moved = {
        key for key, found in known.items() if key not in now or (now[key].low, now[key].high) != (found.low, found.high)
    }
    assert {key: now[key] for key in known.keys() - moved} == {key: known[key] for key in known.keys() - moved}
    assert len(known) > 90


def test_no_history_is_said_in_words(tmp_path):
    with pytest.raises(ValueError, match="the history of the repository is needed"):
        history(tmp_path)


# The ledger


def test_every_line_is_in_the_ledger_under_its_id_in_a_group_and_in_order():
    assert all(name == claim.id for name, claim in LEDGER.items())
    order = [(list(GROUPS).index(name[0]), int(name[1:])) for name in LEDGER]
    assert order == sorted(set(order))


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
