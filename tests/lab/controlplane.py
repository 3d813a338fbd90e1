"""The control plane's components as command lines: what the whole lab and the lone API server have in common."""

from dataclasses import dataclass
from pathlib import Path

from tests.lab.binaries import Binaries
from tests.lab.model import SERVICE_ADDRESS, SERVICE_NETWORK
from tests.lab.pki import Authority, Identity


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the API server and its etcd listen."""

    advertise: str
    bind: str
    port: int
    etcd_port: int
    etcd_peer_port: int


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """The components of one cluster; `directory` holds their keys and data."""

    binaries: Binaries
    directory: Path
    endpoint: Endpoint

    @property
    def authority(self) -> Authority:
        """The authority that signs this cluster's certificates."""
        return Authority(self.directory / "pki")

    def admin(self) -> Identity:
        """Return the identity that may do everything."""
        return self.authority.identity("admin", "/O=system:masters/CN=admin")

    def etcd(self) -> list[str]:
        """Return etcd's command line. Nothing is synced to the disk: the data need not outlive the machine."""
        clients = f"http://127.0.0.1:{self.endpoint.etcd_port}"
        peers = f"http://127.0.0.1:{self.endpoint.etcd_peer_port}"
        return [
            self.binaries["etcd"],
            f"--data-dir={self.directory / 'etcd'}",
            "--name=lab",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=lab={peers}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def api_server(self) -> list[str]:
        """Return the API server's command line; makes its certificates if there are none."""
        names = ["DNS:localhost", "DNS:kubernetes", "DNS:kubernetes.default.svc", "IP:127.0.0.1"]
        addresses = dict.fromkeys([SERVICE_ADDRESS, self.endpoint.advertise])
        authority, admin = self.authority, self.admin()
        server = authority.identity(
            "apiserver", "/CN=kube-apiserver", [*names, *(f"IP:{address}" for address in addresses)]
        )
        return [
            self.binaries["kube-apiserver"],
            f"--etcd-servers=http://127.0.0.1:{self.endpoint.etcd_port}",
            f"--advertise-address={self.endpoint.advertise}",
            f"--bind-address={self.endpoint.bind}",
            f"--secure-port={self.endpoint.port}",
            f"--cert-dir={self.directory / 'generated'}",
            f"--tls-cert-file={server.certificate}",
            f"--tls-private-key-file={server.key}",
            f"--client-ca-file={authority.certificate}",
            f"--service-account-key-file={authority.service_account_public_key()}",
            f"--service-account-signing-key-file={authority.service_account_key()}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--kubelet-client-certificate={admin.certificate}",
            f"--kubelet-client-key={admin.key}",
            f"--kubelet-certificate-authority={authority.certificate}",
            "--kubelet-preferred-address-types=InternalIP",  # there is no DNS that knows the nodes' names
            "--allow-privileged=true",
        ]

    def controller_manager(self) -> list[str]:
        """Return the controller manager's command line."""
        authority = self.authority
        return [
            self.binaries["kube-controller-manager"],
            f"--kubeconfig={self._component_config('controller-manager')}",
            f"--service-account-private-key-file={authority.service_account_key()}",
            f"--root-ca-file={authority.certificate}",
            f"--cert-dir={self.directory / 'generated'}",
            f"--flex-volume-plugin-dir={self.directory / 'generated'}",  # else it makes one on the host
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--node-monitor-period=1s",
            "--node-monitor-grace-period=8s",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]

    def scheduler(self) -> list[str]:
        """Return the scheduler's command line."""
        return [
            self.binaries["kube-scheduler"],
            f"--kubeconfig={self._component_config('scheduler')}",
            f"--cert-dir={self.directory / 'generated'}",
            "--leader-elect=false",
        ]

    def admin_config(self, name: str, port: int) -> Path:
        """Write the administrator's kubeconfig for the API server as seen at a loopback port."""
        path = self.directory / name
        return self.authority.kubeconfig(path, f"https://127.0.0.1:{port}", self.admin())

    def _component_config(self, component: str) -> Path:
        identity = self.authority.identity(component, f"/CN=system:kube-{component}")
        path = self.directory / f"{component}.kubeconfig"
        return self.authority.kubeconfig(path, f"https://127.0.0.1:{self.endpoint.port}", identity)
