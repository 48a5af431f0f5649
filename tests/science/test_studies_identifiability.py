import torch

from demod.descent import Solution
from demod.studies import identifiability
from demod.studies.identifiability import count_solutions


def test_with_many_measurements_no_other_solution_is_found_and_with_few_there_are_some():
    solutions, others = count_solutions((3, 30, 200), torch.Generator().manual_seed(1), networks=10, starts=10)
    assert solutions > 80
    assert others == 0
    solutions, others = count_solutions((3, 30, 12), torch.Generator().manual_seed(1), networks=10, starts=10)
    assert 0 < others <= solutions


def test_the_scale_of_a_solution_does_not_make_it_another_and_a_change_of_a_code_does(monkeypatch):
    def planted(G1, G2, y, **_):  # the true codes, scaled; those of the first network changed
        h, m = codes
        h = h * torch.tensor([1.001] + [1.0] * 4, dtype=torch.float64)[:, None]
        done = torch.ones(5, dtype=torch.bool)
        return Solution(3 * h, m / 3, G1(h), G2(m), y.sum(-1)[None], done, ~done, done.long())

    ahead = torch.Generator().manual_seed(5)
    for _ in range(2):
        identifiability.ReLUGenerator.gaussian((2, 8, 30), ahead, batch=(5,))
    codes = list(torch.randn(2, 5, 2, generator=ahead, dtype=torch.float64))
    monkeypatch.setattr(identifiability, "solve", planted)
    assert count_solutions((2, 8, 30), torch.Generator().manual_seed(5), networks=5, starts=1) == (5, 1)
