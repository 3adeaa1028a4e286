{{/* One variable of (list NAME VALUE); nothing where there is no value. */}}
{{- define "loader.variable" -}}
{{- $value := include "loader.text" (index . 1) -}}
{{- if $value }}
- name: {{ index . 0 }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* How the process ends, how buckets are reached, and what is in front of the network: of the loader
     and the backend. */}}
{{- define "loader.environment.shared" -}}
{{- $globals := .Values.globals -}}
{{- include "loader.variable" (list "SHUTDOWN_DELAY_MS" (include "loader.shutdownDelay" .)) }}
{{- include "loader.variable" (list "SHUTDOWN_GRACE_MS" (mul (int64 .Values.remoteDataLoader.deployment.terminationGracePeriodSeconds) 1000)) }}
{{- with $globals.proxy }}
{{- if .enabled }}
{{- $direct := list .noProxy }}
{{- if include "loader.asksBackend" $ }}{{ $direct = append $direct (include "loader.backend.host" $) }}{{ end }}
{{- include "loader.variable" (list "HTTP_PROXY" .httpProxy) }}
{{- include "loader.variable" (list "HTTPS_PROXY" .httpsProxy) }}
{{- include "loader.variable" (list "NO_PROXY" (compact $direct | join ",")) }}
{{- end }}
{{- end }}
{{- include "loader.variable" (list "AWS_REGION" $globals.aws.region) }}
{{- include "loader.variable" (list "STORAGE_AZURE_STORAGE_ACCOUNT_NAME" $globals.azure.storageAccountName) }}
{{- include "loader.variable" (list "STORAGE_AZURE_SERVICE_URL" $globals.azure.serviceUrl) }}
{{- if include "loader.hasGoogleSecret" . }}
{{- include "loader.variable" (list "GOOGLE_APPLICATION_CREDENTIALS" "/secrets/credentials.json") }}
{{- end }}
{{- end }}

