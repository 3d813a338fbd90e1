"""The commands: `twinlease` of the image, `kubectl-twinlease` of the user."""
