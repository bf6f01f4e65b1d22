// SPDX-License-Identifier: Apache-2.0
// For tests: kube-apiserver 1.20 of Debian 12 dies on the first custom resource; this makes one that does not.
export { repairApiServer } from './repair-api-server.ts';
