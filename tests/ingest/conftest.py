"""Properties are tested on the same examples in every run: a failure is the change's, never the dice's."""

from hypothesis import settings

settings.register_profile("same-examples", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("same-examples")
