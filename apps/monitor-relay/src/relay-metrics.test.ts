// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { Counter } from 'prom-client';
import { createRelayMetrics } from './relay-metrics.ts';

describe('createRelayMetrics()', () => {
  it('has what the documentation has, with the same kinds', () => {
    const registry = createRelayMetrics({
      pool: { list: () => [], isListening: true, start: () => undefined, stop: () => undefined },
      traffic: { readers: 0, responses: 0, bytes: 0 },
      pageTraffic: { readers: 0, flows: 0, lost: 0, refused: 0 },
    });
    const page = readFileSync(join(import.meta.dirname, '../../../docs/reference/monitor-relay.md'), 'utf8');
    const rows = [...page.matchAll(/^\| `(weir_relay_\w+)` +\| (\w+)/gm)].map(([, name, kind]) => [name, kind]);
    // Those of the export are there only with an export.
    const documented = rows.filter(([name]) => !/_export/.test(name ?? ''));
    const served = registry
      .getMetricsAsArray()
      .filter(({ name }) => name.startsWith('weir_'))
      .map((metric) => [metric.name, (metric as object) instanceof Counter ? 'counter' : 'gauge']);
    expect(documented.toSorted()).toEqual(served.toSorted());
  });
});
