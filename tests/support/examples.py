"""Settings of Hypothesis: the number of examples, and which ones.

Each run draws the same examples, so that only a change of the code makes it fail. They have no deadline, since a busy
machine is no defect. `TEST_EXAMPLES=5000 scripts/test tests/properties` draws that many others.
"""

import os
from typing import Any

from hypothesis import settings

RANDOM_EXAMPLES = int(os.environ.get("TEST_EXAMPLES", "0"))


def load_profile() -> None:
    """Set the default of all tests that name no number of examples."""
    settings.register_profile("flowhub", examples(100))
    settings.load_profile("flowhub")


def examples(count: int, **more: Any) -> settings:
    """Return the settings of a test that draws `count` examples; `more` are further ones of Hypothesis."""
    return settings(
        max_examples=RANDOM_EXAMPLES or count,
        derandomize=not RANDOM_EXAMPLES,
        database=None,
        deadline=None,
        print_blob=True,
        **more,
    )
