// SPDX-License-Identifier: Apache-2.0
import { ConnectionOption, type FieldSection } from '../http/field-section.ts';

/** What becomes of the upgrade that a message speaks of. */
export type UpgradeOffer =
  /** There is none, or none that counts. */
  | 'none'
  /** Only protocols that may be tunnelled. */
  | 'allowed'
  /** At least one protocol that may not be tunnelled: in it, requests would pass that nobody has judged. */
  | 'forbidden';

const name = 'upgrade:';

const isUpgradeLine = (line: string): boolean => line.slice(0, name.length).toLowerCase() === name;

const headLines = (head: Buffer): string[] => head.toString('latin1').split('\r\n');

/** Reads the `Upgrade` fields of a head. `protocols` are those that may be tunnelled, in lower case, without versions. */
export function readUpgrade(head: Buffer, fields: FieldSection, protocols: ReadonlySet<string>): UpgradeOffer {
  if (fields.upgradeStart === -1) return 'none';
  const values = headLines(head)
    .filter(isUpgradeLine)
    .map((line) => line.slice(name.length));
  const offered = values.flatMap((value) => value.split(',')).map((protocol) => protocol.trim().toLowerCase());
  const isForbidden = (protocol: string): boolean => !protocols.has(protocol.split('/', 1)[0] ?? '');
  if (offered.some(isForbidden)) return 'forbidden';
  return offered.length > 0 && (fields.connection & ConnectionOption.UPGRADE) !== 0 ? 'allowed' : 'none';
}

/**
 * The head without its `Upgrade` fields, which a proxy may take out (RFC 9110 7.8): the server then answers in HTTP/1.1,
 * as one does that knows no other protocol.
 */
export function withoutUpgrade(head: Buffer): Buffer {
  return Buffer.from(
    headLines(head)
      .filter((line, i) => i === 0 || !isUpgradeLine(line))
      .join('\r\n'),
    'latin1',
  );
}
