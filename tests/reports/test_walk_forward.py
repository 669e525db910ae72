"""The page of a walk-forward: in words, in figures, and where there is little to show."""

import numpy as np

from tests.reports.conftest import WRITTEN
from tests.reports.made_studies import charts_of, folds_of, growth, walk_page
from tests.reports.test_scenarios import numbers


def test_what_was_lost_and_how_much_is_luck_are_said_in_words() -> None:
    """The sentences hold the figures of the summary."""
    html = walk_page(folds_of(), growth(), WRITTEN)
    for words in (
        "From 2024-02-10 to 2024-04-10 the choices earned 2.00 %, the best of the whole window,",
        "in hindsight, 5.00 %.",
        "On 1 of them no point meets the constraints",
        "The mean Sharpe is 2.25 on train and 0.90 on the tests: 60.0 % of it is lost.",
        "is above 0 with a probability of 81.0 %, which is below the limit of 90 %",
        "in 66.7 % of the splits: choosing on the past is no better than chance here",
    ):
        assert words in html, words


def test_folds_stand_side_by_side() -> None:
    """Train beside test; a fold without a choice leaves a gap."""
    folds = folds_of()
    charts = charts_of(walk_page(folds, growth(), WRITTEN))
    train, test = (numbers(bars["y"]) for bars in charts["folds"])
    np.testing.assert_array_equal([train, test], folds[["train_value", "test_value"]].to_numpy().T)
    ends = [numbers(line["y"])[-1] for line in charts["growth"]]
    np.testing.assert_allclose(ends, [2.0, 5.0])


def test_a_walk_forward_of_one_fold_or_without_any_choice_has_a_page() -> None:
    """One fold is a table of one row; without a choice nothing is drawn, and figures are dashes."""
    one = walk_page(folds_of(1), growth().iloc[:31], WRITTEN)
    assert "1 fold: 40 days" in one
    assert "1 choice of 1 point" in one
    names = ("degradation", "out_of_sample_apy", "deflated_sharpe", "overfitting_probability")
    nothing = walk_page(
        folds_of(1).assign(chosen=-1), growth().iloc[:0], WRITTEN, figures=dict.fromkeys(names)
    )
    assert "On 1 of them no point meets the constraints" in nothing
    assert "growth" not in charts_of(nothing)


def test_a_gain_is_not_taken_for_a_loss() -> None:
    """A degradation below 0 is not printed as a loss."""
    html = walk_page(folds_of(), growth(), WRITTEN, figures={"degradation": -0.1})
    assert "none (−10.0 %)" in html
    assert "nothing of it is lost" in html
