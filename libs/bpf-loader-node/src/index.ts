// SPDX-License-Identifier: Apache-2.0
// BPF for Node.js: objects, programs, maps, links and ring buffers over libbpf, and sockets in any network namespace.
// Keys and values are bytes here; what they mean is known elsewhere. No product logic.
export { KernelError } from './kernel-error.ts';
