{{/* What objects are called and how they are found: as in the chart that this one takes the place of,
     whatever the release is called, since the selector of a Deployment never changes. */}}
{{- define "loader.name" -}}
remote-data-loader
{{- end }}

{{- define "loader.backend.name" -}}
remote-data-loader-backend
{{- end }}

{{/* The labels of an object: of (list . NAME). */}}
{{- define "loader.labels" -}}
{{- $root := index . 0 -}}
{{- $own := dict
  "app" (index . 1)
  "app.kubernetes.io/name" (index . 1)
  "app.kubernetes.io/instance" $root.Release.Name
  "app.kubernetes.io/managed-by" $root.Release.Service
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_")
-}}
{{- include "loader.strings" (merge $own ($root.Values.globals.extraLabels | default dict)) }}
{{- end }}

{{/* The labels of a pod: of (list . NAME LABELS). What selectors ask for cannot be overridden. */}}
{{- define "loader.podLabels" -}}
{{- $root := index . 0 -}}
{{- $own := dict
  "app" (index . 1)
  "app.kubernetes.io/name" (index . 1)
  "app.kubernetes.io/instance" $root.Release.Name
-}}
{{- include "loader.strings" (merge $own (index . 2 | default dict) ($root.Values.globals.extraLabels | default dict)) }}
{{- end }}

{{/* A map whose values are strings, whatever they were. */}}
{{- define "loader.strings" -}}
{{- range $key, $value := . }}
{{ $key }}: {{ include "loader.text" $value | quote }}
{{- end }}
{{- end }}

{{/* The annotations of an object, if it has any. */}}
{{- define "loader.annotations" -}}
{{- with . }}
annotations:
  {{- include "loader.strings" . | trim | nindent 2 }}
{{- end }}
{{- end }}

{{/* The image: with the version of the chart, unless it says one itself. */}}
{{- define "loader.image" -}}
{{- $image := .Values.remoteDataLoader.deployment.image -}}
{{- if or (contains "@" $image) (contains ":" (splitList "/" $image | last)) -}}
{{ $image }}
{{- else -}}
{{ $image }}:{{ .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* The service account of the loader's pods; empty: the namespace's default. */}}
{{- define "loader.serviceAccount" -}}
{{- $account := .Values.remoteDataLoader.deployment.serviceAccount -}}
{{- if $account.enabled -}}
{{ include "loader.name" . }}
{{- else -}}
{{ $account.existingName }}
{{- end }}
{{- end }}
