{{- define "steamer.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "steamer.account" -}}
{{- .Values.serviceAccount.name | default (include "steamer.name" .) -}}
{{- end -}}

{{- define "steamer.selector" -}}
app.kubernetes.io/name: steamer
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "steamer.labels" -}}
{{ include "steamer.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}
