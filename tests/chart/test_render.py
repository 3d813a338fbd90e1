"""What the chart renders, what it refuses, and that every copy of something says what its source says."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart import plain, table
from tests.chart.cases import MATRIX, PAIR, POOL
from tests.chart.plain import CHART
from tests.lab.helm import Helm
from tests.lab.shell import CommandError
from twinlease import __version__

Json = dict[str, Any]

OPTIONS = ("--namespace", "dhcp", "--kube-version", plain.OLDEST_KUBERNETES)
MONITORING = tuple(
    word for kind in ("PodMonitor", "PrometheusRule") for word in ("--api-versions", f"monitoring.coreos.com/v1/{kind}")
)


def render(helm: Helm, values: Json, *options: str) -> list[Json]:
    """Return the objects that the chart makes of values."""
    text = helm("template", "twinlease", str(CHART), *OPTIONS, *options, "--values", "-", stdin=json.dumps(values))
    return [each for each in yaml.safe_load_all(text) if each]


def of(objects: list[Json], kind: str) -> list[Json]:
    """Return the objects of a kind."""
    return [each for each in objects if each["kind"] == kind]


def refusal(helm: Helm, values: Json, *options: str) -> str:
    """Return with which words values are refused."""
    with pytest.raises(CommandError) as caught:
        render(helm, values, *options)
    return caught.value.output


def notes(helm: Helm, values: Json) -> str:
    """Return what Helm says after an installation."""
    said = helm(
        "install", "twinlease", str(CHART), "--namespace", plain.NAMESPACE, "--dry-run=client", "--values", "-",
        stdin=json.dumps({"crds": {"install": False}, **values}),
    )  # fmt: skip
    return said.partition("\nNOTES:\n")[2]


# --- copies and versions ----------------------------------------------------------------------------------------------
def test_the_plain_manifests_are_what_the_chart_renders(offline: Helm) -> None:
    found = {path.name: path.read_text(encoding="utf-8") for path in plain.MANIFESTS.iterdir()}
    assert plain.rendered(offline) == found, "run `make manifests`"


def test_the_readmes_table_is_what_the_values_say() -> None:
    readme, values = table.README.read_text(encoding="utf-8"), (CHART / "values.yaml").read_text(encoding="utf-8")
    assert table.with_table(readme, values) == readme, "run `make manifests`"


def test_every_value_has_its_words() -> None:
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    known = {path for path, _ in table.described(text)}
    assert [path for path in table.leaves(yaml.safe_load(text)) if path not in known and path[:1] not in known] == []


def test_the_schema_knows_the_values_that_there_are_and_no_others() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert set(schema["properties"]) == {*values, "global"}
    for key, each in schema["properties"].items():
        if "properties" in each:
            assert set(each["properties"]) == set(values[key]), key


def test_the_chart_is_of_the_packages_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == __version__
    assert chart["version"] == re.sub(r"\.dev", "-dev.", __version__)


# --- rendering --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("case", MATRIX)
def test_it_is_clean_by_helms_own_rules(offline: Helm, case: str, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(MATRIX[case]), encoding="utf-8")
    said = offline("lint", "--strict", "--values", str(file), str(CHART))
    assert "1 chart(s) linted, 0 chart(s) failed" in said
    assert "[WARNING]" not in said


@pytest.mark.parametrize("case", MATRIX)
def test_every_object_is_ours_and_made_once(offline: Helm, case: str) -> None:
    objects = render(offline, MATRIX[case], *MONITORING)
    places = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(places) == len(set(places)) >= 10
    assert {each["metadata"]["labels"]["app.kubernetes.io/name"] for each in objects} == {"twinlease"}


def test_definitions_pairs_and_pools_are_kept_and_nothing_else(offline: Helm) -> None:
    objects = render(offline, MATRIX["pairs and pools"])
    kept = [each for each in objects if "helm.sh/resource-policy" in each["metadata"].get("annotations", {})]
    assert {each["metadata"]["annotations"]["helm.sh/resource-policy"] for each in kept} == {"keep"}
    expected = {"CustomResourceDefinition", "DHCPFailoverPair", "DHCPPool"}
    assert {each["kind"] for each in kept} == expected
    assert len(kept) == len([each for each in objects if each["kind"] in expected]) == 7


def test_the_policy_differs_from_the_shipped_one_in_the_operators_name_only(offline: Helm) -> None:
    shipped = (CHART / "files/admission.yaml").read_text(encoding="utf-8")
    named = shipped.replace("serviceaccount:twinlease-system:", "serviceaccount:dhcp:")
    assert named != shipped
    objects = render(offline, {})
    policies = [*of(objects, "ValidatingAdmissionPolicy"), *of(objects, "ValidatingAdmissionPolicyBinding")]
    assert policies == list(yaml.safe_load_all(named))


def test_served_namespaces_end_the_rights_that_are_given_in_a_cluster(offline: Helm) -> None:
    objects = render(offline, {"watchNamespaces": ["one", "two"]})
    (cluster,) = of(objects, "ClusterRole")
    assert {resource for rule in cluster["rules"] for resource in rule["resources"]} == {
        "validatingadmissionpolicies", "validatingadmissionpolicybindings", "nodes",
    }  # fmt: skip
    roles = {each["metadata"]["namespace"]: each["rules"] for each in of(objects, "Role")}
    assert set(roles) == {"one", "two", "dhcp"}
    (everywhere,) = of(render(offline, {}), "ClusterRole")
    assert roles["one"] == roles["two"] == [rule for rule in everywhere["rules"] if rule not in cluster["rules"]]
    (operator,) = of(objects, "Deployment")
    environment = operator["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "TWINLEASE_NAMESPACES", "value": "one,two"} in environment


def test_operator_and_servers_run_the_image_that_was_named(offline: Helm) -> None:
    objects = render(offline, MATRIX["image"])
    (operator,) = of(objects, "Deployment")
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    image = f"registry.example:5000/a/b@{MATRIX['image']['image']['digest']}"
    assert container["image"] == image
    assert {"name": "TWINLEASE_IMAGE", "value": image} in container["env"]
    assert [each["spec"]["containers"][0]["image"] for each in of(objects, "Pod")] == [image]


def test_monitors_wait_for_a_cluster_that_knows_them(offline: Helm) -> None:
    wanted = MATRIX["monitoring"]
    assert of(render(offline, wanted), "PodMonitor") == []
    monitors = of(render(offline, wanted, *MONITORING), "PodMonitor")
    assert [each["metadata"]["labels"]["release"] for each in monitors] == ["prometheus", "prometheus"]
    # Who tells of a pair is not always in the pair's namespace (docs/metrics.md).
    endpoints = [endpoint for each in monitors for endpoint in each["spec"]["podMetricsEndpoints"]]
    assert endpoints == [{"port": "metrics", "interval": "1m", "honorLabels": True}] * 2
    assert of(render(offline, {}, *MONITORING), "PodMonitor") == []


def test_a_file_of_alerts_becomes_a_rule_and_one_of_a_dashboard_a_config_map(offline: Helm, tmp_path: Path) -> None:
    chart = tmp_path / "twinlease"
    subprocess.run(["cp", "--recursive", str(CHART), str(chart)], check=True, timeout=60)
    alert = {"alert": "A", "expr": "up == 0", "annotations": {"summary": "{{ $labels.pod }} of {{ $value }}"}}
    groups = {"groups": [{"name": "g", "rules": [alert]}]}
    (chart / "files/alerts.yaml").write_text("# Of ours.\n" + yaml.safe_dump(groups), encoding="utf-8")
    (chart / "files/dashboard.json").write_text('{"title": "{{pair}}"}\n', encoding="utf-8")
    text = offline(
        "template", "twinlease", str(chart), *OPTIONS, *MONITORING, "--values", "-",
        stdin=json.dumps(MATRIX["monitoring"]),
    )  # fmt: skip
    objects = [each for each in yaml.safe_load_all(text) if each]
    assert [each["spec"] for each in of(objects, "PrometheusRule")] == [groups]
    (dashboard,) = of(objects, "ConfigMap")
    assert json.loads(dashboard["data"]["twinlease.json"]) == {"title": "{{pair}}"}
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "yes"


@pytest.mark.parametrize(
    ("wanted", "base"),
    [
        ({}, "docs/runbooks"),
        ({"runbookBaseURL": "https://git.example.com:8443/dhcp/-/raw/main/docs/runbooks/"},
         "https://git.example.com:8443/dhcp/-/raw/main/docs/runbooks"),
    ],
)  # fmt: skip
def test_an_alert_names_its_runbook_where_the_user_reads_it(offline: Helm, wanted: dict[str, str], base: str) -> None:
    values = {"prometheusRule": {"enabled": True, **wanted}}
    (rule,) = of(render(offline, values, *MONITORING), "PrometheusRule")
    alerts = [alert for group in rule["spec"]["groups"] for alert in group["rules"]]
    assert len(alerts) > 30
    for each in alerts:
        url = each["annotations"]["runbook_url"]
        assert url == f"{base}/{each['alert']}.md"
        assert (CHART.parents[1] / "docs/runbooks" / f"{each['alert']}.md").is_file()


@pytest.mark.parametrize("interval", ["1s", "30s", "1m", "1m30s", "90s"])
def test_an_interval_is_what_prometheus_takes(offline: Helm, interval: str) -> None:
    monitors = of(render(offline, {"podMonitor": {"enabled": True, "interval": interval}}, *MONITORING), "PodMonitor")
    assert [each["spec"]["podMetricsEndpoints"][0]["interval"] for each in monitors] == [interval] * 2


def test_labels_that_kubernetes_takes_are_taken(offline: Helm) -> None:
    labels = {"a": "", "example.org/Team_1": "net.2", "x" * 63: "y" * 63, "1": "2"}
    (operator,) = of(
        render(offline, {"podLabels": labels, "podAnnotations": {"a/b": "anything, at all"}}), "Deployment"
    )
    pod = operator["spec"]["template"]["metadata"]
    assert pod["labels"].items() >= labels.items()
    assert pod["annotations"] == {"a/b": "anything, at all"}


def test_a_name_that_yaml_takes_for_something_else_stays_a_name(offline: Helm) -> None:
    values = {
        "watchNamespaces": ["1"],
        "pairs": {"10": {**PAIR, "namespace": "1"}},
        "pools": {"true": {**POOL, "namespace": "1"}},
        "podMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
        "imagePullSecrets": ["2"],
        "priorityClassName": "3",
    }
    objects = render(offline, values, "--namespace", "12", *MONITORING)
    (pair,), (pool,), (deployment,) = (of(objects, kind) for kind in ("DHCPFailoverPair", "DHCPPool", "Deployment"))
    pod = deployment["spec"]["template"]["spec"]
    assert [pair["metadata"]["name"], pool["metadata"]["name"]] == ["10", "true"]
    assert {each["metadata"].get("namespace", "") for each in objects} == {"", "1", "12"}
    bindings = [*of(objects, "RoleBinding"), *of(objects, "ClusterRoleBinding")]
    assert [each["namespace"] for binding in bindings for each in binding["subjects"]] == ["12"] * 3
    assert (pod["imagePullSecrets"], pod["priorityClassName"]) == ([{"name": "2"}], "3")


def test_the_image_has_the_commands_that_the_pods_run(offline: Helm) -> None:
    objects = render(offline, {})
    pods = [each["spec"]["template"]["spec"] for each in of(objects, "Deployment")]
    pods += [each["spec"] for each in of(objects, "Pod")]
    commands = [pod["containers"][0]["command"] for pod in pods]
    assert commands == [["twinlease", "operator"], ["twinlease", "verify"]]
    for _, verb in commands:
        subprocess.run([sys.executable, "-m", "twinlease", verb, "--help"], check=True, capture_output=True, timeout=60)


# --- what is said -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "commands"),
    [
        ({}, ["create namespace dhcp", "label namespace dhcp", "apply --namespace dhcp"]),
        ({"watchNamespaces": ["twinlease-system", "one"]}, ["label namespace one", "apply --namespace one"]),
        ({"watchNamespaces": ["twinlease-system"]},
         ["label namespace twinlease-system", "apply --namespace twinlease-system"]),
        ({"pairs": {"lan": {**PAIR, "namespace": "one"}, "wan": PAIR}}, ["label namespace one twinlease-system"]),
    ],
)  # fmt: skip
def test_the_notes_leave_the_operators_namespace_alone(offline: Helm, values: Json, commands: list[str]) -> None:
    said = notes(offline, values)
    found = re.findall(
        r"kubectl ((?:create|label|apply) .*?)(?: pod-security\S+=privileged| --filename .*)?$", said, re.MULTILINE
    )
    assert found == commands


def test_the_notes_name_the_pairs_of_the_values_and_miss_their_pools(offline: Helm) -> None:
    pairs = {"lan": {**PAIR, "namespace": "one"}, "wan": PAIR}
    said = notes(offline, {"pairs": pairs})
    assert (
        "these pairs, applied with them: one/lan, twinlease-system/wan.\n   A pair serves nobody without a pool" in said
    )
    assert "without a pool" not in notes(offline, {"pairs": pairs, "pools": {"office": POOL}})


# --- what is refused --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replica": 1}, "at '': additional properties 'replica' not allowed"),
        ({"image": {"name": "x"}}, "at '/image': additional properties 'name' not allowed"),
        ({"crds": {"enabled": True}}, "at '/crds': additional properties 'enabled' not allowed"),
        ({"resources": {"cpu": 1}}, "at '/resources': additional properties 'cpu' not allowed"),
        ({"podMonitor": {"enable": True}}, "at '/podMonitor': additional properties 'enable' not allowed"),
        ({"pairs": {"lan": {"primary": {}}}}, "at '/pairs/lan': additional properties 'primary' not allowed"),
        ({"pairs": {"lan": {}}}, "at '/pairs/lan': missing property 'spec'"),
        ({"pairs": {"Lan": PAIR}}, 'pairs: "Lan" cannot be the name of an object.'),
        ({"pools": {"office-": POOL}}, 'pools: "office-" cannot be the name of an object.'),
        ({"image": None}, "at '': missing property 'image'"),  # a key whose lines below are all comments
        ({"podMonitor": None, "dashboard": None}, "at '': missing properties 'podMonitor', 'dashboard'"),
        ({"image": {"tag": None}}, "at '/image': missing property 'tag'"),
        ({"replicas": 0}, "at '/replicas': minimum: got 0, want 1"),
        ({"replicas": "2"}, "at '/replicas': got string, want integer"),
        ({"image": {"digest": "sha256:1"}}, "at '/image/digest': 'sha256:1' does not match pattern"),
        ({"image": {"tag": ""}}, "at '/image/tag': '' does not match pattern"),
        ({"logLevel": "trace"}, "at '/logLevel': value must be one of 'debug', 'info', 'warning', 'error'"),
        ({"watchNamespaces": ["a", "a"]}, "at '/watchNamespaces': items at 0 and 1 are equal"),
        ({"watchNamespaces": ["*"]}, "'*' does not match pattern"),
        ({"podMonitor": {"interval": "fast"}}, "at '/podMonitor/interval': 'fast' does not match pattern"),
        ({"podMonitor": {"interval": "0s"}}, "at '/podMonitor/interval': '0s' does not match pattern"),
        ({"podMonitor": {"interval": "0m0s"}}, "at '/podMonitor/interval': '0m0s' does not match pattern"),
        ({"podMonitor": {"interval": ""}}, "at '/podMonitor/interval': '' does not match pattern"),
        ({"podMonitor": {"labels": {"-a": "b"}}}, "at '/podMonitor/labels': additional properties '-a' not allowed"),
        (
            {"prometheusRule": {"labels": {"A.b/c": "d"}}},
            "at '/prometheusRule/labels': additional properties 'A.b/c' not allowed",
        ),
        ({"dashboard": {"labels": {"a": "b c"}}}, "at '/dashboard/labels/a': 'b c' does not match pattern"),
        ({"podLabels": {"a": "b" * 64}}, "at '/podLabels/a': 'bbb"),
        ({"nodeSelector": {"a/b/c": ""}}, "at '/nodeSelector': additional properties 'a/b/c' not allowed"),
        (
            {"podAnnotations": {"a b": "anything, at all"}},
            "at '/podAnnotations': additional properties 'a b' not allowed",
        ),
        ({"prometheusRule": {"runbookBaseURL": "here"}}, "at '/prometheusRule/runbookBaseURL': 'here' does not match"),
        (
            {"watchNamespaces": ["one"], "pairs": {"lan": PAIR}},
            'pairs.lan is in namespace "dhcp", which watchNamespaces does not name (one): nobody would serve it.',
        ),
        (
            {"watchNamespaces": ["one"], "pools": {"office": {**POOL, "namespace": "two"}}},
            'pools.office is in namespace "two", which watchNamespaces does not name (one)',
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(offline: Helm, values: Json, said: str) -> None:
    assert said in refusal(offline, values)


def test_an_older_kubernetes_is_refused(offline: Helm) -> None:
    said = refusal(offline, {}, "--kube-version", "1.29.15")
    assert "chart requires kubeVersion: >=1.30.0-0 which is incompatible with Kubernetes v1.29.15" in said
