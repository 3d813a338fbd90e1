{{/* What cannot work is refused before anything is changed. The last three ask the cluster, where there is one. */}}

{{- define "twinlease.check.namespaces" -}}
{{- range $kind, $objects := dict "pairs" .Values.pairs "pools" .Values.pools -}}
{{- range $name, $given := $objects -}}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$" $name) -}}
{{- fail (printf "\n%s: %q cannot be the name of an object. A name has lower case letters, digits, - and . only,\nbegins and ends with a letter or digit, and has 253 characters at most." $kind $name) -}}
{{- end -}}
{{- $namespace := $given.namespace | default $.Release.Namespace -}}
{{- if and $.Values.watchNamespaces (not (has $namespace $.Values.watchNamespaces)) -}}
{{- fail (printf "\n%s.%s is in namespace %q, which watchNamespaces does not name (%s): nobody would serve it.\nName a namespace of that list in %s.%s.namespace, or add it to the list." $kind $name $namespace (join ", " $.Values.watchNamespaces) $kind $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if include "twinlease.connected" . -}}
{{- range .Values.watchNamespaces -}}
{{- if and (ne . $.Release.Namespace) (not (lookup "v1" "Namespace" "" .)) -}}
{{- fail (printf "\nwatchNamespaces names %q, and there is no such namespace.\nMake it first: kubectl create namespace %s" . .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "twinlease.check.single" -}}
{{- $mine := printf "%s/%s" .Release.Namespace .Release.Name -}}
{{- with lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" "twinlease-operator" -}}
{{- $owner := include "twinlease.owner" . -}}
{{- if eq $owner "/" -}}
{{- fail "\ntwinlease is in this cluster already, applied with kubectl. One operator serves a cluster.\nTake that one away first; servers that run go on serving (docs/uninstall.md):\n  kubectl delete --filename manifests/" -}}
{{- else if ne $owner $mine -}}
{{- fail (printf "\ntwinlease is in this cluster already, as release %q in namespace %q. One operator serves a cluster.\nChange that release:      helm upgrade %s charts/twinlease --namespace %s\nor take it away first:    helm uninstall %s --namespace %s" (base $owner) (dir $owner) (base $owner) (dir $owner) (base $owner) (dir $owner)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* An object's schema as text, to be compared. */}}
{{- define "twinlease.schemas" -}}
{{- range .spec.versions }}{{ .name }}={{ toJson .schema }};{{ end -}}
{{- end -}}

{{- define "twinlease.check.crds" -}}
{{- $mine := printf "%s/%s" .Release.Namespace .Release.Name -}}
{{- $missing := list -}}{{- $foreign := list -}}{{- $other := list -}}
{{- if include "twinlease.connected" . -}}
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" -}}
{{- $shipped := $.Files.Get $path | fromYaml -}}
{{- $name := $shipped.metadata.name -}}
{{- with lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" $name -}}
{{- if ne (include "twinlease.owner" .) $mine }}{{ $foreign = append $foreign $name }}{{ end -}}
{{- if ne (include "twinlease.schemas" .) (include "twinlease.schemas" $shipped) }}{{ $other = append $other $name }}{{ end -}}
{{- else }}{{ $missing = append $missing $name }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if .Values.crds.install -}}
{{- if $foreign -}}
{{- $age := "" }}{{ $again := "" -}}
{{- if $other -}}
{{- $age = printf "\nOf another version than this chart: %s." (join ", " $other) -}}
{{- $again = " with --force-conflicts (Helm 4)" -}}
{{- end -}}
{{- fail (printf "\nThese definitions are in this cluster already and belong to no release, or to another: %s.%s\nHand all of them over, your objects stay as they are, and try again%s:\n  kubectl label crds --selector app.kubernetes.io/name=twinlease --overwrite app.kubernetes.io/managed-by=Helm\n  kubectl annotate crds --selector app.kubernetes.io/name=twinlease --overwrite meta.helm.sh/release-name=%s meta.helm.sh/release-namespace=%s\nor keep them to yourself with --set crds.install=false." (join ", " $foreign) $age $again .Release.Name .Release.Namespace) -}}
{{- end -}}
{{- else -}}
{{- if $missing -}}
{{- fail (printf "\ncrds.install is false, and these definitions are not in this cluster: %s.\nApply them first: kubectl apply --server-side --filename crds/" (join ", " $missing)) -}}
{{- else if $other -}}
{{- fail (printf "\ncrds.install is false, and these definitions in this cluster are of another version than this chart: %s.\nApply those of this version first: kubectl apply --server-side --filename crds/" (join ", " $other)) -}}
{{- end -}}
{{- end -}}
{{- if and (include "twinlease.connected" .) (or .Values.pairs .Values.pools) (not (.Capabilities.APIVersions.Has "twinlease.io/v1alpha1/DHCPFailoverPair")) -}}
{{- fail (printf "\npairs and pools need kinds that this first install brings: Helm knows them from the next command on.\nInstall without them, then give them to an upgrade:\n  helm install %s charts/twinlease --namespace %s\n  helm upgrade %s charts/twinlease --namespace %s --values YOUR-VALUES" .Release.Name .Release.Namespace .Release.Name .Release.Namespace) -}}
{{- end -}}
{{- end -}}
