// SPDX-License-Identifier: Apache-2.0
const thousand = 1_000;

/** A rate or a count in three digits or so. */
export function formatNumber(value) {
  if (value === 0) return '0';
  if (value < 0.05) return '<0.1';
  if (value < 10) return value.toFixed(1).replace(/\.0$/, '');
  if (value < thousand) return String(Math.round(value));
  if (value < thousand * thousand) return `${(value / thousand).toFixed(1).replace(/\.0$/, '')}k`;
  return `${(value / thousand / thousand).toFixed(1).replace(/\.0$/, '')}M`;
}

/** A time span in a unit that suits it. */
export function formatMs(ms) {
  if (ms < 1) return `${Math.max(1, Math.round(ms * thousand))} µs`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < thousand ? `${Math.round(ms)} ms` : `${(ms / thousand).toFixed(1)} s`;
}

const two = (number) => String(number).padStart(2, '0');

/** The time of day here, to the millisecond. */
export function formatTime(timeMs) {
  const at = new Date(timeMs);
  const ms = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}

/** An end of a flow as people read it: pod, else service, else address. */
export function endName({ namespace, pod, service, address }) {
  if (pod !== '') return namespace === '' ? pod : `${namespace}/${pod}`;
  return service === '' ? address : service;
}

/** A policy as people name it. */
export const policyName = ({ namespace, name }) => (namespace === '' ? name : `${namespace}/${name}`);

/** What a flow says, in a line. */
export function whatOf({ call, reason, summary, type }) {
  if (call === null) return reason === '' ? summary || type : `${reason}${summary === '' ? '' : ` · ${summary}`}`;
  const path = pathOf(call.url);
  if (call.status === 0) return `${call.method} ${path}`;
  return `${call.method} ${path} → ${call.status}${call.ms > 0 ? ` in ${formatMs(call.ms)}` : ''}`;
}

function pathOf(url) {
  const match = /^[a-z]+:\/\/[^/]*(\/.*)?$/i.exec(url);
  return match === null ? url : (match[1] ?? '/');
}
