{{/* Name of everything of the operator's: `parley-operator` for a release called parley. */}}
{{- define "parley.name" -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}-operator
{{- end }}

{{/* The same for what is in no namespace: two releases may share a name. */}}
{{- define "parley.clusterName" -}}
{{ .Release.Namespace }}-{{ include "parley.name" . }}
{{- end }}

{{/* Labels by which the operator's pods are found. The policies of assistants let in whoever has the first. */}}
{{- define "parley.selector" -}}
app.kubernetes.io/name: parley-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "parley.labels" -}}
{{ include "parley.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Reference of one of our images, by its name. */}}
{{- define "parley.image" -}}
{{- $images := .root.Values.images -}}
{{- with $images.registry }}{{ . }}/{{ end }}{{ .name }}:{{ $images.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* Namespaces that are watched, as JSON; none means all. */}}
{{- define "parley.namespaces" -}}
{{- if .Values.watchAllNamespaces -}}
{{- if .Values.watchNamespaces }}
{{- fail "watchAllNamespaces and watchNamespaces exclude each other: leave one of them out" }}
{{- end -}}
[]
{{- else -}}
{{ .Values.watchNamespaces | default (list .Release.Namespace) | toJson }}
{{- end }}
{{- end }}

{{/* Whether to make something of the Prometheus Operator's: what was said, or whether the cluster knows the kind. */}}
{{- define "parley.wants" -}}
{{- if eq (toString .said) "auto" }}
{{- if .root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind) }}yes{{ end }}
{{- else if .said }}yes{{ end }}
{{- end }}

{{/* Pod and container settings of the restricted level of Pod Security, and a root that nobody writes to. */}}
{{- define "parley.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "parley.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/*
All that the operator may do, in each namespace that it watches. Nothing is here that it never asks for. What it applies
on the server's side needs `create` and `patch`: an object that is not there yet is made by the same request.
*/}}
{{- define "parley.rights" -}}
# What people write, and what becomes of it.
- apiGroups: [parley.dev]
  resources: [voiceassistants]
  verbs: [list, watch]
- apiGroups: [parley.dev]
  resources: [voiceassistants/status]
  verbs: [patch]
# What an assistant is made of, and removed when it needs it no more.
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies, ingresses]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps, services, serviceaccounts]
  verbs: [list, watch, create, patch, delete]
# What is made once, and never changed.
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [list, watch, create, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch, create, delete]
# Volumes are never removed by the operator: what is on them cannot be made again.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [list, watch, create, patch]
# Seeds are made once. A Secret is read by its name alone, which an assistant or the operator itself gave it.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create]
# How it all fares.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [list, watch]
# What it says about it, and that it happened again.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
