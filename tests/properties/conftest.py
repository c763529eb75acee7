"""One profile for all properties. No deadline: a busy machine is no defect. In CI the same are drawn always."""

import os

from hypothesis import settings

settings.register_profile("flowhub", deadline=None, max_examples=100, print_blob=True)
settings.register_profile("flowhub-ci", settings.get_profile("flowhub"), derandomize=True)
settings.load_profile("flowhub-ci" if os.environ.get("CI") else "flowhub")
