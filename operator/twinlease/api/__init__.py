"""The objects of ``twinlease.io/v1alpha1``: the single typed source of ``crds/``.

``types`` holds what the kinds share, one module holds each kind, ``schema`` turns the types into the structural
OpenAPI schemas of Kubernetes, and ``crds`` adds names, printer columns and the rest. A drift test proves that the
files in ``crds/`` say the same.
"""
