{{- define "steamer.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if .Values.nameOverride -}}
{{- printf "%s-%s" .Release.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "steamer.account" -}}
{{- .Values.serviceAccount.name | default (include "steamer.name" .) -}}
{{- end -}}

{{- define "steamer.selector" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default "steamer" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "steamer.labels" -}}
{{ include "steamer.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "steamer.image" -}}
{{- $image := .Values.image.repository -}}
{{- if .Values.image.registry -}}{{- $image = printf "%s/%s" .Values.image.registry $image -}}{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $image .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* A security context, without user and group IDs on OpenShift. Arguments: the root, the security context. */}}
{{- define "steamer.securityContext" -}}
{{- $root := index . 0 -}}
{{- $context := index . 1 -}}
{{- if $root.Values.openshift -}}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{/* Namespaces with a Role for delivery and provisioning, as a JSON object. Empty: a ClusterRole. */}}
{{- define "steamer.watched" -}}
{{- $namespaces := list -}}
{{- if .Values.watchNamespaces -}}
{{- $namespaces = concat .Values.watchNamespaces .Values.clusterNamespaces (list .Release.Namespace) | uniq -}}
{{- end -}}
{{- dict "namespaces" $namespaces | toJson -}}
{{- end -}}

{{/* Namespaces with a Role for managed clusters, as a JSON object. Empty: a ClusterRole. */}}
{{- define "steamer.clusters" -}}
{{- $watched := include "steamer.watched" . | fromJson -}}
{{- dict "namespaces" (.Values.clusterNamespaces | default $watched.namespaces) | toJson -}}
{{- end -}}

{{/* Binding of the operator. Arguments: the root, kind, name, namespace or "". */}}
{{- define "steamer.binding" -}}
{{- $root := index . 0 -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ index . 1 }}Binding
metadata:
  name: {{ index . 2 }}
  {{- with index . 3 }}
  namespace: {{ . }}
  {{- end }}
  labels: {{- include "steamer.labels" $root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ index . 1 }}
  name: {{ index . 2 }}
subjects:
  - kind: ServiceAccount
    name: {{ include "steamer.account" $root }}
    namespace: {{ $root.Release.Namespace }}
{{- end -}}

{{/* A role of the operator and its binding: a ClusterRole, or a Role in each namespace. Arguments: the root, suffix of
     the name, file with the rules, namespaces. */}}
{{- define "steamer.role" -}}
{{- $root := index . 0 -}}
{{- $name := printf "%s-%s%s" $root.Release.Namespace (include "steamer.name" $root) (index . 1) -}}
{{- $rules := $root.Files.Get (printf "files/%s" (index . 2)) -}}
{{- range (index . 3 | default (list "")) }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ if . }}Role{{ else }}ClusterRole{{ end }}
metadata:
  name: {{ $name }}
  {{- if . }}
  namespace: {{ . }}
  {{- end }}
  labels: {{- include "steamer.labels" $root | nindent 4 }}
rules:
{{ $rules | indent 2 }}
---
{{ include "steamer.binding" (list $root (ternary "Role" "ClusterRole" (ne . "")) $name .) }}
{{- end }}
{{- end -}}