{{/* What the chart tells the loader. */}}
{{- define "loader.environment.serve" -}}
{{- $globals := .Values.globals -}}
{{- $deployment := .Values.remoteDataLoader.deployment -}}
{{- $asksBackend := include "loader.asksBackend" . -}}
{{- include "loader.variable" (list "ADDRESS" "0.0.0.0:8080") }}
{{- include "loader.variable" (list "PROMETHEUS_ADDRESS" "0.0.0.0:6001") }}
{{- include "loader.variable" (list "PROMETHEUS_METRICS_NAMESPACE" $deployment.metrics.namespace) }}
{{- include "loader.variable" (list "PROMETHEUS_METRICS_SUBSYSTEM" $deployment.metrics.subsystem) }}
{{- include "loader.variable" (list "REMOTE_DATA_LOADER_VERSION" .Chart.Version) }}
{{- if $asksBackend }}
{{- include "loader.variable" (list "MANIFEST_ENDPOINT" (printf "http://%s:8081/manifest" (include "loader.backend.host" .))) }}
{{- else }}
{{- include "loader.variable" (list "MANIFEST_ENDPOINT" $globals.manifestEndpoint) }}
{{- end }}
{{- if or $globals.allowHttpSources $asksBackend }}
{{- include "loader.variable" (list "ALLOW_HTTP_SOURCES" true) }}
{{- end }}
{{- if $globals.disableAuth }}
{{- include "loader.variable" (list "DISABLE_AUTH" true) }}
{{- end }}
{{- include "loader.variable" (list "CORS_ALLOWED_ORIGINS" (join "," $globals.corsAllowedOrigins)) }}
{{- include "loader.variable" (list "AUTH_TOKEN_ORIGINS" (join "," $globals.authTokenOrigins)) }}
{{- include "loader.variable" (list "DENY_SOURCE_CIDRS" (join "," $globals.denySourceCidrs)) }}
{{- with $globals.manifestCache }}
{{- if .ttlMs }}
{{- include "loader.variable" (list "MANIFEST_CACHE_TTL_MS" .ttlMs) }}
{{- include "loader.variable" (list "MANIFEST_CACHE_MAX_CAPACITY" .maxCapacity) }}
{{- end }}
{{- end }}
{{- include "loader.environment.shared" . }}
{{- include "loader.variable" (list "MEMORY_LIMIT_BYTES" (include "loader.memoryBytes" .)) }}
{{- include "loader.variable" (list "REQUEST_CACHE_DISK_FOLDER" "/var/cache/remote-data-loader") }}
{{- include "loader.variable" (list "REQUEST_CACHE_MAX_BYTES" (include "loader.diskBytes" .)) }}
{{- with $globals.cache }}
{{- if .enabled }}
{{- include "loader.variable" (list "REQUEST_CACHE_STORAGE_PROVIDER" .storageProvider) }}
{{- include "loader.variable" (list "REQUEST_CACHE_BUCKET_NAME" .bucketName) }}
{{- include "loader.variable" (list "REQUEST_CACHE_PREFIX" .prefix) }}
{{- /* 0 counts as unset, as it does in the chart that this one takes the place of. */}}
{{- include "loader.variable" (list "REQUEST_CACHE_PART_LIST_WRITE_MIN_INTERVAL_MS" (.partListWriteMinIntervalMs | default "")) }}
{{- include "loader.variable" (list "REQUEST_CACHE_MAX_INCOMPLETE_PART_LIST_AGE_MS" (.maxIncompletePartListAgeMs | default "")) }}
{{- include "loader.variable" (list "REQUEST_CACHE_PART_LIST_TOUCH_INTERVAL_MS" (.partListTouchIntervalMs | default "")) }}
{{- include "loader.variable" (list "REQUEST_CACHE_MAX_BYTES_WAIT_MS" (.maxBytesWaitMs | default "")) }}
{{- include "loader.variable" (list "REQUEST_CACHE_SLOW_PART_LIST_UPDATE_THRESHOLD_MS" (.slowPartListUpdateThresholdMs | default "")) }}
{{- include "loader.variable" (list "REQUEST_CACHE_SLOW_PART_UPLOAD_THRESHOLD_MS" (.slowPartUploadThresholdMs | default "")) }}
{{- include "loader.variable" (list "REQUEST_CACHE_SLOW_BYTES_THRESHOLD_MS" (.slowBytesThresholdMs | default "")) }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the chart tells the backend. */}}
{{- define "loader.environment.backend" -}}
{{- include "loader.variable" (list "ADDRESS" "0.0.0.0:8081") }}
{{- with .Values.backend }}
{{- if eq .auth.mode "none" }}
{{- include "loader.variable" (list "DISABLE_AUTH" true) }}
{{- else if eq .auth.mode "token" }}
- name: BACKEND_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ .auth.tokenSecret.name | quote }}
      key: {{ .auth.tokenSecret.key | quote }}
{{- else }}
{{- include "loader.variable" (list "BACKEND_JWKS_URL" .auth.jwt.jwksUrl) }}
{{- include "loader.variable" (list "BACKEND_JWT_AUDIENCE" .auth.jwt.audience) }}
{{- include "loader.variable" (list "BACKEND_JWT_ISSUER" .auth.jwt.issuer) }}
{{- include "loader.variable" (list "BACKEND_JWT_PREFIX_CLAIM" .auth.jwt.prefixClaim) }}
{{- include "loader.variable" (list "BACKEND_JWT_PREFIX" .auth.jwt.prefix) }}
{{- end }}
{{- if .signedUrls }}
{{- include "loader.variable" (list "BACKEND_SIGNED_URLS" true) }}
{{- include "loader.variable" (list "BACKEND_SIGNED_URL_MS" .signedUrlMs) }}
{{- end }}
{{- end }}
{{- include "loader.environment.shared" . }}
{{- end }}

{{/* The variables of a container: of (list OURS GIVEN). What is given takes the place of ours. */}}
{{- define "loader.env" -}}
{{- $names := list -}}
{{- range index . 1 }}{{ $names = append $names .name }}{{ end -}}
{{- range index . 0 | fromYamlArray }}
{{- if not (has .name $names) }}
- {{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- end }}
{{- range index . 1 }}
- name: {{ .name }}
  {{- if hasKey . "valueFrom" }}
  valueFrom:
    {{- toYaml .valueFrom | nindent 4 }}
  {{- else }}
  value: {{ include "loader.text" .value | quote }}
  {{- end }}
{{- end }}
{{- end }}
