// SPDX-License-Identifier: Apache-2.0
// The data that the datapath and user space share: codecs of every map key, value and event, the maps themselves, the
// enums and the settings. Everything under gen/ is generated from the BTF of bpf/layout.c. No I/O, and no Node.js.
export { fromBytes, toBytes, type Codec } from './codec.ts';
export { configConstants } from './config-constants.ts';
export type { MapShape, MapSpec } from './map-spec.ts';

/* Every name below is generated, and each is meant to be used. */
/* eslint-disable no-restricted-syntax */
export * from './gen/config.ts';
export * from './gen/enums.ts';
export * from './gen/maps.ts';
export * from './gen/structs.ts';
