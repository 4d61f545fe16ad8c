{{- define "waybill.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The release's name, with the chart's where it is not in it: names of Services have 63 characters. */}}
{{- define "waybill.fullname" -}}
{{- $name := include "waybill.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 54 | trimSuffix "-" -}}
{{- end -}}

{{- define "waybill.selector" -}}
app.kubernetes.io/name: {{ include "waybill.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "waybill.labels" -}}
{{ include "waybill.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* The configuration as an object, checked for what the manifests follow from. */}}
{{- define "waybill.config" -}}
{{- if not .Values.config -}}
{{- fail "config is empty: give your configuration, --set-file config=waybill.yaml" -}}
{{- end -}}
{{- $config := fromYaml .Values.config -}}
{{- with $config.Error -}}
{{- fail (printf "config is not YAML: %s" .) -}}
{{- end -}}
{{- if not (dig "admin" "token" "" $config) -}}
{{- fail "config needs admin.token, as the admin API listens beyond loopback: \"${file:/run/secrets/waybill/admin-token}\"" -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* shutdown.deadline in seconds, rounded up: milliseconds, or a text with a unit. */}}
{{- define "waybill.deadlineSeconds" -}}
{{- $config := include "waybill.config" . | fromYaml -}}
{{- $deadline := dig "shutdown" "deadline" "20s" $config -}}
{{- $text := ternary $deadline (printf "%dms" (int64 $deadline)) (kindIs "string" $deadline) -}}
{{- if not (regexMatch "^[0-9]+(ms|s|m)$" $text) -}}
{{- fail (printf "shutdown.deadline is %s: the chart reads whole ms, s and m" $text) -}}
{{- end -}}
{{- $number := regexFind "^[0-9]+" $text | int64 -}}
{{- $unit := regexFind "[a-z]+$" $text -}}
{{- if eq $unit "ms" -}}{{- div (add $number 999) 1000 -}}
{{- else if eq $unit "s" -}}{{- $number -}}
{{- else -}}{{- mul $number 60 -}}
{{- end -}}
{{- end -}}

{{- define "waybill.preStopSeconds" -}}
{{- ternary .Values.preStopSeconds 0 (gt (int .Values.replicas) 1) -}}
{{- end -}}

{{- define "waybill.image" -}}
{{- $repository := required "image.repository is empty: name the image that you pushed" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}
