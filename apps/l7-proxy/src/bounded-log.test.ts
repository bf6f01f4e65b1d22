// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { createManualClock } from '@weir/clock';
import { createLogger } from '@weir/telemetry';
import { boundLog } from './bounded-log.ts';

describe('boundLog()', () => {
  it('writes so many lines a second, and then how many it has left out', async () => {
    const messages: string[] = [];
    const write = (line: string): void => void messages.push((JSON.parse(line) as { message: string }).message);
    const clock = createManualClock();
    const log = boundLog(createLogger({ service: 'test', destination: { write } }), { clock, linesMax: 2 });
    for (let i = 0; i < 5; i++) log.error({}, 'Trouble');
    await clock.advance(1_000);
    log.warn({}, 'Other trouble');
    await clock.advance(1_000);
    expect(messages).toEqual(['Trouble', 'Trouble', 'Left lines about traffic out of the log', 'Other trouble']);
    expect(clock.pendingCount).toBe(0);
  });
});
