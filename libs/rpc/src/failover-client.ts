// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { createSingleClient, type CallOptions, type RpcClient, type RpcClientOptions } from './client.ts';
import { createHedgeBudget, hedged } from './hedged.ts';
import type { ServiceDefinition } from './method-types.ts';

export interface FailoverClientOptions extends Omit<RpcClientOptions, 'address'> {
  /** Servers that can do each other's work. */
  readonly addresses: readonly string[];
  /** Numbers in [0, 1): which server is asked first, so that many clients spread over them. */
  readonly random?: () => number;
}

// A server that hangs is noticed by its silence. One that dies closes its connections, which takes no time.
const keepalive = { keepaliveMs: 1_000, keepaliveTimeoutMs: 1_500 } as const;

const movesOn = (code: string): boolean => code === 'UNAVAILABLE' || code === 'TIMEOUT';

type AnyCall = (input: unknown, options?: CallOptions) => unknown;

/**
 * One client for several servers. A unary call that one of them cannot take goes to the next, each once, so it must be
 * harmless to repeat; a stream that breaks fails, and the next one begins at the next server. All calls go to the same server
 * as long as it answers.
 *
 * A server that hangs keeps its connections: with `hedgeMs` a call does not wait for it alone.
 */
export function createFailoverClient<Definition extends ServiceDefinition>(
  definition: Definition,
  { addresses, random = Math.random, ...options }: FailoverClientOptions,
): RpcClient<Definition> {
  const clients = addresses.map((address) => createSingleClient(definition, { ...options, ...keepalive, address }));
  let present = Math.floor(random() * clients.length);
  const moveOn = (from: number): void => {
    // Calls that fail together move on together.
    if (present === from) present = (present + 1) % clients.length;
  };
  const callAt = (index: number, name: string): AnyCall =>
    (clients[index] as unknown as Record<string, AnyCall>)[name] as AnyCall;

  const budget = createHedgeBudget();
  const ask = (asked: number, name: string, [input, callOptions]: Parameters<AnyCall>): Promise<unknown> => {
    const call = (index: number, signal: AbortSignal | undefined): Promise<unknown> =>
      callAt(index, name)(input, {
        ...callOptions,
        ...(signal && { signal }),
        waitForReady: false,
      }) as Promise<unknown>;
    if (callOptions?.hedgeMs === undefined) return call(asked, callOptions?.signal);
    const { hedgeMs: afterMs } = callOptions;
    return hedged({ afterMs, budget, ...(callOptions.signal && { signal: callOptions.signal }) }, (isSecond, signal) =>
      call(isSecond ? (asked + 1) % clients.length : asked, signal).then((answer) => {
        // Whoever answers later is the slower one.
        if (isSecond) moveOn(asked);
        return answer;
      }),
    );
  };
  const unary = async (name: string, args: Parameters<AnyCall>): Promise<unknown> => {
    const [, callOptions] = args;
    for (let attempt = 1; ; attempt += 1) {
      const asked = present;
      try {
        return await ask(asked, name, args);
      } catch (error) {
        const { code } = WeirError.from(error);
        if (movesOn(code)) moveOn(asked);
        // A timeout has used up the caller's patience.
        if (code !== 'UNAVAILABLE' || attempt >= clients.length || callOptions?.signal?.aborted === true) throw error;
      }
    }
  };
  async function* stream(name: string, [input, callOptions]: Parameters<AnyCall>): AsyncGenerator<unknown> {
    const asked = present;
    try {
      yield* callAt(asked, name)(input, { ...callOptions, waitForReady: false }) as AsyncIterable<unknown>;
    } catch (error) {
      if (movesOn(WeirError.from(error).code)) moveOn(asked);
      throw error;
    }
  }

  const calls = Object.entries(definition).map(([name, method]) => [
    name,
    (...args: Parameters<AnyCall>) => (method.responseStream ? stream(name, args) : unary(name, args)),
  ]);
  return Object.assign(Object.fromEntries(calls) as RpcClient<Definition>, {
    ready: (wait: { readonly deadlineMs: number }) => Promise.any(clients.map((client) => client.ready(wait))),
    close: () => clients.forEach((client) => client.close()),
  });
}
