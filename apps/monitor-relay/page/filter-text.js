// SPDX-License-Identifier: Apache-2.0
// What people write into the filter, as filters that nodes apply to flows.

/** Each key: what it is for, and what it sets in a filter. `ends` stand for both ends of a flow, either of which will do. */
const keys = {
  pod: { ends: 'pod', isPod: true, help: 'pod:default/xwing', about: 'either end, by the beginning of its name' },
  ns: { ends: 'pod', value: (text) => `${text}/`, help: 'ns:default', about: 'either end, by namespace' },
  label: { ends: 'label', help: 'label:app=web', about: 'either end, by label' },
  ip: { ends: 'ip', help: 'ip:10.0.0.0/8', about: 'either end, by address or prefix' },
  port: { ends: 'port', help: 'port:80', about: 'either end, by port' },
  identity: { ends: 'identity', value: number, help: 'identity:1234', about: 'either end, by identity' },
  workload: { ends: 'workload', value: workload, help: 'workload:Deployment/web', about: 'either end, by workload' },
  from: { field: 'source_pod', isPod: true, help: 'from:default/xwing', about: 'where it comes from' },
  to: { field: 'destination_pod', isPod: true, help: 'to:default/deathstar', about: 'where it goes' },
  'from-label': { field: 'source_label', help: 'from-label:app=web', about: 'where it comes from, by label' },
  'to-label': { field: 'destination_label', help: 'to-label:app=web', about: 'where it goes, by label' },
  'to-port': { field: 'destination_port', help: 'to-port:443', about: 'where it goes, by port' },
  'to-fqdn': { field: 'destination_fqdn', help: 'to-fqdn:*.example.com', about: 'where it goes, by DNS name' },
  verdict: { field: 'verdict', value: upper, help: 'verdict:dropped', about: 'what became of it' },
  proto: { field: 'protocol', help: 'proto:tcp', about: 'protocol' },
  method: { field: 'http_method', value: upper, help: 'method:GET', about: 'HTTP method' },
  path: { field: 'http_path', help: 'path:/v1/.*', about: 'HTTP path, a pattern' },
  status: { field: 'http_status_code', help: 'status:5+', about: 'HTTP status' },
  node: { field: 'node_name', help: 'node:node1', about: 'node that reports it' },
  direction: { field: 'traffic_direction', value: upper, help: 'direction:ingress', about: 'ingress or egress' },
};

/** What may be written, for the help. */
export const filterHelp = Object.values(keys).map(({ help, about }) => ({ help, about }));

function upper(text) {
  return text.toUpperCase();
}

function number(text) {
  if (/^\d+$/.test(text)) return Number(text);
  throw new TypeError(`"${text}" is no number`);
}

function workload(text) {
  const [kind, ...rest] = text.split('/');
  return rest.length === 0 ? { name: kind } : { kind, name: rest.join('/') };
}

/** A word, which may be in quotation marks behind the colon. */
const word = /(-?)([a-z-]+):(?:"([^"]*)"|(\S+))|(\S+)/g;

function readWord([, sign, key, quoted, plain, bare]) {
  if (bare !== undefined) {
    if (/^[\w./-]+$/.test(bare))
      return { isDenial: bare.startsWith('-'), key: keys.pod, values: [bare.replace(/^-/, '')] };
    throw new TypeError(`"${bare}" is no filter: write what and a colon before it, like pod:${bare}`);
  }
  const known = Object.hasOwn(keys, key) ? keys[key] : undefined;
  if (known === undefined)
    throw new TypeError(`"${key}" cannot be filtered by; there are ${Object.keys(keys).join(', ')}`);
  const values = quoted === undefined ? plain.split(',').filter(Boolean) : [quoted];
  return { isDenial: sign === '-', key: known, values };
}

/** A word's part of a filter, for flows whose `side` is meant. */
function fieldsOf({ key, values }, side) {
  const field = key.field ?? `${side}_${key.ends}`;
  return { [field]: values.map(key.value ?? ((text) => text)) };
}

function join(filters) {
  const all = {};
  for (const filter of filters) {
    for (const [field, values] of Object.entries(filter)) all[field] = [...(all[field] ?? []), ...values];
  }
  return all;
}

/** A pod without a namespace is one of those that are named, or of any. */
function placePods(words) {
  const namespaces = words.filter(({ key }) => key === keys.ns).flatMap(({ values }) => values);
  const spaces = namespaces.length === 0 ? [''] : namespaces;
  const place = (name) => (name.includes('/') ? [name] : spaces.map((space) => `${space}/${name}`));
  const placed = words.map((each) => (each.key.isPod ? { ...each, values: each.values.flatMap(place) } : each));
  return placed.some(({ key }) => key.isPod) ? placed.filter(({ key }) => key !== keys.ns) : placed;
}

/** All words must hold, each for either end: a filter for one end and one for the other, or one if that is the same. */
function listOf(words) {
  if (words.length === 0) return [];
  const placed = placePods(words);
  const sides = placed.some(({ key }) => key.ends !== undefined) ? ['source', 'destination'] : ['source'];
  return sides.map((side) => join(placed.map((each) => fieldsOf(each, side))));
}

const verdicts = { allowed: ['FORWARDED', 'REDIRECTED', 'AUDIT', 'TRANSLATED'], denied: ['DROPPED', 'ERROR'] };

/**
 * Reads what is in the filter. Words of different kinds must all hold, those of one kind and the values of one word are
 * alternatives, and a word with `-` before it takes flows away. Throws TypeError with a sentence for people.
 */
export function parseFilter(text, { verdict = '' } = {}) {
  const words = [...text.matchAll(word)].map(readWord);
  const wanted = listOf(words.filter(({ isDenial }) => !isDenial));
  const unwanted = words.filter(({ isDenial }) => isDenial).flatMap((each) => listOf([each]));
  const chosen = verdicts[verdict];
  if (chosen === undefined) return { whitelist: wanted, blacklist: unwanted };
  const narrowed = (wanted.length === 0 ? [{}] : wanted).map((filter) => ({ verdict: chosen, ...filter }));
  return { whitelist: narrowed, blacklist: unwanted };
}
