"""How many images only one of a trained network and the original gets right."""

import pytest

from moco.certification.certificate import DISCORDANCE
from moco.certification.confidence_bounds import paired_sem
from moco.finalists.discordance import OF_ERRORS, discordance_of, expected_discordance


def test_without_trained_networks_it_is_reckoned_from_errors_up_to_the_usual_share() -> None:
    assert expected_discordance(0.01) == pytest.approx(0.01 * OF_ERRORS)
    assert expected_discordance(0.5) == DISCORDANCE


def test_what_trained_networks_have_shown_moves_it_there() -> None:
    reckoned = expected_discordance(0.05)
    one, many = expected_discordance(0.05, [0.04]), expected_discordance(0.05, [0.04] * 50)
    assert reckoned < one < many < 0.04
    assert many == pytest.approx(0.04, abs=0.0005)


@pytest.mark.parametrize(("lost", "gained"), [(30, 10), (12, 12), (0, 25)])
def test_a_standard_error_gives_the_images_back(lost: int, gained: int) -> None:
    images = 1000
    sem, error = paired_sem(lost, gained, images), 0.05 + (lost - gained) / images
    # Half an image was added to each cell.
    assert discordance_of(error, sem, 0.05, images) == pytest.approx((lost + gained + 1) / images, rel=0.02)
