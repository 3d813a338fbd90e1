"""An admission policy that refuses less than the shipped one counts as none; one that refuses more is as good."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest

from twinlease.controller.guarded import shipped, weakness
from twinlease.kube.protocol import Json

ROOT = Path(__file__).resolve().parents[3]
Change = Callable[[Json, Json], object]


def as_served() -> tuple[Json, Json]:
    """Return policy and binding as the API server gives them back, with its defaults."""
    policy, binding = deepcopy(shipped())
    policy["spec"]["matchConstraints"] |= {"namespaceSelector": {}, "objectSelector": {}}
    binding["spec"]["matchResources"] = {"namespaceSelector": {}, "objectSelector": {}, "matchPolicy": "Equivalent"}
    return policy, binding


def test_what_users_apply_is_what_the_operator_looks_for() -> None:
    source = ROOT / "operator/twinlease/controller/manifests/admission.yaml"
    for copy in ("manifests/admission.yaml", "charts/twinlease/files/admission.yaml"):
        assert (ROOT / copy).read_bytes() == source.read_bytes(), "make manifests"


def test_the_shipped_one_is_in_force_as_written_and_as_served() -> None:
    assert weakness(*shipped()) == weakness(*as_served()) == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda policy, _: policy["validations"].append({"expression": "false"}),
        lambda policy, _: policy["validations"].reverse(),
        lambda policy, _: policy["validations"][0].update(message="Nein."),
        lambda policy, _: policy["variables"].append({"name": "more", "expression": "1"}),
        lambda policy, _: policy["variables"][0].update(expression="'system:serviceaccount:dhcp:operator'"),
        lambda policy, _: policy["variables"][3].update(
            expression=policy["variables"][3]["expression"].replace("? '", "\n  ? '")
        ),
        lambda _, binding: binding["validationActions"].append("Audit"),
    ],
)
def test_what_refuses_as_much_is_as_good(change: Change) -> None:
    policy, binding = as_served()
    change(policy["spec"], binding["spec"])
    assert weakness(policy, binding) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda policy, _: policy.update(failurePolicy="Ignore"), "failurePolicy"),
        (lambda policy, _: policy.update(matchConditions=[{"name": "n", "expression": "false"}]), "matchConditions"),
        (lambda policy, _: policy.update(paramKind={"kind": "ConfigMap", "apiVersion": "v1"}), "paramKind"),
        (lambda policy, _: policy["matchConstraints"].update(resourceRules=[]), "matchConstraints"),
        (lambda policy, _: policy.pop("matchConstraints"), "matchConstraints"),
        (lambda policy, _: policy["matchConstraints"]["resourceRules"][0].update(operations=["CREATE"]), "Constraints"),
        (
            lambda policy, _: policy["matchConstraints"].update(objectSelector={"matchLabels": {"a": "b"}}),
            "Constraints",
        ),
        (
            lambda policy, _: policy["matchConstraints"].update(
                excludeResourceRules=policy["matchConstraints"]["resourceRules"]
            ),
            "matchConstraints",
        ),
        (lambda policy, _: policy.update(validations=[]), "validations[0]"),
        (lambda policy, _: policy.update(validations=None), "validations[0]"),
        (lambda policy, _: policy["validations"][3].update(expression="true"), "validations[3]"),
        (lambda policy, _: policy["validations"].pop(), "validations["),
        (lambda policy, _: policy.update(variables=[]), "variable operator"),
        (lambda policy, _: policy["variables"][0].update(expression="request.userInfo.username"), "variable operator"),
        (lambda policy, _: policy["variables"][-1].update(expression="true"), "variable sameMetadata"),
        (lambda _, binding: binding.update(policyName="other"), "another policy"),
        (lambda _, binding: binding.update(validationActions=["Warn"]), "deny"),
        (lambda _, binding: binding.update(paramRef={"name": "x"}), "paramRef"),
        (
            lambda _, binding: binding["matchResources"].update(namespaceSelector={"matchLabels": {"a": "b"}}),
            "matchResources",
        ),
        (lambda _, binding: binding["matchResources"].update(excludeResourceRules=[{}]), "matchResources"),
    ],
)
def test_what_refuses_less_counts_as_none(change: Change, said: str) -> None:
    policy, binding = as_served()
    change(policy["spec"], binding["spec"])
    assert said in weakness(policy, binding)


def test_one_without_the_other_is_none() -> None:
    policy, binding = shipped()
    assert weakness(None, binding) == "there is no such policy"
    assert weakness(policy, None) == "there is no such binding"
