{{/* The operator's rights in each namespace that it serves. */}}
{{- define "twinlease.rules" -}}
# What users write: read, and report in the status.
- apiGroups: [twinlease.io]
  resources: [dhcpfailoverpairs, dhcppools, dhcpreservations]
  verbs: [get, list, watch]
- apiGroups: [twinlease.io]
  resources: [dhcpfailoverpairs/status, dhcppools/status, dhcpreservations/status]
  verbs: [patch]
# Owner references that block the owner's deletion, where the cluster asks for this right.
- apiGroups: [twinlease.io]
  resources: [dhcpfailoverpairs/finalizers]
  verbs: [update]
# Servers. The status is their sidecars' alone; the right is here because it is handed on to them.
- apiGroups: [twinlease.io]
  resources: [dhcpservers]
  verbs: [get, list, watch, create, patch]
- apiGroups: [twinlease.io]
  resources: [dhcpservers/status]
  verbs: [patch]
# Serving leases; the admission policy keeps each writer to its part. get, list, watch and patch are handed on as well.
- apiGroups: [twinlease.io]
  resources: [dhcpservingleases]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, create, delete]
# Configurations and ledgers; get is handed on to the sidecars, by name.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, update, delete]
# Keys are made, never read.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [serviceaccounts, persistentvolumeclaims]
  verbs: [list, watch, create, patch]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [list, watch, create, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}

{{- define "twinlease.subjects" -}}
- kind: ServiceAccount
  name: twinlease-operator
  namespace: {{ .Release.Namespace | quote }}
{{- end -}}
