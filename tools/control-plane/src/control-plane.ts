// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { repairApiServer } from '@weir/api-server-repair';
import { createAuthority } from '@weir/certificates';
import { WeirError } from '@weir/errors';
import { freePort } from './free-port.ts';
import { createServerProcess, type ServerProcess } from './server-process.ts';

/** A control plane that runs. */
export interface ControlPlane {
  /** Of kube-apiserver. */
  readonly port: number;
  /** A file with the address and an administrator's credentials. */
  readonly kubeconfig: string;
  /** Writes another such file, for a server that is reached through another port. */
  kubeconfigFor(port: number): string;
  /** Makes etcd forget what was; what is stays. */
  compact(): Promise<void>;
  /** Ends kube-apiserver at once. */
  stopApi(): Promise<void>;
  /** Starts it again on the same data, and waits until it is ready. */
  startApi(): Promise<void>;
  destroy(): Promise<void>;
}

// Beside the repository, or where `WEIR_TEST_ASSETS` says.
const assets = process.env.WEIR_TEST_ASSETS ?? fileURLToPath(new URL('../../../../shared/assets/', import.meta.url));
const programs = join(tmpdir(), 'weir-test-assets');
const token = 'test-token';

const findEtcd = (): string | undefined =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .concat('/usr/bin', '/usr/local/bin')
    .map((directory) => join(directory, 'etcd'))
    .find((path) => existsSync(path));

/** Why there can be none on this machine; undefined: there can. */
export const controlPlaneSkipReason: string | undefined =
  findEtcd() === undefined
    ? 'etcd is not installed'
    : existsSync(join(assets, 'kube-apiserver.xz'))
      ? undefined
      : 'there is no shared/assets with kube-apiserver beside the repository';

const post = async (url: string, body: object): Promise<unknown> => {
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body), signal: AbortSignal.timeout(10_000) });
  if (!answer.ok) throw new WeirError('UNAVAILABLE', `${url}: ${await answer.text()}`);
  return answer.json();
};

function etcdProcess(directory: string, ports: { readonly client: number; readonly peer: number }): ServerProcess {
  const url = `http://127.0.0.1:${ports.client}`;
  const peerUrl = `http://127.0.0.1:${ports.peer}`;
  return createServerProcess({
    program: findEtcd() ?? 'etcd',
    args: [
      ...['--name', 'test', '--data-dir', join(directory, 'etcd'), '--log-level', 'error', '--logger', 'zap'],
      ...['--listen-client-urls', url, '--advertise-client-urls', url],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', `test=${peerUrl}`],
    ],
    log: join(directory, 'etcd.log'),
    isReady: async () => (await (await fetch(`${url}/health`)).text()).includes('"true"'),
  });
}

/** Asks as a client does. */
const readiness = (directory: string, port: number): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const ca = readFileSync(join(directory, 'ca.crt'));
    const options = { ca, agent: false, headers: { authorization: `Bearer ${token}` }, timeout: 5_000 };
    get(`https://localhost:${port}/readyz`, options, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    }).once('error', reject);
  });

interface ApiPlace {
  readonly directory: string;
  readonly etcdUrl: string;
  readonly port: number;
  readonly isReady: () => Promise<boolean>;
}

function apiProcess({ directory, etcdUrl, port, isReady }: ApiPlace): ServerProcess {
  const at = (file: string): string => join(directory, file);
  return createServerProcess({
    program: repairApiServer(programs),
    args: [
      `--etcd-servers=${etcdUrl}`,
      // An address of nobody's: what Kubernetes calls its own server must not be on loopback.
      ...['--bind-address=127.0.0.1', '--advertise-address=192.0.2.1', `--secure-port=${port}`, '--insecure-port=0'],
      ...[`--tls-cert-file=${at('localhost.crt')}`, `--tls-private-key-file=${at('localhost.key')}`],
      ...[
        `--service-account-key-file=${at('accounts.key')}`,
        `--service-account-signing-key-file=${at('accounts.key')}`,
      ],
      ...['--service-account-issuer=https://kubernetes.default', `--token-auth-file=${at('tokens.csv')}`],
      ...['--authorization-mode=RBAC', '--service-cluster-ip-range=10.96.0.0/16', '--allow-privileged=true'],
      // There is no controller that would make service accounts.
      '--disable-admission-plugins=ServiceAccount',
    ],
    log: at('kube-apiserver.log'),
    isReady,
  });
}

function writeKubeconfig(directory: string, port: number): string {
  const path = join(directory, `kubeconfig-${port}`);
  const config = {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'test' },
    clusters: [
      {
        name: 'test',
        cluster: { server: `https://localhost:${port}`, 'certificate-authority': join(directory, 'ca.crt') },
      },
    ],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}

/** Starts one on ports of its own; a few seconds. */
export async function createControlPlane(): Promise<ControlPlane> {
  execFileSync('bash', [join(assets, 'unpack.sh'), programs, 'kube-apiserver']);
  const directory = mkdtempSync(join(tmpdir(), 'weir-control-plane-'));
  createAuthority({ directory }).issue(['localhost']);
  writeFileSync(join(directory, 'tokens.csv'), `${token},admin,admin,"system:masters"\n`, { mode: 0o600 });
  execFileSync('openssl', ['genrsa', '-out', join(directory, 'accounts.key'), '2048'], { stdio: 'pipe' });
  const [client, peer, port] = [await freePort(), await freePort(), await freePort()];
  const etcdUrl = `http://127.0.0.1:${client}`;
  const kubeconfig = writeKubeconfig(directory, port);
  const isReady = (): Promise<boolean> => readiness(directory, port);
  const etcd = etcdProcess(directory, { client, peer });
  const api = apiProcess({ directory, etcdUrl, port, isReady });
  await etcd.start();
  await api.start();
  return {
    ...{ port, kubeconfig, kubeconfigFor: (other) => writeKubeconfig(directory, other) },
    async compact() {
      const { header } = (await post(`${etcdUrl}/v3/kv/range`, { key: 'AA==' })) as { header: { revision: string } };
      await post(`${etcdUrl}/v3/kv/compaction`, { revision: header.revision, physical: true });
    },
    stopApi: api.stop,
    startApi: api.start,
    async destroy() {
      await api.stop();
      await etcd.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
