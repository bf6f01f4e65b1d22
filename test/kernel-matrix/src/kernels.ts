// SPDX-License-Identifier: Apache-2.0

/** A kernel to test on: that of a Debian release, small and made for virtual machines. */
export interface MatrixKernel {
  readonly version: string;
  /** Name of the release that has it. */
  readonly release: string;
}

/** The floor, and what the distributions have that people run. */
export const kernels: readonly MatrixKernel[] = [
  { version: '5.10', release: 'bullseye' },
  { version: '6.1', release: 'bookworm' },
  { version: '6.12', release: 'trixie' },
];

/** The package that depends on the newest build of a release's kernel. */
export const kernelPackage = 'linux-image-cloud-amd64';

/** Modules that tests need and that are not built in, as far as a kernel has them. */
export const modules: readonly string[] = ['veth', 'sch_ingress', 'cls_bpf'];
