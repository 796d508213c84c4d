"""The command line: set-up, services, nightly, report. Nothing of the product depends on it."""
