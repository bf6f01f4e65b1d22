// SPDX-License-Identifier: Apache-2.0
// Stands in for the agent where a test is about the lab: real sockets and the real protocols, endpoints in memory and no
// network behind them. Behaviour is chosen by flags: --fail-cni refuses ADD, --never-ready never serves, --silent-proxy
// has no proxy, --refuse-policy finds a problem in every policy, --exit-at-start ends with a message.
import { rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { WeirError } from '@weir/errors';
import { AgentServiceDefinition, type weir } from '@weir/proto';
import { createRpcServer, rpcService, type Handlers } from '@weir/rpc';

type Endpoint = Required<
  Pick<weir.agent.v1.Endpoint.$Properties, 'id' | 'containerId' | 'namespace' | 'pod' | 'identity'>
>;

interface CniRequest {
  readonly command: string;
  readonly containerId: string;
  readonly args: string;
}

const { values: flags } = parseArgs({
  strict: false,
  allowPositionals: true,
  options: { 'run-dir': { type: 'string' } },
});
const runDirectory = String(flags['run-dir']);
const endpoints = new Map<string, Endpoint>();
const imported = new Set<string>();
const namespaces = new Map<string, string[]>();
let lastId = 0;

if (flags['exit-at-start'] === true) {
  process.stderr.write('the fake agent cannot start\n');
  process.exit(3);
}

const argument = (args: string, key: string): string => new RegExp(`(?:^|;)${key}=([^;]*)`).exec(args)?.[1] ?? '';

function cni({ command, containerId, args }: CniRequest): { status: number; body: object | undefined } {
  if (command === 'DEL') endpoints.delete(containerId);
  if (command !== 'ADD') return { status: 200, body: undefined };
  if (flags['fail-cni'] === true)
    return { status: 500, body: { cniVersion: '1.1.0', code: 101, msg: 'No address left' } };
  const id = ++lastId;
  const [namespace, pod] = [argument(args, 'K8S_POD_NAMESPACE'), argument(args, 'K8S_POD_NAME')];
  endpoints.set(containerId, { id, containerId, namespace, pod, identity: 1000 + id });
  const ips = [{ address: `10.244.1.${id}/32` }, { address: `fd00:10:244:1::${id}/128` }];
  return { status: 200, body: { cniVersion: '1.1.0', ips } };
}

function find(reference: string | null | undefined): Endpoint {
  for (const endpoint of endpoints.values()) {
    if ([endpoint.containerId, `${endpoint.namespace}/${endpoint.pod}`].includes(reference ?? '')) return endpoint;
  }
  throw new WeirError('NOT_FOUND', `There is no endpoint "${reference}"`);
}

const handlers: Partial<Handlers<typeof AgentServiceDefinition>> = {
  getStatus: () => ({
    components: [
      { name: 'datapath', state: 'Ok', message: '' },
      ...(flags['silent-proxy'] === true ? [] : [{ name: 'l7-proxy', state: 'Ok', message: 'connected' }]),
    ],
    policyRevision: imported.size,
    nodes: 100,
  }),
  listEndpoints: () => ({ endpoints: [...endpoints.values()] }),
  getEndpoint: ({ endpoint }) => ({ endpoint: find(endpoint?.reference) }),
  patchEndpointLabels({ endpoint: reference, set, remove }) {
    const endpoint = find(reference?.reference);
    endpoint.identity = 5000 + set.length * 10 + remove.length;
    return { endpoint };
  },
  patchNamespaceLabels({ namespace, set }) {
    namespaces.set(namespace, [...set]);
    return { namespace: { name: namespace, labels: [...set] } };
  },
  listNamespaces: () => ({ namespaces: [...namespaces].map(([name, labels]) => ({ name, labels })) }),
  importPolicy({ files, validateOnly }): weir.agent.v1.ImportPolicyResponse.$Properties {
    const [file] = files;
    if (flags['refuse-policy'] === true && file !== undefined) {
      const problem = {
        file: file.name ?? '',
        line: 3,
        column: 7,
        path: 'spec.ingress',
        value: '1',
        message: 'Expected a list',
      };
      return { problems: [problem] };
    }
    const names = files.map(({ name }) => `RuleList//${name ?? ''}`);
    if (!validateOnly) names.forEach((name) => imported.add(name));
    return { imported: names };
  },
  getPolicy: () => ({ policies: [...imported].map((name) => ({ name })) }),
  deletePolicy({ files, all }) {
    const names = all ? [...imported] : files.map(({ name }) => `RuleList//${name}`);
    return { deleted: names.filter((name) => imported.delete(name)) };
  },
};
const notHere = (): never => {
  throw new WeirError('NOT_SUPPORTED', 'The fake agent does not do this');
};
const all = Object.fromEntries(Object.keys(AgentServiceDefinition).map((name) => [name, notHere]));

const server = createRpcServer({
  services: [rpcService(AgentServiceDefinition, { ...all, ...handlers } as Handlers<typeof AgentServiceDefinition>)],
  listen: [`unix:${join(runDirectory, 'agent.sock')}`],
});
await server.start();
if (flags['never-ready'] !== true) server.health.setAll('SERVING');

const cniSocket = join(runDirectory, 'cni.sock');
rmSync(cniSocket, { force: true });
createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { status, body } = cni(JSON.parse(Buffer.concat(chunks).toString()) as CniRequest);
    response.writeHead(status).end(body && JSON.stringify(body));
  });
}).listen(cniSocket);
