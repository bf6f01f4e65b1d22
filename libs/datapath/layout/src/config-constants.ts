// SPDX-License-Identifier: Apache-2.0
import { toBytes, type Codec } from './codec.ts';
import { datapathConfigDefaults, datapathConfigVariables, type DatapathConfig } from './gen/config.ts';

/** The bytes of every `const volatile` variable by name: what is given, and the default for the rest. */
export function configConstants(config: Partial<DatapathConfig>): Map<string, Uint8Array<ArrayBuffer>> {
  const values: DatapathConfig = { ...datapathConfigDefaults, ...config };
  const keys = Object.keys(datapathConfigVariables) as (keyof DatapathConfig)[];
  return new Map(
    keys.map((key) => {
      const { name, codec } = datapathConfigVariables[key];
      // The generated table pairs each setting with the codec of its own type.
      return [name, toBytes(codec as Codec<unknown>, values[key])];
    }),
  );
}
