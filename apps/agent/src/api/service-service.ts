// SPDX-License-Identifier: Apache-2.0
import type { ServiceDatapath } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import { serviceKey, type Service } from '@weir/model';
import { ServiceServiceDefinition, type weir } from '@weir/proto';
import { createStreamQueue, type RpcService, rpcService } from '@weir/rpc';
import type { ServiceController, ServiceResult } from '../service/service-controller.ts';
import { kernelFrontendMessage, kernelServices, serviceFromMessage, serviceMessage } from './service-messages.ts';

export interface ServiceServiceOptions {
  readonly services: ServiceController;
  readonly datapath: ServiceDatapath;
}

type Outcome = weir.service.v1.IServiceOutcome;

const portionMax = 200;
const eventsWaitingMax = 100_000;

const nameOf = (key: string): weir.service.v1.IServiceName => {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
};

const keyOf = ({ namespace, name }: weir.service.v1.IServiceName): string =>
  serviceKey({ namespace: namespace || 'default', name: name ?? '' });

const outcomeOf = ({ key, error }: ServiceResult): Outcome => ({
  service: nameOf(key),
  problem: error?.message ?? '',
  code: error?.code ?? '',
});

function* portionsOf<Row>(rows: readonly Row[]): Generator<Row[]> {
  for (let start = 0; start < rows.length; start += portionMax) yield rows.slice(start, start + portionMax);
}

/** Load balancing over the local API: see proto/weir/service/v1/service.proto. */
export function createServiceService({ services, datapath }: ServiceServiceOptions): RpcService {
  /** Those that cannot be read are refused beside what becomes of the others. */
  const upsert = async (messages: readonly weir.service.v1.IService[]): Promise<Outcome[]> => {
    const outcomes: Outcome[] = [];
    const readable: { readonly index: number; readonly service: Service }[] = [];
    messages.forEach((message, index) => {
      try {
        readable.push({ index, service: serviceFromMessage(message) });
      } catch (error) {
        outcomes[index] = outcomeOf({ key: keyOf(message), error: WeirError.from(error) });
      }
    });
    const results = await services.upsert(readable.map(({ service }) => service));
    results.forEach((result, position) => {
      const { index } = readable[position] ?? { index: 0 };
      outcomes[index] = outcomeOf(result);
    });
    return outcomes;
  };

  return rpcService(ServiceServiceDefinition, {
    upsertServices: async (request) => ({ outcomes: await upsert(request.services) }),
    async deleteServices(request) {
      const results = await services.delete(request.services.map(keyOf), 'api');
      return { outcomes: results.map(outcomeOf) };
    },
    async *listServices({ service }) {
      const traffic = services.traffic();
      const wanted = service === null || service === undefined ? undefined : keyOf(service);
      const found = wanted === undefined ? services.list() : [services.get(wanted)].flatMap((each) => each ?? []);
      if (wanted !== undefined && found.length === 0) {
        throw new WeirError('NOT_FOUND', `There is no service "${wanted}"`);
      }
      for (const portion of portionsOf(found)) {
        yield { services: portion.map((each) => serviceMessage(each, traffic(serviceKey(each)))) };
      }
    },
    async *watchServices(_request, { signal }) {
      const queue = createStreamQueue<weir.service.v1.IServiceEvent>({
        ...{ itemsMax: eventsWaitingMax, overflow: 'fail', signal },
      });
      // From the same moment on: the list and the changes that follow it.
      const stop = services.watch((event) =>
        queue.push(
          event.kind === 'upserted' ? { upserted: serviceMessage(event.service) } : { deleted: nameOf(event.key) },
        ),
      );
      try {
        for (const service of services.list()) yield { upserted: serviceMessage(service) };
        yield { synced: true };
        yield* queue;
      } finally {
        stop();
        queue.end();
      }
    },
    async *listFrontends() {
      const { rows, traffic } = await datapath.readGradually();
      const kernel = kernelServices(rows, traffic);
      for (const portion of portionsOf([...rows.frontends.values()])) {
        yield { frontends: portion.map((frontend) => kernelFrontendMessage(frontend, kernel)) };
      }
    },
  });
}
