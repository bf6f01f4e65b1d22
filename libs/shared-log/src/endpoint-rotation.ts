// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** The servers of one store, of which one is asked until it fails. */
export interface EndpointRotation<Endpoint> {
  /** Asks the present server. When it fails, the next one is asked the next time, and the call fails with UNAVAILABLE. */
  call<Result>(ask: (endpoint: Endpoint) => Promise<Result>): Promise<Result>;
}

/** Makes the rotation; begins with the first. */
export function createEndpointRotation<Endpoint>(endpoints: readonly Endpoint[]): EndpointRotation<Endpoint> {
  let present = 0;
  return {
    async call(ask) {
      const asked = present;
      try {
        return await ask(endpoints[asked % endpoints.length] as Endpoint);
      } catch (error) {
        // Calls that were under way together move on together.
        if (present === asked) present += 1;
        const failure = WeirError.from(error);
        if (failure.code === 'UNAVAILABLE') throw failure;
        throw new WeirError('UNAVAILABLE', failure.message, { cause: error, details: failure.details });
      }
    },
  };
}
