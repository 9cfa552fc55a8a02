"""No late reply answers the next question, and no checksummed value is ever wrong, for any kind."""

import pytest

from benchmarks.wire_faults import APART, flipped_replies, stale_answers
from labctl.registry import catalog

KINDS = sorted(catalog("drivers"))
CHECKED = {
    "eurotherm_3216", "eurotherm_3504", "modbus_relay_8ch", "newera_ne1000", "pfeiffer_ppt100",
    "watlow_ezzone_pm", "wpi_al1000",
}  # fmt: skip
# Nothing but grammar stands between these and a wrong number; the long run gives the figures.
MOST_WRONG = {
    "coherent_obis": 0.08, "ika_rct": 0.15, "pfeiffer_tpg362": 0.12, "vacuubrand_cvc3000": 0.13,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_in_1000_polls_late_replies_answer_nobody(kind):
    stale, failed = stale_answers(kind)
    assert stale == 0
    assert failed, "no reply was late enough to matter"


@pytest.mark.parametrize("kind", sorted(set(KINDS) - APART))
def test_a_flipped_bit_is_refused_or_seldom_believed(kind):
    untouched = flipped_replies(kind, 100, bits=0)
    assert (untouched.harmless, untouched.wrong) == (100, 0), "else nothing is measured"
    found = flipped_replies(kind, 1000)
    assert found.refused
    if kind in CHECKED:
        assert found.wrong == 0
    elif kind in MOST_WRONG:  # a spectrum is not: thousands of pixels, checked by the peak's fit
        assert 0 < found.share <= MOST_WRONG[kind]
