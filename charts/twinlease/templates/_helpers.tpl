{{- define "twinlease.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "twinlease.selector" -}}
app.kubernetes.io/name: twinlease
app.kubernetes.io/component: operator
{{- end -}}

{{/* Not empty: a cluster answers, which `helm template` has not. */}}
{{- define "twinlease.connected" -}}
{{- if lookup "v1" "Namespace" "" "kube-system" }}yes{{ end -}}
{{- end -}}

{{/* "NAMESPACE/RELEASE" of the release that owns an object, "/" if none does. */}}
{{- define "twinlease.owner" -}}
{{- $notes := .metadata.annotations | default dict -}}
{{ get $notes "meta.helm.sh/release-namespace" }}/{{ get $notes "meta.helm.sh/release-name" }}
{{- end -}}

{{- define "twinlease.monitoring" -}}
{{- if .root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind) }}yes{{ end -}}
{{- end -}}
