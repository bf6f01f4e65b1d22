// SPDX-License-Identifier: Apache-2.0
import type { MapUse } from '@weir/datapath-maps';

/** How full a map may be before status warns and alarms should ring: a change of a policy needs room for old and new. */
export const mapPressureAlarm = 0.75;

/** How full a map is: 0 is empty, 1 has no room. */
export const pressureOf = ({ entries, entriesMax }: MapUse): number => entries / entriesMax;

/** The maps in which there may be no room soon. */
export const mapsUnderPressure = (maps: readonly MapUse[]): readonly MapUse[] =>
  maps.filter((map) => pressureOf(map) > mapPressureAlarm);
