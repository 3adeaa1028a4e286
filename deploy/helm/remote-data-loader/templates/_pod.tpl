{{/* Where pods run and as whom: of (list . SERVICE_ACCOUNT). */}}
{{- define "loader.pod" -}}
{{- $root := index . 0 -}}
{{- $deployment := $root.Values.remoteDataLoader.deployment -}}
{{- with index . 1 }}
serviceAccountName: {{ . | quote }}
{{- end }}
automountServiceAccountToken: {{ $deployment.serviceAccount.automountToken }}
{{- with $root.Values.globals.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $deployment.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $deployment.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $deployment.nodeSelectors }}
nodeSelector:
  {{- include "loader.strings" . | trim | nindent 2 }}
{{- end }}
{{- with $deployment.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What is the same in the containers of the loader and of the backend. */}}
{{- define "loader.container" -}}
{{- $deployment := .Values.remoteDataLoader.deployment -}}
image: {{ include "loader.image" . | quote }}
{{- with $deployment.imagePullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- with $deployment.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Secrets as environment variables: of (list OPTIONAL NEEDED), two lists of names. */}}
{{- define "loader.envFrom" -}}
{{- range index . 0 }}
- secretRef:
    name: {{ . | quote }}
    optional: true
{{- end }}
{{- range index . 1 }}
- secretRef:
    name: {{ . | quote }}
{{- end }}
{{- end }}

{{/* The service account of Google Cloud, which both may use. */}}
{{- define "loader.googleVolume" -}}
- name: gcp-cloud-credentials
  secret:
    secretName: {{ .Values.globals.existingSecrets.gcp | quote }}
    {{- if not .Values.globals.gcp.useCredentialSecret }}
    optional: true
    {{- end }}
{{- end }}
{{- define "loader.googleMount" -}}
- name: gcp-cloud-credentials
  mountPath: /secrets
  readOnly: true
{{- end }}

{{/* A probe: of (list PATH PORT PERIOD FAILURES). */}}
{{- define "loader.probe" -}}
httpGet:
  path: {{ index . 0 }}
  port: {{ index . 1 }}
periodSeconds: {{ index . 2 }}
timeoutSeconds: 1
failureThreshold: {{ index . 3 }}
{{- end }}
