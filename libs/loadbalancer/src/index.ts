// SPDX-License-Identifier: Apache-2.0
// What services mean in the kernel: which rows the load balancing maps must have, and what must change for it. Pure: knows
// of no kernel, no file and no clock.
export {
  createServiceTable,
  type ServiceTable,
  type ServiceTableOptions,
  type UpsertOptions,
} from './service-table.ts';
export { aliasTable, type AliasColumn } from './alias-table.ts';
export { createChangeBatch, type ChangeBatch } from './change-batch.ts';
export { backendName } from './render-service.ts';
export { type BuiltTables, buildTables, type MaglevRequest } from './maglev-source.ts';
export { maglevTable, maglevTableSizeDefault, maglevTableSizes, type MaglevItem } from './maglev-table.ts';
