{{- define "cargoship.labels" -}}
app.kubernetes.io/name: cargoship
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "cargoship.image" -}}
{{ .image.repository }}:{{ .image.tag | default .chart.AppVersion }}{{ with .image.digest }}@{{ . }}{{ end }}
{{- end }}
