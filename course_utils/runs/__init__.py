"""Keep: checkpoints, a stop at the first NaN, and the results and scripts that come with the course."""
