"""Measures what the course says about itself by running the lessons' own code: `make bench`, docs/benchmark.md."""

import course_utils  # noqa: F401  (it keeps TorchRL's log quiet, if it comes before TorchRL)
