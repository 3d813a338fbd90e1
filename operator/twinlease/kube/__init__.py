"""The Kubernetes API behind one thin protocol; ``transport`` is the seam that tests and the sidecar use."""
