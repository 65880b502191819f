"""Set up: the device, the seeds, what is installed, and a doctor for all of it."""
