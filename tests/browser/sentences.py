"""What the voices say in tests: medical sentences in the words of the embedded recogniser's English model.

They were chosen by listening: each is understood by pocketsphinx from its flite voice after Opus, with a little noise
and with a microphone's automatic gain, nearly without an error.
"""

from __future__ import annotations

SENTENCES: dict[str, tuple[str, ...]] = {
    # The expert.
    "rms": (
        "we would like to do surgery first",
        "after that you may need radiation treatment",
        "your blood pressure was normal last week",
        "the disease has not spread to other organs",
        "do you have any questions for me today",
    ),
    # The patient.
    "awb": (
        "my doctor said that i need an operation",
        "my father had the same disease",
        "i was told that the cancer is stable",
        "is there another treatment for this",
        "what are the risks of the operation",
    ),
}
