// SPDX-License-Identifier: Apache-2.0
import type { KubernetesApi } from '@weir/kubernetes';

// Who has set a field, as `kubectl get --show-managed-fields` shows. Servers before 1.22 keep one list for an object and its
// status: with one name, whoever applies the object gives up what the status says.
const managers = { object: 'weir-operator', status: 'weir-operator-status' } as const;

/**
 * Says what some fields of an object must be, or of its status, by server-side apply: the object is made where it is not there,
 * fields of others stay as they are, and those that we have said before and do not say any more go.
 */
export async function applyObject(
  api: KubernetesApi,
  path: string,
  { part, object }: { readonly part: 'object' | 'status'; readonly object: object },
): Promise<void> {
  await api.request({
    ...{ method: 'PATCH', path: part === 'status' ? `${path}/status` : path, body: object },
    contentType: 'application/apply-patch+yaml',
    query: { fieldManager: managers[part], force: 'true' },
  });
}
