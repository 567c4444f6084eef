{{/* Names and labels. */}}
{{- define "atoll.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "atoll.fullname" -}}
{{- $both := printf "%s-%s" .Release.Name (include "atoll.name" .) -}}
{{- $one := contains (include "atoll.name" .) .Release.Name | ternary .Release.Name $both -}}
{{- default $one .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "atoll.selector" -}}
app.kubernetes.io/name: {{ include "atoll.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "atoll.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "atoll.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "atoll.serviceAccount" -}}
{{- default (include "atoll.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The text of the manifest. */}}
{{- define "atoll.manifest" -}}
{{- default (.Files.Get "files/atoll.toml") .Values.manifest -}}
{{- end -}}

{{/*
What the other templates want to know of the manifest, as JSON:

  drain      seconds that requests in flight have after SIGTERM
  tls        whether the gateway has a socket for TLS
  adminTls   whether the admin speaks TLS
  cluster    whether it is one of several hosts
  state      whether a service has data
  shared     whether the hosts have one database together
  watched    namespaces in which it looks for EndpointSlices: those of the sources `k8s://NAMESPACE/SERVICE`
*/}}
{{- define "atoll.facts" -}}
{{- $manifest := include "atoll.manifest" . | fromToml -}}
{{- with $manifest.Error }}{{ fail (printf "manifest: %s" .) }}{{ end -}}
{{- $gateway := default dict $manifest.gateway -}}
{{- $admin := default dict $manifest.admin -}}
{{- $state := false -}}
{{- $watched := dict -}}
{{- range $service := default dict $manifest.service -}}
  {{- if $service.state }}{{ $state = true }}{{ end -}}
  {{- range $url := $service.urls -}}
    {{- $text := kindIs "map" $url | ternary (get (kindIs "map" $url | ternary $url dict) "url") $url -}}
    {{- if hasPrefix "k8s://" (toString $text) -}}
      {{- $_ := set $watched (toString $text | trimPrefix "k8s://" | splitList "/" | first) true -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $facts := dict
  "drain" (include "atoll.seconds" (hasKey $gateway "drain" | ternary $gateway.drain "30s") | int)
  "tls" (hasKey $gateway "tls")
  "adminTls" (hasKey $admin "tls")
  "cluster" (hasKey $manifest "cluster")
  "state" $state
  "shared" (default false (default dict $manifest.state).shared)
  "watched" (keys $watched | sortAlpha)
-}}
{{- toJson $facts -}}
{{- end -}}

{{/* A duration of the manifest ("250ms", "5 s", "2m", "1h", 0) in whole seconds, rounded up. */}}
{{- define "atoll.seconds" -}}
{{- $text := toString . | nospace -}}
{{- $number := regexFind "^[0-9]+" $text | int -}}
{{- $unit := regexFind "[a-z]*$" $text -}}
{{- if eq $unit "ms" }}{{ div (add $number 999) 1000 }}
{{- else }}{{ mul $number (get (dict "" 1 "s" 1 "m" 60 "h" 3600 "d" 86400) $unit) }}{{ end -}}
{{- end -}}

{{/*
How long the kubelet waits before it kills: the pause before SIGTERM, the drain, and what comes after it: 10 s each for
schedules, events and sagas under way, 5 s for guests, and some seconds for the admin's answers, traces and the log.
*/}}
{{- define "atoll.grace" -}}
{{- add .Values.preStopSeconds (include "atoll.facts" . | fromJson).drain 45 -}}
{{- end -}}

{{- define "atoll.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else }}{{ .Values.image.repository }}:{{ $tag }}{{ end -}}
{{- end -}}

{{/* An address and a port to listen on; IPv6 in brackets. */}}
{{- define "atoll.listen" -}}
{{- $address := (first .).Values.address -}}
{{- if contains ":" $address }}[{{ $address }}]{{ else }}{{ $address }}{{ end }}:{{ last . }}
{{- end -}}

{{/* The headless Service, which gives each host a name. */}}
{{- define "atoll.hosts" -}}
{{- include "atoll.fullname" . }}-hosts
{{- end -}}
