{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{- define "weir.labels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/part-of: weir
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* What never changes: Kubernetes refuses another selector. */}}
{{- define "weir.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "weir.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "weir.imageFields" -}}
image: {{ include "weir.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{/* Of every pod. */}}
{{- define "weir.podFields" -}}
serviceAccountName: {{ .name }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
nodeSelector: {{ .values.nodeSelector | toJson }}
tolerations: {{ .values.tolerations | toJson }}
{{- end }}

{{/* How Kubernetes is reached. */}}
{{- define "weir.kubernetesArgs" -}}
- --k8s-api={{ .Values.kubernetes.api | default "in-cluster" }}
{{- end }}

{{- define "weir.extraArgs" -}}
{{- range . }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{/* Certificates of a service; without, who listens must be told that it may. */}}
{{- define "weir.serviceTlsArgs" -}}
{{- if .root.Values.tls.enabled }}
- --tls-ca=/tls/ca.crt
- --tls-cert=/tls/{{ .certificate }}.crt
- --tls-key=/tls/{{ .certificate }}.key
{{- else }}
- {{ .plaintext }}
{{- end }}
{{- end }}

{{- define "weir.probes" -}}
startupProbe:
  httpGet: { path: /healthz, port: metrics }
  periodSeconds: 2
  failureThreshold: 150
livenessProbe:
  httpGet: { path: /healthz, port: metrics }
  periodSeconds: 30
  failureThreshold: 10
readinessProbe:
  httpGet: { path: /healthz, port: metrics }
  periodSeconds: 5
{{- end }}

{{/* A service that needs nothing of its node. */}}
{{- define "weir.restricted" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  capabilities: { drop: [ALL] }
{{- end }}

{{- define "weir.node" -}}
- name: NODE_NAME
  valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
{{- end }}
