{{/* A value as text: whole numbers as such (YAML makes 1000000 of a file 1e+06), and nothing of null. */}}
{{- define "loader.text" -}}
{{- if kindIs "float64" . -}}
{{ if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- else if not (kindIs "invalid" .) -}}
{{ . }}
{{- end }}
{{- end }}

{{/* Bytes of a quantity, 5Gi or 0.5Gi; nothing of what is none. */}}
{{- define "loader.bytes" -}}
{{- $text := include "loader.text" . -}}
{{- if regexMatch "^[0-9]+([.][0-9]+)?([kMGT]|[KMGT]i)?$" $text -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000
  "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{ mulf (regexFind "^[0-9.]+" $text | float64) (get $units (regexFind "[a-zA-Z]*$" $text)) | floor | int64 }}
{{- end }}
{{- end }}

{{/* REQUEST_CACHE_MAX_BYTES. */}}
{{- define "loader.diskBytes" -}}
{{- $disk := .Values.remoteDataLoader.deployment.diskStore -}}
{{- $size := include "loader.bytes" $disk.sizeLimit | int64 -}}
{{- if kindIs "invalid" $disk.maxBytes -}}
{{ mul (div $size 10) 9 }}
{{- else if gt (int64 $disk.maxBytes) $size -}}
{{- fail (printf "remoteDataLoader.deployment.diskStore.maxBytes is %d, more than its sizeLimit %v: lower it, or raise sizeLimit" (int64 $disk.maxBytes) $disk.sizeLimit) }}
{{- else -}}
{{ int64 $disk.maxBytes }}
{{- end }}
{{- end }}

{{/* MEMORY_LIMIT_BYTES; nothing where the loader's own default fits, or no limit is known. */}}
{{- define "loader.memoryBytes" -}}
{{- $deployment := .Values.remoteDataLoader.deployment -}}
{{- $mebibyte := 1048576 -}}
{{- $limit := include "loader.bytes" (dig "limits" "memory" "" ($deployment.resources | default dict)) -}}
{{- $given := $deployment.memoryLimitBytes -}}
{{- if not (kindIs "invalid" $given) -}}
{{- if and $limit (gt (add (int64 $given) (mul 60 $mebibyte)) (int64 $limit)) -}}
{{- fail (printf "remoteDataLoader.deployment.memoryLimitBytes is %d, and the process needs about 60 MiB besides: that is more than resources.limits.memory %v; lower it, or raise the limit" (int64 $given) $deployment.resources.limits.memory) }}
{{- end -}}
{{ int64 $given }}
{{- else if and $limit (lt (int64 $limit) (mul 250 $mebibyte)) -}}
{{ max (sub (int64 $limit) (mul 90 $mebibyte)) (mul 16 $mebibyte) }}
{{- end }}
{{- end }}

{{/* SHUTDOWN_DELAY_MS; nothing where the default of the binary fits. The last 5 seconds are for ending. */}}
{{- define "loader.shutdownDelay" -}}
{{- $deployment := .Values.remoteDataLoader.deployment -}}
{{- $most := sub (int64 $deployment.terminationGracePeriodSeconds) 5 -}}
{{- $given := $deployment.shutdownDelaySeconds -}}
{{- if kindIs "invalid" $given -}}
{{- if lt $most 5 }}{{ mul $most 1000 }}{{ end }}
{{- else if gt (int64 $given) $most -}}
{{- fail (printf "remoteDataLoader.deployment.shutdownDelaySeconds is %d, and terminationGracePeriodSeconds %d: the delay has to be at least 5 less" (int64 $given) (int64 $deployment.terminationGracePeriodSeconds)) }}
{{- else -}}
{{ mul (int64 $given) 1000 }}
{{- end }}
{{- end }}

{{/* Whether the loader asks the backend of this release. */}}
{{- define "loader.asksBackend" -}}
{{- if and .Values.backend.enabled (not .Values.globals.manifestEndpoint) }}true{{ end }}
{{- end }}

{{/* The host at which the backend of this release is found. */}}
{{- define "loader.backend.host" -}}
{{ include "loader.backend.name" . }}.{{ .Release.Namespace }}.svc
{{- end }}

{{/* Whether the credentials are those of the secret for Google Cloud. */}}
{{- define "loader.hasGoogleSecret" -}}
{{- $globals := .Values.globals -}}
{{- if kindIs "invalid" $globals.gcp.useCredentialSecret -}}
{{- if lookup "v1" "Secret" .Release.Namespace $globals.existingSecrets.gcp }}true{{ end }}
{{- else if $globals.gcp.useCredentialSecret -}}
true
{{- end }}
{{- end }}

{{/* What no schema can say. */}}
{{- define "loader.check" -}}
{{- $values := .Values -}}
{{- range $path := list "globals.existingSecrets" "globals.gcp" "remoteDataLoader.podDisruptionBudget"
  "remoteDataLoader.networkPolicy" "remoteDataLoader.serviceMonitor"
  "remoteDataLoader.deployment.diskStore" "backend" -}}
{{- $found := $values -}}
{{- range splitList "." $path }}{{ $found = get $found . | default dict }}{{ end -}}
{{- if not $found -}}
{{- fail (printf "%s is missing. Was it set to null, or were the values of another chart reused? Upgrade with --reset-then-reuse-values or with a values file in the place of --reuse-values" $path) }}
{{- end }}
{{- end }}
{{- with .Values.remoteDataLoader.autoscaling }}
{{- if and .enabled (lt (int64 .maxReplicas) (int64 .minReplicas)) }}
{{- fail (printf "remoteDataLoader.autoscaling.maxReplicas is %d, less than minReplicas %d" (int64 .maxReplicas) (int64 .minReplicas)) }}
{{- end }}
{{- end }}
{{- with .Values.remoteDataLoader }}
{{- if and .networkPolicy.enabled .serviceMonitor.enabled (not .networkPolicy.metricsFrom) }}
{{- fail "remoteDataLoader.serviceMonitor is enabled, and remoteDataLoader.networkPolicy lets nobody ask for metrics: name Prometheus in networkPolicy.metricsFrom" }}
{{- end }}
{{- end }}
{{- with .Values.globals.cache }}
{{- if .enabled }}
{{- $dead := .maxIncompletePartListAgeMs | default 20000 | int64 }}
{{- range $name, $default := dict "partListTouchIntervalMs" 5000 "partListWriteMinIntervalMs" 1000 }}
{{- $interval := get $values.globals.cache $name | default $default | int64 }}
{{- if ge $interval $dead }}
{{- fail (printf "globals.cache.%s is %d; it has to be below maxIncompletePartListAgeMs (%d), or loads that go on count as dead" $name $interval $dead) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if include "loader.asksBackend" . }}
{{- $isOpen := eq .Values.backend.auth.mode "none" }}
{{- if and $isOpen (not .Values.globals.disableAuth) }}
{{- fail "backend.auth.mode is none, and globals.disableAuth is false: nobody would check tokens. Choose token or jwt, or set globals.disableAuth to show every file to everyone who reaches the loader" }}
{{- else if and .Values.globals.disableAuth (not $isOpen) }}
{{- fail (printf "globals.disableAuth is true, and backend.auth.mode is %s: requests without a token would reach the loader, and no file. Unset the one, or set the other to none" .Values.backend.auth.mode) }}
{{- end }}
{{- end }}
{{- end }}
