{{- define "castellan.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "castellan.selector" -}}
app.kubernetes.io/name: castellan
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "castellan.labels" -}}
{{ include "castellan.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "castellan.serviceAccount" -}}
{{- if .Values.serviceAccount.name -}}
{{ .Values.serviceAccount.name }}
{{- else -}}
{{ ternary (include "castellan.name" .) "default" .Values.serviceAccount.create }}
{{- end -}}
{{- end }}

{{- define "castellan.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* Names of cluster-scoped objects carry the namespace, so that two namespaced releases do not meet. */ -}}
{{- define "castellan.clusterName" -}}
{{- if eq .Release.Namespace "castellan-system" -}}
{{ include "castellan.name" . }}
{{- else -}}
{{ include "castellan.name" . }}-{{ .Release.Namespace }}
{{- end -}}
{{- end }}

{{- /* Nine tenths of the memory limit, in whole MiB. The schema admits Mi and Gi only. */ -}}
{{- define "castellan.gomemlimit" -}}
{{- $limit := .Values.resources.limits.memory -}}
{{- $mib := ternary 1024.0 1.0 (hasSuffix "Gi" $limit) -}}
{{- mulf ($limit | trimSuffix "Gi" | trimSuffix "Mi" | float64) $mib 0.9 | floor | int }}MiB
{{- end }}

{{- define "castellan.subject" -}}
subjects:
- kind: ServiceAccount
  name: {{ include "castellan.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
