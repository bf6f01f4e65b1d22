// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { Agent, type RequestOptions } from 'node:https';
import { WeirError } from '@weir/errors';
import type * as KubeConfigModuleType from './kube-config.ts';

/** Which Kubernetes, and as whom. */
export interface KubernetesAccessOptions {
  /** A file with addresses and credentials; undefined: the service account of the pod that this runs in. */
  readonly kubeconfig: string | undefined;
  /** Address of the server in place of the one that the file or the pod's environment names. */
  readonly server: string | undefined;
}

/** A server, and what makes it believe who is asking. */
export interface KubernetesAccess {
  readonly server: URL;
  /** Certificates and headers for one request; read again where they are in files, since they change. */
  authorize(): Promise<RequestOptions>;
}

const tokenPath = '/var/run/secrets/kubernetes.io/serviceaccount/token';
// A server that is gone without a word is noticed by this and ten probes, a second apart.
const keepAliveMs = 15_000;

// In a bundle it lies beside the program.
type KubeConfigModule = typeof KubeConfigModuleType;

const isSource = import.meta.url.endsWith('.ts');
const kubeConfigModule = new URL(isSource ? './kube-config.ts' : './kube-config.mjs', import.meta.url).href;

const loadKubeConfig = (): Promise<KubeConfigModule> => import(kubeConfigModule);

function checkServer(server: string, from: string): URL {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (url?.protocol === 'https:' && url.username === '') return url;
  throw new WeirError('INVALID_ARGUMENT', `${from} "${server}" is not an address like https://10.0.0.1:6443`);
}

/**
 * Reads credentials, as `kubectl` does: certificates, tokens, and programs that give them. Rejects with FAILED_PRECONDITION
 * or INVALID_ARGUMENT that says what is missing; does not ask the server anything.
 */
export async function openKubernetesAccess(options: KubernetesAccessOptions): Promise<KubernetesAccess> {
  const { kubeconfig, server } = options;
  const { KubeConfig } = await loadKubeConfig();
  const config = new KubeConfig();
  if (kubeconfig === undefined) {
    if (!existsSync(tokenPath)) {
      const message = `There is no service account at "${tokenPath}": this is no pod of Kubernetes, and there is no --kubeconfig`;
      throw new WeirError('FAILED_PRECONDITION', message);
    }
    config.loadFromCluster();
  } else {
    try {
      config.loadFromFile(kubeconfig);
    } catch (cause) {
      const { message } = WeirError.from(cause);
      throw new WeirError('INVALID_ARGUMENT', `The kubeconfig "${kubeconfig}" cannot be read: ${message}`, { cause });
    }
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new WeirError('INVALID_ARGUMENT', `The kubeconfig "${kubeconfig}" has no cluster in its current context`);
  }
  const agent = new Agent({ keepAlive: true, keepAliveMsecs: keepAliveMs });
  const hasProxy = cluster.proxyUrl !== undefined;
  return {
    server: checkServer(server ?? cluster.server, server === undefined ? 'The server' : '--k8s-api'),
    async authorize() {
      const request: RequestOptions = {};
      await config.applyToHTTPSOptions(request);
      return hasProxy ? request : { ...request, agent };
    },
  };
}
