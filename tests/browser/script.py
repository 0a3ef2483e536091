"""What the two people say in the journey, and when, in s from the moment their page opens its microphone.

The first words are for the microphone test. Then a pause long enough to be let in and to agree, then turn by turn.
"""

from __future__ import annotations

from tests.browser.sentences import SENTENCES

TEST_WORDS = [(0.5 + 3 * number, "one two three") for number in range(6)]
EXPERT_VOICE, PATIENT_VOICE = "rms", "awb"
SECONDS = 100.0

EXPERT_SAYS = [(26.0 + 9 * number, sentence) for number, sentence in enumerate(SENTENCES[EXPERT_VOICE])]
PATIENT_SAYS = [(30.0 + 9 * number, sentence) for number, sentence in enumerate(SENTENCES[PATIENT_VOICE])]
