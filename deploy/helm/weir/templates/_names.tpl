{{- define "weir.topology" -}}
{{- if .Values.topology -}}{{ .Values.topology }}{{- else -}}{{ .Files.Get "topology.jsonc" }}{{- end -}}
{{- end -}}
{{- define "weir.topologyName" -}}
weir-topology-{{ include "weir.topology" . | sha256sum | trunc 10 }}
{{- end -}}
{{- define "weir.labels" -}}
app.kubernetes.io/name: weir
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}
{{- define "weir.selector" -}}
app.kubernetes.io/name: weir
app.kubernetes.io/component: node
{{- end -}}
